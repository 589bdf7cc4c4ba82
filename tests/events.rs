//! What happened, and how it is: `events` and `health`, with an owner and without.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Guarded, PATIENCE, TestHome, kill_hard, wait_until};

fn events(home: &TestHome, args: &[&str]) -> Vec<Value> {
    let mut words = vec!["events", "--json"];
    words.extend(args);
    serde_json::from_str(&home.ok(&words).stdout).unwrap()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect()
}

/// A crasher that stays down, and a server that runs.
fn told() -> TestHome {
    let home = TestHome::new();
    home.simulated("good", &[], "");
    let never = "restart_policy.enabled = false";
    home.simulated("bad", &["--sim-crash", "3"], never);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "good"]);
    home.run(&["up", "bad"]);
    home
}

#[test]
fn events_are_filtered_the_same_by_the_owner_and_by_the_database() {
    let home = told();
    let rows: [(&[&str], &[&str]); 4] = [
        (&["--type", "crashed"], &["crashed"]),
        (
            &["--instance", "good", "--type", "started,crashed"],
            &["started"],
        ),
        (&["--level", "error", "--instance", "good"], &[]),
        (&["--type", "started", "-n", "1"], &["started"]),
    ];
    for owner in ["owner", "database"] {
        for (args, expected) in rows {
            assert_eq!(types(&events(&home, args)), expected, "{owner} {args:?}");
        }
        let newest = events(&home, &["--type", "started", "-n", "1"]);
        assert_eq!(
            newest[0]["instance"], "bad",
            "{owner}: the newest one is shown"
        );
        assert_eq!(
            events(&home, &["--since", "1h", "--type", "crashed"]).len(),
            1
        );
        assert_eq!(home.run(&["events", "--instance", "nobody"]).code, 2);
        assert_eq!(home.run(&["events", "--type", "boom"]).code, 64);
        if owner == "owner" {
            home.ok(&["daemon", "stop"]);
        }
    }
    let plain = home.ok(&["events", "--type", "crashed"]).stdout;
    assert_eq!(plain.trim_end().split('\t').count(), 5, "{plain}");
    home.ok(&["down", "good"]);
}

