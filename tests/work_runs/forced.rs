//! `daemon stop` with `--instances`, gentle and forced, before servers and commands that do not
//! listen; and that the next owner knows what somebody wanted.

use llama_orch::process::os;
use rustix::process::Signal;
use serde_json::Value;

use super::Rig;
use crate::support::{Ran, is_gone, kill_hard, wait_until, with_token};

/// Longer than any test waits: what is only asked to end does not.
const GRACE: u32 = 3600;

const DEAF_COMMAND: &str = "GOAL=trap '' TERM; echo $$ > pid; while :; do sleep 0.01; done";

/// A home in which nothing ends because it is asked to.
fn deaf() -> Rig {
    let rig = Rig::new(1);
    rig.places(1, GRACE);
    let args = [
        "--sim-ignore-sigterm",
        "--sim-grandchildren",
        "2",
        "--sim-grandchildren-ignore-sigterm",
    ];
    rig.home.simulated("deaf", &args, "");
    rig.home.ok(&["daemon", "start"]);
    rig.home.ok(&["up", "deaf"]);
    rig.create("long", &["--command", DEAF_COMMAND]);
    wait_until("it runs", || rig.written("pid").ends_with('\n'));
    rig
}

/// The tokens of everything that runs.
fn tokens(rig: &Rig) -> [String; 2] {
    let instance = rig.home.run_file("deaf").unwrap();
    [instance.token, rig.run_file("long").token]
}

fn starts(rig: &Rig) -> usize {
    let events = rig.home.events();
    let started = events.iter().filter(|event| event.starts_with("started "));
    started.count()
}

fn says(ran: &Ran, part: &str) {
    assert!(ran.stderr.contains(part), "{part}\n{}", ran.stderr);
}

fn was_killed_on_purpose(row: &Value) {
    assert_eq!(row["state"], "stopped", "{row:#}");
    assert_eq!(row["autopsy"]["cause"], "stopped", "{row:#}");
    let summary = "killed at once, as it was asked for";
    assert_eq!(row["autopsy"]["summary"], summary, "{row:#}");
}

#[test]
fn a_forced_stop_kills_what_does_not_listen_and_the_next_owner_starts_none_of_it() {
    let rig = deaf();
    let crash = ["--sim-crash-after", "0", "--sim-crash", "3"];
    let later = "restart_policy.initial_delay = 60";
    rig.home.simulated("crasher", &crash, later);
    rig.home.ok(&["up", "crasher", "--no-wait"]);
    rig.home.wait_state("crasher", "backoff");
    rig.create("next", &["--command", "GOAL=touch begun"]);
    let (tokens, owner) = (tokens(&rig), rig.home.owner().unwrap());
    let before = starts(&rig);

    let ran = rig.home.ok(&["daemon", "stop", "--force", "--instances"]);
    says(&ran, &format!("daemon killed (pid {owner})\n"));
    says(&ran, "long: its command is killed\n");
    says(&ran, "work-unit status long READY");
    says(&ran, "deaf: stopped (killed by SIGKILL)\n");
    says(&ran, "crasher: stopped");
    assert!(is_gone(owner));
    for token in &tokens {
        assert_eq!(with_token(token), [] as [i32; 0]);
    }

    // Seen without an owner, and by the next one.
    for _ in 0..2 {
        was_killed_on_purpose(&rig.home.row("deaf"));
        assert_eq!(rig.home.row("crasher")["state"], "stopped");
        let unit = rig.show("long");
        assert_eq!(unit["status"], "NEEDS_ATTENTION", "{unit:#}");
        let reason = "its command was killed together with the daemon, as it was asked for";
        assert_eq!(unit["reason"], reason, "{unit:#}");
        assert_eq!(unit["run_id"], Value::Null, "{unit:#}");
        rig.places(0, GRACE);
        rig.home.ok(&["daemon", "start"]);
        rig.home.ok(&["health"]);
    }
    assert_eq!(starts(&rig), before, "{:#?}", rig.home.events());
    assert!(!rig.worktree().join("begun").exists());
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_forced_stop_whose_end_no_owner_saw_is_told_as_one() {
    let rig = deaf();
    rig.home.ok(&["down", "deaf", "--no-wait"]);
    let stop = ["work-unit", "status", "long", "NEEDS_ATTENTION"];
    rig.home.ok(&[&stop[..], &["--reason", "enough"]].concat());
    let shim = rig.home.run_file("deaf").unwrap().shim.pid;
    let (tokens, exit) = (tokens(&rig), rig.home.run_paths("deaf").exit());
    // Both were asked, and do not care.
    wait_until("the shim was told", || {
        rig.home.run_file("deaf").unwrap().stopping_since.is_some()
    });
    kill_hard(rig.home.owner().unwrap());
    // What an owner sends for a forced stop, just before it dies.
    os::signal(os::open_pidfd(shim).unwrap(), Signal::USR2).unwrap();
    wait_until("the end is recorded", || exit.exists());
    assert_eq!(with_token(&tokens[0]), [] as [i32; 0]);
    was_killed_on_purpose(&rig.home.row("deaf"));
    rig.home.ok(&["daemon", "start"]);
    was_killed_on_purpose(&rig.home.row("deaf"));
    let told = rig.home.events();
    let told = told
        .iter()
        .filter(|event| event.contains("SIGKILL from outside"));
    assert_eq!(told.count(), 0);
    // The unit's command is still being asked; who cannot wait has it killed.
    let unit = rig.show("long");
    assert!(unit["run_id"].is_string(), "{unit:#}");
    let refused = rig
        .home
        .run(&["work-unit", "status", "long", "READY", "--force"]);
    says(
        &refused,
        "a command is stopped with the status NEEDS_ATTENTION only",
    );
    rig.home.ok(&[&stop[..], &["--force"]].concat());
    let unit = rig.wait_for("long", "ended", |unit| unit["run_id"].is_null());
    assert_eq!(unit["reason"], "enough", "{unit:#}");
    assert_eq!(with_token(&tokens[1]), [] as [i32; 0]);
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn what_an_owner_left_can_be_stopped_without_one() {
    let rig = deaf();
    let tokens = tokens(&rig);
    kill_hard(rig.home.owner().unwrap());
    let ran = rig.home.run(&["daemon", "stop"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    says(&ran, "daemon stop --instances");
    let ran = rig.home.ok(&["daemon", "stop", "--force", "--instances"]);
    says(&ran, "no daemon runs\n");
    says(&ran, "deaf: stopped");
    for token in &tokens {
        assert_eq!(with_token(token), [] as [i32; 0]);
    }
    was_killed_on_purpose(&rig.home.row("deaf"));
    let ran = rig.home.run(&["daemon", "stop", "--instances"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    says(&ran, "there is nothing to stop");
}
