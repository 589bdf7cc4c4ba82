//! Every kind of death, from the processes to what a person reads: simulated servers print
//! llama-server's own words, and real ones die for real where a real one is there.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{TestHome, kill_hard, real_server, wait_until};

/// No test waits for a second try.
const ONE_TRY: &str = "restart_policy.max_retries = 0";

/// Flags of the simulated server, the cause that must be found, and a part of its summary.
const SIMULATED: [(&str, &str, &str); 18] = [
    (
        "--sim-load-failure missing-file",
        "model_missing",
        "cannot be opened: No such file",
    ),
    (
        "--sim-load-failure bad-magic",
        "model_damaged",
        "no GGUF file",
    ),
    ("--sim-load-failure corrupt", "model_damaged", "cut short"),
    (
        "--sim-load-failure unknown-arch",
        "unknown_architecture",
        "does not know the architecture",
    ),
    (
        "--sim-load-failure out-of-memory",
        "out_of_memory",
        "9.0 GiB wanted",
    ),
    (
        "--sim-load-failure cuda-oom",
        "out_of_vram",
        "9.0 GiB wanted on CUDA0",
    ),
    (
        "--sim-load-failure vulkan-oom",
        "out_of_vram",
        "9.0 GiB wanted on Vulkan0",
    ),
    (
        "--sim-load-failure kv-cache",
        "out_of_memory",
        "9.0 GiB wanted",
    ),
    (
        "--sim-load-failure compute-buffers",
        "out_of_memory",
        "9.0 GiB wanted",
    ),
    (
        "--sim-load-failure invalid-device",
        "invalid_device",
        "no device is called GPU9",
    ),
    (
        "--sim-load-failure assert",
        "assertion",
        "ggml_can_mul_mat(a, b)",
    ),
    (
        "--ctx-size lots",
        "invalid_argument",
        "--ctx-size is not a number",
    ),
    ("--sim-crash 3", "unexplained", "exited with code 3"),
    ("--sim-crash SIGSEGV", "segfault", "SIGSEGV"),
    (
        "--sim-crash SIGTERM",
        "killed_from_outside",
        "SIGTERM from outside",
    ),
    ("--sim-crash assert", "assertion", "ggml_can_mul_mat(a, b)"),
    (
        "--sim-crash device-lost",
        "device_error",
        "Vulkan device was lost",
    ),
    (
        "--sim-crash cuda-error",
        "device_error",
        "illegal memory access",
    ),
];

fn autopsy(row: &Value) -> &Value {
    &row["autopsy"]
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Checks the cause everywhere it is told: the picture, an event, `describe` and the bundle.
fn check(home: &TestHome, name: &str, cause: &str, part: &str) {
    let row = home.wait_for(name, cause, |row| autopsy(row)["cause"] == cause);
    assert!(text(autopsy(&row), "summary").contains(part), "{row}");
    let described = home.ok(&["describe", name]).stdout;
    assert!(described.contains(part), "{name}: {described}");
    let told = format!("crashed {name} ");
    wait_until("the event is stored", || {
        let events = home.events();
        events
            .iter()
            .any(|event| event.starts_with(&told) && event.contains(part))
    });
    wait_until("a bundle is kept", || newest_bundle(home, name).is_some());
    let about = fs::read(newest_bundle(home, name).unwrap().join("about.json")).unwrap();
    let about: Value = serde_json::from_slice(&about).unwrap();
    assert_eq!(about["cause"], cause, "{about}");
}

fn newest_bundle(home: &TestHome, name: &str) -> Option<PathBuf> {
    let ran = home.run(&["bundle", name, "--list"]);
    ran.stdout.lines().next().map(PathBuf::from)
}

#[test]
fn every_kind_of_death_has_a_name() {
    let home = TestHome::new();
    let mut names = Vec::new();
    for (number, (flags, _, _)) in SIMULATED.iter().enumerate() {
        let name = format!("d{number}");
        let mut args: Vec<&str> = flags.split(' ').collect();
        args.extend(["--sim-load-time", "0ms"]);
        home.simulated(&name, &args, ONE_TRY);
        names.push(name);
    }
    home.ok(&["daemon", "start"]);
    home.run(&["up", "--all", "--no-wait"]);
    for (name, (_, cause, part)) in names.iter().zip(SIMULATED) {
        home.wait_state(name, "failed");
        check(&home, name, cause, part);
    }
    // What was found outlives the owner, and needs none to be read.
    let before = home.row("d2");
    home.ok(&["daemon", "stop"]);
    assert_eq!(autopsy(&home.row("d2")), autopsy(&before));
    home.ok(&["daemon", "start"]);
    assert_eq!(autopsy(&home.row("d2")), autopsy(&before));
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_death_that_nobody_watched_is_explained_without_an_owner() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &["--sim-crash-after", "300ms", "--sim-crash", "cuda-error"],
        "",
    );
    home.ok(&["up", "a"]);
    let exit = home.run_paths("a").exit();
    wait_until("its end is recorded", || exit.exists());
    let row = home.row("a");
    assert_eq!(autopsy(&row)["cause"], "device_error", "{row}");
    let table = home.ok(&["ps"]);
    assert!(
        table.stdout.contains("failed: device error"),
        "{}",
        table.stdout
    );
    home.ok(&["down", "--all"]);
}

