//! The whole shape of every `--json`: the files in `tests/data` are part of the interface.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::wrapped;
use crate::support::{Guarded, TestHome, kill_hard};

/// Replaces every value by what is the same in each answer: keys stay, a list keeps the shape of
/// its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match key.as_str() {
                // Its names are the machine's.
                "environment" => (key.clone(), json!({ "…": "…" })),
                _ => (key.clone(), shape(value)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(elements) => elements.first().map(shape).into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json!("…"),
    }
}

/// Compares with the kept shape; with `KEEP_SHAPES` set, keeps this one instead.
fn check(file: &str, told: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file);
    let found = serde_json::to_string_pretty(&shape(told)).unwrap() + "\n";
    if std::env::var_os("KEEP_SHAPES").is_some() {
        fs::write(&path, &found).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == kept,
        "{file} is part of the interface and only grows; KEEP_SHAPES=1 keeps what it is now:\n{found}"
    );
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_whole_shape_of_each_answer_is_kept() {
    let home = TestHome::new();
    wrapped(
        &home,
        "a",
        "tags = [\"x\"]\nrestart_policy.initial_delay = 0",
    );
    // The owner's servers read it.
    let ini = home.path().join("config/llama.cpp");
    fs::create_dir_all(&ini).unwrap();
    fs::write(ini.join("config.ini"), "ctx-size = 5\n").unwrap();
    let start = home
        .command(&["daemon", "start"])
        .env("XDG_CONFIG_HOME", home.path().join("config"))
        .status();
    assert!(start.unwrap().success());
    home.ok(&["up", "a"]);
    // A run that ended, with its cause.
    let first = home.pid("a");
    kill_hard(first);
    home.wait_for("a", "restarted", |row| {
        row["state"] == "ready" && row["pid"] != first
    });
    // And a field that differs from what the second was started with.
    wrapped(&home, "a", "tags = [\"x\"]\nserver.timeout = 77");
    let described = parse(&home.ok(&["describe", "a", "--json"]).stdout);
    assert_eq!(
        described["changed"][0]["field"], "server.timeout",
        "{described}"
    );
    check("describe.json", &described);
    check("ps.json", &parse(&home.ok(&["ps", "--json"]).stdout)[0]);
    home.ok(&["work-unit", "create", "first"]);
    home.ok(&[
        "work-unit",
        "create",
        "second",
        "--blocked-by",
        "first",
        "--",
        "true",
    ]);
    let units = parse(&home.ok(&["work-unit", "list", "--json"]).stdout);
    check("work-units.json", &units[1]);
    let shown = parse(&home.ok(&["work-unit", "show", "second", "--json"]).stdout);
    check("work-unit.json", &shown);
    check(
        "status.json",
        &parse(&home.ok(&["daemon", "status", "--json"]).stdout),
    );
    let events = parse(&home.ok(&["events", "--json"]).stdout);
    check("events.json", &events[0]);
    check(
        "devices.json",
        &parse(&home.ok(&["devices", "--json"]).stdout),
    );
    check(
        "doctor.json",
        &parse(&home.run(&["doctor", "--json"]).stdout),
    );
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn the_whole_shape_of_orphans_is_kept() {
    let home = TestHome::new();
    let orphan = Command::new("sleep")
        .arg("600")
        .env("LLAMA_ORCH_ID", "nobodys")
        .env("LLAMA_ORCH_RUN", "run")
        .current_dir(home.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let _orphan = Guarded(orphan);
    check(
        "orphans.json",
        &parse(&home.ok(&["orphans", "--json"]).stdout)[0],
    );
}
