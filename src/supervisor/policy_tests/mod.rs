//! The policy as rows of data, and under random inputs.

mod clocks;
mod configs;
mod health;
mod plans;
mod random;
mod reconcile;
mod retries;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Action, Command, Configs, Decision, Effect, Input, Moment, Sight};
use super::policy::handle;
use super::state::{Config, Fleet, Liveness, Up};
use crate::domain::autopsy::Traces;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::tests::spec;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::{Health, Status};
use crate::domain::readings::Readings;
use crate::domain::restart::RestartPolicy;
use crate::domain::run::RunId;

/// A fleet of two instances and a clock that a test moves.
struct Rig {
    fleet: Fleet,
    seconds: u64,
    /// Unix seconds, which decide nothing.
    wall: f64,
    next_timer: u64,
}

fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).expect("a good name")
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self {
            fleet: Fleet::new(1),
            seconds: 0,
            wall: 0.0,
            next_timer: 1,
        };
        let configs = ["a", "b"].map(|text| (name(text), Config::Ready(Arc::new(spec(text)))));
        rig.give(Input::ConfigsLoaded(Configs {
            instances: BTreeMap::from(configs),
            ..Configs::default()
        }));
        rig
    }

    fn give(&mut self, input: Input) -> Decision {
        let elapsed = Duration::from_secs(self.seconds);
        let moment = Moment::new(self.wall, elapsed, self.next_timer, random);
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
        self.exited_saying(text, status, &[])
    }

    fn exited_saying(&mut self, text: &str, status: ExitStatus, lines: &[&str]) -> Decision {
        let run = self.run(text).expect("a run is up");
        self.give(Input::Exited {
            name: name(text),
            run,
            exit: exit(status),
            traces: said(lines),
        })
    }

    fn healthy(&mut self, text: &str) -> Decision {
        self.saw(text, Sight::Healthy)
    }

    fn saw(&mut self, text: &str, sight: Sight) -> Decision {
        let run = self.run(text).expect("a run is up");
        let took = None;
        self.give(Input::Probed {
            name: name(text),
            run,
            sight,
            took,
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
        build: None,
        started_with: BTreeMap::new(),
        health: Health::Unknown,
        detail: None,
        activity: None,
        progress: None,
        readings: Readings::default(),
        healthy_since: None,
        timer: 0,
        liveness: Liveness::default(),
    }
}

fn exit(status: ExitStatus) -> RunExit {
    RunExit {
        status: Some(status),
        core_dumped: false,
        started_at: 0.0,
        ended_at: 1.0,
        dropped_bytes: 0,
        requested: None,
    }
}

fn launches(decision: &Decision, text: &str) -> usize {
    let launch = |effect: &&Effect| matches!(effect, Effect::Launch { name: found, .. } if found.as_str() == text);
    decision.effects.iter().filter(launch).count()
}

/// The last lines of a run.
fn said(lines: &[&str]) -> Traces {
    Traces {
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..Traces::default()
    }
}

/// The timer that a decision sets, and for how long.
fn timer_of(decision: &Decision) -> Option<(u64, Duration)> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::SetTimer { timer, after, .. } => Some((*timer, *after)),
        _ => None,
    })
}
