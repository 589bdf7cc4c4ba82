//! How much was logged, as `/metrics` tells it: never less than before, and never another number than
//! what is in the files, whoever is killed.

use std::collections::BTreeMap;

use super::http::Place;
use super::metrics::numbers;
use crate::support::{TestHome, kill_hard, wait_until};

/// Lines of one run's flood and bytes of each; three files of a MiB are rotated away.
const LINES: u64 = 35_000;
const LENGTH: u64 = 100;

/// Every file is kept, so that the files can be counted.
const KEPT: &str = "logs.max_size_mb = 1\nlogs.rotation = 50\nrestart_policy.initial_delay = 0";

/// What was told last.
struct Told<'a> {
    home: &'a TestHome,
    last: BTreeMap<String, f64>,
}

impl Told<'_> {
    /// Asks, and looks that no counter fell.
    fn of(&mut self, name: &str, stream: &str) -> u64 {
        let text = Place::socket(self.home).get("/metrics").send().text();
        let mut logged = numbers(&text);
        logged.retain(|key, _| key.contains("_log_") && key.contains("_total{"));
        for (key, before) in &self.last {
            assert!(
                logged.get(key) >= Some(before),
                "{key} fell from {before}: {:?}",
                logged.get(key)
            );
        }
        let key = format!(
            "llama_orch_{}_log_written_bytes_total{{{}=\"{name}\",stream=\"{stream}\"}}",
            if name == "unit" {
                "work_unit"
            } else {
                "instance"
            },
            if name == "unit" { "unit" } else { "instance" },
        );
        let value = logged.get(&key).copied().unwrap_or(f64::NAN);
        self.last = logged;
        value as u64
    }

    /// Asks until all of a flood was told.
    fn wait(&mut self, name: &str, bytes: u64) {
        wait_until("all of it is counted", || self.of(name, "stderr") >= bytes);
    }

    /// At rest, what is told is what is in the files.
    fn is_exact(&mut self) {
        for stream in ["stdout", "stderr"] {
            wait_until("the files are as long as it is told", || {
                self.of("kept", stream) == self.home.log_length("kept", stream)
            });
        }
    }
}

fn flood(pace: &str) -> Vec<String> {
    let [lines, length] = [LINES, LENGTH].map(|number| number.to_string());
    let args = [
        "--sim-flood",
        pace,
        "--sim-flood-lines",
        &lines,
        "--sim-flood-length",
        &length,
    ];
    args.map(str::to_owned).to_vec()
}

#[test]
fn what_was_logged_is_counted_across_rotations_runs_kills_and_owners() {
    let home = TestHome::new();
    let args = flood("12000");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    home.simulated("kept", &args, KEPT);
    // Here most of what was logged is gone from the disk.
    let gone = KEPT.replace("rotation = 50", "rotation = 1");
    home.simulated("gone", &args, &gone);
    home.simulated("never", &[], "");
    home.ok(&["daemon", "start"]);
    let mut told = Told {
        home: &home,
        last: BTreeMap::new(),
    };
    assert_eq!(told.of("kept", "stderr"), 0);
    home.ok(&["up", "kept", "gone"]);
    let whole = LINES * LENGTH;
    told.wait("kept", whole / 3);
    // In the middle of it: the owner, then the shim, then both.
    kill_hard(home.owner().unwrap());
    home.ok(&["daemon", "start"]);
    told.wait("kept", whole / 2);
    kill_hard(home.run_file("kept").unwrap().shim.pid);
    told.wait("kept", whole);
    told.wait("gone", whole);
    told.is_exact();
    let size = "llama_orch_instance_log_size_bytes{instance=\"gone\",stream=\"stderr\"}";
    let text = Place::socket(&home).get("/metrics").send().text();
    assert!(numbers(&text)[size] < 2_097_152.0, "its files are gone");
    assert_eq!(told.of("never", "stderr"), 0);
    // Another run adds to it; the one before was killed together with everybody else.
    let run = home.run_file("kept").unwrap();
    for pid in [home.owner().unwrap(), run.shim.pid, run.child.pid] {
        kill_hard(pid);
    }
    home.ok(&["daemon", "start"]);
    home.wait_for("kept", "ready again", |row| {
        row["state"] == "ready" && row["pid"] != run.child.pid
    });
    told.wait("kept", 2 * whole);
    told.is_exact();
    home.ok(&["down", "kept"]);
    home.ok(&["daemon", "restart"]);
    told.is_exact();
    let before = told.of("kept", "stderr");
    // What a person deletes was logged all the same.
    std::fs::remove_file(home.path().join("logs/kept/stderr.log")).unwrap();
    assert_eq!(told.of("kept", "stderr"), before);
    home.ok(&["up", "kept"]);
    told.wait("kept", before + whole);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_log_that_is_truncated_while_it_is_written_counts_on() {
    let home = TestHome::new();
    let args = flood("0");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    home.simulated("a", &args, "logs.max_size_mb = 100");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let mut told = Told {
        home: &home,
        last: BTreeMap::new(),
    };
    told.wait("a", LINES * LENGTH);
    let before = told.of("a", "stderr");
    let log = home.path().join("logs/a/stderr.log");
    std::fs::File::options()
        .write(true)
        .open(log)
        .unwrap()
        .set_len(7)
        .unwrap();
    assert_eq!(told.of("a", "stderr"), before);
    home.ok(&["restart", "a"]);
    told.wait("a", before + LINES * LENGTH);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn what_a_work_unit_logs_is_counted_over_its_phases() {
    let home = TestHome::new();
    std::fs::write(
        home.path().join("orchestrator.toml"),
        "[work]\nmax_parallel = 1\n",
    )
    .unwrap();
    home.ok(&["daemon", "start"]);
    let mut told = Told {
        home: &home,
        last: BTreeMap::new(),
    };
    let commands = ["GOAL=printf 12345", "PLAN=printf 678"];
    let commands = commands.iter().flat_map(|command| ["--command", command]);
    let words: Vec<&str> = ["work-unit", "create", "unit"]
        .into_iter()
        .chain(commands)
        .collect();
    home.ok(&words);
    wait_until("both phases have logged", || told.of("unit", "stdout") == 8);
    home.ok(&["daemon", "restart"]);
    assert_eq!(told.of("unit", "stdout"), 8);
    home.ok(&["daemon", "stop"]);
}
