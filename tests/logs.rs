//! Logs with real processes: the same lines with and without an owner, through rotation, restarts
//! and the death of the owner.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::Value;

use crate::support::{Guarded, PATIENCE, TestHome, kill_hard};

/// The flood's own lines, in the order printed.
fn numbers(text: &str) -> Vec<u64> {
    text.lines()
        .filter_map(|line| line.split_once("flood ")?.1.split(' ').next()?.parse().ok())
        .collect()
}

/// Asks the owner as curl would.
fn get(home: &TestHome, path: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(home.path().join("state/llama-orch.sock")).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut lines = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut lines).unwrap();
    let text = String::from_utf8(lines).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn an_owner_and_the_files_give_the_same_lines() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &[
            "--sim-flood",
            "0",
            "--sim-flood-stream",
            "stderr",
            "--sim-flood-lines",
            "3000",
            "--sim-flood-length",
            "200",
        ],
        "logs.max_size_mb = 1\nlogs.rotation = 9",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    crate::support::wait_until("the flood is written", || {
        let text = String::from_utf8(home.whole_log("a", "stderr")).unwrap();
        numbers(&text).len() == 3000
    });
    let questions: [&[&str]; 6] = [
        &["logs", "a", "-n", "100000"],
        &["logs", "a", "-n", "3", "--stderr"],
        &["logs", "a", "--grep", "flood 0000000(1|2)23 ", "-n", "5000"],
        &["logs", "a", "--since", "1h", "-t"],
        &["logs", "a", "--stream", "stdout"],
        &["logs", "a", "-n", "0"],
    ];
    let ask = || questions.map(|question| home.ok(question).stdout);
    let with_owner = ask();
    home.ok(&["daemon", "stop"]);
    let without = ask();
    assert_eq!(with_owner, without);
    let all: Vec<u64> = (1..=3000).collect();
    assert_eq!(numbers(&with_owner[0]), all);
    assert_eq!(numbers(&with_owner[3]), all);
    assert_eq!(with_owner[1].lines().count(), 3);
    assert_eq!(numbers(&with_owner[2]), [123, 223]);
    assert_eq!(with_owner[4], "");
    let ran = home.run(&["logs", "a", "--grep", "a("]);
    assert_eq!(ran.code, 64, "{}", ran.stderr);
    assert!(ran.stderr.contains("--grep") && ran.stderr.contains("unclosed group"));
    home.ok(&["daemon", "start"]);
    assert_eq!(home.run(&["logs", "a", "--grep", "a("]).code, 64);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_follower_misses_nothing_when_its_owner_is_killed_and_the_log_rotates() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &[
            "--sim-flood",
            "2000",
            "--sim-flood-stream",
            "stderr",
            "--sim-flood-lines",
            "12000",
            "--sim-flood-length",
            "300",
        ],
        "logs.max_size_mb = 1\nlogs.rotation = 9",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let mut child = home.command(&["logs", "a", "-f", "-n", "100000"]);
    let mut child = Guarded(child.stdout(Stdio::piped()).spawn().unwrap());
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 12_000 {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        seen.extend(numbers(&line));
        if seen.len() == 1000 {
            kill_hard(home.owner().unwrap());
        }
    }
    assert_eq!(seen, (1..=12_000).collect::<Vec<u64>>());
    home.ok(&["daemon", "start"]);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn the_owner_answers_pages_searches_counts_and_growth() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &[
            "--sim-flood",
            "0",
            "--sim-flood-stream",
            "stdout",
            "--sim-flood-lines",
            "700",
            "--sim-flood-length",
            "80",
        ],
        "",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let logs = "/instances/a/logs";
    crate::support::wait_until("the flood is written", || {
        let (_, count) = get(&home, &format!("{logs}/count?pattern=flood"));
        assert_eq!(count["done"], true);
        count["matches"] == 700
    });
    let (_, found) = get(
        &home,
        &format!("{logs}/search?pattern=flood%200000000350&stream=stdout"),
    );
    assert_eq!(found["outcome"], "found");
    let cursor = found["cursor"].as_str().unwrap();
    let (_, page) = get(&home, &format!("{logs}?stream=stdout&at={cursor}&lines=2"));
    let line = &page["lines"][0];
    assert_eq!(line["place"], found["place"]);
    assert!(
        line["text"]
            .as_str()
            .unwrap()
            .starts_with("flood 0000000350 ")
    );
    assert_eq!(page["lines"].as_array().unwrap().len(), 2);
    let (_, before) = get(
        &home,
        &format!("{logs}/count?stream=stdout&pattern=flood&mark={cursor}"),
    );
    assert_eq!(before["before"], 349);
    let (_, size) = get(&home, &format!("{logs}/size?stream=stdout&at={cursor}"));
    assert_eq!(
        (&size["lines"], &size["before"]),
        (&700.into(), &349.into())
    );
    assert_eq!(size["grown"], true);
    let (_, end) = get(&home, &format!("{logs}?at=end&lines=1"));
    let end = end["end"].as_str().unwrap();
    let (_, size) = get(&home, &format!("{logs}/size?at={end}&wait_ms=1"));
    assert_eq!(size["grown"], false);
    let grown = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| get(&home, &format!("{logs}?at={end}&wait_ms=30000")));
        // It logs again only because it is told to stop.
        home.ok(&["down", "a"]);
        waiting.join().unwrap().1
    });
    assert!(!grown["lines"].as_array().unwrap().is_empty(), "{grown}");
    for (path, status, word) in [
        ("/instances/b/logs", 404, "no instance is called b"),
        ("/instances/a/logs?at=now", 400, "is no place in a log"),
        ("/instances/a/logs?filter=%28", 400, "unclosed group"),
        (
            "/instances/a/logs/search?level=loud",
            400,
            "debug, info, warning, error",
        ),
    ] {
        let (code, body) = get(&home, path);
        assert_eq!(code, status, "{path}: {body}");
        assert!(body["message"].as_str().unwrap().contains(word), "{body}");
    }
    home.ok(&["daemon", "stop"]);
}
