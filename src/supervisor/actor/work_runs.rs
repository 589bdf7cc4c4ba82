//! The commands of work units: whose turn it is, what is started and what is stopped.
//!
//! A turn is decided on the board and stored as RUNNING before its shim is started, so an owner
//! that ends in between leaves a unit that is known to have begun; the next one finds out from the
//! run files whether it did. The end of a run is stored before the next phase can begin. So no
//! phase runs twice and no exit code is lost, whenever an owner dies. `work_ends` is the other
//! half: what came of the runs, and of those of earlier owners.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, warn};

use super::super::decision::{Action, Command};
use super::super::handle::CommandError;
use super::super::policy::spec_of_run;
use super::super::work::Origin;
use super::super::work::launch::{GRACE, Job, NotLaunched, Service, launch};
use super::super::work::need::need;
use super::super::work::turns::{Turn, Turns};
use super::runs::Watching;
use super::work_limits::LimitTimer;
use super::{Actor, Message, Scope, Waiting};
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::run::{RunId, StopMode};
use crate::domain::work::{Chunk, Order, PhaseEnd, RunStop, State, WorkUnit};
use crate::process::adopt::Adoption;
use crate::process::live::LiveRun;

/// A launch that this machine had no room for is tried again after this, then after twice as long.
const HOLD: Duration = Duration::from_secs(1);

/// The longest of these waits, in doublings of the first.
const HOLD_DOUBLINGS: u32 = 5;

/// The commands that run, and whose turn is next.
#[derive(Default)]
pub(super) struct UnitRuns {
    pub(super) running: HashMap<Chunk, Watching>,
    /// Shims that are being started, for new runs and for those that lost theirs.
    pub(super) starting: BTreeMap<Chunk, RunId>,
    pub(super) turns: Turns,
    /// How often in a row the launch of a unit was put off.
    put_off: BTreeMap<Chunk, u32>,
    /// What was told of units whose process could not be proven.
    pub(super) unproven: BTreeMap<Chunk, String>,
    /// How units are to be stopped whose shim is still being started.
    pub(super) unstopped: BTreeMap<Chunk, StopMode>,
    /// Units of which it was told that no shim could attach to their run.
    pub(super) shimless: BTreeSet<Chunk>,
    pub(super) limit_timer: Option<LimitTimer>,
    /// What follows once the turn is stored.
    pub(super) acts: Vec<Act>,
    /// Whether something happened since the last look whose turn it is.
    pub(super) changed: bool,
}

/// Something to do in the world.
pub(super) enum Act {
    Launch(Box<Job>),
    Stop(Chunk, RunStop),
    Start(InstanceName),
}

/// What comes back of the runs of units.
pub enum UnitMessage {
    Launched {
        chunk: Chunk,
        run: RunId,
        outcome: Result<Box<LiveRun>, NotLaunched>,
    },
    Attached {
        chunk: Chunk,
        live: Box<LiveRun>,
    },
    AttachFailed {
        chunk: Chunk,
        live: Box<LiveRun>,
        why: String,
    },
    /// A unit that was held back may be tried again.
    Release(Chunk),
    /// The instance that units need was not started.
    Refused {
        instance: InstanceName,
        why: String,
    },
    /// A command has run as long as it may.
    TimeIsUp,
    /// What a look at runs that nobody watches found.
    Found(Vec<FoundUnit>),
}

/// A unit with a run, and what its files and the kernel show of it.
pub struct FoundUnit {
    pub chunk: Chunk,
    pub run: RunId,
    pub adoption: Adoption,
}

impl Actor {
    pub(super) fn unit_message(&mut self, message: UnitMessage) {
        self.units.changed = true;
        match message {
            UnitMessage::Launched {
                chunk,
                run,
                outcome,
            } => self.unit_launched(chunk, &run, outcome),
            UnitMessage::Attached { chunk, live } => self.unit_attached(chunk, live),
            UnitMessage::AttachFailed { chunk, live, why } => {
                self.unit_attach_failed(chunk, *live, &why);
            }
            UnitMessage::Release(chunk) => self.units.turns.release(&chunk),
            UnitMessage::Refused { instance, why } => self.units.turns.refused(&instance, &why),
            UnitMessage::TimeIsUp => {} // every turn looks at the limits
            UnitMessage::Found(found) => self.take_over_units(found),
        }
    }

