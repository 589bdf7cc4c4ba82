//! Many clients at once, and some that do not read, while the fleet changes.

use std::fs;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::http::{Line, Place};
use super::streams::Stream;
use crate::support::{TestHome, wait_until};

/// Clients that ask all the time.
const CLIENTS: usize = 200;

/// Listeners that never read.
const SLOW: usize = 20;

/// Listeners that hear every event.
const FAST: usize = 4;

/// What the owner may grow by, all of them served: some hundred bytes a client, and a bounded
/// buffer for each that does not read.
const GROWTH: u64 = 48 << 20;

fn resident(pid: i32) -> u64 {
    let usage = llama_orch::process::usage::read(pid).unwrap();
    usage.resident_bytes
}

#[test]
fn two_hundred_clients_and_twenty_that_do_not_read_cost_nobody_an_event() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "0"], "");
    // So much is written that a listener who does not read is behind at once.
    home.simulated(
        "b",
        &["--sim-load-time", "0", "--sim-flood", "20000"],
        "logs.max_size_mb = 1",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "b"]);
    let place = Place::socket(&home);
    let owner = home.owner().unwrap();
    let before = resident(owner);
    let slow: Vec<Box<dyn Line>> = (0..SLOW)
        .map(|number| {
            let path = if number % 2 == 0 {
                "/events?after=0"
            } else {
                "/instances/b/logs?at=start"
            };
            let mut line = place.get(path).header("accept", "text/event-stream").open();
            line.flush().unwrap();
            line
        })
        .collect();
    let fast: Vec<Stream> = (0..FAST)
        .map(|_| Stream::open(&place.get("/events?after=0")))
        .collect();
    let over = AtomicBool::new(false);
    let (ready, answers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (place, over, ready, answers) = (&place, &over, &ready, &answers);
            scope.spawn(move || {
                let paths = ["/instances", "/status", "/events?limit=5", "/health"];
                ready.fetch_add(1, Ordering::Relaxed);
                while !over.load(Ordering::Relaxed) {
                    let told = place.get(paths[number % paths.len()]).send();
                    assert_eq!(told.status, 200, "{}", told.text());
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("everybody asks", || {
            ready.load(Ordering::Relaxed) == CLIENTS
        });
        for _ in 0..5 {
            home.ok(&["up", "a"]);
            home.ok(&["down", "a"]);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(answers.load(Ordering::Relaxed) >= CLIENTS);
    let newest = place.get("/events?limit=1").send().json()["last_id"]
        .as_i64()
        .unwrap();
    for mut stream in fast {
        let mut last = 0;
        while last < newest {
            let message = stream.next().expect("it goes on");
            let id: i64 = message.id.parse().unwrap();
            assert_eq!(id, last + 1, "an event is missing, or came twice");
            last = id;
        }
    }
    let after = resident(owner);
    assert!(after < before + GROWTH, "{before} bytes became {after}");
    drop(slow);
    wait_until("lines of those who have gone are closed", || {
        let files = fs::read_dir(format!("/proc/{owner}/fd")).unwrap();
        files.count() < SLOW + CLIENTS / 2
    });
    home.ok(&["down", "b"]);
}
