//! How commands end in earnest: killed by the kernel for their memory, their time over, the
//! machine rebooted under them.

use std::process::Command;

use llama_orch::process::{os, runfiles};

use super::Rig;
use crate::support::cgroup::Group;
use crate::support::{Guarded, kill_hard, wait_until};

#[test]
fn a_command_that_the_kernel_kills_for_memory_is_named_so() {
    let test = "work_runs::ends::a_command_that_the_kernel_kills_for_memory_is_named_so";
    let Some(group) = Group::new(test) else {
        return;
    };
    let rig = Rig::new(1);
    let owner = group.command(&rig.home, &["daemon", "start"]).output();
    assert!(owner.unwrap().status.success());
    // It reads one line without an end; once as the command itself, once below its shell.
    let lines = ["exec tail /dev/zero", "tail /dev/zero; exit $?"];
    for (number, line) in (1..).zip(lines) {
        let chunk = format!("greedy{number}");
        rig.create(&chunk, &["--command", &format!("GOAL=echo eats; {line}")]);
        let unit = rig.wait_status(&chunk, "NEEDS_ATTENTION");
        let reason = "killed by the kernel because memory ran out";
        assert_eq!(unit["reason"], reason, "{line}: {unit:#}");
        let evidence = unit["evidence"].as_str().unwrap();
        let kill = format!("oom_kill {number} in ");
        assert!(evidence.contains(&kill), "{line}: {unit:#}");
        assert!(evidence.starts_with("eats\n"), "{line}: {unit:#}");
        let remedy = unit["remedy"].as_str().unwrap();
        assert!(remedy.contains("work.max_parallel"), "{line}: {unit:#}");
    }
    // A kill -9 of somebody's is not taken for another of those.
    let line = "GOAL=echo $$ > pid; exec sleep 600";
    rig.create("killed", &["--command", line]);
    wait_until("it runs", || rig.written("pid").ends_with('\n'));
    kill_hard(rig.written("pid").trim().parse().unwrap());
    let unit = rig.wait_status("killed", "NEEDS_ATTENTION");
    assert_eq!(unit["reason"], "its command was killed by SIGKILL");
    rig.home.ok(&["daemon", "stop"]);
    drop(rig);
}

#[test]
fn after_a_reboot_a_unit_says_so_and_no_process_of_this_boot_is_taken_for_its_own() {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    let line = "GOAL=echo working; echo GOAL >> trace; exec sleep 600";
    rig.create("a", &["--command", line]);
    rig.create("b", &["--blocked-by", "a", "--command", "GOAL=touch begun"]);
    wait_until("it runs", || rig.written("trace") == "GOAL\n");
    let run = rig.run_file("a");
    kill_hard(rig.home.owner().unwrap());
    kill_hard(run.shim.pid);
    kill_hard(run.child.pid);
    // In the next boot its numbers belong to a process that has nothing to do with it.
    let mut stranger = Guarded(Command::new("/bin/sleep").arg("600").spawn().unwrap());
    let pid = stranger.0.id().cast_signed();
    let start = os::identity(pid).unwrap().start_ticks;
    let mut before = run;
    before.boot_id = "11111111-2222-3333-4444-555555555555".to_owned();
    (before.shim.pid, before.shim.start) = (pid, start);
    (before.child.pid, before.child.start) = (pid, start);
    runfiles::write(&rig.run_paths("a").run(), &before).unwrap();

    rig.home.ok(&["daemon", "start"]);
    let unit = rig.wait_status("a", "NEEDS_ATTENTION");
    let reason = "the machine was rebooted under its command";
    assert_eq!(unit["reason"], reason, "{unit:#}");
    assert_eq!(unit["evidence"], "working", "{unit:#}");
    assert_eq!(
        (&unit["phase"], &unit["run_id"]),
        (&"GOAL".into(), &().into())
    );
    assert_eq!(rig.show("b")["status"], "BLOCKED");
    // The phase is not begun again by itself, and is when a person says so.
    assert_eq!(rig.written("trace"), "GOAL\n");
    let again = "llama-orch work-unit status a READY";
    assert!(unit["remedy"].as_str().unwrap().contains(again), "{unit:#}");
    rig.home.ok(&["work-unit", "status", "a", "READY"]);
    wait_until("it runs again", || rig.written("trace") == "GOAL\nGOAL\n");
    assert_ne!(rig.run_file("a").child.pid, pid);
    rig.home.ok(&["daemon", "stop", "--instances"]);
    assert!(stranger.0.try_wait().unwrap().is_none(), "it was signalled");
}

#[test]
fn a_command_that_limits_its_own_time_is_told_from_others() {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    rig.create(
        "slow",
        &["--command", "GOAL=echo thinks; timeout 0.1 sleep 600"],
    );
    let unit = rig.wait_status("slow", "NEEDS_ATTENTION");
    let reason = "exited with code 124, as timeout does when the time is up";
    assert_eq!(unit["reason"], reason, "{unit:#}");
    assert_eq!(unit["evidence"], "thinks", "{unit:#}");
    rig.home.ok(&["daemon", "stop"]);
}
