//! `--host`: the commands over an owner elsewhere.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::http::Place;
use crate::support::{Ran, TestHome, wait_until};

/// A command that knows no home, only what it is told.
pub(super) fn elsewhere(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let empty = tempfile::tempdir().unwrap();
    let ran = Ran::from(command(empty.path(), args, variables).output().unwrap());
    let left = fs::read_dir(empty.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is made here");
    ran
}

/// A command that stands in this folder and has nothing but it.
fn command(folder: &Path, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
    command.args(args).stdin(Stdio::null());
    command.current_dir(folder).env("HOME", folder);
    for known in [
        "LLAMA_ORCH_HOME",
        "LLAMA_ORCH_HOST",
        "LLAMA_ORCH_TOKEN",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(known);
    }
    command.envs(variables.iter().copied());
    command
}

/// A daemon that listens on TCP too; returns the two ways to it, each as the variables that lead
/// there.
fn daemon(home: &TestHome) -> [Vec<(&'static str, String)>; 2] {
    let settings = "[api]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(home.path().join("orchestrator.toml"), settings).unwrap();
    home.ok(&["daemon", "start"]);
    let Place::Tcp(address) = Place::tcp(home) else {
        unreachable!("it listens");
    };
    let token = fs::read_to_string(home.path().join("state/api-token")).unwrap();
    [
        vec![(
            "LLAMA_ORCH_HOST",
            format!("unix://{}", home.path().display()),
        )],
        vec![
            ("LLAMA_ORCH_HOST", format!("http://{address}")),
            ("LLAMA_ORCH_TOKEN", token.trim().to_owned()),
        ],
    ]
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let pair = |(name, value): &'a (&'static str, String)| (*name, value.as_str());
    variables.iter().map(pair).collect()
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

/// The names of all fields, inner ones behind those around them.
fn fields(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, inner)| {
                let below = fields(inner)
                    .into_iter()
                    .map(move |name| format!("{key}.{name}"));
                std::iter::once(key.clone()).chain(below)
            })
            .collect(),
        Value::Array(elements) => elements.first().map(fields).unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn an_instance_is_described_watched_and_changed_as_if_one_were_there() {
    let home = TestHome::new();
    home.simulated("a", &["--api-key", "s3cret"], "");
    let ways = daemon(&home);
    home.ok(&["up", "a"]);
    for (number, way) in ways.iter().enumerate() {
        let way = borrowed(way);
        let told = elsewhere(&["describe", "a", "--json"], &way);
        assert_eq!(told.code, 0, "{}", told.stderr);
        assert!(!told.stdout.contains("s3cret"), "{}", told.stdout);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        let here: Value =
            serde_json::from_str(&home.ok(&["describe", "a", "--json"]).stdout).unwrap();
        assert_eq!(fields(&told), fields(&here));
        assert_eq!(told["command"], here["command"]);
        let text = elsewhere(&["describe", "a"], &way).stdout;
        assert!(text.starts_with("name         a\n"), "{text}");
        let unknown = elsewhere(&["describe", "zz"], &way);
        assert_eq!(unknown.code, 2, "{}", unknown.stderr);

        // What the file says now is what runs then.
        let context = 2048 + number;
        let more = format!("model.context_size = {context}");
        home.simulated("a", &["--api-key", "s3cret"], &more);
        home.wait_for("a", "drifted", |row| row["drift"] == true);
        let applied = elsewhere(&["apply", "a", "--json"], &way);
        assert_eq!(applied.code, 0, "{}", applied.stderr);
        let plans: Value = serde_json::from_str(&applied.stdout).unwrap();
        assert_eq!(plans[0]["action"], "restart", "{plans}");
        assert!(applied.stderr.contains("a: ready at"), "{}", applied.stderr);
        let text = elsewhere(&["describe", "a"], &way).stdout;
        assert!(text.contains(&context.to_string()), "{text}");
        let again = elsewhere(&["apply"], &way);
        assert!(
            again.code == 0 && again.stderr.contains("nothing to do"),
            "{}",
            again.stderr
        );

        let history = elsewhere(&["health", "a", "--history", "--json"], &way);
        assert!(history.stdout.contains("\"rollups\""), "{}", history.stdout);
        for args in [
            &["devices", "--refresh", "--json"][..],
            &["devices", "--json"],
        ] {
            let told = elsewhere(args, &way);
            let body: Value = serde_json::from_str(&told.stdout).unwrap();
            assert!(body["host"]["memory_total_bytes"].is_u64(), "{body}");
        }

        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let mut watcher = command(folder.path(), &["health", "a", "--watch"], &way)
            .stdout(fs::File::create(&seen).unwrap())
            .spawn()
            .unwrap();
        let saw = |word: &str| fs::read_to_string(&seen).unwrap().contains(word);
        wait_until("it is seen healthy", || saw("a\tready\thealthy"));
        home.ok(&["down", "a"]);
        wait_until("it is seen to stop", || saw("a\tstopped\t"));
        watcher.kill().unwrap();
        watcher.wait().unwrap();
        home.ok(&["up", "a"]);
    }
    home.ok(&["daemon", "stop", "--instances"]);
    // Nobody here can answer in its place.
    let way = borrowed(&ways[0]);
    for args in [
        &["describe", "a"][..],
        &["apply"],
        &["plan"],
        &["health", "a"],
        &["devices"],
        &["work-unit", "list"],
        &["work-unit", "create", "x"],
    ] {
        let ran = elsewhere(args, &way);
        assert_eq!(ran.code, 10, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("no owner answers on"),
            "{args:?}: {}",
            ran.stderr
        );
        let hint = format!(
            "hint: start one: llama-orch --home {} daemon start\n",
            home.path().display()
        );
        assert!(ran.stderr.ends_with(&hint), "{args:?}: {}", ran.stderr);
    }
    let over_tcp = elsewhere(&["describe", "zz"], &borrowed(&ways[1])).stderr;
    assert!(
        over_tcp.contains("cannot reach http://127.0.0.1:"),
        "{over_tcp}"
    );
    assert!(
        over_tcp.contains("(on the machine of http://127.0.0.1:"),
        "{over_tcp}"
    );
}

#[test]
fn work_units_are_tracked_from_elsewhere_and_commands_taken_from_the_machine_itself() {
    let home = TestHome::new();
    let ways = daemon(&home);
    let worktree = home.path().display().to_string();
    for (way, over_tcp) in ways.iter().zip([false, true]) {
        let way = borrowed(way);
        let unit = |words: &[&str], code: i32| {
            let args: Vec<&str> = ["work-unit"].iter().chain(words).copied().collect();
            let ran = elsewhere(&args, &way);
            assert_eq!(ran.code, code, "{words:?}\n{}{}", ran.stdout, ran.stderr);
            ran
        };
        unit(&["create", "first", "--worktree", &worktree], 0);
        unit(&["create", "second", "--blocked-by", "first"], 0);
        let list = unit(&["list"], 0).stdout;
        assert!(list.contains("second\tGOAL\tBLOCKED"), "{list}");
        unit(&["status", "first", "RUNNING"], 0);
        let taken = unit(&["status", "first", "RUNNING"], 3).stderr;
        assert!(taken.contains("first"), "{taken}");
        unit(&["edit", "second", "--no-blocked-by"], 0);
        unit(&["status", "first", "DONE"], 0);
        assert_eq!(unit(&["status", "second"], 0).stdout, "READY\n");
        let shown = unit(&["show", "first", "--json"], 0).stdout;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["worktree"], worktree.as_str());
        let last = shown["history"].as_array().unwrap().last().unwrap();
        assert_eq!(last["new_status"], "DONE", "{shown}");
        unit(&["logs", "first"], 0);
        unit(&["show", "nobody"], 2);
        let relative = unit(&["create", "third", "--worktree", "src"], 64).stderr;
        assert!(
            relative.contains("an absolute path of that machine"),
            "{relative}"
        );
        let code = if over_tcp { 1 } else { 0 };
        let command = unit(&["create", "third", "--command", "GOAL=true"], code).stderr;
        if over_tcp {
            assert!(
                command.contains("over the home's own socket only"),
                "{command}"
            );
            assert!(command.contains("work.remote_commands"), "{command}");
        } else {
            let why = "READY in phase GOAL, its command waits for somebody to run it: \
                work.max_parallel is 0\n";
            assert!(command.contains(why), "{command}");
            let here = home.ok(&["work-unit", "edit", "third", "--command", "GOAL=true"]);
            let hint = "hint: no command is run yet: set work.max_parallel in orchestrator.toml\n";
            for told in [&command, &here.stderr] {
                assert!(told.ends_with(hint), "{told}");
            }
            unit(&["rm", "third"], 0);
        }
        unit(&["rm", "first", "second"], 0);
        assert!(unit(&["list"], 0).stderr.contains("no work units"));
    }
    home.ok(&["daemon", "stop"]);
}
