//! Single decisions: what a command or an event leads to.

use super::super::decision::{Ignored, Outcome};
use super::*;
use crate::domain::lifecycle::{Desired, Failure};
use crate::domain::run::StopMode;

#[test]
fn a_start_is_stored_launched_and_only_then_up() {
    let mut rig = Rig::new();
    let decision = rig.command("a", Action::Start);
    assert_eq!(decision.outcome, Some(Outcome::Accepted));
    assert!(matches!(
        decision.effects[..],
        [
            Effect::StoreDesired {
                desired: Desired::Running,
                ..
            },
            Effect::Launch { .. }
        ]
    ));
    assert_eq!(rig.status("a"), Status::Starting);
    rig.launched("a");
    assert_eq!(rig.status("a"), Status::Starting);
    rig.healthy("a");
    assert_eq!(rig.status("a"), Status::Running);
    let again = rig.command("a", Action::Start);
    assert_eq!(
        again.outcome,
        Some(Outcome::Ignored(Ignored::AlreadyRunning))
    );
}

#[test]
fn one_loads_at_a_time_and_the_next_follows() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    let second = rig.command("b", Action::Start);
    assert_eq!(launches(&second, "b"), 0);
    let again = |rig: &mut Rig, name| rig.command(name, Action::Start).outcome;
    let ignored = |ignored| Some(Outcome::Ignored(ignored));
    assert_eq!(again(&mut rig, "b"), ignored(Ignored::AlreadyWaiting));
    assert_eq!(again(&mut rig, "a"), ignored(Ignored::AlreadyStarting));
    rig.launched("a");
    assert_eq!(again(&mut rig, "a"), ignored(Ignored::AlreadyStarting));
    let ready = rig.healthy("a");
    assert_eq!(launches(&ready, "b"), 1);
}

#[test]
fn a_stop_during_a_launch_is_remembered() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.command("a", Action::Stop(StopMode::Gentle));
    let launched = rig.launched("a");
    assert!(
        launched
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Stop { .. }))
    );
    rig.exited("a", ExitStatus::Signal(15));
    assert_eq!(rig.status("a"), Status::Stopped);
}

#[test]
fn a_crash_backs_off_and_gives_up_after_its_retries() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    for attempt in 1..=3 {
        rig.launched("a");
        let decision = rig.exited("a", ExitStatus::Code(1));
        let timer = timer_of(&decision).map(|(timer, _)| timer);
        assert_eq!(rig.status("a"), Status::Backoff, "attempt {attempt}");
        let due = rig.give(Input::TimerFired {
            name: name("a"),
            timer: timer.expect("a timer"),
        });
        assert_eq!(launches(&due, "a"), 1);
    }
    rig.launched("a");
    rig.exited("a", ExitStatus::Code(1));
    assert_eq!(rig.status("a"), Status::Failed);
    rig.command("a", Action::Start);
    assert_eq!(rig.status("a"), Status::Starting);
}

#[test]
fn without_a_delay_the_next_run_begins_with_the_end_of_the_last() {
    let mut rig = Rig::new();
    let mut hasty = spec("a");
    hasty.restart_policy.initial_delay = Duration::ZERO;
    let instance = rig.fleet.instances.get_mut(&name("a")).expect("a");
    instance.config = Config::Ready(Arc::new(hasty));
    rig.command("a", Action::Start);
    for _ in 1..=3 {
        rig.launched("a");
        let before = rig.run("a");
        let decision = rig.exited("a", ExitStatus::Code(1));
        assert_eq!(timer_of(&decision), None);
        assert_eq!(rig.status("a"), Status::Starting);
        assert_ne!(rig.run("a"), before);
        // What the run left is kept before the next one takes its place.
        let place = |wanted: fn(&Effect) -> bool| decision.effects.iter().position(wanted);
        let kept = place(|effect| matches!(effect, Effect::KeepBundle { .. }));
        let launched = place(|effect| matches!(effect, Effect::Launch { .. }));
        assert!(kept.is_some() && kept < launched, "{decision:?}");
    }
    rig.launched("a");
    rig.exited("a", ExitStatus::Code(1));
    assert_eq!(rig.status("a"), Status::Failed);
}

#[test]
fn a_long_healthy_time_is_what_forgives() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.fleet.instances.get_mut(&name("a")).expect("a").restarts = 3;
    rig.launched("a");
    rig.seconds = 5000;
    rig.healthy("a");
    rig.seconds = 5000 + 600;
    rig.exited("a", ExitStatus::Code(1));
    assert_eq!(rig.status("a"), Status::Backoff);
    assert_eq!(rig.fleet.instances[&name("a")].restarts, 1);
}

#[test]
fn a_taken_port_fails_a_users_start_and_delays_an_automatic_one() {
    for (automatic, expected) in [(false, Status::Failed), (true, Status::Backoff)] {
        let mut rig = Rig::new();
        if automatic {
            rig.give(Input::Autostart {
                names: vec![name("a")],
            });
        } else {
            rig.command("a", Action::Start);
        }
        let run = rig.run("a").expect("a launch");
        rig.give(Input::LaunchFailed {
            name: name("a"),
            run,
            failure: Failure::PortInUse,
            message: "port 1 is in use".to_owned(),
            autopsy: None,
        });
        assert_eq!(rig.status("a"), expected);
    }
}

#[test]
fn what_is_stale_changes_nothing() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    let old = RunId::new("old".to_owned());
    let inputs = [
        Input::Exited {
            name: name("a"),
            run: old.clone(),
            exit: exit(ExitStatus::Code(1)),
            traces: Traces::default(),
        },
        Input::Probed {
            name: name("a"),
            run: old.clone(),
            sight: Sight::Healthy,
            took: None,
        },
        Input::TimerFired {
            name: name("a"),
            timer: 999,
        },
        Input::Launched {
            name: name("a"),
            up: up(old),
        },
    ];
    for input in inputs {
        assert!(rig.give(input.clone()).effects.is_empty(), "{input:?}");
        assert_eq!(rig.status("a"), Status::Starting);
    }
}