    /// Decides whose turn it is; what follows is done once that is stored.
    pub(super) fn take_turns(&mut self) {
        if self.scope != Scope::Fleet {
            return;
        }
        if !std::mem::take(&mut self.units.changed) && !self.units.turns.waits_for_instances() {
            return;
        }
        let places = self.settings.work.max_parallel;
        let fleet = &self.fleet;
        let set = self.work.board.set();
        let before = self.units.turns.waits().clone();
        let turns = self.units.turns.next(set, places, |name| need(fleet, name));
        self.work.touched |= *self.units.turns.waits() != before;
        for turn in turns {
            match turn {
                Turn::Begin(chunk) => self.begin_unit(chunk),
                Turn::Start(instance, chunk) => {
                    let message = format!("{chunk}: needs instance {instance}, which is started");
                    self.announce(None, Level::Info, EventType::WorkUnitChanged, message);
                    self.units.acts.push(Act::Start(instance));
                }
                Turn::Flag(chunk, why) => self.order(Order::Flag(chunk, why)),
            }
        }
    }

    fn begin_unit(&mut self, chunk: Chunk) {
        let run = self.clock.moment().new_run();
        match self.decide_work(Order::Begin(chunk.clone(), run.clone()), Origin::Here) {
            Ok(unit) => match self.job(&unit, run.clone()) {
                Some(job) => {
                    self.units.starting.insert(chunk, run);
                    self.units.acts.push(Act::Launch(Box::new(job)));
                }
                None => self.order(Order::End(chunk, run, PhaseEnd::NotBegun)),
            },
            Err(error) => warn!(%chunk, %error, "begin a phase"),
        }
    }

    fn job(&self, unit: &WorkUnit, run: RunId) -> Option<Job> {
        let service = unit.instance.as_ref().and_then(|name| {
            let instance = self.fleet.instances.get(name)?;
            let up = instance.phase.up()?;
            Some(Service {
                spec: spec_of_run(instance.config.spec()?, up),
                port: up.port,
            })
        });
        Some(Job {
            unit: unit.clone(),
            run,
            command: unit.commands.get(&unit.phase)?.clone(),
            service,
            grace: self.settings.supervisor.stop_grace.unwrap_or(GRACE),
        })
    }

    /// Gives an order of our own; a refusal means that somebody else was quicker.
    pub(super) fn order(&mut self, order: Order) {
        let end = match &order {
            Order::End(_, _, end) => Some(end.clone()),
            Order::Create(_)
            | Order::Edit(..)
            | Order::Delete(..)
            | Order::Begin(..)
            | Order::Flag(..) => None,
        };
        match (self.decide_work(order, Origin::Here), end) {
            (Ok(_), Some(end)) => self.recorder.phase_ended(&end),
            (Ok(_), None) => {}
            (Err(error), _) => warn!(%error, "an order for a work unit came too late"),
        }
    }

    /// Does what was decided, now that it is stored.
    pub(super) fn act_on_units(&mut self) {
        for act in std::mem::take(&mut self.units.acts) {
            match act {
                Act::Launch(job) => self.launch_unit(*job),
                Act::Stop(chunk, stop) => self.stop_unit(&chunk, &stop),
                Act::Start(instance) => self.start_for_units(instance),
            }
        }
    }

    fn launch_unit(&self, job: Job) {
        let launcher = self.launcher.clone();
        let sender = self.sender.clone();
        self.under_way.spawn_blocking(move || {
            let outcome = match launch(&launcher, &job) {
                Ok(live) => Ok(Box::new(live)),
                // The next owner finds a unit that has begun and no run of it.
                Err(NotLaunched::Closing) => return,
                Err(why) => Err(why),
            };
            let message = UnitMessage::Launched {
                chunk: job.unit.chunk,
                run: job.run,
                outcome,
            };
            sender.blocking_send(Message::Unit(message)).ok(); // the loop has ended; it is adopted later
        });
    }

