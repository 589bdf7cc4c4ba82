//! What follows from a crash, by the class of its autopsy.

use super::*;
use crate::domain::autopsy::Cause;
use crate::domain::event::EventType;
use crate::domain::instance::Backend;
use crate::domain::lifecycle::Failure;
use crate::domain::readings::DeviceReading;
use crate::domain::run::StopMode;
use crate::supervisor::state::{Phase, Then};

const VRAM: &str = "failed to allocate CUDA0 buffer of size 1073741824";
const BIND: &str = "couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8081";

/// A device of 64 GiB.
pub(super) fn device(free: u64) -> DeviceReading {
    let total = 64 << 30;
    DeviceReading {
        label: "GPU0".to_owned(),
        memory_used: Some(total - free),
        memory_total: Some(total),
        ..DeviceReading::default()
    }
}

/// A run of `a` that crashed with these words.
fn crashed(line: &str) -> (Rig, Decision) {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    let decision = rig.exited_saying("a", ExitStatus::Code(1), &[line]);
    (rig, decision)
}

fn fire(rig: &mut Rig, timer: u64) -> Decision {
    rig.give(Input::TimerFired {
        name: name("a"),
        timer,
    })
}

fn events(decision: &Decision, wanted: EventType) -> Vec<String> {
    let event = |effect: &Effect| match effect {
        Effect::Announce { kind, message, .. } if *kind == wanted => Some(message.clone()),
        _ => None,
    };
    decision.effects.iter().filter_map(event).collect()
}

#[test]
fn what_cannot_get_better_fails_at_once_with_its_reason() {
    let (rig, decision) = crashed("error: invalid argument: --x");
    assert_eq!(rig.status("a"), Status::Failed);
    assert_eq!(timer_of(&decision), None);
    assert_eq!(
        events(&decision, EventType::Crashed),
        ["exited with code 1: unknown flag --x"]
    );
    assert_eq!(events(&decision, EventType::GaveUp).len(), 1);
    let row = rig.fleet.instances[&name("a")].row(&name("a"), false);
    assert_eq!(row.reason.as_deref(), Some("unknown flag --x"));
    let autopsy = row.autopsy.expect("an autopsy");
    assert_eq!(autopsy.cause, Cause::UnknownFlag);
    let stored = decision.effects.iter().any(|effect| {
        matches!(effect, Effect::StoreRunEnded { autopsy: stored, .. } if *stored == autopsy)
    });
    assert!(stored, "it is stored with the run");
}

#[test]
fn an_explanation_is_forgotten_once_a_newer_run_is_healthy() {
    let (mut rig, decision) = crashed("");
    let (timer, _) = timer_of(&decision).expect("a timer");
    fire(&mut rig, timer);
    rig.launched("a");
    let autopsy = |rig: &Rig| rig.fleet.instances[&name("a")].autopsy.clone();
    assert!(autopsy(&rig).is_some());
    rig.healthy("a");
    assert_eq!(autopsy(&rig), None);
}

#[test]
fn a_taken_port_is_looked_at_until_it_is_free_and_told_once() {
    let (mut rig, decision) = crashed(BIND);
    assert_eq!(rig.status("a"), Status::Backoff);
    let mut timer = timer_of(&decision).expect("a timer").0;
    let mut told = Vec::new();
    for look in 0..20 {
        fire(&mut rig, timer);
        let holder = if look < 10 { 7 } else { 8 };
        let run = rig.run("a").expect("a launch");
        let decision = rig.give(Input::LaunchFailed {
            name: name("a"),
            run,
            failure: Failure::PortInUse,
            message: format!("port 8081 is in use by pid {holder}"),
            autopsy: None,
        });
        assert_eq!(rig.status("a"), Status::Backoff, "look {look}");
        told.extend(events(&decision, EventType::PortTaken));
        let (next, after) = timer_of(&decision).expect("a timer");
        assert!(after <= Duration::from_secs(5));
        timer = next;
    }
    assert_eq!(
        told,
        [
            "port 8081 is in use by pid 7",
            "port 8081 is in use by pid 8"
        ]
    );
    // Looking costs no restart; the crash did.
    assert_eq!(rig.fleet.instances[&name("a")].restarts, 1);
    assert_eq!(launches(&fire(&mut rig, timer), "a"), 1);
    rig.launched("a");
}

#[test]
fn a_port_that_stays_unbindable_is_given_up_in_the_end() {
    let (mut rig, mut decision) = crashed(BIND);
    for _ in 0..3 {
        let (timer, _) = timer_of(&decision).expect("a timer");
        fire(&mut rig, timer);
        rig.launched("a");
        decision = rig.exited_saying("a", ExitStatus::Code(1), &[BIND]);
    }
    assert_eq!(rig.status("a"), Status::Failed);
}

