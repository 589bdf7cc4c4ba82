//! An owner of another build: what it does not know is told as that, by every command.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::json;

use super::remote::elsewhere;
use crate::support::{Ran, TestHome};

/// How an owner answers what it does not know.
#[derive(Clone, Copy, Debug)]
enum Ignorance {
    /// As ours do.
    Told,
    /// As a router does that was told nothing.
    Bare,
    /// The way is known, but it is asked for in another way.
    Method,
    /// The answer lacks what we need.
    Fewer,
}

/// Answers `GET /status` as a daemon of this version, and everything else as one that does not know
/// it; ends with the test program.
fn older(socket: &Path, version: &'static str, ignorance: Ignorance) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&stream.unwrap(), version, ignorance);
        }
    });
}

fn answer(mut stream: &UnixStream, version: &str, ignorance: Ignorance) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return; // only looked whether somebody listens
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    reader.read_exact(&mut vec![0; length]).unwrap();
    let path = head.split(' ').nth(1).unwrap();
    let route = path.split('?').next().unwrap();
    let failure =
        |code: &str, message: String| json!({"code": code, "message": message}).to_string();
    let (status, body) = match (route, ignorance) {
        ("/status", _) => (200, status(version)),
        (_, Ignorance::Told) => (404, failure("not_found", format!("there is no {route}"))),
        (_, Ignorance::Bare) => (404, String::new()),
        (_, Ignorance::Method) => (405, failure("method_not_allowed", "not so".to_owned())),
        (_, Ignorance::Fewer) => (200, json!({}).to_string()),
    };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nllama-orch-api: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok(); // the client may have hung up
}

fn status(version: &str) -> String {
    json!({
        "pid": 711, "version": version, "role": "daemon", "home": "/srv/fleet",
        "started_at": "2026-01-01T00:00:00Z", "uptime_seconds": 1, "instances": 0, "running": 0,
        "generation": 1, "database": "ok",
    })
    .to_string()
}

/// A home whose owner is not asked by its lock, only by its socket.
fn owned(version: &'static str, ignorance: Ignorance) -> (TestHome, PathBuf) {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    fs::create_dir_all(home.path().join("state")).unwrap();
    let socket = home.path().join("state/llama-orch.sock");
    older(&socket, version, ignorance);
    (home, socket)
}

fn check(ran: &Ran, told: &str, what: &str) {
    assert_eq!(ran.code, 10, "{what}: {}", ran.stderr);
    let both = ["the daemon (pid 711) is ", told];
    for words in both {
        assert!(
            ran.stderr.contains(words),
            "{what}: {words}: {}",
            ran.stderr
        );
    }
    assert!(
        ran.stderr
            .contains("daemon restart (instances keep running)"),
        "{what}: {}",
        ran.stderr
    );
}

#[test]
fn every_command_says_that_the_owner_is_older_and_what_to_do() {
    let ours = env!("CARGO_PKG_VERSION");
    let (home, socket) = owned("0.0.9", Ignorance::Told);
    let host = format!("unix://{}", socket.display());
    for words in [
        &["ps"][..],
        &["up", "--all"],
        &["down", "a"],
        &["restart", "a"],
        &["logs", "a"],
        &["events"],
        &["health"],
        &["plan"],
        &["apply"],
        &["describe", "a"],
        &["devices"],
        &["work-unit", "list"],
        &["work-unit", "create", "x"],
        &["work-unit", "rm", "x"],
        &["daemon", "autostart"],
    ] {
        let args: Vec<&str> = ["--host", &host].iter().chain(words).copied().collect();
        let ran = elsewhere(&args, &[]);
        check(
            &ran,
            &format!("llama-orch 0.0.9, older than this {ours}: it knows no "),
            words[0],
        );
    }
    let status = home.ok(&["daemon", "status"]);
    let words =
        format!("warning: the daemon (pid 711) is llama-orch 0.0.9, older than this {ours}\n");
    assert!(status.stderr.starts_with(&words), "{}", status.stderr);
    let here = home.run(&["health", "a", "--history"]);
    check(
        &here,
        "it knows no GET /instances/a/health",
        "health at home",
    );
}

#[test]
fn however_it_says_so_an_owner_that_cannot_answer_is_named() {
    let same = env!("CARGO_PKG_VERSION");
    for ignorance in [Ignorance::Bare, Ignorance::Method, Ignorance::Fewer] {
        let (home, _) = owned(same, ignorance);
        let ran = home.run(&["plan"]);
        let told = match ignorance {
            Ignorance::Fewer => "its answer to GET /plan cannot be read: missing field `plans`",
            Ignorance::Told | Ignorance::Bare | Ignorance::Method => "it knows no GET /plan",
        };
        check(&ran, told, &format!("{ignorance:?}"));
        let another = format!("another build of llama-orch {same} than this: ");
        assert!(
            ran.stderr.contains(&another),
            "{ignorance:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn what_the_files_tell_is_described_without_an_older_owner() {
    let (home, _) = owned("0.0.9", Ignorance::Bare);
    let ran = home.run(&["describe", "a"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("name         a\n"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("it knows no GET /instances/a/describe; this is from the files"),
        "{}",
        ran.stderr
    );
}
