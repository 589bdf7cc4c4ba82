//! Work units: the same by command, over the socket and over TCP, with an owner and without.

mod crowd;

use std::fs;

use serde_json::{Value, json};

use crate::api::http::Place;
use crate::support::{TestHome, kill_hard};

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// All units, as `name STATUS`.
fn statuses(home: &TestHome) -> Vec<String> {
    let units = parse(&home.ok(&["work-unit", "list", "--json"]).stdout);
    let word = |unit: &Value, key: &str| unit[key].as_str().unwrap().to_owned();
    let units = units.as_array().unwrap().iter();
    units
        .map(|unit| format!("{} {}", word(unit, "chunk"), word(unit, "status")))
        .collect()
}

fn history(home: &TestHome, name: &str) -> Vec<String> {
    let shown = parse(&home.ok(&["work-unit", "show", name, "--json"]).stdout);
    let changes = shown["history"].as_array().unwrap().iter();
    changes
        .map(|change| {
            let word = |key: &str| change[key].as_str().unwrap_or("-").to_owned();
            format!("{} {}", word("old_status"), word("new_status"))
        })
        .collect()
}

/// The messages of all events about work units.
fn told(home: &TestHome) -> Vec<String> {
    let events = home.events().into_iter();
    events
        .filter(|event| event.starts_with("work_unit_"))
        .collect()
}

#[test]
fn commands_do_the_same_with_an_owner_and_without() {
    for owner in ["owner", "nobody"] {
        let home = TestHome::new();
        home.simulated("coder", &[], "");
        if owner == "owner" {
            home.ok(&["daemon", "start"]);
        }
        let unit = |words: &[&str], code: i32| {
            let args: Vec<&str> = ["work-unit"].iter().chain(words).copied().collect();
            let ran = home.run(&args);
            assert_eq!(
                ran.code, code,
                "{owner} {words:?}\n{}{}",
                ran.stdout, ran.stderr
            );
            ran
        };
        let none = unit(&["list"], 0);
        assert!(none.stderr.contains("work-unit create"), "{}", none.stderr);
        assert_eq!(parse(&unit(&["ps", "--json"], 0).stdout), json!([]));
        unit(&["create", "login", "--instance", "coder"], 0);
        unit(
            &[
                "create",
                "tests",
                "--blocked-by",
                "login",
                "--phase",
                "plan",
            ],
            0,
        );
        assert_eq!(statuses(&home), ["login READY", "tests BLOCKED"], "{owner}");
        for (words, code, told) in [
            (&["create", "login"][..], 1, "exists already"),
            (
                &["create", "x", "--blocked-by", "nobody"],
                1,
                "no work unit is called nobody",
            ),
            (
                &["create", "x", "--instance", "nobody"],
                1,
                "no instance is called nobody",
            ),
            (
                &["edit", "login", "--blocked-by", "tests"],
                1,
                "login waits for tests waits for login",
            ),
            (&["status", "tests", "RUNNING"], 1, "tests waits for login"),
            (&["status", "nobody"], 2, "no work unit is called nobody"),
            (&["rm", "login"], 1, "others wait for it: tests"),
            (&["edit", "login"], 64, "nothing to change"),
            (&["create", "Not-a-name"], 64, "not the name of a work unit"),
            (&["status", "login", "FINE"], 64, "one of READY, RUNNING"),
        ] {
            let ran = unit(words, code);
            assert!(
                ran.stderr.contains(told),
                "{owner} {words:?}: {}",
                ran.stderr
            );
        }
        unit(&["status", "login", "running"], 0);
        let taken = unit(&["status", "login", "RUNNING"], 3);
        assert!(taken.stderr.contains("hint: "), "{}", taken.stderr);
        unit(
            &[
                "status",
                "login",
                "NEEDS_ATTENTION",
                "--reason",
                "which one?",
            ],
            0,
        );
        assert_eq!(unit(&["status", "login"], 0).stdout, "NEEDS_ATTENTION\n");
        let shown = unit(&["show", "login"], 0).stdout;
        assert!(shown.contains("reason      which one?"), "{shown}");
        unit(&["status", "login", "DONE"], 0);
        assert_eq!(statuses(&home), ["login DONE", "tests READY"], "{owner}");
        assert_eq!(
            history(&home, "login"),
            [
                "- READY",
                "READY RUNNING",
                "RUNNING NEEDS_ATTENTION",
                "NEEDS_ATTENTION DONE"
            ],
            "{owner}"
        );
        let listed = unit(&["list", "--status", "DONE", "--json"], 0).stdout;
        assert_eq!(parse(&listed)[0]["chunk"], "login");
        unit(&["rm", "login"], 0);
        assert_eq!(statuses(&home), ["tests READY"], "{owner}");
        let told = told(&home);
        assert_eq!(
            told,
            [
                "work_unit_created - login was created in phase GOAL: READY",
                "work_unit_created - tests was created in phase PLAN: BLOCKED by login",
                "work_unit_changed - login: READY → RUNNING in phase GOAL",
                "work_unit_needs_attention - login needs attention in phase GOAL: which one?",
                "work_unit_done - login is DONE: NEEDS_ATTENTION → DONE, GOAL → COMPLETE",
                "work_unit_changed - tests: BLOCKED → READY in phase PLAN",
                "work_unit_deleted - login was deleted; it was DONE in phase COMPLETE",
                "work_unit_changed - tests: waits for nothing",
            ],
            "{owner}"
        );
    }
}

