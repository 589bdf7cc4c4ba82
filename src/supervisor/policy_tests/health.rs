//! What follows from probes, from the watchdog and from a start that stands still.

use super::*;
use crate::domain::autopsy::Cause;
use crate::domain::event::{EventType, Level};
use crate::domain::run::StopMode;
use crate::supervisor::state::{Phase, Standing, Then};

fn wrong() -> Sight {
    Sight::Wrong("answered 500: no".to_owned())
}

fn gone() -> Sight {
    Sight::Unreachable("refused".to_owned())
}

fn stranger() -> Sight {
    Sight::Stranger("another process answers on port 1".to_owned())
}

impl Rig {
    /// An instance `a` whose run is up.
    fn up() -> Self {
        let mut rig = Self::new();
        rig.command("a", Action::Start);
        rig.launched("a");
        rig
    }

    fn word(&self) -> (Health, Option<String>) {
        let row = self.fleet.instances[&name("a")].row(&name("a"), false);
        (row.health, row.reason)
    }

    fn wedged(&mut self, evidence: Option<&str>) -> Decision {
        let run = self.run("a").expect("a run is up");
        self.give(Input::Wedged {
            name: name("a"),
            run,
            evidence: evidence.map(str::to_owned),
        })
    }

    fn change(&mut self, change: impl Fn(&mut InstanceSpec)) {
        let mut changed = spec("a");
        change(&mut changed);
        let instance = self.fleet.instances.get_mut(&name("a")).expect("a");
        instance.config = Config::Ready(Arc::new(changed));
    }
}

/// The cause for which a decision ended the run, if it did.
fn ended(rig: &Rig, decision: &Decision) -> Option<Cause> {
    let stops = decision.effects.iter().any(|effect| {
        matches!(
            effect,
            Effect::Stop {
                mode: StopMode::Gentle,
                ..
            }
        )
    });
    match &rig.fleet.instances[&name("a")].phase {
        Phase::Stopping {
            then: Then::TryAgain { cause, .. },
            ..
        } if stops => Some(*cause),
        _ => None,
    }
}

fn events(decision: &Decision) -> Vec<(Level, EventType, String)> {
    let event = |effect: &Effect| match effect {
        Effect::Announce {
            level,
            kind,
            message,
            ..
        } => Some((*level, *kind, message.clone())),
        _ => None,
    };
    decision.effects.iter().filter_map(event).collect()
}

fn tells(decision: &Decision, level: Level, message: &str) {
    let expected = (level, EventType::HealthChanged, message.to_owned());
    let told = events(decision);
    assert!(told.contains(&expected), "{told:?}");
}

#[test]
fn a_sight_is_shown_by_whether_the_server_was_ever_healthy() {
    let text = |text: &str| Some(text.to_owned());
    let warming = Sight::Loading(text("warming up"));
    let rows = [
        (
            Sight::Healthy,
            (Health::Healthy, None),
            (Health::Healthy, None),
        ),
        (
            Sight::Loading(None),
            (Health::Loading, None),
            (Health::Loading, None),
        ),
        (
            warming,
            (Health::Loading, text("warming up")),
            (Health::Loading, text("warming up")),
        ),
        (
            wrong(),
            (Health::Error, text("answered 500: no")),
            (Health::Error, text("answered 500: no")),
        ),
        (
            gone(),
            (Health::Unknown, None),
            (Health::Unhealthy, text("unreachable: refused")),
        ),
        (
            stranger(),
            (Health::Unknown, text("another process answers on port 1")),
            (Health::Unhealthy, text("another process answers on port 1")),
        ),
    ];
    for (sight, before, after) in rows {
        let mut rig = Rig::up();
        rig.saw("a", sight.clone());
        assert_eq!(rig.word(), before, "{sight:?} before it was healthy");
        let mut rig = Rig::up();
        rig.healthy("a");
        rig.saw("a", sight.clone());
        assert_eq!(rig.word(), after, "{sight:?} after it was healthy");
    }
}

