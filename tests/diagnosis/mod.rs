//! What the program tells of itself, of its instances and of the machine: describe, doctor, devices,
//! and the word before a start.

mod memory;
mod shapes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use llama_orch::api::client::Client;
use llama_orch::domain::instance::InstanceName;
use serde_json::Value;

use crate::support::gguf::{Shape, write_hollow};
use crate::support::{TestHome, write_script};

/// Writes an instance that is the simulated server and looks like a program of its own, with a model.
pub(crate) fn wrapped(home: &TestHome, name: &str, more: &str) {
    let program = home.path().join("llama-server");
    if !program.exists() {
        let script = format!(
            "#!/bin/sh\nexec {} sim \"$@\"",
            env!("CARGO_BIN_EXE_llama-orch")
        );
        write_script(&program, &script);
        write_hollow(&home.path().join("model.gguf"), &Shape::default());
    }
    home.config(
        name,
        &format!(
            "binary.path = {program:?}\nmodel.path = \"model.gguf\"\nserver.port = \"auto\"\n{more}\n"
        ),
    );
}

fn findings(home: &TestHome) -> (i32, Vec<Value>) {
    let ran = home.run(&["doctor", "--json"]);
    let body: Value = serde_json::from_str(&ran.stdout).unwrap();
    (ran.code, body["findings"].as_array().unwrap().clone())
}

fn has(findings: &[Value], area: &str, grade: &str, text: &str) -> bool {
    findings.iter().any(|found| {
        found["area"] == area
            && found["grade"] == grade
            && found["text"].as_str().unwrap().contains(text)
            && (grade == "good" || grade == "note" || found["remedy"].is_string())
    })
}

#[test]
fn a_sound_home_has_nothing_to_repair() {
    let home = TestHome::new();
    wrapped(&home, "a", "");
    home.ok(&["daemon", "start"]);
    let (code, found) = findings(&home);
    assert_eq!(code, 0, "{found:?}");
    for (area, grade, text) in [
        ("home", "good", "(chosen by --home)"),
        ("config", "good", "1 instance,"),
        ("owner", "good", "a supervisor runs (pid "),
        ("database", "good", "sound"),
        (
            "servers",
            "good",
            "every instance has its program and its model",
        ),
        ("orphans", "good", "none"),
    ] {
        assert!(
            has(&found, area, grade, text),
            "{area} {grade} {text}: {found:?}"
        );
    }
    let text = home.ok(&["doctor"]).stdout;
    assert!(text.starts_with("good\thome\t"), "{text}");
    home.ok(&["daemon", "stop"]);
    assert!(has(
        &findings(&home).1,
        "owner",
        "note",
        "no supervisor runs"
    ));
}

#[test]
fn each_thing_that_is_wrong_is_told_with_its_remedy() {
    let home = TestHome::new();
    wrapped(&home, "cut", "");
    home.config(
        "gone",
        "binary.path = \"/nonexistent/x\"\nrouter = true\nserver.port = \"auto\"",
    );
    home.config("bad", "server.port = [");
    let model = home.path().join("model.gguf");
    let size = fs::metadata(&model).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&model).unwrap();
    file.set_len(size - 1000).unwrap();
    let state = home.path().join("state");
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(state.join("state.sqlite"), vec![b'x'; 8192]).unwrap();
    let ini = home.path().join("config/llama.cpp");
    fs::create_dir_all(&ini).unwrap();
    fs::write(ini.join("config.ini"), "ctx-size = 5\n").unwrap();
    let mut command = home.command(&["doctor", "--json"]);
    command
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .env("LLAMA_ARG_MODEL", "x");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(body["grade"], "error");
    let found = body["findings"].as_array().unwrap();
    for (area, grade, text) in [
        ("home", "error", "can be opened by others (mode 755)"),
        ("config", "error", "bad cannot be used"),
        ("database", "error", "state.sqlite"),
        (
            "servers",
            "error",
            "gone: the executable /nonexistent/x does not exist",
        ),
        ("servers", "error", "model.gguf: is truncated: it has "),
        ("environment", "warning", "which sets ctx-size"),
        ("environment", "note", "LLAMA_ARG_MODEL"),
    ] {
        assert!(
            has(found, area, grade, text),
            "{area} {grade} {text}: {found:?}"
        );
    }
}