#[test]
fn the_routes_answer_with_the_status_that_says_what_was_wrong() {
    let home = TestHome::new();
    home.ok(&["daemon", "start"]);
    let place = Place::socket(&home);
    let made = place
        .post("/work-units")
        .json(&json!({"chunk": "a"}))
        .send();
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["status"], "READY");
    let waits = json!({"chunk": "b", "blocked_by": ["a"], "commands": {"GOAL": ["true"]}});
    assert_eq!(place.post("/work-units").json(&waits).send().status, 201);
    let rows = [
        (
            "POST",
            "/work-units",
            json!({"chunk": "a"}),
            409,
            "conflict",
        ),
        ("POST", "/work-units", json!({"chunk": "A"}), 400, "invalid"),
        (
            "POST",
            "/work-units",
            json!({"chunk": "c", "blockedBy": []}),
            400,
            "invalid",
        ),
        (
            "POST",
            "/work-units",
            json!({"chunk": "c", "worktree": "here"}),
            400,
            "invalid",
        ),
        (
            "POST",
            "/work-units",
            json!({"chunk": "c", "blocked_by": ["x"]}),
            422,
            "unprocessable",
        ),
        (
            "POST",
            "/work-units",
            json!({"chunk": "c", "instance": "x"}),
            422,
            "unprocessable",
        ),
        (
            "PATCH",
            "/work-units/a",
            json!({"blocked_by": ["b"]}),
            422,
            "unprocessable",
        ),
        (
            "PATCH",
            "/work-units/a",
            json!({"status": "LATER"}),
            400,
            "invalid",
        ),
        (
            "PATCH",
            "/work-units/b",
            json!({"status": "DONE"}),
            409,
            "conflict",
        ),
        (
            "PATCH",
            "/work-units/x",
            json!({"status": "DONE"}),
            404,
            "not_found",
        ),
        ("PATCH", "/work-units/%20", json!({}), 404, "not_found"),
        (
            "PATCH",
            "/work-units/a",
            json!({"reason": "no status"}),
            400,
            "invalid",
        ),
        ("PUT", "/work-units/a", json!({}), 405, "method_not_allowed"),
        ("GET", "/work-units/x", json!(null), 404, "not_found"),
        (
            "GET",
            "/work-units/x/history",
            json!(null),
            404,
            "not_found",
        ),
        (
            "GET",
            "/work-units?status=LATER",
            json!(null),
            400,
            "invalid",
        ),
        ("DELETE", "/work-units/a", json!(null), 409, "conflict"),
        (
            "DELETE",
            "/work-units/a?force=perhaps",
            json!(null),
            400,
            "invalid",
        ),
    ];
    for (method, path, body, status, code) in rows {
        let answer = place.ask(method, path).json(&body).send();
        let seen = (answer.status, answer.code());
        assert_eq!(seen, (status, code.to_owned()), "{method} {path} {body}");
    }
    assert_eq!(
        statuses(&home),
        ["a READY", "b BLOCKED"],
        "refusals change nothing"
    );
    let claim = json!({"status": "RUNNING"});
    let claimed = place.ask("PATCH", "/work-units/a").json(&claim).send();
    assert_eq!(claimed.status, 200, "{}", claimed.text());
    let second = place.ask("PATCH", "/work-units/a").json(&claim).send();
    assert_eq!(
        (second.status, second.code()),
        (409, "already_running".to_owned())
    );
    let all = place.get("/work-units?status=BLOCKED,READY").send().json();
    assert_eq!(all["units"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&all["counts"]["running"], &all["counts"]["blocked"]),
        (&json!(1), &json!(1))
    );
    let newer = place.get("/work-units?after=0&wait_ms=30000").send().json();
    assert_eq!(
        newer["generation"], all["generation"],
        "there is news, so nobody waits"
    );
    let counts = &place.get("/status").send().json()["work_units"];
    assert_eq!(
        (&counts["running"], &counts["done"]),
        (&json!(1), &json!(0))
    );
    let gone = place.ask("DELETE", "/work-units/a?force=true").send();
    assert_eq!(
        (gone.status, gone.json()["status"].clone()),
        (200, json!("RUNNING"))
    );
    let freed = place.get("/work-units/b").send().json();
    assert_eq!(
        (&freed["status"], &freed["blocked_by"]),
        (&json!("READY"), &json!([]))
    );
    home.ok(&["daemon", "stop"]);
}

