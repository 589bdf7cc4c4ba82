//! What holds whatever happens, in whatever order.

use proptest::prelude::*;

use super::retries::device;
use super::*;
use crate::domain::lifecycle::{Desired, Failure};
use crate::domain::run::StopMode;
use crate::supervisor::state::Phase;

/// Ends of every class of retry.
const ENDS: [(ExitStatus, &str); 5] = [
    (ExitStatus::Code(0), ""),
    (ExitStatus::Signal(11), ""),
    (ExitStatus::Code(1), "error: invalid argument: --x"),
    (
        ExitStatus::Code(1),
        "couldn't bind HTTP server socket, hostname: h, port: 1",
    ),
    (
        ExitStatus::Code(1),
        "failed to allocate CUDA0 buffer of size 1073741824",
    ),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Stop,
    Kill,
    Restart,
    Launched,
    LaunchFailed(bool),
    Healthy,
    Failed(usize),
    Wedged,
    Stalled,
    Exited(usize),
    Timer,
    Memory(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Start),
        Just(Step::Stop),
        Just(Step::Kill),
        Just(Step::Restart),
        Just(Step::Launched),
        any::<bool>().prop_map(Step::LaunchFailed),
        Just(Step::Healthy),
        (0..3usize).prop_map(Step::Failed),
        Just(Step::Wedged),
        Just(Step::Stalled),
        (0..ENDS.len()).prop_map(Step::Exited),
        Just(Step::Timer),
        (0u64..64).prop_map(Step::Memory),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn never_two_launches_at_once_and_a_stop_always_wins(steps in steps(), delay in 0..2u64) {
        let mut rig = Rig::new();
        let mut spec = spec("a");
        spec.restart_policy.initial_delay = Duration::from_secs(delay);
        rig.fleet.instances.get_mut(&name("a")).expect("a").config = Config::Ready(Arc::new(spec));
        let mut alive = 0_usize;
        let mut timer = None;
        let mut wanted = Desired::Stopped;
        let mut crashes = 0;
        for step in steps {
            let run = rig.run("a");
            let decision = match (step, run) {
                (Step::Start, _) => { wanted = Desired::Running; rig.command("a", Action::Start) }
                (Step::Restart, _) => {
                    wanted = Desired::Running;
                    rig.command("a", Action::Restart(StopMode::Gentle))
                }
                (Step::Stop, _) => {
                    wanted = Desired::Stopped;
                    rig.command("a", Action::Stop(StopMode::Gentle))
                }
                (Step::Kill, _) => {
                    wanted = Desired::Stopped;
                    rig.command("a", Action::Stop(StopMode::Kill))
                }
                (Step::Launched, Some(run)) if alive == 1 => {
                    rig.give(Input::Launched { name: name("a"), up: up(run) })
                }
                (Step::LaunchFailed(port), Some(run)) if alive == 1 => {
                    let failure = if port { Failure::PortInUse } else { Failure::Resources };
                    let message = "no".to_owned();
                    let before = rig.status("a");
                    let decision = rig.give(Input::LaunchFailed { name: name("a"), run, failure, message, autopsy: None });
                    if rig.status("a") != before {
                        alive = 0;
                    }
                    decision
                }
                (Step::Healthy, Some(_)) => rig.saw("a", Sight::Healthy),
                (Step::Failed(how), Some(_)) => {
                    let failures = [Sight::Wrong, Sight::Unreachable, Sight::Stranger];
                    rig.saw("a", failures[how]("why".to_owned()))
                }
                (Step::Wedged, Some(run)) => {
                    let evidence = Some("why".to_owned());
                    rig.give(Input::Wedged { name: name("a"), run, evidence })
                }
                (Step::Stalled, Some(run)) => {
                    rig.give(Input::Stalled { name: name("a"), run, reason: "why".to_owned() })
                }
                (Step::Exited(end), Some(run)) if alive == 1 => {
                    let (status, line) = ENDS[end];
                    let exit = exit(status);
                    let before = rig.run("a");
                    let decision = rig.give(Input::Exited { name: name("a"), run, exit, traces: said(&[line]) });
                    // A run that is still being launched cannot have exited yet; it is ignored.
                    if rig.run("a") != before {
                        alive = 0;
                    }
                    decision
                }
                (Step::Timer, _) => match timer {
                    Some(timer) => rig.give(Input::TimerFired { name: name("a"), timer }),
                    None => continue,
                },
                (Step::Memory(gibibytes), _) => {
                    rig.fleet.host.devices = vec![device(gibibytes << 30)];
                    rig.seconds += 1;
                    continue;
                }
                (_, _) => continue,
            };
            alive += launches(&decision, "a");
            prop_assert!(alive <= 1, "two processes of one instance");
            for effect in &decision.effects {
                match effect {
                    Effect::SetTimer { timer: set, after, .. } => {
                        timer = Some(*set);
                        prop_assert!(*after <= Duration::from_secs(3600));
                        // Only the cap of a start is longer than the longest delay.
                        if rig.status("a") == Status::Backoff {
                            prop_assert!(*after <= RestartPolicy::default().max_delay);
                        }
                    }
                    Effect::Launch { .. } => prop_assert_eq!(wanted, Desired::Running),
                    _ => {}
                }
            }
            let restarts = rig.fleet.instances[&name("a")].restarts;
            match (step, rig.status("a")) {
                _ if restarts == 0 => crashes = 0,
                (Step::Exited(_), Status::Backoff) => crashes += 1,
                _ => {}
            }
            prop_assert!(restarts <= 3 && crashes <= 3, "{} restarts, {} crashes", restarts, crashes);
            prop_assert_eq!(rig.fleet.instances[&name("a")].desired, wanted);
        }
    }

    #[test]
    fn no_more_load_at_once_than_may(steps in proptest::collection::vec((0..2usize, steps()), 1..8)) {
        let mut rig = Rig::new();
        let mut timers = [None; 2];
        for (which, step) in steps.into_iter().flat_map(|(which, steps)| {
            steps.into_iter().map(move |step| (which, step))
        }) {
            let text = ["a", "b"][which];
            let launching = matches!(rig.fleet.instances[&name(text)].phase, Phase::Launching { .. });
            let decision = match (step, rig.run(text)) {
                (Step::Start, _) => rig.command(text, Action::Start),
                (Step::Restart, _) => rig.command(text, Action::Restart(StopMode::Gentle)),
                (Step::Stop | Step::Kill, _) => rig.command(text, Action::Stop(StopMode::Kill)),
                (Step::Launched, Some(run)) if launching => {
                    rig.give(Input::Launched { name: name(text), up: up(run) })
                }
                (Step::Healthy, Some(_)) => rig.saw(text, Sight::Healthy),
                (Step::Exited(end), Some(run)) if !launching => {
                    let (status, line) = ENDS[end];
                    let (exit, traces) = (exit(status), said(&[line]));
                    rig.give(Input::Exited { name: name(text), run, exit, traces })
                }
                (Step::Timer, _) => match timers[which] {
                    Some(timer) => rig.give(Input::TimerFired { name: name(text), timer }),
                    None => continue,
                },
                (_, _) => continue,
            };
            for effect in &decision.effects {
                if let Effect::SetTimer { name: of, timer, .. } = effect {
                    timers[usize::from(of.as_str() == "b")] = Some(*timer);
                }
            }
            let loading = rig.fleet.instances.values().filter(|instance| instance.is_loading());
            prop_assert!(loading.count() <= rig.fleet.max_loading);
        }
    }
}
