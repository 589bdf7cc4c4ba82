//! What came of the runs of work units: their ends, shims that were lost, and the runs of earlier
//! owners.

use tracing::warn;

use super::super::clock::wall;
use super::super::ends::{self, End};
use super::super::reconcile::KnownUnit;
use super::super::work::lost::LostUnit;
use super::super::{Scope, crashes};
use super::runs::Watching;
use super::work_runs::{FoundUnit, UnitMessage};
use super::{Actor, Message};
use crate::config::home::Home;
use crate::domain::autopsy::Traces;
use crate::domain::event::{EventType, Level};
use crate::domain::exit::RunExit;
use crate::domain::run::RunId;
use crate::domain::work::{Attention, Chunk, Order, PhaseEnd, judge};
use crate::process::adopt::{self, Adoption};
use crate::process::live::LiveRun;
use crate::process::runfiles::{RunFile, RunPaths};

/// Lines of each stream that explain how a command ended.
const LAST_WORDS: usize = 4;

impl Actor {
    /// The shim (or, without one, the command) of a unit's run ended; `false` when the key is of
    /// no unit.
    pub(super) fn unit_ended(&mut self, key: u64) -> bool {
        let of_key =
            |(chunk, watching): (&Chunk, &Watching)| (watching.key == key).then(|| chunk.clone());
        let Some(chunk) = self.units.running.iter().find_map(of_key) else {
            return false;
        };
        let Some(Watching { live, .. }) = self.units.running.remove(&chunk) else {
            return false;
        };
        self.units.changed = true;
        self.watcher.forget(live.watched_fd());
        let paths = self.unit_paths(&chunk);
        match ends::look(&paths, &live, &mut self.oom) {
            End::Recorded { exit, traces } => self.end_unit(chunk, &live.run, &exit, traces),
            End::ShimLost => {
                warn!(%chunk, "the shim was lost; attaching a new one");
                self.attach_unit(chunk, live);
            }
        }
        true
    }

    /// Returns the unit whose run is watched under this key.
    pub(super) fn unit_of(&self, key: u64) -> Option<Chunk> {
        let mut running = self.units.running.iter();
        let found = running.find(|(_, watching)| watching.key == key)?;
        Some(found.0.clone())
    }

    /// Tells the board how a run ended.
    fn end_unit(&mut self, chunk: Chunk, run: &RunFile, exit: &RunExit, mut traces: Traces) {
        if exit.dropped_bytes > 0 {
            let message = format!(
                "{chunk}: {} bytes of its log could not be written: the disk was full",
                exit.dropped_bytes
            );
            self.announce(None, Level::Warning, EventType::LogDropped, message);
        }
        traces.lines = self.last_words(&chunk, run);
        self.units.unstopped.remove(&chunk);
        let end = judge(&chunk, exit, &traces);
        let run = RunId::new(run.run_id.clone());
        self.order(Order::End(chunk, run, end));
    }

    /// Returns the last lines of each stream, without the secrets that the command was given.
    pub(super) fn last_words(&self, chunk: &Chunk, run: &RunFile) -> Vec<String> {
        let paths = self.unit_paths(chunk);
        let mut lines = ends::last_words(&paths, run, LAST_WORDS);
        crashes::mask(&paths, &mut lines);
        lines
    }