#[test]
fn failures_in_a_row_after_the_first_healthy_answer_end_the_run() {
    let loading = || Sight::Loading(None);
    // The sights after the launch, and whether the last of them ends the run; three are too many.
    let rows = [
        (vec![Sight::Healthy, gone(), gone()], None),
        (
            vec![Sight::Healthy, gone(), gone(), gone()],
            Some(Cause::Unresponsive),
        ),
        (
            vec![Sight::Healthy, gone(), wrong(), stranger()],
            Some(Cause::Unresponsive),
        ),
        (
            vec![Sight::Healthy, gone(), gone(), Sight::Healthy, gone()],
            None,
        ),
        (
            vec![Sight::Healthy, gone(), gone(), loading(), gone(), gone()],
            None,
        ),
        (vec![gone(), gone(), gone(), gone()], None),
        (vec![wrong(), wrong(), wrong(), wrong()], None),
        (
            vec![Sight::Healthy, loading(), loading(), loading(), loading()],
            None,
        ),
    ];
    for (sights, expected) in rows {
        let mut rig = Rig::up();
        let mut last = Decision::default();
        for sight in &sights {
            assert_eq!(ended(&rig, &last), None, "{sights:?}");
            last = rig.saw("a", sight.clone());
        }
        assert_eq!(ended(&rig, &last), expected, "{sights:?}");
    }
}

#[test]
fn an_unresponsive_run_counts_as_a_bad_one_and_is_started_again() {
    let mut rig = Rig::up();
    rig.healthy("a");
    rig.saw("a", gone());
    rig.saw("a", gone());
    let decision = rig.saw("a", gone());
    let expected = "3 probes failed in a row: unreachable: refused; it is ended and started again";
    tells(&decision, Level::Error, expected);
    let exited = rig.exited("a", ExitStatus::Signal(9));
    assert_eq!(rig.status("a"), Status::Backoff);
    assert_eq!(rig.fleet.instances[&name("a")].restarts, 1);
    let (timer, _) = timer_of(&exited).expect("a backoff");
    let due = rig.give(Input::TimerFired {
        name: name("a"),
        timer,
    });
    assert_eq!(launches(&due, "a"), 1);
}

#[test]
fn without_a_restart_policy_an_unresponsive_run_is_only_shown() {
    let mut rig = Rig::up();
    rig.change(|spec| spec.restart_policy.enabled = false);
    rig.healthy("a");
    for _ in 0..9 {
        let decision = rig.saw("a", gone());
        assert_eq!(ended(&rig, &decision), None);
    }
    let decision = rig.wedged(Some("nothing moves"));
    assert_eq!(ended(&rig, &decision), None);
    let word = (Health::Unhealthy, Some("wedged: nothing moves".to_owned()));
    assert_eq!(rig.word(), word);
}

#[test]
fn a_long_healthy_time_forgives_even_when_the_run_ends_unresponsive() {
    let mut rig = Rig::up();
    rig.fleet.instances.get_mut(&name("a")).expect("a").restarts = 3;
    rig.healthy("a");
    rig.seconds += 600;
    for _ in 0..3 {
        rig.saw("a", gone());
    }
    rig.exited("a", ExitStatus::Signal(9));
    assert_eq!(rig.fleet.instances[&name("a")].restarts, 1);
}

