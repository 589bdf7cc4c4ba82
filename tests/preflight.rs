//! What is refused before a process exists, in words and with the exit code of its kind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::support::{TestHome, free_port, real_server};

/// A program that answers `--help` as this script does, and otherwise sleeps.
fn program(home: &TestHome, name: &str, script: &str) -> PathBuf {
    let path = home.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
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
        ("folder", 1, "folder.gguf cannot be read", "model_missing"),
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
    }
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
