//! Kill -9 of the owner, of shims and of both: nothing that dies takes a server, a log byte or an
//! exit code with it.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::lines::{self, LINE};
use crate::support::{
    Guarded, TestHome, install, is_gone, kill_hard, real_server, trials, wait_until, with_token,
    write_script,
};

#[test]
fn a_killed_owner_loses_nothing_and_the_next_one_adopts() {
    let home = TestHome::new();
    for name in ["a", "b", "c"] {
        home.simulated(name, &[], "");
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let pids: Vec<i32> = ["a", "b", "c"].iter().map(|name| home.pid(name)).collect();
    kill_hard(home.owner().unwrap());
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    // One dies while nobody owns the home; its end is told all the same.
    kill_hard(pids[2]);
    let exit = home.run_paths("c").exit();
    wait_until("the shim recorded the end", || exit.exists());
    home.ok(&["daemon", "start"]);
    assert_eq!(home.wait_state("a", "ready")["pid"], pids[0]);
    assert_eq!(home.wait_state("b", "ready")["pid"], pids[1]);
    let new = home.wait_state("c", "ready");
    assert_ne!(new["pid"], pids[2]);
    let events = home.events();
    let told = "crashed c ended while nobody watched: killed by SIGKILL from outside";
    assert!(events.iter().any(|event| event == told), "{events:#?}");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_run_whose_new_shim_could_not_attach_gets_one_when_that_is_possible_again() {
    let home = TestHome::new();
    let programs = home.path().join("programs");
    fs::create_dir(&programs).unwrap();
    install(env!("CARGO_BIN_EXE_llama-orch"), &programs);
    install(env!("CARGO_BIN_EXE_llama-orch-shim"), &programs);
    let line = LINE.to_string();
    let flood = ["--sim-flood", "200", "--sim-flood-length", &line];
    home.simulated("a", &flood, "");
    let mut daemon = Command::new(programs.join("llama-orch"));
    daemon
        .arg("--home")
        .arg(home.path())
        .args(["daemon", "start"]);
    assert!(daemon.stdin(Stdio::null()).status().unwrap().success());
    home.ok(&["up", "a"]);
    let before = home.run_file("a").unwrap();
    let (shim, away) = (programs.join("llama-orch-shim"), programs.join("away"));
    fs::rename(&shim, &away).unwrap();
    write_script(&shim, "#!/bin/sh\nexit 1\n");
    kill_hard(before.shim.pid);
    let told = |begins: &str| {
        let events = home.events();
        events
            .iter()
            .filter(|event| event.starts_with(begins))
            .count()
    };
    let failed = "reconciled a its shim is gone and no new one could attach: ";
    wait_until("the failure is told", || told(failed) == 1);
    // The regular look tries again, and does not repeat what it has told.
    home.ok(&["health"]);
    home.ok(&["health"]);
    assert_eq!(told(failed), 1);
    assert_eq!(home.pid("a"), before.child.pid, "the server goes on");
    fs::rename(&away, &shim).unwrap();
    wait_until("a new shim attached", || {
        home.ok(&["health"]);
        told("reattached a ") == 1
    });
    let now = home.run_file("a").unwrap();
    assert_eq!(now.child, before.child);
    let length = home.log_length("a", "stderr");
    wait_until("the log goes on", || {
        home.log_length("a", "stderr") > length
    });
    home.ok(&["down", "a"]);
    assert!(is_gone(now.child.pid) && is_gone(now.shim.pid));
    home.ok(&["daemon", "stop"]);
}

#[test]
fn what_both_killed_leave_behind_is_named_when_it_is_in_the_way() {
    let home = TestHome::new();
    let more = "restart_policy.enabled = false";
    home.simulated("a", &["--sim-grandchildren", "1"], more);
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    kill_hard(run.shim.pid);
    kill_hard(run.child.pid);
    let left = with_token(&run.token);
    assert_eq!(left.len(), 1, "{left:?}");
    let ran = home.run(&["up", "a"]);
    assert_ne!(ran.code, 0);
    let remedy = format!("llama-orch orphans --stop {}", left[0]);
    assert!(ran.stderr.contains(&remedy), "{}", ran.stderr);
    home.ok(&["orphans", "--stop", &left[0].to_string()]);
    home.ok(&["up", "a"]);
    home.ok(&["down", "a"]);
}

#[test]
fn a_killed_shim_is_replaced_and_the_run_goes_on() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &[
            "--sim-flood",
            "2000",
            "--sim-flood-length",
            &LINE.to_string(),
            "--sim-flood-stream",
            "stdout",
        ],
        "",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let before = home.run_file("a").unwrap();
    kill_hard(before.shim.pid);
    wait_until("a new shim attached", || {
        home.run_file("a")
            .is_some_and(|run| run.attached && run.shim.pid != before.shim.pid)
    });
    assert_eq!(home.run_file("a").unwrap().child, before.child);
    let length = home.whole_log("a", "stdout").len();
    wait_until("the log goes on", || {
        home.whole_log("a", "stdout").len() > length + 10 * LINE
    });
    // Its exit code is known although nobody who started it lives.
    kill_hard(before.child.pid);
    wait_until("the end is told", || {
        home.events()
            .iter()
            .any(|event| event == "crashed a killed by SIGKILL from outside")
    });
    home.ok(&["down", "a"]);
    let counted = lines::count(&home.whole_log("a", "stdout"), "killed shim");
    assert_eq!(counted.missing, 0);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_crashed_server_is_restarted_with_a_cause_and_given_up_in_the_end() {
    let home = TestHome::new();
    let policy = "restart_policy.max_retries = 2\nrestart_policy.initial_delay = 0";
    home.simulated(
        "a",
        &["--sim-crash-after", "50ms", "--sim-crash", "3"],
        policy,
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    let row = home.wait_state("a", "failed");
    let reason = row["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("gave up after 2 restarts: exited with code 3"),
        "{reason}"
    );
    assert_eq!(row["exit"]["code"], 3);
    // It stays so under the next owner, until a person acts.
    home.ok(&["daemon", "restart"]);
    assert_eq!(home.row("a")["state"], "failed");
    home.ok(&["down", "a"]);
    assert_eq!(home.row("a")["state"], "stopped");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn stop_during_backoff_wins_and_start_during_stop_is_remembered() {
    let home = TestHome::new();
    let policy = "restart_policy.initial_delay = 60";
    home.simulated("crasher", &["--sim-crash", "1"], policy);
    home.simulated("slow", &["--sim-stop-time", "500ms"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "crasher", "--no-wait"]);
    home.wait_state("crasher", "backoff");
    home.ok(&["down", "crasher"]);
    assert_eq!(home.row("crasher")["state"], "stopped");
    // What happened before is history: told as such, with nothing to be mended.
    let row = home.row("crasher");
    assert_eq!(
        (&row["reason"], &row["exit"]["code"]),
        (&().into(), &1.into())
    );
    let told = home.ok(&["describe", "crasher"]).stdout;
    assert!(told.contains("last end"), "{told}");
    assert!(!told.contains("reason"), "{told}");

    home.ok(&["up", "slow"]);
    let first = home.pid("slow");
    home.ok(&["down", "slow", "--no-wait"]);
    home.ok(&["up", "slow"]);
    assert!(is_gone(first));
    assert_ne!(home.pid("slow"), first);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn two_owners_at_once_become_one() {
    let trials = trials(20);
    let home = TestHome::new();
    for _ in 0..trials {
        let mut starts: Vec<Guarded> = (0..2)
            .map(|_| {
                let mut command = home.command(&["daemon", "start"]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                Guarded(command.spawn().unwrap())
            })
            .collect();
        let codes: Vec<Option<i32>> = starts
            .iter_mut()
            .map(|start| start.0.wait().unwrap().code())
            .collect();
        assert!(codes.contains(&Some(0)), "{codes:?}");
        let owner = home.owner().unwrap();
        // The loser may still be on its way out.
        wait_until("one owner is left", || owners(&home) == [owner]);
        home.ok(&["daemon", "stop"]);
        wait_until("no owner is left", || owners(&home).is_empty());
    }
}

/// The processes that run as this home's daemon.
fn owners(home: &TestHome) -> Vec<i32> {
    let is_owner = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command).replace('\0', " ");
        text.contains("daemon detached") && text.contains(&home.path().display().to_string())
    };
    llama_orch::process::os::all_pids()
        .unwrap()
        .into_iter()
        .filter(is_owner)
        .collect()
}

#[test]
fn a_daemon_takes_the_home_over_from_a_waiting_command() {
    let home = TestHome::new();
    home.simulated("slow", &["--sim-load-time", "3s"], "");
    let mut command = home.command(&["up", "slow"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut waiting = Guarded(command.spawn().unwrap());
    wait_until("the command owns the home", || home.owner().is_some());
    home.ok(&["daemon", "start"]);
    assert_ne!(home.owner().unwrap(), waiting.0.id().cast_signed());
    assert_eq!(waiting.0.wait().unwrap().code(), Some(0));
    assert_eq!(home.row("slow")["state"], "ready");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn twenty_instances_go_up_and_down_together() {
    let home = TestHome::new();
    for number in 0..20 {
        home.simulated(&format!("i{number:02}"), &[], "");
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let rows = home.ps();
    assert_eq!(
        rows.iter().filter(|row| row["state"] == "ready").count(),
        20
    );
    home.ok(&["down", "--all"]);
    assert!(home.ps().iter().all(|row| row["state"] == "stopped"));
    home.ok(&["daemon", "stop"]);
}

#[test]
fn the_database_may_vanish_and_no_instance_does() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        std::fs::remove_file(home.path().join("state").join(file)).ok();
    }
    home.simulated("b", &[], "");
    home.ok(&["up", "b"]);
    kill_hard(home.owner().unwrap());
    home.ok(&["daemon", "start"]);
    assert_eq!(home.wait_state("a", "ready")["pid"], pid);
    // A corrupt one is moved aside, and the run is adopted all the same.
    kill_hard(home.owner().unwrap());
    std::fs::write(home.path().join("state/state.sqlite"), vec![7; 8192]).unwrap();
    home.ok(&["daemon", "start"]);
    assert_eq!(home.wait_state("a", "ready")["pid"], pid);
    home.ok(&["down", "--all"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn five_real_servers_survive_their_owner() {
    let home = TestHome::new();
    let test = "five_real_servers_survive_their_owner";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    let names = ["r1", "r2", "r3", "r4", "r5"];
    for name in names {
        home.config(
            name,
            &format!(
                "binary.path = {server:?}\nmodel.path = {model:?}\nmodel.context_size = 512\n\
                 server.port = \"auto\"\nrestart_policy.max_retries = 0"
            ),
        );
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let pids: Vec<i32> = names.iter().map(|name| home.pid(name)).collect();
    let tokens: Vec<String> = names
        .iter()
        .map(|name| home.run_file(name).unwrap().token)
        .collect();
    kill_hard(home.owner().unwrap());
    home.ok(&["daemon", "start"]);
    for (name, pid) in names.iter().zip(&pids) {
        assert_eq!(home.wait_state(name, "ready")["pid"], *pid);
    }
    kill_hard(pids[0]);
    assert_eq!(home.wait_state("r1", "failed")["exit"]["signal"], 9);
    home.ok(&["down", "--all"]);
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    assert!(
        tokens
            .iter()
            .all(|token| crate::support::with_token(token).is_empty())
    );
    home.ok(&["daemon", "stop"]);
}
