//! The regular look whether everything is as it is believed to be.

use std::collections::HashSet;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::super::Scope;
use super::super::decision::{Effect, Input};
use super::super::launch;
use super::super::reconcile::{self, Found, IdlePort, Known, KnownRun, Memory};
use super::{Actor, Message, Waiting};
use crate::domain::event::{EventType, Level};
use crate::domain::instance::{InstanceName, Port};
use crate::domain::lifecycle::Desired;
use crate::process::adopt::Adoption;
use crate::process::os;
use crate::process::runfiles::{self, SpecFile};

/// Looks between two prunings of the database: an hour.
const LOOKS_PER_PRUNING: u32 = 120;

/// The state of the regular looks.
pub(super) struct Looking {
    /// Absent while a look is under way.
    memory: Option<Memory>,
    /// Whoever waits for the next look that begins.
    waiting: Vec<oneshot::Sender<()>>,
    /// Runs whose process was seen to have ended although nobody told us.
    suspects: HashSet<u64>,
    until_pruning: u32,
    pub(super) cancelled: CancellationToken,
}

/// What a look brings back.
pub struct LookedOver {
    found: Found,
    memory: Memory,
    replies: Vec<oneshot::Sender<()>>,
}

impl Default for Looking {
    fn default() -> Self {
        Self {
            memory: Some(Memory::default()),
            waiting: Vec::new(),
            suspects: HashSet::new(),
            until_pruning: LOOKS_PER_PRUNING,
            cancelled: CancellationToken::new(),
        }
    }
}

impl Actor {
    /// Begins a look beside the loop; one that is asked for during another comes after it.
    pub(super) fn look_over(
        &mut self,
        reply: Option<oneshot::Sender<()>>,
        effects: &mut Vec<Effect>,
    ) {
        self.looking.waiting.extend(reply);
        // Who decides for some instances only has no business with the others.
        if self.scope != Scope::Fleet {
            self.looking.waiting.clear();
            return;
        }
        let Some(mut memory) = self.looking.memory.take() else {
            return;
        };
        self.missed_ends(effects);
        self.look_for_units();
        self.looking.until_pruning -= 1;
        if self.looking.until_pruning == 0 {
            self.looking.until_pruning = LOOKS_PER_PRUNING;
            self.recorder.prune(self.settings.retention);
        }
        let known = self.known();
        let replies = std::mem::take(&mut self.looking.waiting);
        let cancelled = self.looking.cancelled.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let found = reconcile::look(&known, &mut memory, &cancelled);
            os::give_memory_back();
            let looked = LookedOver {
                found,
                memory,
                replies,
            };
            sender
                .blocking_send(Message::LookedOver(Box::new(looked)))
                .ok(); // the loop has ended
        });
    }

    pub(super) fn looked_over(&mut self, looked: LookedOver, effects: &mut Vec<Effect>) {
        let LookedOver {
            found,
            memory,
            replies,
        } = looked;
        self.looking.memory = Some(memory);
        if found.files_changed {
            self.read_configs(Waiting::Touched);
        }
        self.attach_shimless();
        for (name, adoption) in found.runs {
            self.take_back(name, adoption, effects);
        }
        let mut survey = found.survey;
        let alive = |pid: i32| os::identity(pid).ok();
        survey
            .orphans
            .retain(|orphan| alive(orphan.process.pid) == Some(orphan.process));
        self.decide(Input::Surveyed(survey), effects);
        for reply in replies {
            reply.send(()).ok(); // the client may have hung up
        }
        if !self.looking.waiting.is_empty() {
            self.look_over(None, effects);
        }
    }

    /// Ends that were not told although the process is gone at the second look.
    fn missed_ends(&mut self, effects: &mut Vec<Effect>) {
        let units = self.units.running.values();
        let ended: HashSet<u64> = self
            .watching
            .values()
            .chain(units)
            .filter(|watching| !os::is_alive(watching.live.watched_fd()))
            .map(|watching| watching.key)
            .collect();
        let missed: Vec<u64> = ended
            .intersection(&self.looking.suspects)
            .copied()
            .collect();
        self.looking.suspects = ended;
        for key in missed {
            let name = self
                .watching
                .iter()
                .find(|(_, watching)| watching.key == key);
            let name = name.map(|(name, _)| name.clone());
            let of_whom = match self.unit_of(key) {
                Some(chunk) => format!("work unit {chunk}: "),
                None => String::new(),
            };
            self.announce(
                name,
                Level::Warning,
                EventType::Reconciled,
                format!("{of_whom}its process had ended and nobody was told"),
            );
            self.ended(key, effects);
        }
    }

    fn known(&self) -> Known {
        let runs = self.watching.iter();
        let instances = self.fleet.instances.iter();
        let idle = instances.clone().filter_map(|(name, instance)| {
            if instance.phase.run().is_some() {
                return None;
            }
            let server = &instance.config.spec()?.server;
            match server.port {
                Port::Fixed(port) if !server.host.ends_with(".sock") => Some(IdlePort {
                    name: name.clone(),
                    host: server.host.clone(),
                    port,
                }),
                Port::Fixed(_) | Port::Auto => None,
            }
        });
        Known {
            home: self.launcher.home.clone(),
            runs: runs
                .map(|(name, watching)| KnownRun::of(name, &watching.live))
                .collect(),
            units: self.known_units(),
            run_ids: instances
                .filter_map(|(_, instance)| Some(instance.phase.run()?.to_string()))
                .chain(self.unit_run_ids())
                .collect(),
            idle: idle.collect(),
            signature: self.signature,
        }
    }

    /// Takes over a living run of an instance that was believed to have none.
    fn take_back(&mut self, name: InstanceName, adoption: Adoption, effects: &mut Vec<Effect>) {
        let busy = self
            .fleet
            .instances
            .get(&name)
            .is_some_and(|instance| instance.phase.run().is_some());
        let (live, shimless) = match adoption {
            Adoption::Live(live) => (live, false),
            Adoption::ShimGone(live) => (live, true),
            Adoption::Nothing
            | Adoption::Ended(..)
            | Adoption::Rebooted(_)
            | Adoption::Vanished(_)
            | Adoption::Unproven { .. }
            | Adoption::Damaged { .. } => return,
        };
        if busy {
            return; // it began while we looked
        }
        warn!(%name, pid = live.run.child.pid, "a run that was thought to be over lives");
        self.announce(
            Some(name.clone()),
            Level::Warning,
            EventType::Reconciled,
            format!("pid {} of it runs, which was not known", live.run.child.pid),
        );
        let paths = self.launcher.run_paths(&name);
        let spec: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
        let up = launch::up(&live, spec);
        let stopping = live.run.stopping();
        let instance = self.fleet.instances.entry(name.clone()).or_default();
        if instance.desired == Desired::Stopped && stopping.is_none() {
            // What runs is never ended because of what we had believed.
            instance.desired = Desired::Running;
            self.recorder
                .desired(&name, Desired::Running, super::super::clock::wall());
        }
        if shimless {
            self.attach_again(name.clone(), live);
        } else {
            self.watch(&name, live);
        }
        self.decide(Input::Adopted { name, up, stopping }, effects);
    }
}
