//! Kill -9 of owners and shims while commands run: each phase runs once, and no exit code is lost.

use std::fs;
use std::process::{Command, Stdio};

use super::Rig;
use crate::support::{install, is_gone, kill_hard, wait_until, with_token, write_script};

/// Says that a phase began, and ends it when it is told.
const STEP: &str = "echo $LLAMA_ORCH_PHASE >> trace; while [ ! -e go-$LLAMA_ORCH_PHASE ]; do \
                    sleep 0.01; done; exit $(cat go-$LLAMA_ORCH_PHASE)";

fn stepwise(rig: &Rig, chunk: &str) {
    rig.create_with_all(chunk, &["GOAL", "PLAN", "IMPLEMENT", "COMPLETE"], STEP);
}

/// A rig with an owner that runs the first phase of a stepwise unit.
fn begun() -> Rig {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    stepwise(&rig, "a");
    wait_trace(&rig, "GOAL\n");
    rig
}

fn wait_trace(rig: &Rig, expected: &str) {
    wait_until(expected, || rig.written("trace") == expected);
}

#[test]
fn a_killed_owner_loses_no_exit_code_and_the_next_one_moves_on_once() {
    let rig = begun();
    kill_hard(rig.home.owner().unwrap());
    let command = rig.run_file("a").child.pid;
    assert!(!is_gone(command));
    // It ends while nobody owns the home; the shim records how.
    rig.write("go-GOAL", "0");
    let exit = rig.run_paths("a").exit();
    wait_until("the shim recorded the end", || exit.exists());
    rig.home.ok(&["daemon", "start"]);
    wait_trace(&rig, "GOAL\nPLAN\n");
    // One that still runs is adopted, by any number of owners.
    let running = rig.run_file("a");
    rig.home.ok(&["daemon", "restart"]);
    kill_hard(rig.home.owner().unwrap());
    rig.home.ok(&["daemon", "start"]);
    assert_eq!(rig.run_file("a"), running);
    assert_eq!(rig.show("a")["status"], "RUNNING");
    rig.write("go-PLAN", "7");
    let unit = rig.wait_status("a", "NEEDS_ATTENTION");
    assert_eq!(unit["reason"], "exited with code 7");
    assert_eq!(rig.written("trace"), "GOAL\nPLAN\n");
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_killed_shim_is_replaced_and_the_command_goes_on() {
    for owner_too in [false, true] {
        let rig = begun();
        let before = rig.run_file("a");
        if owner_too {
            kill_hard(rig.home.owner().unwrap());
        }
        kill_hard(before.shim.pid);
        if owner_too {
            rig.home.ok(&["daemon", "start"]);
        }
        wait_until("a new shim attached", || {
            let run = rig.run_file("a");
            run.attached && run.shim.pid != before.shim.pid
        });
        assert_eq!(rig.run_file("a").child, before.child);
        rig.write("go-GOAL", "7");
        let unit = rig.wait_status("a", "NEEDS_ATTENTION");
        // Kernels before 6.15 do not tell a stranger how a process ended.
        let reason = unit["reason"].as_str().unwrap();
        let unknown = "its command ended while nobody watched, and nobody knows how";
        assert!(
            ["exited with code 7", unknown].contains(&reason),
            "{reason}"
        );
        rig.home.ok(&["daemon", "stop"]);
    }
}

#[test]
fn a_command_that_sends_a_stream_elsewhere_keeps_the_log_of_the_other_when_its_shim_is_replaced() {
    // What it does with its streams, and what is in its log in the end.
    let rows = [
        ("exec 2>errors", "one\ntwo\n", ""),
        ("exec 2>&1", "one\nhuh one\ntwo\nhuh two\n", ""),
        ("exec >output", "", "huh one\nhuh two\n"),
    ];
    for (redirect, stdout, stderr) in rows {
        for owner_too in [false, true] {
            let rig = Rig::new(1);
            rig.home.ok(&["daemon", "start"]);
            let say = |word: &str| format!("echo {word}; echo huh {word} >&2");
            let line = format!(
                "GOAL={redirect}; {}; touch said; while [ ! -e go ]; do sleep 0.01; done; {}",
                say("one"),
                say("two")
            );
            rig.create("a", &["--command", &line]);
            wait_until("it said something", || rig.worktree().join("said").exists());
            let before = rig.run_file("a");
            if owner_too {
                kill_hard(rig.home.owner().unwrap());
            }
            kill_hard(before.shim.pid);
            if owner_too {
                rig.home.ok(&["daemon", "start"]);
            }
            wait_until("a new shim attached", || rig.run_file("a").attached);
            rig.write("go", "");
            rig.wait_for("a", "over", |unit| unit["status"] != "RUNNING");
            for (stream, expected) in [("stdout", stdout), ("stderr", stderr)] {
                let log = rig.home.whole_log("work/a", stream);
                let log = String::from_utf8_lossy(&log);
                assert_eq!(
                    log, expected,
                    "{redirect}: {stream}, owner too: {owner_too}"
                );
            }
            let notes = rig.run_file("a").notes;
            assert_eq!(notes, [] as [String; 0], "{redirect}");
            rig.home.ok(&["daemon", "stop"]);
        }
    }
}

#[test]
fn a_cancelled_command_ends_although_its_owner_was_killed() {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    let deaf = "GOAL=trap '' TERM; echo GOAL >> trace; while :; do sleep 0.01; done";
    rig.places(1, 2);
    rig.home.ok(&["daemon", "restart"]);
    rig.create("a", &["--command", deaf]);
    wait_trace(&rig, "GOAL\n");
    let command = rig.run_file("a").child.pid;
    rig.home.ok(&[
        "work-unit",
        "status",
        "a",
        "NEEDS_ATTENTION",
        "--reason",
        "enough",
    ]);
    kill_hard(rig.home.owner().unwrap());
    // The shim sees the stop through, and whoever comes next learns of the end.
    wait_until("the command is killed", || is_gone(command));
    let unit = rig.wait_for("a", "over", |unit| {
        // Without an owner nobody has noted the end yet.
        unit["status"] == "NEEDS_ATTENTION"
    });
    assert_eq!(unit["reason"], "enough");
    rig.home.ok(&["work-unit", "status", "a", "DONE"]);
    assert_eq!(rig.show("a")["status"], "DONE");
}

#[test]
fn without_an_owner_a_command_can_be_cancelled_too() {
    let rig = begun();
    rig.home.ok(&["daemon", "stop"]);
    let command = rig.run_file("a").child.pid;
    assert!(!is_gone(command));
    rig.home.ok(&[
        "work-unit",
        "status",
        "a",
        "NEEDS_ATTENTION",
        "--reason",
        "enough",
    ]);
    wait_until("the command ends", || is_gone(command));
    let exit = rig.run_paths("a").exit();
    wait_until("its end is recorded", || exit.exists());
    rig.home.ok(&["work-unit", "status", "a", "READY"]);
    let unit = rig.show("a");
    assert_eq!(
        (&unit["status"], &unit["phase"]),
        (&"READY".into(), &"GOAL".into())
    );
}

#[test]
fn the_database_may_vanish_and_no_command_does() {
    let rig = begun();
    let running = rig.run_file("a");
    rig.home.ok(&["daemon", "stop"]);
    for file in fs::read_dir(rig.home.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        if path.display().to_string().contains(".sqlite") {
            fs::remove_file(path).unwrap();
        }
    }
    rig.home.ok(&["daemon", "start"]);
    let unit = rig.show("a");
    assert_eq!(unit["status"], "RUNNING");
    assert_eq!(unit["run_id"], running.run_id.as_str());
    for phase in ["GOAL", "PLAN", "IMPLEMENT", "COMPLETE"] {
        rig.write(&format!("go-{phase}"), "0");
    }
    rig.wait_status("a", "DONE");
    assert_eq!(rig.written("trace"), "GOAL\nPLAN\nIMPLEMENT\nCOMPLETE\n");
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_command_whose_new_shim_could_not_attach_gets_one_later() {
    let rig = Rig::new(1);
    let programs = rig.home.path().join("programs");
    fs::create_dir(&programs).unwrap();
    install(env!("CARGO_BIN_EXE_llama-orch"), &programs);
    install(env!("CARGO_BIN_EXE_llama-orch-shim"), &programs);
    let mut daemon = Command::new(programs.join("llama-orch"));
    daemon
        .arg("--home")
        .arg(rig.home.path())
        .args(["daemon", "start"]);
    assert!(daemon.stdin(Stdio::null()).status().unwrap().success());
    stepwise(&rig, "a");
    wait_trace(&rig, "GOAL\n");
    let before = rig.run_file("a");
    let (shim, away) = (programs.join("llama-orch-shim"), programs.join("away"));
    fs::rename(&shim, &away).unwrap();
    write_script(&shim, "#!/bin/sh\nexit 1\n");
    kill_hard(before.shim.pid);
    let told = |begins: &str| {
        let events = rig.home.events();
        let found = events.iter().filter(|event| event.starts_with(begins));
        found.count()
    };
    let failed = "reconciled - a: its shim is gone and no new one could attach: ";
    wait_until("the failure is told", || told(failed) == 1);
    fs::rename(&away, &shim).unwrap();
    wait_until("a new shim attached", || {
        rig.home.ok(&["health"]);
        told("reattached - a: ") == 1
    });
    assert_eq!(told(failed), 1);
    assert_eq!(rig.run_file("a").child, before.child);
    rig.write("go-GOAL", "7");
    rig.wait_status("a", "NEEDS_ATTENTION");
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn what_a_killed_command_leaves_behind_holds_its_unit_back_until_it_is_gone() {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    let line = "GOAL=echo GOAL >> trace; test -e left || { touch left; sleep 600 & sleep 601; }";
    rig.create("a", &["--command", line]);
    wait_until("it runs", || rig.worktree().join("left").exists());
    let run = rig.run_file("a");
    rig.home.ok(&["daemon", "stop"]);
    kill_hard(run.shim.pid);
    kill_hard(run.child.pid);
    let left = with_token(&run.token);
    assert!(!left.is_empty());
    rig.home.ok(&["daemon", "start"]);
    rig.wait_status("a", "NEEDS_ATTENTION");
    rig.home.ok(&["work-unit", "status", "a", "READY"]);
    rig.wait_for("a", "held back", |unit| {
        let waiting = unit["waiting"].as_str().unwrap_or_default();
        unit["status"] == "READY" && waiting.contains("something of its last run still lives")
    });
    assert_eq!(rig.written("trace"), "GOAL\n");
    rig.home.ok(&["orphans", "--stop", &left[0].to_string()]);
    rig.wait_for("a", "run again", |unit| unit["phase"] == "PLAN");
    assert_eq!(rig.written("trace"), "GOAL\nGOAL\n");
    rig.home.ok(&["daemon", "stop"]);
}
