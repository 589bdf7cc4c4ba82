//! `--host`: the commands over an owner elsewhere.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::http::Place;
use crate::support::{Ran, TestHome};

/// A command that knows no home, only what it is told.
fn elsewhere(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
    command.args(args).stdin(Stdio::null());
    command.current_dir(empty.path()).env("HOME", empty.path());
    for known in [
        "LLAMA_ORCH_HOME",
        "LLAMA_ORCH_HOST",
        "LLAMA_ORCH_TOKEN",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(known);
    }
    command.envs(variables.iter().copied());
    let ran = Ran::from(command.output().unwrap());
    let left = fs::read_dir(empty.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is made here");
    ran
}

#[test]
fn commands_reach_another_machine_with_its_token_and_another_home_by_its_socket() {
    let home = TestHome::new();
    home.simulated("a", &[], "tags = [\"t\"]\ndisplay_name = \"The A\"");
    home.simulated("b", &[], "");
    fs::write(
        home.path().join("orchestrator.toml"),
        "[api]\nlisten = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    home.ok(&["daemon", "start"]);
    let Place::Tcp(address) = Place::tcp(&home) else {
        unreachable!("it listens");
    };
    let url = format!("http://{address}");
    let file = home.path().join("state/api-token").display().to_string();
    let token = fs::read_to_string(&file).unwrap();
    let token = [("LLAMA_ORCH_TOKEN", token.trim())];
    let socket = format!("unix://{}", home.path().display());

    let refused = elsewhere(&["--host", &url, "ps"], &[]);
    assert_eq!(refused.code, 10, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("a token is needed"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("--token-file FILE"),
        "{}",
        refused.stderr
    );
    let wrong = elsewhere(
        &["--host", &url, "ps"],
        &[("LLAMA_ORCH_TOKEN", "0123456789abcdef")],
    );
    assert!(
        wrong.stderr.contains("this is not the token"),
        "{}",
        wrong.stderr
    );

    let up = elsewhere(&["--host", &url, "up", "The A"], &token);
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("a: ready at"), "{}", up.stderr);
    for args in [
        vec!["ps", "--json", "--host", &url, "--token-file", &file],
        vec!["ps", "--json", "--host", &socket],
    ] {
        let rows: Value = serde_json::from_str(&elsewhere(&args, &[]).stdout).unwrap();
        assert_eq!(
            (&rows[0]["name"], &rows[0]["state"]),
            (&"a".into(), &"ready".into())
        );
    }
    let host = [token[0], ("LLAMA_ORCH_HOST", &url)];
    let again = elsewhere(&["up", "a"], &host);
    assert_eq!(again.code, 3, "{}", again.stderr);
    assert_eq!(elsewhere(&["restart", "--tag", "t"], &host).code, 0);
    assert!(
        !elsewhere(&["logs", "a", "-n", "5"], &host)
            .stdout
            .is_empty()
    );
    assert!(
        elsewhere(&["events", "-n", "50"], &host)
            .stdout
            .contains("started")
    );
    assert_eq!(elsewhere(&["health", "a"], &host).code, 0);
    assert_eq!(elsewhere(&["health", "b"], &host).code, 8);
    assert_eq!(elsewhere(&["plan"], &host).code, 0);
    assert_eq!(elsewhere(&["devices", "--json"], &host).code, 0);
    let status = elsewhere(&["daemon", "status"], &host).stdout;
    assert!(status.contains("API at http://127.0.0.1:"), "{status}");
    let unknown = elsewhere(&["up", "zz"], &host);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    for args in [
        vec!["init", "x"],
        vec!["config", "validate"],
        vec!["doctor"],
        vec!["orphans"],
        vec!["daemon", "start"],
        vec!["import", "command", "--", "llama-server"],
    ] {
        let ran = elsewhere(&args, &host);
        assert_eq!(ran.code, 64, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("not over --host"),
            "{args:?}: {}",
            ran.stderr
        );
    }
    assert_eq!(
        elsewhere(&["--host", &url, "--home", "/tmp", "ps"], &token).code,
        64
    );
    let https = elsewhere(&["--host", "https://x", "ps"], &[]);
    assert!(
        https.code == 64 && https.stderr.contains("use a tunnel"),
        "{}",
        https.stderr
    );
    let nobody = elsewhere(&["--host", "http://127.0.0.1:1", "ps"], &[]);
    assert_eq!(nobody.code, 10, "{}", nobody.stderr);
    assert!(
        nobody.stderr.contains("cannot reach http://127.0.0.1:1"),
        "{}",
        nobody.stderr
    );
    let down = elsewhere(&["down", "--all"], &host);
    assert_eq!(down.code, 0, "{}", down.stderr);
    assert_eq!(home.row("a")["state"], "stopped");
}
