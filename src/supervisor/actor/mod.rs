//! The one loop that changes fleet state.
//!
//! Messages come in, become policy inputs, and the effects are carried out here: first what must
//! be remembered is stored, then processes are touched, then the new picture is published and
//! commands are answered. Nothing slow happens in the loop: launching, adopting and reading
//! configurations run on blocking threads and answer with a message.
//!
//! `message` is what comes in, `effects` what goes out, `reading` and `runs` are the two
//! things that come back later; `work`, `work_runs`, `work_ends` and `work_limits` are the same for
//! work units.

mod effects;
mod look_over;
mod message;
mod planning;
mod reading;
mod refresh;
mod runs;
mod work;
mod work_ends;
mod work_limits;
mod work_runs;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::clock::Clock;
use super::config_reader::ConfigReader;
use super::config_watch::ConfigWatch;
use super::configs;
use super::decision::{Action, Command, Effect, Input, Outcome};
use super::ends::OomWatch;
use super::feed::EventFeed;
use super::handle::{Answer, CommandError};
use super::launch::Launcher;
use super::measure::Board;
use super::record::Recorder;
use super::state::{Fleet, Phase};
use super::work as work_board;
use super::{Scope, policy};
use crate::config::settings::{ApiSettings, Settings};
use crate::domain::event::EventType;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Failure, Health};
use crate::domain::run::RunId;
use crate::domain::work::WorkSnapshot;
use crate::process::watch::PidWatcher;
use look_over::Looking;
pub use message::{Looks, Message, Waiting};
use refresh::Probe;
use runs::Watching;
use work::Work;
pub use work::WorkReply;
pub(super) use work_ends::look_at_units;
pub use work_runs::UnitMessage;
use work_runs::UnitRuns;

/// What is under way is waited for this long when the owner ends.
const UNDER_WAY_END: Duration = Duration::from_secs(3);

/// Inputs decided together before the one commit that covers them.
const BATCH: usize = 64;

pub(super) struct Actor {
    pub(super) fleet: Fleet,
    pub(super) launcher: Launcher,
    pub(super) recorder: Recorder,
    pub(super) scope: Scope,
    pub(super) events: EventFeed,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) sender: mpsc::Sender<Message>,
    pub(super) picture: watch::Sender<Arc<FleetSnapshot>>,
    pub(super) watcher: PidWatcher,
    pub(super) clock: Clock,
    pub(super) board: Board,
    work: Work,
    units: UnitRuns,
    /// The last good ones.
    settings: Settings,
    /// What they say of the API, for whoever keeps it.
    api_settings: watch::Sender<ApiSettings>,
    /// Of the configuration files as they were last read.
    signature: u64,
    config_watch: Option<ConfigWatch>,
    config_reader: ConfigReader,
    looking: Looking,
    watching: HashMap<InstanceName, Watching>,
    pub(super) oom: OomWatch,
    next_key: u64,
    timers: HashMap<u64, AbortHandle>,
    probes: HashMap<InstanceName, Probe>,
    /// Launches, and crash bundles that are put together.
    under_way: TaskTracker,
    /// Requests whose configurations are being read; the next reading starts when it is done.
    reading: bool,
    waiting: Vec<Waiting>,
}

/// Answers that go out after the commit.
type Replies = Vec<(
    oneshot::Sender<Result<Answer, CommandError>>,
    Result<Option<RunId>, CommandError>,
)>;

/// The parts an actor is made of.
pub(super) struct Parts {
    pub(super) fleet: Fleet,
    pub(super) launcher: Launcher,
    pub(super) recorder: Recorder,
    pub(super) scope: Scope,
    pub(super) events: EventFeed,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) sender: mpsc::Sender<Message>,
    pub(super) picture: watch::Sender<Arc<FleetSnapshot>>,
    pub(super) watcher: PidWatcher,
    pub(super) clock: Clock,
    pub(super) board: Board,
    pub(super) work: (work_board::Board, watch::Sender<Arc<WorkSnapshot>>),
    pub(super) settings: Settings,
    pub(super) api_settings: watch::Sender<ApiSettings>,
    pub(super) signature: u64,
    pub(super) config_watch: Option<ConfigWatch>,
    pub(super) config_reader: ConfigReader,
}