#[test]
fn an_adopted_run_is_believed_until_a_full_cycle_of_probes_says_otherwise() {
    let mut rig = Rig::new();
    let mut adopted = up(RunId::new("r".to_owned()));
    adopted.health = Health::Healthy;
    adopted.liveness.proven = true;
    adopted.liveness.standing = Standing::Assumed;
    rig.fleet.instances.get_mut(&name("a")).expect("a").desired =
        crate::domain::lifecycle::Desired::Running;
    rig.give(Input::Adopted {
        name: name("a"),
        up: adopted,
        stopping: None,
    });
    for probe in 1..=2 {
        let decision = rig.saw("a", gone());
        assert_eq!(rig.word(), (Health::Healthy, None), "probe {probe}");
        assert_eq!(events(&decision), []);
    }
    rig.saw("a", gone());
    assert_eq!(rig.word().0, Health::Unhealthy);
    // Only now does it count as it does for every other run.
    let mut last = Decision::default();
    for _ in 0..3 {
        assert_eq!(ended(&rig, &last), None);
        last = rig.saw("a", gone());
    }
    assert_eq!(ended(&rig, &last), Some(Cause::Unresponsive));
}

#[test]
fn a_wedge_is_told_with_its_evidence_and_ends_the_run() {
    let mut rig = Rig::up();
    rig.healthy("a");
    let decision = rig.wedged(Some("1 of 1 slots busy"));
    assert_eq!(ended(&rig, &decision), Some(Cause::Unresponsive));
    let expected = "health unhealthy (was healthy): wedged: 1 of 1 slots busy";
    tells(&decision, Level::Warning, expected);
}

#[test]
fn a_wedged_server_that_moves_again_is_healthy_and_one_that_answers_is_not() {
    let mut rig = Rig::up();
    rig.change(|spec| spec.restart_policy.enabled = false);
    rig.healthy("a");
    rig.wedged(Some("nothing moves"));
    rig.saw("a", Sight::Healthy);
    assert_eq!(rig.word().0, Health::Unhealthy, "only /health answers");
    rig.wedged(None);
    assert_eq!(rig.word(), (Health::Healthy, None));
}

#[test]
fn a_start_without_progress_is_tried_again_and_a_finished_one_is_left_alone() {
    let stalled = |rig: &mut Rig| {
        let run = rig.run("a").expect("a run is up");
        rig.give(Input::Stalled {
            name: name("a"),
            run,
            reason: "no progress for 60 s".to_owned(),
        })
    };
    let mut rig = Rig::up();
    rig.saw("a", Sight::Loading(None));
    let decision = stalled(&mut rig);
    assert_eq!(ended(&rig, &decision), Some(Cause::StartTimedOut));
    let mut rig = Rig::up();
    rig.healthy("a");
    let decision = stalled(&mut rig);
    assert!(decision.effects.is_empty());
}

#[test]
fn measurements_are_shown_and_nothing_follows_from_them() {
    let mut rig = Rig::up();
    let measured = |run: &RunId, rss| crate::supervisor::decision::Measured {
        name: name("a"),
        run: run.clone(),
        readings: Readings {
            rss_bytes: Some(rss),
            ..Readings::default()
        },
        progress: Some(63),
        activity: Some("reading 1.0 of 2.0 GB".to_owned()),
        totals: crate::supervisor::tally::Totals::default(),
    };
    let run = rig.run("a").expect("a run is up");
    let old = RunId::new("old".to_owned());
    let runs = vec![measured(&old, 1), measured(&run, 2), measured(&old, 3)];
    let decision = rig.give(Input::Measured { runs, host: None });
    assert!(decision.effects.is_empty());
    let instance = &rig.fleet.instances[&name("a")];
    let row = instance.row(&name("a"), false);
    assert_eq!(row.readings.rss_bytes, Some(2));
    assert_eq!(row.progress, Some(63));
    assert_eq!(row.reason.as_deref(), Some("reading 1.0 of 2.0 GB"));
    assert_eq!(instance.trouble(), None, "it is not worth remembering");
    rig.healthy("a");
    let late = vec![measured(&run, 4)];
    rig.give(Input::Measured {
        runs: late,
        host: None,
    });
    let row = rig.fleet.instances[&name("a")].row(&name("a"), false);
    assert_eq!(row.readings.rss_bytes, Some(4));
    assert_eq!((row.progress, row.reason), (None, None), "it is ready");
}