    /// Gives a run that lost its shim a new one, beside the loop.
    pub(super) fn attach_unit(&mut self, chunk: Chunk, live: Box<LiveRun>) {
        let run = RunId::new(live.run.run_id.clone());
        self.units.starting.insert(chunk.clone(), run);
        let paths = self.unit_paths(&chunk);
        let shim = self.launcher.shim.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let message = match ends::attach(&paths, live, &shim) {
                Ok(live) => UnitMessage::Attached { chunk, live },
                Err((live, why)) => UnitMessage::AttachFailed { chunk, live, why },
            };
            sender.blocking_send(Message::Unit(message)).ok(); // the loop has ended
        });
    }

    pub(super) fn watch_or_attach_unit(&mut self, chunk: Chunk, live: Box<LiveRun>) {
        if live.has_shim() {
            self.watch_unit(chunk, live);
        } else {
            self.attach_unit(chunk, live);
        }
    }

    pub(super) fn unit_attached(&mut self, chunk: Chunk, live: Box<LiveRun>) {
        self.units.starting.remove(&chunk);
        self.units.shimless.remove(&chunk);
        let message = format!("{chunk}: its shim was gone; a new one took over its logs");
        self.announce(None, Level::Warning, EventType::Reattached, message);
        self.watch_unit(chunk, live);
    }

    pub(super) fn unit_attach_failed(&mut self, chunk: Chunk, live: LiveRun, why: &str) {
        self.units.starting.remove(&chunk);
        if live.child_is_alive() {
            if self.units.shimless.insert(chunk.clone()) {
                let message = format!(
                    "{chunk}: its shim is gone and no new one could attach: {why}; its log is lost \
                     until one can, which is tried again and again"
                );
                self.announce(None, Level::Error, EventType::Reconciled, message);
            }
            self.watch_unit(chunk, Box::new(live.without_shim()));
            return;
        }
        self.units.shimless.remove(&chunk);
        let paths = self.unit_paths(&chunk);
        let (exit, traces) = ends::collect(&paths, &live, &mut self.oom);
        self.end_unit(chunk, &live.run, &exit, traces);
    }

    /// Lists the runs that the board knows of and nobody watches.
    fn unwatched_units(&self) -> Vec<(Chunk, RunId)> {
        let units = &self.units;
        let unwatched = |chunk: &Chunk| {
            !units.running.contains_key(chunk) && !units.starting.contains_key(chunk)
        };
        let set = self.work.board.set();
        set.units()
            .filter(|unit| unwatched(&unit.chunk))
            .filter_map(|unit| Some((unit.chunk.clone(), unit.state.run()?.clone())))
            .collect()
    }

    /// Returns the processes of the runs that are watched, for the regular look.
    pub(super) fn known_units(&self) -> Vec<KnownUnit> {
        let running = self.units.running.values();
        running
            .map(|watching| KnownUnit::of(&watching.live))
            .collect()
    }

    /// Returns the runs of units that exist or are being made.
    pub(super) fn unit_run_ids(&self) -> Vec<String> {
        let runs = self.work.board.set().units();
        runs.filter_map(|unit| Some(unit.state.run()?.to_string()))
            .collect()
    }

    /// Looks again at runs that could not be proven, and tries again to attach to those that live
    /// without a shim; beside the loop.
    pub(super) fn look_for_units(&mut self) {
        let running = self.units.running.iter();
        let shimless =
            running.filter(|(_, Watching { live, .. })| !live.has_shim() && live.child_is_alive());
        let shimless: Vec<Chunk> = shimless.map(|(chunk, _)| chunk.clone()).collect();
        for chunk in shimless {
            if let Some(Watching { live, .. }) = self.units.running.remove(&chunk) {
                self.watcher.forget(live.watched_fd());
                self.attach_unit(chunk, live);
            }
        }
        let unwatched = self.unwatched_units();
        if unwatched.is_empty() {
            return;
        }
        let home = self.launcher.home.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let message = UnitMessage::Found(look_at_units(&home, unwatched));
            sender.blocking_send(Message::Unit(message)).ok(); // the loop has ended
        });
    }

    /// Takes over the runs that earlier owners began.
    pub(in crate::supervisor) fn take_over_units(&mut self, found: Vec<FoundUnit>) {
        let unwatched = self.unwatched_units();
        for found in found {
            // It may have ended, or been taken over, while we looked.
            if unwatched.contains(&(found.chunk.clone(), found.run.clone())) {
                self.take_over_unit(found);
            }
        }
    }

    /// Makes the record of a unit anew whose command runs; never ends what runs.
    pub(in crate::supervisor) fn find_again(&mut self, lost: LostUnit) {
        let LostUnit { mut draft, live } = lost;
        let chunk = draft.chunk.clone();
        let run = RunId::new(live.run.run_id.clone());
        draft.instance = draft
            .instance
            .filter(|name| self.fleet.instances.contains_key(name));
        let message = format!(
            "{chunk}: its record was lost with the database; it was made anew from its run"
        );
        self.announce(None, Level::Warning, EventType::Reconciled, message);
        self.order(Order::Create(draft));
        self.order(Order::Begin(chunk.clone(), run));
        self.watch_or_attach_unit(chunk, live);
    }

    fn take_over_unit(&mut self, found: FoundUnit) {
        let FoundUnit {
            chunk,
            run,
            adoption,
        } = found;
        let is_it = |file: &RunFile| file.run_id == run.as_str();
        let paths = self.unit_paths(&chunk);
        match adoption {
            Adoption::Live(live) | Adoption::ShimGone(live) if is_it(&live.run) => {
                self.units.unproven.remove(&chunk);
                let message = format!("{chunk}: adopted pid {}", live.run.child.pid);
                self.announce(None, Level::Info, EventType::Adopted, message);
                self.watch_or_attach_unit(chunk, live);
            }
            Adoption::Ended(file, exit) if is_it(&file) => {
                let exit = RunExit::from(exit);
                let traces = ends::traces(&paths, &file, &exit, &mut self.oom);
                self.end_unit(chunk, &file, &exit, traces);
            }
            Adoption::Vanished(file) if is_it(&file) => {
                let exit = RunExit::from(adopt::collect_exit(&paths, &file, None));
                let traces = ends::traces(&paths, &file, &exit, &mut self.oom);
                self.end_unit(chunk, &file, &exit, traces);
            }
            Adoption::Rebooted(file) if is_it(&file) => {
                let exit = RunExit {
                    status: None,
                    core_dumped: false,
                    started_at: file.started_at,
                    ended_at: wall(),
                    dropped_bytes: 0,
                    requested: file.stopping(),
                };
                let traces = Traces {
                    rebooted: true,
                    ..ends::traces(&paths, &file, &exit, &mut self.oom)
                };
                self.end_unit(chunk, &file, &exit, traces);
            }
            Adoption::Live(live) | Adoption::ShimGone(live) => {
                let why = format!("run {} is in its place", live.run.run_id);
                self.leave_alone(chunk, live.run.child.pid, why);
            }
            Adoption::Unproven { run: file, why } => self.leave_alone(chunk, file.child.pid, why),
            Adoption::Damaged { why } => {
                let summary = format!("its run files cannot be read: {why}");
                let remedy = "llama-orch orphans shows whether something of it still runs";
                let why = Attention::explained(&summary, None, Some(remedy));
                self.order(Order::End(chunk, run, PhaseEnd::Failed(why)));
            }
            // Its owner died before the shim had started anything.
            Adoption::Nothing
            | Adoption::Ended(..)
            | Adoption::Vanished(_)
            | Adoption::Rebooted(_) => {
                if self.scope == Scope::Fleet || self.is_ending(&chunk, &run) {
                    self.order(Order::End(chunk, run, PhaseEnd::NotBegun));
                }
            }
        }
    }

    /// A process that may be the unit's is never touched; it is looked at again later.
    fn leave_alone(&mut self, chunk: Chunk, pid: i32, why: String) {
        if self.units.unproven.get(&chunk) == Some(&why) {
            return;
        }
        let message = format!(
            "{chunk}: pid {pid} may be its command but is not proven ({why}); it is left alone"
        );
        self.announce(None, Level::Warning, EventType::OrphanFound, message);
        self.units.unproven.insert(chunk, why);
    }

    pub(super) fn unit_paths(&self, chunk: &Chunk) -> RunPaths {
        RunPaths::new(self.launcher.home.work_run_dir(chunk))
    }
}

/// Looks at the runs of these units without changing anything. Blocking.
#[must_use]
pub(in crate::supervisor) fn look_at_units(
    home: &Home,
    units: Vec<(Chunk, RunId)>,
) -> Vec<FoundUnit> {
    let look = |(chunk, run): (Chunk, RunId)| FoundUnit {
        adoption: adopt::inspect(&RunPaths::new(home.work_run_dir(&chunk))),
        chunk,
        run,
    };
    units.into_iter().map(look).collect()
}