impl Actor {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            fleet: parts.fleet,
            launcher: parts.launcher,
            recorder: parts.recorder,
            scope: parts.scope,
            events: parts.events,
            inbox: parts.inbox,
            sender: parts.sender,
            picture: parts.picture,
            watcher: parts.watcher,
            clock: parts.clock,
            board: parts.board,
            work: Work::new(parts.work.0, parts.work.1),
            units: UnitRuns::default(),
            settings: parts.settings,
            api_settings: parts.api_settings,
            signature: parts.signature,
            config_watch: parts.config_watch,
            config_reader: parts.config_reader,
            looking: Looking::default(),
            watching: HashMap::new(),
            oom: OomWatch::default(),
            next_key: 1,
            timers: HashMap::new(),
            probes: HashMap::new(),
            under_way: TaskTracker::new(),
            reading: false,
            waiting: Vec::new(),
        }
    }

    /// Runs until the shutdown token is cancelled; instances keep running.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = self.inbox.recv_many(&mut batch, BATCH) => {}
            }
            if batch.is_empty() {
                break;
            }
            self.turn(&mut batch).await;
        }
        self.looking.cancelled.cancel();
        for (_, probe) in self.probes.drain() {
            probe.token.cancel();
        }
        for (_, timer) in self.timers.drain() {
            timer.abort();
        }
        // A shim that starts while the home changes hands would meet the next owner's; what a crash
        // left is not read again by anybody.
        self.under_way.close();
        if tokio::time::timeout(UNDER_WAY_END, self.under_way.wait())
            .await
            .is_err()
        {
            warn!("a launch or a crash bundle takes long; the next owner may find it unfinished");
        }
        self.tell_of_owner(EventType::OwnerStopped, "no longer supervises");
        self.recorder.close().await;
    }

    async fn turn(&mut self, batch: &mut Vec<Message>) {
        let mut effects = Vec::new();
        let mut replies = Replies::new();
        let mut settled = Vec::new();
        for message in batch.drain(..) {
            self.take(message, &mut effects, &mut replies, &mut settled);
        }
        self.limit_units();
        self.take_turns();
        self.carry_out(effects).await;
        self.act_on_units();
        self.join_late_units();
        let generation = self.publish();
        self.publish_work();
        for (reply, answer) in replies {
            let answer = answer.map(|run| Answer { run, generation });
            reply.send(answer).ok(); // the client may have hung up
        }
        for reply in settled {
            for event in self.recorder.commit().await {
                self.events.push(event);
            }
            reply.send(()).ok(); // the client may have hung up
        }
    }

    fn take(
        &mut self,
        message: Message,
        effects: &mut Vec<Effect>,
        replies: &mut Replies,
        settled: &mut Vec<oneshot::Sender<()>>,
    ) {
        match message {
            // A start sees the configuration as it is now, and instances added since.
            Message::Command { command, reply } => match command.action {
                Action::Start | Action::Restart(_) => {
                    self.read_configs(Waiting::Command(command, reply));
                }
                Action::Stop(_) => self.command(command, reply, effects, replies),
            },
            Message::Autostart { reply } => self.read_configs(Waiting::Autostart(reply)),
            Message::Refresh { names, reply } => {
                self.read_configs(Waiting::Refresh(names, reply));
            }
            Message::Plan { reply } => self.plan(reply),
            Message::ReadForPlan { loaded, reply } => self.read_for_plan(&loaded, reply),
            Message::ConfigsTouched => self.read_configs(Waiting::Touched),
            Message::LookOver => self.look_over(None, effects),
            Message::LookedOver(looked) => self.looked_over(*looked, effects),
            Message::Settle { reply } => settled.push(reply),
            Message::Work {
                order,
                origin,
                reply,
            } => self.work_order(order, origin, reply),
            Message::Unit(message) => self.unit_message(message),
            Message::ConfigsRead { loaded, then } => {
                self.configs_read(loaded, then, effects, replies);
            }
            Message::Announce {
                level,
                kind,
                message,
            } => effects.push(Effect::Announce {
                name: None,
                level,
                kind,
                message,
            }),
            Message::Input(input) => self.decide(input, effects),
            Message::Launched {
                name,
                up,
                live,
                claim,
            } => {
                self.watch_with_port(&name, live, claim);
                self.decide(Input::Launched { name, up }, effects);
            }
            Message::Ended { key } => self.ended(key, effects),
            Message::Attached { name, live } => {
                let run = RunId::new(live.run.run_id.clone());
                self.watch(&name, live);
                self.decide(Input::Reattached { name, run }, effects);
            }
            Message::AttachFailed { name, live, why } => {
                self.attach_failed(&name, *live, &why, effects);
            }
            Message::StillShimless { key, why } => self.still_shimless(key, &why, effects),
        }
    }

    fn command(
        &mut self,
        command: Command,
        reply: oneshot::Sender<Result<Answer, CommandError>>,
        effects: &mut Vec<Effect>,
        replies: &mut Replies,
    ) {
        let name = command.name.clone();
        // Whoever gives a command while we own the home makes the instance ours to decide for.
        self.scope.include(&name);
        let answer = match self.decide_outcome(Input::Command(command), effects) {
            Some(Outcome::Accepted) | None => {
                let instance = self.fleet.instances.get(&name);
                Ok(instance.and_then(|instance| instance.phase.run().cloned()))
            }
            Some(Outcome::Ignored(ignored)) => Err(CommandError::from(ignored)),
            Some(Outcome::Denied(denied)) => Err(CommandError::from(denied)),
        };
        replies.push((reply, answer));
    }

    fn decide(&mut self, input: Input, effects: &mut Vec<Effect>) {
        // Only commands have an outcome, and they are asked through `decide_outcome`.
        let _outcome = self.decide_outcome(input, effects);
    }

    fn decide_outcome(&mut self, input: Input, effects: &mut Vec<Effect>) -> Option<Outcome> {
        let moment = self.clock.moment();
        let decision = policy::handle(&mut self.fleet, input, &moment);
        self.clock.next_timer = moment.unused_timer();
        effects.extend(decision.effects);
        decision.outcome
    }

    fn publish(&mut self) -> u64 {
        let generation = self.picture.borrow().generation;
        let mut next = self.fleet.snapshot(generation, configs::drifted);
        if next == **self.picture.borrow() {
            return generation;
        }
        next.generation += 1;
        let generation = next.generation;
        self.picture.send_replace(Arc::new(next));
        generation
    }

    /// Carries out what follows from the inputs of the owner's start, before any command.
    pub(super) async fn begin(&mut self, inputs: Vec<Input>) {
        self.tell_of_owner(EventType::OwnerStarted, "supervises");
        let mut effects = Vec::new();
        for input in inputs {
            self.decide(input, &mut effects);
        }
        self.units.changed = true;
        self.limit_units();
        self.take_turns();
        self.carry_out(effects).await;
        self.act_on_units();
        self.publish();
        self.publish_work();
    }

    /// Returns an instance that gave up under an earlier owner to that state.
    pub(super) fn restore_failed(&mut self, name: &InstanceName, failure: Failure, reason: String) {
        if let Some(instance) = self.fleet.instances.get_mut(name)
            && matches!(instance.phase, Phase::Stopped)
        {
            instance.phase = Phase::Failed { failure, reason };
        }
    }
}

/// The health a run is shown with until it was probed.
pub(super) const UNPROBED: Health = Health::Unknown;
