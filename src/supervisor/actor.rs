//! The one loop that changes fleet state.
//!
//! Messages come in, become policy inputs, and the effects are carried out here: first what must
//! be remembered is stored, then processes are touched, then the new picture is published and
//! commands are answered. Nothing slow happens in the loop: launching, adopting and reading
//! configurations run on blocking threads and answer with a message.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::clock::{Clock, wall};
use super::configs::{self, Loaded};
use super::decision::{Action, Command, Effect, Input, Outcome};
use super::handle::{Answer, CommandError, EventRing};
use super::launch::{self, Launcher};
use super::record::Recorder;
use super::state::{Config, Fleet, Phase, Up};
use super::{Scope, ends, policy, probing};
use crate::domain::event::{Event, EventType, Level};
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Failure, Health};
use crate::domain::run::{RunId, StopMode};
use crate::process::live::LiveRun;
use crate::process::watch::PidWatcher;

/// Inputs decided together before the one commit that covers them.
const BATCH: usize = 64;

/// Everything that reaches the loop.
pub enum Message {
    Command {
        command: Command,
        reply: oneshot::Sender<Result<Answer, CommandError>>,
    },
    Autostart {
        reply: oneshot::Sender<Result<Answer, CommandError>>,
    },
    /// Answered once everything before it is stored.
    Settle {
        reply: oneshot::Sender<()>,
    },
    ConfigsRead {
        loaded: Loaded,
        then: Vec<Waiting>,
    },
    Input(Input),
    Launched {
        name: InstanceName,
        up: Up,
        live: Box<LiveRun>,
    },
    /// A watched process ended; the key says whose.
    Ended {
        key: u64,
    },
    Attached {
        name: InstanceName,
        live: Box<LiveRun>,
    },
    AttachFailed {
        name: InstanceName,
        live: Box<LiveRun>,
        why: String,
    },
}

/// A request that waits for the configurations to be read again.
pub enum Waiting {
    Command(Command, oneshot::Sender<Result<Answer, CommandError>>),
    Autostart(oneshot::Sender<Result<Answer, CommandError>>),
}

/// A run this owner watches.
struct Watching {
    key: u64,
    live: Box<LiveRun>,
}