    fn unit_launched(
        &mut self,
        chunk: Chunk,
        run: &RunId,
        outcome: Result<Box<LiveRun>, NotLaunched>,
    ) {
        self.units.starting.remove(&chunk);
        if outcome.is_err() {
            self.units.unstopped.remove(&chunk);
        }
        let end = |end| Order::End(chunk.clone(), run.clone(), end);
        match outcome {
            Ok(live) => {
                self.units.put_off.remove(&chunk);
                let unit = self.work.board.set().get(&chunk);
                let what = unit.map_or_else(String::new, |unit| unit.phase.to_string());
                let message = format!(
                    "{chunk}: the command of {what} runs, pid {}",
                    live.run.child.pid
                );
                self.announce(None, Level::Info, EventType::WorkUnitChanged, message);
                self.watch_or_attach_unit(chunk, live);
            }
            Err(NotLaunched::Failed(why)) => self.order(end(PhaseEnd::Failed(why))),
            Err(NotLaunched::Later(why)) => {
                self.order(end(PhaseEnd::NotBegun));
                self.hold_unit(chunk, why);
            }
            Err(NotLaunched::Earlier(live)) => {
                self.order(end(PhaseEnd::NotBegun));
                let earlier = RunId::new(live.run.run_id.clone());
                let begin = Order::Begin(chunk.clone(), earlier);
                match self.decide_work(begin, Origin::Here) {
                    Ok(_) => self.watch_or_attach_unit(chunk, live),
                    // Nobody wants it any more.
                    Err(_) => {
                        live.stop(StopMode::Gentle).ok(); // it may just have ended
                    }
                }
            }
            Err(NotLaunched::Closing) => {}
        }
    }

    fn hold_unit(&mut self, chunk: Chunk, why: String) {
        let times = self.units.put_off.entry(chunk.clone()).or_default();
        let delay = HOLD * 2_u32.pow((*times).min(HOLD_DOUBLINGS));
        *times += 1;
        if *times == 1 {
            let message = format!("{chunk} cannot begin yet: {why}");
            self.announce(None, Level::Warning, EventType::WorkUnitChanged, message);
        }
        self.units.turns.hold(chunk.clone(), why);
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let message = Message::Unit(UnitMessage::Release(chunk));
            sender.send(message).await.ok(); // the loop has ended
        });
    }

    /// Watches a run; one that was told to stop while its shim was being started stops now.
    pub(super) fn watch_unit(&mut self, chunk: Chunk, live: Box<LiveRun>) {
        let key = self.next_key;
        self.next_key += 1;
        if let Err(error) = self.watcher.watch(key, live.watched_fd()) {
            error!(%chunk, %error, "cannot watch the run's process");
        }
        let run = RunId::new(live.run.run_id.clone());
        let wanted = self.units.unstopped.remove(&chunk);
        let stop = match (live.run.stopping(), wanted) {
            (None, wanted) => Some(wanted.unwrap_or(StopMode::Gentle)),
            (Some(StopMode::Gentle), Some(StopMode::Kill)) => Some(StopMode::Kill),
            (Some(_), _) => None,
        };
        let stop = stop.filter(|_| self.is_ending(&chunk, &run));
        self.units
            .running
            .insert(chunk.clone(), Watching::new(key, live));
        if let Some(mode) = stop {
            self.units
                .acts
                .push(Act::Stop(chunk, RunStop { run, mode }));
        }
    }

    /// Returns whether the unit's run was told to stop.
    pub(super) fn is_ending(&self, chunk: &Chunk, run: &RunId) -> bool {
        let unit = self.work.board.set().get(chunk);
        unit.is_some_and(|unit| match &unit.state {
            State::NeedsAttention { ending, .. } => ending.as_ref() == Some(run),
            State::Ready | State::Blocked | State::Running(_) | State::Done => false,
        })
    }

    fn stop_unit(&mut self, chunk: &Chunk, stop: &RunStop) {
        let Some(Watching { live, .. }) = self.units.running.get(chunk) else {
            // One that is just being started is stopped when it is.
            self.units.unstopped.insert(chunk.clone(), stop.mode);
            return;
        };
        if live.run.run_id != stop.run.as_str() {
            return;
        }
        if let Err(error) = live.stop(stop.mode) {
            // A process that is already gone is on its way to us as an end.
            warn!(%chunk, %error, "signal the shim");
        }
    }

    /// Starts an instance as a person would, and hears whether that was refused.
    fn start_for_units(&mut self, instance: InstanceName) {
        let (reply, answer) = oneshot::channel();
        let command = Command {
            name: instance.clone(),
            action: Action::Start,
        };
        self.read_configs(Waiting::Command(command, reply));
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let why = match answer.await {
                Ok(Err(CommandError::Denied(denied))) => denied.to_string(),
                Ok(Ok(_) | Err(_)) | Err(_) => return,
            };
            let message = Message::Unit(UnitMessage::Refused { instance, why });
            sender.send(message).await.ok(); // the loop has ended
        });
    }
}
