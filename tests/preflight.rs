//! What is refused before a process exists, in words and with the exit code of its kind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};

use crate::support::{TestHome, free_port, real_server};

/// A program that answers `--help` as this script does, and otherwise sleeps.
fn program(home: &TestHome, name: &str, script: &str) -> PathBuf {
    let path = home.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn mkfifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn a_start_that_must_fail_is_refused_with_its_cause() {
    let home = TestHome::new();
    let quiet = program(&home, "quiet", "exit 0");
    let unlinked = program(
        &home,
        "unlinked",
        "echo 'error while loading shared libraries: libcublas.so.12: no such file' >&2; exit 127",
    );
    let with_model = |name: &str, binary: &PathBuf, model: &str| {
        home.config(
            name,
            &format!("binary.path = {binary:?}\nmodel.path = {model:?}\nserver.port = \"auto\""),
        );
    };
    fs::write(home.path().join("text.gguf"), "no model at all").unwrap();
    fs::write(home.path().join("empty.gguf"), "").unwrap();
    fs::create_dir(home.path().join("folder.gguf")).unwrap();
    fs::write(home.path().join("good.gguf"), "GGUF and so on").unwrap();
    with_model("missing", &quiet, "nowhere.gguf");
    with_model("text", &quiet, "text.gguf");
    with_model("empty", &quiet, "empty.gguf");
    with_model("folder", &quiet, "folder.gguf");
    with_model("unlinked", &unlinked, "good.gguf");
    // Whoever opens a pipe that nobody writes to waits for ever.
    mkfifo(&home.path().join("pipe.gguf"));
    with_model("pipe", &quiet, "pipe.gguf");
    let plain = home.path().join("good.gguf");
    with_model("plain", &plain, "good.gguf");
    with_model("nowhere", &home.path().join("no-server"), "good.gguf");
    with_model("inside", &home.path().join("folder.gguf"), "good.gguf");
    home.simulated("device", &[], "logs.stdout = \"/dev/null\"");
    home.simulated("stray", &[], "server.host = \"192.0.2.1\"");
    home.config("broken", "server.port = \"auto\"\nserver.prot = 1");
    home.simulated("typo", &["--metrix"], "");
    home.simulated("number", &["--temp", "-1", "--n_predict", "-2"], "");
    let port = free_port();
    for name in ["first", "second"] {
        let text = format!("binary.path = \"builtin:sim\"\nserver.port = {port}");
        home.config(name, &text);
    }
    home.ok(&["up", "first", "number"]);
    let rows = [
        ("missing", 1, "the model file is missing: ", "model_missing"),
        ("text", 1, "text.gguf is no GGUF file", "model_damaged"),
        ("empty", 1, "empty.gguf is empty", "model_damaged"),
        ("folder", 1, "folder.gguf is not a file", "model_missing"),
        ("pipe", 1, "pipe.gguf is not a file", "model_missing"),
        (
            "plain",
            5,
            "good.gguf cannot be executed",
            "program_missing",
        ),
        ("nowhere", 5, "no-server does not exist", "program_missing"),
        ("inside", 5, "is a directory", "program_missing"),
        (
            "device",
            1,
            "/dev/null: not a regular file",
            "log_unwritable",
        ),
        ("stray", 1, "cannot listen on 192.0.2.1", "invalid_argument"),
        ("unlinked", 5, "libcublas.so.12", "library_missing"),
        (
            "typo",
            1,
            "this build has no flag --metrix; did you mean --metrics?",
            "unknown_flag",
        ),
        ("second", 4, " is used by instance first", "port_in_use"),
    ];
    for (name, code, text, _) in rows {
        let ran = home.run(&["up", name]);
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{name}: {}", ran.stderr);
        let twice = ran.stderr.matches("(os error").count() > 1;
        assert!(!twice, "{name}: {}", ran.stderr);
        // What does not run needs nobody who restarts it.
        assert!(!ran.stderr.contains("daemon start"), "{}", ran.stderr);
    }
    let ran = home.run(&["up", "broken"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("config validate"), "{}", ran.stderr);
    // With a supervisor, the cause is in the picture too.
    home.ok(&["daemon", "start"]);
    for (name, code, text, cause) in rows {
        let ran = home.run(&["up", name]);
        assert_eq!(ran.code, code, "{name}: {}", ran.stderr);
        let row = home.wait_state(name, "failed");
        assert_eq!(row["autopsy"]["cause"], cause, "{row}");
        assert!(row["reason"].as_str().unwrap().contains(text), "{row}");
    }
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_real_build_is_asked_for_its_flags_and_devices() {
    let home = TestHome::new();
    let Some((server, model)) =
        real_server("a_real_build_is_asked_for_its_flags_and_devices", &home)
    else {
        return;
    };
    let instance = |name: &str, args: &str| {
        home.config(
            name,
            &format!(
                "binary.path = {server:?}\nmodel.path = {model:?}\nserver.port = \"auto\"\nargs = {args}"
            ),
        );
    };
    instance("old", r#"["--no-mmap"]"#);
    instance("device", r#"["--device", "CUDA0"]"#);
    instance("good", r#"["--no_warmup", "-n", "-1", "--device", "none"]"#);
    let rows = [
        (
            "old",
            "this build has no flag --no-mmap; did you mean --load-mode none?",
        ),
        ("device", "this build has no device CUDA0: it lists none"),
    ];
    for (name, text) in rows {
        let ran = home.run(&["up", name]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    home.ok(&["up", "good"]);
    home.ok(&["down", "good"]);
}
