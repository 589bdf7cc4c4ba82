//! The policy as rows of data, and under random inputs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::decision::{Action, Command, Decision, Effect, Ignored, Input, Moment, Outcome};
use super::policy::handle;
use super::state::{Config, Fleet, Up};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::{
    Backend, Binary, Gpu, Healthcheck, InstanceName, InstanceSpec, Layers, Logs, Model, Port,
    ProbeBackoff, ProbeKind, Server,
};
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::readings::Readings;
use crate::domain::restart::RestartPolicy;
use crate::domain::run::{RunId, StopMode};

/// A fleet of two instances and a clock that a test moves.
struct Rig {
    fleet: Fleet,
    seconds: u64,
    next_timer: u64,
}

fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).expect("a good name")
}

fn spec(text: &str) -> InstanceSpec {
    InstanceSpec {
        name: name(text),
        display_name: text.to_owned(),
        tags: Vec::new(),
        autostart: false,
        sort_order: None,
        instance_uid: None,
        instance_no: None,
        binary: Binary::Simulated,
        model: Model {
            path: None,
            context_size: 0,
            batch_size: None,
            threads: None,
        },
        server: Server {
            host: "127.0.0.1".to_owned(),
            port: Port::Auto,
            timeout: 600,
            parallel: 1,
        },
        gpu: Gpu {
            backend: Backend::Cpu,
            device_id: 0,
            layers: Layers::Count(0),
        },
        env: BTreeMap::new(),
        args: Vec::new(),
        healthcheck: Healthcheck {
            probe: ProbeKind::Tcp,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 3,
            retry_delay: Duration::from_secs(1),
            start_period: Duration::from_secs(60),
            start_timeout: Some(Duration::from_secs(3600)),
            backoff: ProbeBackoff {
                enabled: true,
                base: 1.0,
                max: 60.0,
                jitter: 0.1,
            },
            warmup_prompt: None,
        },
        restart_policy: RestartPolicy {
            max_retries: 3,
            ..RestartPolicy::default()
        },
        stop_grace: Duration::from_secs(10),
        router: false,
        logs: Logs {
            stdout: "/o".into(),
            stderr: "/e".into(),
            max_size: 1 << 20,
            rotation: 3,
        },
    }
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self {
            fleet: Fleet::new(1),
            seconds: 0,
            next_timer: 1,
        };
        let configs = ["a", "b"].map(|text| (name(text), Config::Ready(Arc::new(spec(text)))));
        rig.give(Input::ConfigsLoaded(BTreeMap::from(configs)));
        rig
    }

    fn give(&mut self, input: Input) -> Decision {
        let elapsed = Duration::from_secs(self.seconds);
        let moment = Moment::new(self.seconds as f64, elapsed, self.next_timer, random);
        let decision = handle(&mut self.fleet, input, &moment);
        self.next_timer = moment.unused_timer();
        decision
    }

    fn command(&mut self, text: &str, action: Action) -> Decision {
        self.give(Input::Command(Command {
            name: name(text),
            action,
        }))
    }

    fn status(&self, text: &str) -> Status {
        self.fleet.instances[&name(text)]
            .row(&name(text), false)
            .status
    }

    fn run(&self, text: &str) -> Option<RunId> {
        self.fleet.instances[&name(text)].phase.run().cloned()
    }

    fn launched(&mut self, text: &str) -> Decision {
        let run = self.run(text).expect("a run is being launched");
        self.give(Input::Launched {
            name: name(text),
            up: up(run),
        })
    }

    fn exited(&mut self, text: &str, status: ExitStatus) -> Decision {
        let run = self.run(text).expect("a run is up");
        self.give(Input::Exited {
            name: name(text),
            run,
            exit: exit(status),
            last_words: None,
        })
    }

    fn healthy(&mut self, text: &str) -> Decision {
        let run = self.run(text).expect("a run is up");
        let health = Health::Healthy;
        self.give(Input::Probed {
            name: name(text),
            run,
            health,
            detail: None,
        })
    }
}

fn random() -> u128 {
    fastrand::u128(..)
}

fn up(run: RunId) -> Up {
    Up {
        run,
        pid: 7,
        port: Some(1),
        started_at: 0.0,
        started_with: BTreeMap::new(),
        health: Health::Unknown,
        detail: None,
        progress: None,
        readings: Readings::default(),
        healthy_since: None,
        timer: 0,
    }
}

fn exit(status: ExitStatus) -> RunExit {
    RunExit {
        status: Some(status),
        core_dumped: false,
        started_at: 0.0,
        ended_at: 1.0,
        dropped_bytes: 0,
        requested: false,
    }
}

fn launches(decision: &Decision, text: &str) -> usize {
    let launch = |effect: &&Effect| matches!(effect, Effect::Launch { name: found, .. } if found.as_str() == text);
    decision.effects.iter().filter(launch).count()
}

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
    rig.launched("a");
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
        let timer = decision.effects.iter().find_map(|effect| match effect {
            Effect::SetTimer { timer, .. } => Some(*timer),
            _ => None,
        });
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
            last_words: None,
        },
        Input::Probed {
            name: name("a"),
            run: old.clone(),
            health: Health::Healthy,
            detail: None,
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

#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    Stop,
    Kill,
    Restart,
    Launched,
    LaunchFailed(bool),
    Healthy,
    Exited(i32),
    Timer,
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
        (0..3).prop_map(Step::Exited),
        Just(Step::Timer),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn never_two_launches_at_once_and_a_stop_always_wins(steps in steps()) {
        let mut rig = Rig::new();
        let mut alive = 0_usize;
        let mut timer = None;
        let mut wanted = Desired::Stopped;
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
                    let decision = rig.give(Input::LaunchFailed { name: name("a"), run, failure, message });
                    if rig.status("a") != before {
                        alive = 0;
                    }
                    decision
                }
                (Step::Healthy, Some(run)) => {
                    let health = Health::Healthy;
                    rig.give(Input::Probed { name: name("a"), run, health, detail: None })
                }
                (Step::Exited(code), Some(run)) if alive == 1 => {
                    let exit = exit(ExitStatus::Code(code));
                    let before = rig.run("a");
                    let decision = rig.give(Input::Exited { name: name("a"), run, exit, last_words: None });
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
                (_, _) => continue,
            };
            alive += launches(&decision, "a");
            prop_assert!(alive <= 1, "two processes of one instance");
            for effect in &decision.effects {
                match effect {
                    Effect::SetTimer { timer: set, after, .. } => {
                        timer = Some(*set);
                        prop_assert!(*after <= Duration::from_secs(3600));
                    }
                    Effect::Launch { .. } => prop_assert_eq!(wanted, Desired::Running),
                    _ => {}
                }
            }
            prop_assert!(rig.fleet.instances[&name("a")].restarts <= 3);
            prop_assert_eq!(rig.fleet.instances[&name("a")].desired, wanted);
        }
    }
}