#[test]
fn the_owner_answers_the_same_questions() {
    let home = TestHome::new();
    wrapped(&home, "a", "");
    home.ok(&["daemon", "start"]);
    let client = Client::socket(&home.path().join("state/llama-orch.sock"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let name = InstanceName::parse("a").unwrap();
    runtime.block_on(async {
        let checkup = client.doctor().await.unwrap();
        assert!(!checkup.to_findings().is_empty());
        let fit = client.fit(&name).await.unwrap();
        assert_eq!(fit.verdict, "fits", "{fit:?}");
        assert_eq!(fit.to_fit().unwrap().context, Some(4096));
        let devices = client.devices().await.unwrap();
        assert_eq!(devices.builds[0].instances, ["a"]);
        assert!(devices.host.memory_total_bytes.is_some());
        let stranger = InstanceName::parse("b").unwrap();
        assert!(client.fit(&stranger).await.is_err());
    });
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_build_is_asked_for_its_devices_once() {
    let home = TestHome::new();
    let program = home.path().join("llama-server");
    let script = "#!/bin/sh\ncase $1 in --list-devices) echo x >> asked; echo 'Available devices:'; \
                  echo '  CUDA0: Example GPU (8192 MiB, 8000 MiB free)';; esac";
    write_script(&program, script);
    home.config(
        "a",
        &format!("binary.path = {program:?}\nrouter = true\nserver.port = \"auto\""),
    );
    // Without a place to remember it in, it would be asked each time.
    fs::create_dir(home.path().join("state")).unwrap();
    let told = |args: &[&str]| {
        let output = home
            .command(args)
            .current_dir(home.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let first = told(&["devices"]);
    assert!(
        first.starts_with("SOURCE\tDEVICE\tNAME\tFREE\tTOTAL\tBUSY\nhost\t"),
        "{first}"
    );
    assert!(
        first.contains("\tCUDA0\tExample GPU\t-\t8.0 GiB\t-"),
        "{first}"
    );
    told(&["devices", "--json"]);
    let asked = || {
        fs::read_to_string(home.path().join("asked"))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(asked(), 1);
    told(&["devices", "--refresh"]);
    assert_eq!(asked(), 2);
}

#[test]
fn a_plan_says_whether_what_it_starts_will_fit() {
    let home = TestHome::new();
    wrapped(&home, "a", "");
    home.ok(&["up", "a"]);
    wrapped(
        &home,
        "a",
        "model.context_size = 2000000000\nserver.parallel = 64",
    );
    let fit_of = || {
        let plans: Value = serde_json::from_str(&home.ok(&["plan", "--json"]).stdout).unwrap();
        plans[0]["fit"].clone()
    };
    // What it holds now is that of the small context, whatever the file says.
    let offline = fit_of();
    assert_eq!(offline["verdict"], "will_not_fit", "{offline}");
    home.ok(&["daemon", "start"]);
    let need = |fit: &Value| fit["places"][0]["need_bytes"].clone();
    assert_eq!(need(&fit_of()), need(&offline));
    let text = home.ok(&["plan"]).stdout;
    assert!(
        text.contains("  memory: will not fit: host needs "),
        "{text}"
    );
    let ran = home.run(&["apply", "--no-wait"]);
    assert!(ran.stderr.contains("a: will not fit"), "{}", ran.stderr);
    home.run(&["down", "a"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_server_that_works_is_not_ended_for_one_that_could_not_start() {
    let home = TestHome::new();
    wrapped(&home, "a", "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    wrapped(&home, "a", "args = [\"--flash-atn\", \"on\"]");
    let told = |args: &[&str], text: &str| {
        let ran = home.run(args);
        assert_eq!(ran.code, 1, "{args:?}: {}{}", ran.stdout, ran.stderr);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains(text), "{args:?}: {said}");
        assert_eq!(home.pid("a"), pid, "{args:?}");
    };
    told(
        &["plan"],
        "it would not start: this build has no flag --flash-atn",
    );
    told(
        &["apply"],
        "a: it goes on as it is, because it would not start",
    );
    told(&["restart", "a"], "did you mean --flash-attn?");
    // The same for a model that was cut meanwhile.
    let model = home.path().join("model.gguf");
    let cut = home.path().join("cut.gguf");
    let bytes = fs::read(&model).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 1000]).unwrap();
    let file = home.path().join("instances/a/config.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("model.gguf", "cut.gguf")
            .replace("-atn", "-attn"),
    )
    .unwrap();
    told(&["restart", "a"], "cut.gguf: is truncated");
    fs::write(&file, text).unwrap();
    // Who insists gets it: then it has failed, and says what to do.
    let ran = home.run(&["restart", "a", "--force"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let text = home.ok(&["describe", "a"]).stdout;
    assert!(text.contains("\nremedy       correct args; "), "{text}");
    home.ok(&["daemon", "stop"]);
    let text = home.ok(&["ps"]).stdout;
    assert!(!text.contains("failed: stopped"), "{text}");
}

#[test]
fn several_are_weighed_as_if_each_were_started_after_the_others() {
    let home = TestHome::new();
    // Each alone takes some more than half of all there is.
    let total = {
        let told = home.ok(&["devices", "--json"]).stdout;
        let body: Value = serde_json::from_str(&told).unwrap();
        let host = &body["host"];
        let of = |key: &str| host[key].as_u64().unwrap();
        of("memory_total_bytes") - of("memory_used_bytes")
    };
    wrapped(&home, "a", "");
    let need = |context: u64| {
        wrapped(&home, "a", &format!("model.context_size = {context}"));
        let told = home.ok(&["describe", "a", "--json"]).stdout;
        let body: Value = serde_json::from_str(&told).unwrap();
        body["memory"]["places"][0]["need_bytes"].as_u64().unwrap()
    };
    let per_token = (need(2_000_000) - need(1_000_000)) / 1_000_000;
    let context = total * 6 / 10 / per_token.max(1);
    for name in ["a", "b"] {
        wrapped(&home, name, &format!("model.context_size = {context}"));
    }
    let ran = home.run(&["up", "a"]);
    assert!(!ran.stderr.contains("will not fit"), "{}", ran.stderr);
    home.run(&["down", "a"]);
    let ran = home.run(&["up", "a", "b"]);
    assert!(!ran.stderr.contains("a: will not fit"), "{}", ran.stderr);
    assert!(ran.stderr.contains("b: will not fit"), "{}", ran.stderr);
    home.run(&["down", "--all"]);
}

#[test]
fn what_will_not_fit_is_warned_of_and_refused_only_on_request() {
    let home = TestHome::new();
    // Some terabytes of cache.
    wrapped(
        &home,
        "huge",
        "model.context_size = 2000000000\nserver.parallel = 64",
    );
    let ran = home.run(&["up", "huge"]);
    assert!(
        ran.stderr.contains("huge: will not fit: host needs ") && ran.stderr.contains("would do"),
        "{}",
        ran.stderr
    );
    assert!(
        home.row("huge")["run_id"].is_string(),
        "it was refused: {}",
        ran.stderr
    );
    home.run(&["down", "huge"]);
    fs::write(
        home.path().join("orchestrator.toml"),
        "[memory]\nrefuse = true\n",
    )
    .unwrap();
    let ran = home.run(&["up", "huge"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("it will not fit into memory") && ran.stderr.contains("refuse = false"),
        "{}",
        ran.stderr
    );
    wrapped(&home, "small", "");
    let ran = home.ok(&["up", "small"]);
    assert!(!ran.stderr.contains("fit"), "{}", ran.stderr);
    home.ok(&["down", "small"]);
}
