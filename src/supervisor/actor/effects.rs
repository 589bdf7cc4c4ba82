//! Carrying out what was decided: first what must be remembered, then what touches the world.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::super::clock::wall;
use super::super::decision::{Effect, Input};
use super::super::launch::Launched;
use super::super::record::sample;
use super::super::{Scope, launch, probing};
use super::refresh::Probe;
use super::{Actor, Message};
use crate::domain::event::{Event, EventType, Level};
use crate::domain::instance::InstanceName;

/// Wishes for a look that wait for one probe; more find the next look anyway.
const KNOCKS: usize = 16;

impl Actor {
    pub(super) async fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut acts = Vec::new();
        for effect in effects {
            match effect {
                Effect::StoreDesired { name, desired } => {
                    self.recorder.desired(&name, desired, wall());
                }
                Effect::StoreRunStarted { name, run } => {
                    let live = self
                        .watching
                        .get(&name)
                        .map(|watching| watching.live.as_ref());
                    self.recorder.run_started(&name, &run, live);
                }
                Effect::StoreRunEnded {
                    name,
                    run,
                    exit,
                    autopsy,
                } => {
                    self.recorder.run_ended(&name, &run, &exit, autopsy);
                }
                Effect::StoreHealth {
                    name,
                    health,
                    took,
                    detail,
                } => self.recorder.health(sample(name, health, took, detail)),
                Effect::Announce {
                    name,
                    level,
                    kind,
                    message,
                } => {
                    self.announce(name, level, kind, message);
                }
                act @ (Effect::KeepBundle { .. }
                | Effect::Launch { .. }
                | Effect::Stop { .. }
                | Effect::StartProbing { .. }
                | Effect::StopProbing { .. }
                | Effect::SetGrace { .. }
                | Effect::SetTimer { .. }
                | Effect::CancelTimer { .. }) => acts.push(act),
            }
        }
        self.recorder.runtime(&self.fleet, wall());
        for event in self.recorder.commit().await {
            self.events.push(event);
        }
        for act in acts {
            self.act(act);
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Launch {
                name,
                run,
                spec,
                ports,
            } => {
                let launcher = self.launcher.clone();
                let sender = self.sender.clone();
                self.under_way.spawn_blocking(move || {
                    let message = match launch::launch(&launcher, &run, &spec, &ports) {
                        Ok(Launched { up, live, claim }) => Message::Launched {
                            name,
                            up,
                            live: Box::new(live),
                            claim,
                        },
                        // The next owner starts it; that this one does not, is no failure.
                        Err(_) if launcher.closing.is_cancelled() => return,
                        Err(failed) => Message::Input(Input::LaunchFailed {
                            name,
                            run,
                            failure: failed.failure,
                            message: failed.message,
                            autopsy: failed.autopsy,
                        }),
                    };
                    sender.blocking_send(message).ok(); // the loop has ended; the run is adopted later
                });
            }
            Effect::KeepBundle {
                name,
                run,
                exit,
                autopsy,
            } => self.keep_bundle(name, &run, exit, autopsy),
            Effect::Stop { name, run, mode } => self.stop(&name, &run, mode),
            Effect::StartProbing { name, .. } if !self.scope.covers(&name) => {}
            Effect::StartProbing {
                name,
                run,
                pid,
                port,
                spec,
                health,
            } => {
                let Some(tree) = self.tree_of(&name, pid) else {
                    return; // it has ended, which is on its way to us
                };
                let subject = probing::Subject {
                    tree,
                    root: self.launcher.home.root().to_owned(),
                    name: name.clone(),
                    run,
                    port,
                    spec,
                    health,
                };
                let token = CancellationToken::new();
                let (knock, knocks) = mpsc::channel(KNOCKS);
                let probe = Probe {
                    token: token.clone(),
                    knock,
                };
                if let Some(previous) = self.probes.insert(name.clone(), probe) {
                    previous.token.cancel();
                }
                let board = self.board.clone();
                let log = self.recorder.health_log();
                let probing = probing::run(subject, board, log, self.sender.clone(), knocks);
                // Boxed: each step that wraps it would else hold a copy of its whole size.
                let probing = Box::pin(probing);
                tokio::spawn(async move {
                    token.run_until_cancelled(probing).await;
                });
            }
            Effect::StopProbing { name } => {
                if let Some(probe) = self.probes.remove(&name) {
                    probe.token.cancel();
                }
            }
            Effect::SetGrace { name, run, grace } => self.set_grace(&name, run, grace),
            Effect::SetTimer { name, timer, after } => self.set_timer(name, timer, after),
            Effect::CancelTimer { timer, .. } => {
                if let Some(task) = self.timers.remove(&timer) {
                    task.abort();
                }
            }
            Effect::StoreDesired { .. }
            | Effect::StoreRunStarted { .. }
            | Effect::StoreRunEnded { .. }
            | Effect::StoreHealth { .. }
            | Effect::Announce { .. } => {}
        }
    }

    fn set_timer(&mut self, name: InstanceName, timer: u64, after: Duration) {
        let sender = self.sender.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let fired = Message::Input(Input::TimerFired { name, timer });
            sender.send(fired).await.ok(); // the loop has ended
        });
        self.timers.insert(timer, task.abort_handle());
        self.timers.retain(|_, task| !task.is_finished());
    }

    /// Adds an event about this process to the next commit; commands come and go unmentioned.
    pub(super) fn tell_of_owner(&mut self, kind: EventType, does: &str) {
        if self.scope == Scope::Fleet {
            let message = format!("pid {} {does} this home", std::process::id());
            self.announce(None, Level::Info, kind, message);
        }
    }

    /// Adds an event to the next commit.
    pub(in crate::supervisor) fn announce(
        &mut self,
        name: Option<InstanceName>,
        level: Level,
        kind: EventType,
        message: String,
    ) {
        log_event(name.as_ref(), level, kind, &message);
        self.recorder.event(Event {
            id: 0,
            at: wall(),
            instance: name,
            level,
            kind,
            message,
        });
    }
}

fn log_event(name: Option<&InstanceName>, level: Level, kind: EventType, message: &str) {
    let name = name.map_or("-", InstanceName::as_str);
    match level {
        Level::Info => info!(instance = name, %kind, "{message}"),
        Level::Warning => warn!(instance = name, %kind, "{message}"),
        Level::Error => error!(instance = name, %kind, "{message}"),
    }
}