#[test]
fn memory_of_a_device_is_waited_for() {
    let (mut rig, decision) = crashed(VRAM);
    rig.fleet.host.devices = vec![device(1 << 30)];
    let (mut timer, first) = timer_of(&decision).expect("a timer");
    assert_eq!(first, Duration::from_secs(10));
    // The first look is the measure; noise is no change.
    for free in [1_u64 << 30, (1 << 30) + (1 << 20)] {
        rig.seconds += 10;
        rig.fleet.host.devices = vec![device(free)];
        let decision = fire(&mut rig, timer);
        assert_eq!(rig.status("a"), Status::Backoff);
        timer = timer_of(&decision).expect("a timer").0;
    }
    rig.seconds += 10;
    rig.fleet.host.devices = vec![device(9 << 30)];
    assert_eq!(launches(&fire(&mut rig, timer), "a"), 1);
}

#[test]
fn memory_of_another_device_is_not_what_is_waited_for() {
    let mut spec = spec("a");
    spec.gpu.backend = Backend::Cuda;
    spec.gpu.device_id = 1;
    let mut rig = Rig::new();
    let instance = rig.fleet.instances.get_mut(&name("a")).expect("a");
    instance.config = Config::Ready(Arc::new(spec));
    rig.command("a", Action::Start);
    rig.launched("a");
    let mut decision = rig.exited_saying("a", ExitStatus::Code(1), &[VRAM]);
    let own = |free| DeviceReading {
        label: "GPU1".to_owned(),
        ..device(free)
    };
    let rows = [
        (1 << 30, 1 << 30, Status::Backoff),
        (60 << 30, 1 << 30, Status::Backoff),
        (60 << 30, 9 << 30, Status::Starting),
    ];
    for (other, free, expected) in rows {
        rig.seconds += 10;
        rig.fleet.host.devices = vec![device(other), own(free)];
        let (timer, _) = timer_of(&decision).expect("a timer");
        decision = fire(&mut rig, timer);
        assert_eq!(rig.status("a"), expected, "{other} {free}");
    }
}

#[test]
fn memory_that_nobody_frees_is_tried_after_the_longest_delay() {
    let (mut rig, mut decision) = crashed(VRAM);
    rig.fleet.host.devices = vec![device(1 << 30)];
    let mut waited = 0;
    while launches(&decision, "a") == 0 {
        let (timer, after) = timer_of(&decision).expect("a timer");
        waited += after.as_secs();
        rig.seconds += after.as_secs();
        assert!(waited <= 300, "longer than max_delay");
        decision = fire(&mut rig, timer);
    }
    assert_eq!(waited, 300);
}

#[test]
fn memory_that_cannot_be_measured_is_waited_for_a_minute() {
    let (mut rig, mut decision) = crashed(VRAM);
    let mut waited = 0;
    while launches(&decision, "a") == 0 {
        let (timer, after) = timer_of(&decision).expect("a timer");
        waited += after.as_secs();
        rig.seconds += after.as_secs();
        decision = fire(&mut rig, timer);
    }
    assert_eq!(waited, 60);
}

#[test]
fn a_run_that_we_ended_for_a_cause_is_tried_again_or_not_as_decided() {
    let cause = Cause::Unresponsive;
    let reason = "its probes failed 3 times".to_owned();
    let fail = Then::Fail {
        cause,
        reason: reason.clone(),
    };
    let again = Then::TryAgain { cause, reason };
    for (then, expected) in [(fail, Status::Failed), (again, Status::Backoff)] {
        let mut rig = Rig::new();
        rig.command("a", Action::Start);
        rig.launched("a");
        let run = rig.run("a").expect("a run");
        let instance = rig.fleet.instances.get_mut(&name("a")).expect("a");
        instance.phase = Phase::Stopping {
            run: run.clone(),
            mode: StopMode::Gentle,
            then,
            up: Some(up(run)),
        };
        rig.exited("a", ExitStatus::Signal(9));
        assert_eq!(rig.status("a"), expected);
        let row = rig.fleet.instances[&name("a")].row(&name("a"), false);
        assert_eq!(row.reason.as_deref(), Some("its probes failed 3 times"));
        assert_eq!(row.autopsy.expect("an autopsy").cause, cause);
    }
}

#[test]
fn a_stop_from_outside_is_no_crash_and_leaves_the_wish() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    let run = rig.run("a").expect("a run");
    let decision = rig.give(Input::Exited {
        name: name("a"),
        run,
        exit: RunExit {
            requested: Some(StopMode::Gentle),
            ..exit(ExitStatus::Code(0))
        },
        traces: Traces::default(),
    });
    assert_eq!(rig.status("a"), Status::Stopped);
    assert!(events(&decision, EventType::Crashed).is_empty());
    let instance = &rig.fleet.instances[&name("a")];
    assert_eq!(instance.desired, crate::domain::lifecycle::Desired::Running);
    let autopsy = instance.autopsy.as_ref().expect("an autopsy");
    assert_eq!(autopsy.cause, Cause::KilledFromOutside);
}