#[test]
fn a_newer_run_does_not_inherit_the_last_words_of_an_older_one() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-failure", "corrupt"], ONE_TRY);
    home.ok(&["daemon", "start"]);
    home.run(&["up", "a"]);
    assert_eq!(
        autopsy(&home.wait_state("a", "failed"))["cause"],
        "model_damaged"
    );
    home.simulated("a", &["--sim-crash", "4"], ONE_TRY);
    home.run(&["up", "a"]);
    let row = home.wait_for("a", "failed anew", |row| {
        row["state"] == "failed" && row["exit"]["code"] == 4
    });
    assert_eq!(autopsy(&row)["cause"], "unexplained", "{row}");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_bundle_is_exported_without_its_secrets() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &["--api-key", "hunter2-hunter2", "--sim-crash", "SIGABRT"],
        ONE_TRY,
    );
    let none = home.run(&["bundle", "a"]);
    assert_eq!(none.code, 1, "{}", none.stderr);
    // It may be ready before it crashes, and then `up` alone would be gone.
    home.ok(&["daemon", "start"]);
    home.run(&["up", "a"]);
    wait_until("a bundle is kept", || newest_bundle(&home, "a").is_some());
    let out = home.path().join("out");
    let folder = out.to_str().unwrap();
    home.ok(&["bundle", "a", "--folder", "--output", folder]);
    let run = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    for file in [
        "about.json",
        "stderr.log",
        "stdout.log",
        "events.txt",
        "health.txt",
    ] {
        let text = fs::read_to_string(run.join(file)).unwrap();
        assert!(!text.contains("hunter2"), "{file}: {text}");
    }
    let about = fs::read_to_string(run.join("about.json")).unwrap();
    assert!(
        about.contains("\"***\"") && about.contains("SIGABRT"),
        "{about}"
    );
    let tar = home.path().join("a.tar");
    home.ok(&["bundle", "a", "--output", tar.to_str().unwrap()]);
    assert_eq!(fs::metadata(&tar).unwrap().len() % 512, 0);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn real_servers_die_with_a_name() {
    let home = TestHome::new();
    let Some((server, model)) = real_server("real_servers_die_with_a_name", &home) else {
        return;
    };
    let bytes = fs::read(&model).unwrap();
    let cut = home.path().join("cut.gguf");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let instance = |name: &str, model: &PathBuf, args: &str| {
        home.config(
            name,
            &format!(
                "binary.path = {server:?}\nmodel.path = {model:?}\nserver.port = \"auto\"\n\
                 args = {args}\n{ONE_TRY}"
            ),
        );
    };
    instance("cut", &cut, "[]");
    instance("value", &model, r#"["--flash-attn", "perhaps"]"#);
    instance("draft", &model, r#"["-md", "nowhere.gguf"]"#);
    instance("killed", &model, "[]");
    instance("fault", &model, "[]");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "killed", "fault"]);
    let ran = home.run(&["up", "cut"]);
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    for part in [
        "the model file is cut short",
        "data is not within the file bounds",
        "hint: ",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    home.run(&["up", "value", "draft"]);
    kill_hard(home.pid("killed"));
    signal(home.pid("fault"), rustix::process::Signal::SEGV);
    let rows = [
        ("cut", "model_damaged", "cut short"),
        ("value", "invalid_argument", "--flash-attn"),
        ("draft", "model_missing", "nowhere.gguf cannot be opened"),
        ("killed", "killed_from_outside", "SIGKILL from outside"),
        ("fault", "segfault", "SIGSEGV"),
    ];
    for (name, cause, part) in rows {
        check(&home, name, cause, part);
    }
    home.ok(&["daemon", "stop", "--instances"]);
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pidfd = llama_orch::process::os::open_pidfd(pid).unwrap();
    llama_orch::process::os::signal(&pidfd, signal).unwrap();
}