#[test]
fn over_tcp_a_command_is_taken_only_where_the_settings_say_so() {
    let home = TestHome::new();
    let settings = |work: &str| {
        let text = format!("[api]\nlisten = \"127.0.0.1:0\"\n[work]\n{work}\n");
        fs::write(home.path().join("orchestrator.toml"), text).unwrap();
    };
    settings("");
    home.ok(&["work-unit", "create", "local", "--command", "GOAL=true"]);
    let token = || fs::read_to_string(home.path().join("state/api-token")).unwrap();
    let command = json!({"chunk": "a", "commands": {"GOAL": ["touch", "pwned"]}});
    let later = json!({"commands": {"PLAN": ["touch", "pwned"]}});
    let elsewhere = json!({"worktree": "/tmp"});
    for (remote, status) in [("", 403), ("remote_commands = true", 201)] {
        settings(remote);
        home.ok(&["daemon", "start"]);
        let (place, token) = (Place::tcp(&home), token());
        let ask = |method: &str, path: &str, body: &Value| {
            let ask = place.ask(method, path).token(token.trim());
            ask.json(body).send()
        };
        let plain = json!({"chunk": format!("plain-{status}")});
        let made = ask("POST", "/work-units", &plain);
        assert_eq!(made.status, 201, "{}", made.text());
        let answer = ask("POST", "/work-units", &command);
        assert_eq!(answer.status, status, "{}", answer.text());
        for body in [&later, &elsewhere] {
            let answer = ask("PATCH", "/work-units/local", body);
            assert_eq!(
                answer.status == 200,
                status == 201,
                "{body} {}",
                answer.text()
            );
            if status == 403 {
                assert_eq!(answer.code(), "forbidden");
                let hint = answer.json()["hint"].to_string();
                assert!(hint.contains("work.remote_commands"), "{hint}");
            }
        }
        let claimed = ask("PATCH", "/work-units/local", &json!({"phase": "PLAN"}));
        assert_eq!(claimed.status, 200, "{}", claimed.text());
        home.ok(&["daemon", "stop"]);
    }
}

#[test]
fn units_outlive_a_restart_and_a_kill_of_the_owner() {
    let home = TestHome::new();
    home.ok(&["daemon", "start"]);
    home.ok(&["work-unit", "create", "a"]);
    home.ok(&[
        "work-unit",
        "create",
        "b",
        "--blocked-by",
        "a",
        "--worktree",
        "/tmp",
        "--phase",
        "PLAN",
        "--",
        "sh",
        "-c",
        "exit 3",
    ]);
    home.ok(&[
        "work-unit",
        "status",
        "a",
        "NEEDS_ATTENTION",
        "--reason",
        "look",
    ]);
    let show = |name| {
        let mut shown = parse(&home.ok(&["work-unit", "show", name, "--json"]).stdout);
        // What the owner waits for is nobody's when there is none.
        shown["waiting"].take();
        shown
    };
    let before = [show("a"), show("b")];
    home.ok(&["daemon", "restart"]);
    assert_eq!([show("a"), show("b")], before, "after a restart");
    // Whatever was answered is stored, so nothing may be lost by the hardest end.
    home.ok(&["work-unit", "status", "a", "DONE"]);
    let before = [show("a"), show("b")];
    kill_hard(home.owner().unwrap());
    assert_eq!([show("a"), show("b")], before, "without an owner");
    home.ok(&["daemon", "start"]);
    assert_eq!([show("a"), show("b")], before, "under the next owner");
    assert_eq!(before[1]["status"], "READY");
    assert_eq!(before[1]["commands"]["PLAN"], json!(["sh", "-c", "exit 3"]));
    home.ok(&["daemon", "stop"]);
}
