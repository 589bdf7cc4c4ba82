//! The runs this owner watches: their processes' ends, and the way to stop them.

use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::super::claims::Claim;
use super::super::crashes::{self, Remains};
use super::super::decision::{Effect, Input};
use super::super::ends;
use super::{Actor, Message};
use crate::domain::autopsy::Autopsy;
use crate::domain::event::{EventType, Level};
use crate::domain::exit::RunExit;
use crate::domain::instance::InstanceName;
use crate::domain::run::{RunId, StopMode};
use crate::process::adopt;
use crate::process::listeners::Tree;
use crate::process::live::LiveRun;
use crate::process::os;
use crate::process::runfiles::{self, SpecFile};

/// A run this owner watches.
pub(super) struct Watching {
    pub(super) key: u64,
    pub(super) live: Box<LiveRun>,
    /// When its process began, by the clock that decides.
    pub(super) begun_at: Instant,
    retry: Retry,
    /// Keeps its port from other instances.
    _claim: Option<Claim>,
}

/// Whether a new shim is just being tried for a run that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    None,
    UnderWay,
    /// The server ended meanwhile, which is told when the shim is there or has failed.
    EndedMeanwhile,
}

impl Watching {
    pub(super) fn new(key: u64, live: Box<LiveRun>) -> Self {
        let age = os::age(live.child().id).unwrap_or_default();
        let now = Instant::now();
        Self {
            key,
            begun_at: now.checked_sub(age).unwrap_or(now),
            live,
            retry: Retry::None,
            _claim: None,
        }
    }
}

impl Actor {
    /// Watches a run whose server listens where it should, or never did.
    pub(in crate::supervisor) fn watch(&mut self, name: &InstanceName, live: Box<LiveRun>) {
        self.watch_with_port(name, live, None);
    }

    /// Watches a run and keeps its port for it.
    pub(super) fn watch_with_port(
        &mut self,
        name: &InstanceName,
        live: Box<LiveRun>,
        claim: Option<Claim>,
    ) {
        let key = self.next_key;
        self.next_key += 1;
        if let Err(error) = self.watcher.watch(key, live.watched_fd()) {
            error!(%name, %error, "cannot watch the run's process");
        }
        let watching = Watching {
            _claim: claim,
            ..Watching::new(key, live)
        };
        self.watching.insert(name.clone(), watching);
    }

    /// The shim (or, without one, the server) of a run ended.
    pub(super) fn ended(&mut self, key: u64, effects: &mut Vec<Effect>) {
        if self.unit_ended(key) {
            return;
        }
        let Some((name, watching)) = self.by_key(key) else {
            return;
        };
        if watching.retry != Retry::None {
            watching.retry = Retry::EndedMeanwhile;
            return;
        }
        let Some(Watching { live, .. }) = self.watching.remove(&name) else {
            return;
        };
        self.watcher.forget(live.watched_fd());
        let paths = self.launcher.run_paths(&name);
        match ends::look(&paths, &live, &mut self.oom) {
            ends::End::Recorded { exit, traces } => {
                let run = RunId::new(live.run.run_id.clone());
                self.decide(
                    Input::Exited {
                        name,
                        run,
                        exit,
                        traces,
                    },
                    effects,
                );
            }
            ends::End::ShimLost => {
                warn!(%name, "the shim was lost; attaching a new one");
                self.attach_again(name, live);
            }
        }
    }

    fn by_key(&mut self, key: u64) -> Option<(InstanceName, &mut Watching)> {
        let mut all = self.watching.iter_mut();
        let (name, watching) = all.find(|(_, watching)| watching.key == key)?;
        Some((name.clone(), watching))
    }