pub(super) struct Actor {
    pub(super) fleet: Fleet,
    pub(super) launcher: Launcher,
    pub(super) recorder: Recorder,
    pub(super) scope: Scope,
    pub(super) events: EventRing,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) sender: mpsc::Sender<Message>,
    pub(super) picture: watch::Sender<Arc<FleetSnapshot>>,
    pub(super) watcher: PidWatcher,
    pub(super) clock: Clock,
    watching: HashMap<InstanceName, Watching>,
    next_key: u64,
    timers: HashMap<u64, AbortHandle>,
    probes: HashMap<InstanceName, CancellationToken>,
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
    pub(super) events: EventRing,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) sender: mpsc::Sender<Message>,
    pub(super) picture: watch::Sender<Arc<FleetSnapshot>>,
    pub(super) watcher: PidWatcher,
    pub(super) clock: Clock,
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
            watching: HashMap::new(),
            next_key: 1,
            timers: HashMap::new(),
            probes: HashMap::new(),
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
        for (_, probe) in self.probes.drain() {
            probe.cancel();
        }
        for (_, timer) in self.timers.drain() {
            timer.abort();
        }
        self.recorder.close().await;
    }

    async fn turn(&mut self, batch: &mut Vec<Message>) {
        let mut effects = Vec::new();
        let mut replies = Replies::new();
        let mut settled = Vec::new();
        for message in batch.drain(..) {
            self.take(message, &mut effects, &mut replies, &mut settled);
        }
        self.carry_out(effects).await;
        let generation = self.publish();
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
            Message::Settle { reply } => settled.push(reply),
            Message::ConfigsRead { loaded, then } => {
                self.reading = false;
                self.fleet.max_loading = loaded.settings.supervisor.max_loading.max(1) as usize;
                self.decide(Input::ConfigsLoaded(loaded.configs), effects);
                for waiting in then {
                    match waiting {
                        Waiting::Command(command, reply) => {
                            self.command(command, reply, effects, replies);
                        }
                        Waiting::Autostart(reply) => {
                            let names = self.autostart_names();
                            self.decide(Input::Autostart { names }, effects);
                            replies.push((reply, Ok(None)));
                        }
                    }
                }
                if !self.waiting.is_empty() {
                    self.start_reading();
                }
            }
            Message::Input(input) => self.decide(input, effects),
            Message::Launched { name, up, live } => {
                self.watch(&name, live);
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

    fn read_configs(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
        if !self.reading {
            self.start_reading();
        }
    }

    fn start_reading(&mut self) {
        self.reading = true;
        let then = std::mem::take(&mut self.waiting);
        let home = self.launcher.home.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let loaded = configs::read(&home);
            sender
                .blocking_send(Message::ConfigsRead { loaded, then })
                .ok(); // the loop has ended
        });
    }

    fn autostart_names(&self) -> Vec<InstanceName> {
        let wanted = |config: &Config| match config {
            Config::Ready(spec) => spec.autostart,
            Config::Broken(_) => false,
        };
        let instances = self.fleet.instances.iter();
        instances
            .filter(|(_, instance)| wanted(&instance.config))
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(super) fn watch(&mut self, name: &InstanceName, live: Box<LiveRun>) {
        let key = self.next_key;
        self.next_key += 1;
        if let Err(error) = self.watcher.watch(key, live.watched_fd()) {
            error!(%name, %error, "cannot watch the run's process");
        }
        self.watching.insert(name.clone(), Watching { key, live });
    }

    /// The shim (or, without one, the server) of a run ended.
    fn ended(&mut self, key: u64, effects: &mut Vec<Effect>) {
        let Some(name) = self
            .watching
            .iter()
            .find(|(_, watching)| watching.key == key)
            .map(|(name, _)| name.clone())
        else {
            return;
        };
        let Some(Watching { live, .. }) = self.watching.remove(&name) else {
            return;
        };
        self.watcher.forget(live.watched_fd());
        let paths = self.launcher.run_paths(&name);
        match ends::look(&paths, &live) {
            ends::End::Recorded { exit, last_words } => {
                let run = RunId::new(live.run.run_id.clone());
                self.decide(
                    Input::Exited {
                        name,
                        run,
                        exit,
                        last_words,
                    },
                    effects,
                );
            }
            ends::End::ShimLost => {
                warn!(%name, "the shim was lost; attaching a new one");
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
        }
    }

    fn attach_failed(
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
                    "its shim is gone and no new one could attach: {why}; no log until it restarts"
                ),
            });
            self.watch(name, Box::new(live.without_shim()));
            return;
        }
        let run = RunId::new(live.run.run_id.clone());
        let (exit, last_words) = ends::collect(&paths, &live);
        self.decide(
            Input::Exited {
                name: name.clone(),
                run,
                exit,
                last_words,
            },
            effects,
        );
    }

    async fn carry_out(&mut self, effects: Vec<Effect>) {
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
                Effect::StoreRunEnded { name, run, exit } => {
                    self.recorder.run_ended(&name, &run, &exit);
                }
                Effect::StoreHealth { name, health } => self.recorder.health(&name, health, wall()),
                Effect::Announce {
                    name,
                    level,
                    kind,
                    message,
                } => {
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
                act @ (Effect::Launch { .. }
                | Effect::Stop { .. }
                | Effect::StartProbing { .. }
                | Effect::StopProbing { .. }
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
                tokio::task::spawn_blocking(move || {
                    let message = match launch::launch(&launcher, &run, &spec, &ports) {
                        Ok((up, live)) => Message::Launched {
                            name,
                            up,
                            live: Box::new(live),
                        },
                        Err(failed) => Message::Input(Input::LaunchFailed {
                            name,
                            run,
                            failure: failed.failure,
                            message: failed.message,
                        }),
                    };
                    sender.blocking_send(message).ok(); // the loop has ended; the run is adopted later
                });
            }
            Effect::Stop { name, run, mode } => self.stop(&name, &run, mode),
            Effect::StartProbing { name, .. } if !self.scope.covers(&name) => {}
            Effect::StartProbing {
                name,
                run,
                port,
                spec,
                health,
            } => {
                let token = CancellationToken::new();
                if let Some(previous) = self.probes.insert(name.clone(), token.clone()) {
                    previous.cancel();
                }
                let sender = self.sender.clone();
                tokio::spawn(async move {
                    let probing = probing::run(name, run, port, spec, health, sender);
                    token.run_until_cancelled(probing).await;
                });
            }
            Effect::StopProbing { name } => {
                if let Some(token) = self.probes.remove(&name) {
                    token.cancel();
                }
            }
            Effect::SetTimer { name, timer, after } => {
                let sender = self.sender.clone();
                let task = tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let input = Input::TimerFired { name, timer };
                    sender.send(Message::Input(input)).await.ok(); // the loop has ended
                });
                self.timers.insert(timer, task.abort_handle());
                self.timers.retain(|_, task| !task.is_finished());
            }
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

    fn stop(&mut self, name: &InstanceName, run: &RunId, mode: StopMode) {
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
        let mut effects = Vec::new();
        for input in inputs {
            self.decide(input, &mut effects);
        }
        self.carry_out(effects).await;
        self.publish();
    }

    /// Adds an event to the next commit.
    pub(super) fn announce(
        &mut self,
        name: InstanceName,
        level: Level,
        kind: EventType,
        message: String,
    ) {
        log_event(Some(&name), level, kind, &message);
        self.recorder.event(Event {
            id: 0,
            at: wall(),
            instance: Some(name),
            level,
            kind,
            message,
        });
    }

    /// Returns an instance that gave up under an earlier owner to that state.
    pub(super) fn restore_failed(&mut self, name: &InstanceName, reason: String) {
        if let Some(instance) = self.fleet.instances.get_mut(name)
            && matches!(instance.phase, Phase::Stopped)
        {
            instance.phase = Phase::Failed {
                failure: Failure::Crashed,
                reason,
            };
        }
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

/// The health a run is shown with until it was probed.
pub(super) const UNPROBED: Health = Health::Unknown;
