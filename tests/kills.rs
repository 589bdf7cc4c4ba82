//! The kill harness: kill -9 of owner, shim or both at a random moment under a flood of numbered
//! lines, and a count of what is left. `LLAMA_ORCH_TRIALS=1000` runs the long version.

use std::io::{self, Write as _};

use llama_orch::process::os;
use llama_orch::process::runfiles::{self, ExitFile};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::lines::{self, Counted, LINE};
use crate::support::{TestHome, Victim, kill_hard, real_server, trials, wait_until, write_script};

/// Trials in the suite, four of each kind.
const SIMULATED: u64 = 12;

/// Trials in the suite with a real server, one of each kind.
const REAL: u64 = 3;

/// Lines that a simulated server floods its log with, about 3 MB.
const LINES: u64 = 75_000;

/// Lines a second: slow enough to be hit in the middle, or as fast as they come.
const PACES: [&str; 3] = ["150000", "500000", "0"];

/// Lines beside a real server, written by a shell.
const REAL_LINES: u64 = 30_000;

/// Files of 1 MB are rotated in the middle of the flood, and none is deleted.
const POLICY: &str = "restart_policy.max_retries = 0\nlogs.max_size_mb = 1\nlogs.rotation = 20";

/// Waits for a random moment of the flood, and kills.
fn kill(victim: Victim, home: &TestHome, lines: u64) {
    let owner = home.owner().unwrap();
    let some = fastrand::u64(0..lines * 9 / 10) * LINE as u64;
    wait_until("some lines are there", || {
        home.run_file("a").is_some() && home.log_length("a", "stdout") >= some
    });
    let run = home.run_file("a").unwrap();
    if victim != Victim::Shim {
        kill_hard(owner);
    }
    if victim != Victim::Owner {
        kill_hard(run.shim.pid);
    }
}

/// What all trials together came to.
#[derive(Default)]
struct Sum {
    trials: u64,
    lines: u64,
    missing: u64,
    unwitnessed: u64,
}

impl Sum {
    /// Judges the log of one trial. With owner and shim dead nobody reads: one gap, no more.
    fn judge(&mut self, counted: &Counted, victim: Victim, lines: u64, what: &str) {
        match victim {
            Victim::Owner | Victim::Shim => {
                assert_eq!((counted.lines, counted.missing), (lines, 0), "{what}");
            }
            Victim::Both => assert!(counted.gaps <= 1, "{what}: {counted:?}"),
        }
        self.trials += 1;
        self.lines += counted.lines;
        self.missing += lines - counted.lines;
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        writeln!(
            io::stderr(),
            "kill harness: {} trials, {} lines counted; torn, doubled, lost with a witness alive: 0; \
             unread while owner and shim were both dead: {}; ends without a witness: {}",
            self.trials,
            self.lines,
            self.missing,
            self.unwitnessed
        )
        .ok();
    }
}

#[test]
fn random_kills_under_a_flood_lose_double_and_tear_nothing() {
    let (lines, length) = (LINES.to_string(), LINE.to_string());
    let args = [
        "--sim-flood-lines",
        &lines,
        "--sim-flood-length",
        &length,
        "--sim-flood-stream",
        "stdout",
        // Counted from the last line.
        "--sim-crash-after",
        "300ms",
        "--sim-crash",
        "9",
    ];
    let mut sum = Sum::default();
    for trial in 0..trials(SIMULATED) {
        let victim = Victim::of(trial);
        let what = format!("trial {trial}, {victim:?} killed");
        let home = TestHome::new();
        let pace = PACES[(trial / 3 % 3) as usize];
        let args: Vec<&str> = args.into_iter().chain(["--sim-flood", pace]).collect();
        home.simulated("a", &args, POLICY);
        home.ok(&["daemon", "start"]);
        home.ok(&["up", "a", "--no-wait"]);
        kill(victim, &home, LINES);
        home.ok(&["daemon", "start"]);
        let row = home.wait_for("a", "failed", |row| row["status"] == "failed");
        // A server that ends while owner and shim are both dead has no witness; it is never guessed.
        let unwitnessed = victim == Victim::Both && row["exit"].is_null();
        assert!(row["exit"]["code"] == 9 || unwitnessed, "{what}: {row}");
        let exit: Option<ExitFile> = runfiles::read(&home.run_paths("a").exit()).unwrap();
        assert!(exit.is_some() || unwitnessed, "{what}");
        sum.unwitnessed += u64::from(unwitnessed);
        let counted = lines::count(&home.whole_log("a", "stdout"), &what);
        sum.judge(&counted, victim, LINES, &what);
        home.ok(&["daemon", "stop"]);
    }
}

#[test]
fn random_kills_beside_a_real_server_lose_double_and_tear_nothing() {
    let test = "random_kills_beside_a_real_server_lose_double_and_tear_nothing";
    let files = TestHome::new();
    let Some((server, model)) = real_server(test, &files) else {
        return;
    };
    // A process of the server's tree writes the lines; like the server it outlives its reader. Asked
    // for its version, outside of a run, the wrapper writes none.
    let wrapper = files.path().join("flooding-server");
    let flood = format!(
        "#!/bin/sh\n[ -z \"$LLAMA_ORCH_RUN\" ] || ( trap '' PIPE; n=0; while [ $n -lt {REAL_LINES} ]; do n=$((n+1)); \
         printf 'flood %010d ......................\\n' $n; done; echo over >\"$PWD/over\" ) 2>/dev/null &\n\
         exec {} \"$@\"\n",
        server.display()
    );
    write_script(&wrapper, &flood);
    let mut sum = Sum::default();
    for trial in 0..trials(REAL) {
        let victim = Victim::of(trial);
        let what = format!("trial {trial}, {victim:?} killed");
        let home = TestHome::new();
        home.config(
            "a",
            &format!(
                "binary.path = {wrapper:?}\nmodel.path = {model:?}\nmodel.context_size = 512\n\
                 server.port = \"auto\"\n{POLICY}"
            ),
        );
        home.ok(&["daemon", "start"]);
        home.ok(&["up", "a", "--no-wait"]);
        kill(victim, &home, REAL_LINES);
        home.ok(&["daemon", "start"]);
        let before = home.wait_state("a", "ready");
        wait_until("the flood is over", || home.path().join("over").exists());
        let run = home.run_file("a").unwrap();
        assert_eq!(before["pid"], run.child.pid, "{what}");
        let (signal, expected) = match trial / 3 % 2 {
            0 => (Signal::KILL, ("signal", 9)),
            _ => (Signal::TERM, ("code", 0)),
        };
        os::signal(os::open_pidfd(run.child.pid).unwrap(), signal).unwrap();
        let row = home.wait_for("a", "another state", |row: &Value| {
            row["status"] == "failed" || row["status"] == "stopped"
        });
        assert_eq!(row["exit"][expected.0], expected.1, "{what}: {row}");
        let counted = lines::count(&home.whole_log("a", "stdout"), &what);
        sum.judge(&counted, victim, REAL_LINES, &what);
        home.ok(&["daemon", "stop"]);
    }
}