    /// Starts a shim, beside the loop, for a run that lost its own.
    pub(in crate::supervisor) fn attach_again(&mut self, name: InstanceName, live: Box<LiveRun>) {
        let paths = self.launcher.run_paths(&name);
        let shim = self.launcher.shim.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let message = match ends::attach(&paths, live, &shim) {
                Ok(live) => Message::Attached { name, live },
                Err((live, why)) => Message::AttachFailed { name, live, why },
            };
            sender.blocking_send(message).ok(); // the loop has ended
        });
    }

    /// Tries once more for every run that lives without a shim.
    pub(super) fn attach_shimless(&mut self) {
        for (name, watching) in &mut self.watching {
            let live = &watching.live;
            if live.has_shim() || !live.child_is_alive() || watching.retry != Retry::None {
                continue;
            }
            watching.retry = Retry::UnderWay;
            let (name, key) = (name.clone(), watching.key);
            let paths = self.launcher.run_paths(&name);
            let shim = self.launcher.shim.clone();
            let sender = self.sender.clone();
            tokio::task::spawn_blocking(move || {
                let message = match adopt::attach(&paths, None, &shim) {
                    Ok(live) => Message::Attached {
                        name,
                        live: Box::new(live),
                    },
                    Err(error) => Message::StillShimless {
                        key,
                        why: error.to_string(),
                    },
                };
                sender.blocking_send(message).ok(); // the loop has ended
            });
        }
    }

    /// A new shim could not attach again; that it has none was told when it lost its own.
    pub(super) fn still_shimless(&mut self, key: u64, why: &str, effects: &mut Vec<Effect>) {
        let Some((name, watching)) = self.by_key(key) else {
            return;
        };
        warn!(%name, why, "still without a shim");
        let before = std::mem::replace(&mut watching.retry, Retry::None);
        if before == Retry::EndedMeanwhile {
            self.ended(key, effects);
        }
    }

    pub(super) fn attach_failed(
        &mut self,
        name: &InstanceName,
        live: LiveRun,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let paths = self.launcher.run_paths(name);
        if live.child_is_alive() {
            effects.push(Effect::Announce {
                name: Some(name.clone()),
                level: Level::Error,
                kind: EventType::Reconciled,
                message: format!(
                    "its shim is gone and no new one could attach: {why}; its log is lost until one \
                     can, which is tried every half minute"
                ),
            });
            self.watch(name, Box::new(live.without_shim()));
            return;
        }
        let run = RunId::new(live.run.run_id.clone());
        let (exit, traces) = ends::collect(&paths, &live, &mut self.oom);
        self.decide(
            Input::Exited {
                name: name.clone(),
                run,
                exit,
                traces,
            },
            effects,
        );
    }

    /// Names the processes of a run so that a reused pid cannot be mistaken for one of them.
    pub(super) fn tree_of(&self, name: &InstanceName, pid: i32) -> Option<Tree> {
        let Some(Watching { live, .. }) = self.watching.get(name) else {
            // A new shim is just being started for it; the process was proven before.
            let server = os::identity(pid).ok()?;
            return Some(Tree {
                server,
                shim: None,
                token: String::new(),
            });
        };
        Some(Tree {
            server: live.child().id,
            shim: live.has_shim().then_some(live.run.shim.pid),
            token: live.run.token.clone(),
        })
    }

    /// Writes the grace where the shim reads it when it is told to stop.
    pub(super) fn set_grace(&self, name: &InstanceName, run: RunId, grace: Duration) {
        let paths = self.launcher.run_paths(name);
        let name = name.clone();
        tokio::task::spawn_blocking(move || {
            let spec: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
            let Some(mut spec) = spec.filter(|spec| spec.run_id == run.as_str()) else {
                return; // another run has taken its place; it was started with the new grace
            };
            spec.grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            if let Err(error) = runfiles::write(&paths.spec(), &spec) {
                warn!(%name, %error, "tell the shim its new grace");
            }
        });
    }

    pub(super) fn stop(&mut self, name: &InstanceName, run: &RunId, mode: StopMode) {
        let Some(watching) = self.watching.get(name) else {
            return;
        };
        if watching.live.run.run_id != run.as_str() {
            return;
        }
        if let Err(error) = watching.live.stop(mode) {
            // A process that is already gone is on its way to us as an exit.
            warn!(%name, %error, "signal the shim");
        }
    }

    /// Reads what the next run would overwrite, and makes the bundle of it beside the loop.
    pub(super) fn keep_bundle(
        &self,
        name: InstanceName,
        run: &RunId,
        exit: RunExit,
        autopsy: Autopsy,
    ) {
        let paths = self.launcher.run_paths(&name);
        let Some(remains) = Remains::of(&paths, run) else {
            return;
        };
        let host = self.fleet.host.clone();
        let home = self.launcher.home.clone();
        self.under_way.spawn_blocking(move || {
            let bundle = remains.bundle(name.clone(), &exit, &autopsy, &host);
            if let Err(error) = crashes::write(&home, &bundle) {
                warn!(%name, %error, "keep a crash bundle");
            }
        });
    }
}
