//! Commands that hang: what ends them, and what is said of it.

use super::Rig;
use crate::support::{is_gone, kill_hard, wait_until};

/// Says that it began, and never ends; SIGTERM does not end it either.
const HANG: &str = "trap '' TERM; echo thinks; echo $$ >> trace; while :; do sleep 0.01; done";

fn begun(rig: &Rig, lines: usize) -> i32 {
    wait_until("it runs", || {
        let trace = rig.written("trace");
        trace.lines().count() == lines && trace.ends_with('\n')
    });
    rig.written("trace")
        .lines()
        .last()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_command_that_hangs_is_ended_with_all_it_started_when_its_time_is_over() {
    let rig = Rig::new(1);
    rig.places(1, 1);
    rig.home.ok(&["daemon", "start"]);
    let left = "setsid sh -c 'trap \"\" TERM; echo $$ > detached; exec sleep 600' & ";
    let hang = format!("GOAL={left}{HANG}");
    rig.create("hung", &["--time-limit", "1s", "--command", &hang]);
    rig.create("next", &["--command", "GOAL=true"]);
    let command = begun(&rig, 1);
    wait_until("its child runs", || rig.written("detached").ends_with('\n'));
    let child: i32 = rig.written("detached").trim().parse().unwrap();
    let unit = rig.wait_for("hung", "ended", |unit| {
        unit["status"] == "NEEDS_ATTENTION" && unit["run_id"].is_null()
    });
    assert!([command, child].into_iter().all(is_gone));
    let reason = unit["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("its command ran longer than 1s (its time limit)"),
        "{unit:#}"
    );
    assert_eq!(unit["evidence"], "thinks", "{unit:#}");
    let remedy = unit["remedy"].as_str().unwrap();
    for part in ["work-unit logs hung", "edit hung --time-limit", "READY"] {
        assert!(remedy.contains(part), "{part}: {unit:#}");
    }
    let told = rig.told("hung");
    let event = "work_unit_needs_attention - hung needs attention in phase GOAL: its command ran \
                 longer than 1s";
    assert!(told.iter().any(|told| told.starts_with(event)), "{told:#?}");
    // Its place is free again.
    rig.wait_for("next", "over", |unit| unit["phase"] == "PLAN");
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_limit_counts_for_what_runs_already_and_a_unit_may_have_its_own() {
    let rig = Rig::new(3);
    rig.places(3, 1);
    rig.home.ok(&["daemon", "start"]);
    let hang = format!("GOAL={HANG}");
    rig.create("endless", &["--time-limit", "0", "--command", &hang]);
    begun(&rig, 1);
    rig.create("longer", &["--time-limit", "1h 30m", "--command", &hang]);
    begun(&rig, 2);
    rig.create("plain", &["--command", &hang]);
    let plain = begun(&rig, 3);
    assert_eq!(rig.show("longer")["time_limit"], 5400.0);
    assert!(!is_gone(plain));
    // The home gets a limit while all of them run.
    rig.settings(3, 1, "time_limit = 1");
    let unit = rig.wait_status("plain", "NEEDS_ATTENTION");
    let reason = unit["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("its command ran longer than 1s (work.time_limit)"),
        "{unit:#}"
    );
    assert!(
        unit["remedy"]
            .as_str()
            .unwrap()
            .contains("raise work.time_limit"),
        "{unit:#}"
    );
    assert_eq!(rig.show("longer")["status"], "RUNNING");
    // Another limit of a unit's own counts at once, too.
    rig.home
        .ok(&["work-unit", "edit", "longer", "--time-limit", "1s"]);
    rig.wait_status("longer", "NEEDS_ATTENTION");
    assert_eq!(rig.show("endless")["status"], "RUNNING");
    rig.home
        .ok(&["work-unit", "edit", "endless", "--no-time-limit"]);
    rig.wait_status("endless", "NEEDS_ATTENTION");
    for (limit, words) in [("-1", "not a time limit"), ("soon", "a time such as 90s")] {
        let limit = format!("--time-limit={limit}");
        let refused = rig.home.run(&["work-unit", "edit", "plain", &limit]);
        assert_eq!(refused.code, 64, "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    rig.home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn the_time_of_a_command_goes_on_while_nobody_owns_the_home() {
    let rig = Rig::new(1);
    rig.places(1, 1);
    rig.home.ok(&["daemon", "start"]);
    let hang = format!("GOAL={HANG}");
    rig.create("hung", &["--time-limit", "1h", "--command", &hang]);
    let command = begun(&rig, 1);
    kill_hard(rig.home.owner().unwrap());
    // Without an owner nobody ends it; whoever only decides this is no judge of what runs.
    rig.home
        .ok(&["work-unit", "edit", "hung", "--time-limit", "1s"]);
    assert!(!is_gone(command));
    assert_eq!(rig.show("hung")["status"], "RUNNING");
    rig.home.ok(&["daemon", "start"]);
    let unit = rig.wait_for("hung", "ended", |unit| {
        unit["status"] == "NEEDS_ATTENTION" && unit["run_id"].is_null()
    });
    assert!(is_gone(command));
    let reason = unit["reason"].as_str().unwrap();
    assert!(reason.contains("ran longer than 1s"), "{unit:#}");
    // Run again with more time, it ends as it likes.
    let line = "GOAL=true";
    rig.home.ok(&[
        "work-unit",
        "edit",
        "hung",
        "--time-limit",
        "1h",
        "--command",
        line,
    ]);
    rig.home.ok(&["work-unit", "status", "hung", "READY"]);
    rig.wait_for("hung", "over", |unit| unit["phase"] == "PLAN");
    rig.home.ok(&["daemon", "stop"]);
}