#[test]
fn a_follower_sees_a_crash_and_goes_on_under_the_next_owner() {
    let home = TestHome::new();
    home.simulated("a", &[], "restart_policy.initial_delay = 0");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let mut command = home.command(&["events", "-f", "--type", "crashed,adopted", "--json"]);
    let mut follower = Guarded(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    let (sender, seen) = mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let next = || -> Value { serde_json::from_str(&seen.recv_timeout(PATIENCE).unwrap()).unwrap() };

    kill_hard(home.pid("a"));
    let crash = next();
    assert_eq!(
        (&crash["event_type"], &crash["instance"]),
        (&"crashed".into(), &"a".into())
    );
    home.wait_state("a", "ready");
    home.ok(&["daemon", "restart"]);
    assert_eq!(next()["event_type"], "adopted");
    kill_hard(home.wait_state("a", "ready")["pid"].as_i64().unwrap() as i32);
    assert_eq!(next()["event_type"], "crashed");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn health_probes_now_and_its_exit_code_says_the_result() {
    let home = TestHome::new();
    let quick = "healthcheck.interval = 3600\nhealthcheck.timeout = 1\nhealthcheck.retries = 10";
    home.simulated("a", &[], quick);
    home.simulated("b", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    for owner in ["owner", "nobody"] {
        // Its own probe would come in an hour.
        for (words, code) in [
            (vec!["health", "a"], 0),
            (vec!["health"], 0),
            (vec!["health", "b"], 8),
            (vec!["health", "c"], 2),
        ] {
            let ran = home.run(&words);
            assert_eq!(
                ran.code, code,
                "{owner} {words:?}\n{}{}",
                ran.stdout, ran.stderr
            );
        }
        let pidfd = llama_orch::process::os::open_pidfd(pid).unwrap();
        llama_orch::process::os::signal(&pidfd, Signal::STOP).unwrap();
        let ran = home.run(&["health", "--all", "--json"]);
        llama_orch::process::os::signal(&pidfd, Signal::CONT).unwrap();
        assert_eq!(ran.code, 7, "{owner}\n{}{}", ran.stdout, ran.stderr);
        let rows: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        let row = rows.iter().find(|row| row["name"] == "a").unwrap();
        assert_eq!(row["health"], "unhealthy", "{owner} {row}");
        assert_eq!(home.run(&["health", "a"]).code, 0, "{owner}");
        if owner == "owner" {
            home.ok(&["daemon", "stop"]);
        }
    }
    home.ok(&["down", "a"]);
}

#[test]
fn health_watch_tells_each_change() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    let mut command = home.command(&["health", "a", "--watch"]);
    let mut watcher = Guarded(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watcher.0.stdout.take().unwrap()).lines();
    let mut until = |word: &str| {
        let found = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with(word)));
        assert!(found.is_some(), "{word} was never told");
    };
    until("a\tstopped");
    home.ok(&["up", "a"]);
    until("a\tready");
    home.ok(&["down", "a"]);
    until("a\tstopped");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn the_history_of_health_is_told_by_the_owner_and_by_the_database() {
    let home = TestHome::new();
    let quick = "healthcheck.interval = 1\nhealthcheck.timeout = 1\nhealthcheck.retries = 10\n\
                 healthcheck.retry_delay = 0.1\nrestart_policy.enabled = false";
    home.simulated("a", &[], quick);
    home.simulated("b", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let history = || -> Value {
        let text = home.ok(&["health", "a", "--history", "--json"]).stdout;
        serde_json::from_str(&text).unwrap()
    };
    let total = |history: &Value, key: &str| -> u64 {
        let rollups = history["rollups"].as_array().unwrap();
        rollups
            .iter()
            .filter_map(|rollup| rollup[key].as_u64())
            .sum()
    };
    // The stretch that is not over yet is told by the owner all the same.
    wait_until("it was probed some times", || {
        total(&history(), "probes") >= 3
    });
    let pidfd = llama_orch::process::os::open_pidfd(home.pid("a")).unwrap();
    llama_orch::process::os::signal(&pidfd, Signal::STOP).unwrap();
    home.wait_state("a", "unhealthy");
    wait_until("a failure is counted", || total(&history(), "failures") > 0);
    llama_orch::process::os::signal(&pidfd, Signal::CONT).unwrap();
    home.wait_state("a", "ready");
    let told = history();
    let described = home.ok(&["describe", "a"]).stdout;
    assert!(described.contains(" probes, "), "{described}");
    home.ok(&["daemon", "stop"]);
    let stored = history();
    for (source, history) in [("owner", &told), ("database", &stored)] {
        let changes = history["changes"].as_array().unwrap();
        let words: Vec<&str> = changes
            .iter()
            .map(|change| change["health"].as_str().unwrap())
            .skip_while(|word| *word != "healthy")
            .collect();
        assert_eq!(
            words,
            ["healthy", "unhealthy", "healthy"],
            "{source} {history}"
        );
        assert_eq!(history["rollups"][0]["seconds"], 300, "{source}");
        let mean = history["rollups"][0]["response_mean_ms"].as_f64();
        assert!(mean.is_some_and(|mean| mean > 0.0), "{source} {history}");
    }
    for key in ["probes", "failures", "responses"] {
        assert!(
            total(&stored, key) >= total(&told, key),
            "{key}: {told} {stored}"
        );
    }
    let text = home.ok(&["health", "a", "--history", "-n", "1"]).stdout;
    assert_eq!(text.lines().count(), 2, "a change and a stretch: {text}");
    let never = home.ok(&["health", "b", "--history"]);
    assert_eq!(never.stdout, "");
    for (words, code) in [
        (&["health", "c", "--history"][..], 2),
        (&["health", "--history"], 64),
        (&["health", "a", "-n", "3"], 64),
    ] {
        assert_eq!(home.run(words).code, code, "{words:?}");
    }
    home.ok(&["down", "a"]);
}
