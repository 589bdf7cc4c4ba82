//! From a locked home to a running supervisor: database, configurations, adoption, first starts.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, set_child_subreaper, setrlimit};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::Scope;
use super::actor::{Actor, Message, Parts, look_at_units};
use super::claims::Claims;
use super::clock::{Clock, wall};
use super::config_reader::ConfigReader;
use super::config_watch;
use super::configs::{self, Loaded};
use super::decision::{Configs, Input, Newcomers};
use super::ends;
use super::feed::EventFeed;
use super::handle::Handle;
use super::launch::{self, Launcher};
use super::logged;
use super::measure::{self, Board};
use super::reconcile;
use super::record::{Recorder, Remembered};
use super::state::{Config, Fleet};
use super::work;
use crate::config::home::Home;
use crate::domain::autopsy::Traces;
use crate::domain::event::{EventType, Level};
use crate::domain::exit::RunExit;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Desired;
use crate::domain::run::RunId;
use crate::domain::work::{Chunk, WorkSnapshot};
use crate::probes::builds::Builds;
use crate::process::adopt::{self, Adoption};
use crate::process::launch::ShimProgram;
use crate::process::runfiles::{self, RunFile, RunPaths, SpecFile};
use crate::process::watch::PidWatcher;
use crate::store::StoreError;

/// Messages that wait for the loop; senders wait when it is full.
const INBOX: usize = 1024;

/// Run folders that are looked at on one thread before another is worth its cost.
const FOLDERS_PER_THREAD: usize = 32;

/// Why a supervisor cannot run in this home.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("find our own executable")]
    Shim(#[source] io::Error),
    #[error("start a thread of the supervisor")]
    Thread(#[source] io::Error),
    #[error("prepare the start")]
    Prepare(#[from] tokio::task::JoinError),
}

/// What became of one instance's run while nobody owned the home.
struct Found {
    name: InstanceName,
    adoption: Adoption,
    /// What the run was started with.
    spec: Option<SpecFile>,
}

/// Starts the supervisor of a home whose lock this process holds.
///
/// # Errors
///
/// Returns what could not be opened or started.
pub async fn start(
    home: &Home,
    scope: Scope,
    shutdown: CancellationToken,
    tasks: &TaskTracker,
) -> Result<Handle, StartError> {
    // Without it, the server of a killed shim would become init's child and its exit code be lost.
    if let Err(error) = set_child_subreaper(Some(rustix::process::getpid())) {
        warn!(%error, "become a subreaper");
    }
    let open_files = raise_open_files();
    let (recorder, mut remembered) = Recorder::open(home)?;
    let (sender, inbox) = mpsc::channel(INBOX);
    let config_watch = match scope {
        Scope::Fleet => config_watch::start(home, sender.clone(), shutdown.clone(), tasks),
        Scope::Only(_) => None,
    };
    let (prepared, watch) = (home.clone(), config_watch.clone());
    let begun = remembered.work_units.iter();
    let begun = begun.filter_map(|unit| Some((unit.chunk.clone(), unit.state.run()?.clone())));
    let begun: Vec<(Chunk, RunId)> = begun.collect();
    let recorded = remembered.work_units.iter();
    let recorded: BTreeSet<Chunk> = recorded.map(|unit| unit.chunk.clone()).collect();
    let (loaded, found, found_units, lost_units) = tokio::task::spawn_blocking(move || {
        if let Some(watch) = watch {
            watch.follow(&prepared);
        }
        let loaded = configs::read(&prepared, None);
        let found_units = look_at_units(&prepared, begun);
        let lost_units = work::lost::find(&prepared, &recorded);
        (loaded, look_at_runs(&prepared), found_units, lost_units)
    })
    .await?;
    let shim = ShimProgram::find().map_err(StartError::Shim)?;
    let watching = sender.clone();
    let watcher =
        PidWatcher::start(move |key| watching.blocking_send(Message::Ended { key }).is_ok())
            .map_err(StartError::Thread)?;
    let config_reader = ConfigReader::start().map_err(StartError::Thread)?;
    let launcher = Launcher {
        closing: shutdown.clone(),
        home: home.clone(),
        shim,
        builds: Builds::new(home.state_dir()),
        open_files,
        claims: Claims::default(),
    };
    let events = EventFeed::new(recorder.first_event_id(), home.database());
    let board = Board::counting(recorder.tally());
    let (picture, snapshot) = watch::channel(Arc::new(FleetSnapshot::default()));
    let stored_work = std::mem::take(&mut remembered.work_units);
    let (work_board, work_writes, work_told) = work::Board::load(stored_work, wall());
    let (work_picture, work_snapshot) = watch::channel(Arc::new(WorkSnapshot::default()));
    recorder.prune(loaded.settings.retention);
    let (api_writes, api_settings) = watch::channel(loaded.settings.api.clone());
    let database = recorder.state();
    let tally = recorder.tally();

    let mut actor = Actor::new(Parts {
        fleet: known_fleet(&loaded, &remembered),
        launcher,
        recorder,
        scope,
        events: events.clone(),
        inbox,
        sender: sender.clone(),
        picture,
        watcher,
        clock: Clock::new(),
        board: board.clone(),
        work: (work_board, work_picture),
        settings: loaded.settings,
        api_settings: api_writes,
        signature: loaded.signature,
        config_watch,
        config_reader,
    });
    let mut inputs = vec![Input::ConfigsLoaded(Configs {
        instances: loaded.instances,
        problems: loaded.problems,
        newcomers: Newcomers::Leave,
    })];
    for found in found {
        if let Some(input) = actor.take_over(found, &remembered) {
            inputs.push(input);
        }
    }
    actor.restore(&remembered);
    inputs.push(Input::Autostart {
        names: actor.first_starts(&remembered),
    });
    actor.note_work(work_writes, work_told);
    actor.take_over_units(found_units);
    for lost in lost_units {
        actor.find_again(lost);
    }
    actor.begin(inputs).await;
    let audience = board.audience.clone();
    let delivery = measure::deliver(board, sender.clone());
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(delivery));
    tasks.spawn(look_over_regularly(sender.clone(), shutdown.clone()));
    tasks.spawn(actor.run(shutdown));
    Ok(Handle {
        inbox: sender,
        audience,
        snapshot,
        events,
        database,
        tally,
        logged: logged::Told::default(),
        work: work_snapshot,
        api_settings,
    })
}

/// Puts together what the files say now and what the last owner remembered; nothing runs yet.
fn known_fleet(loaded: &Loaded, remembered: &Remembered) -> Fleet {
    let mut fleet = Fleet::new(loaded.settings.supervisor.max_loading.max(1) as usize);
    for (name, config) in &loaded.instances {
        let instance = fleet.instances.entry(name.clone()).or_default();
        instance.config = config.clone();
    }
    for (name, desired) in &remembered.desired {
        match fleet.instances.get_mut(name) {
            Some(instance) => instance.desired = *desired,
            None => {
                fleet.wishes.insert(name.clone(), *desired);
            }
        }
    }
    for (name, view) in &remembered.history {
        if let Some(instance) = fleet.instances.get_mut(name) {
            instance.restarts = view.restarts;
            instance.last_exit = view.last_exit;
            instance.autopsy.clone_from(&view.autopsy);
        }
    }
    fleet
}

async fn look_over_regularly(sender: mpsc::Sender<Message>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(reconcile::SPACING) => {}
            () = shutdown.cancelled() => return,
        }
        if sender.send(Message::LookOver).await.is_err() {
            return;
        }
    }
}

/// Many runs need many descriptors; returns the usual limit, which servers get back.
fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).ok(); // the usual limit serves some hundred runs
    limit.current
}

/// Looks at every run of the home, several at a time.
fn look_at_runs(home: &Home) -> Vec<Found> {
    let Ok(entries) = std::fs::read_dir(home.all_runs_dir()) else {
        return Vec::new();
    };
    let names: Vec<InstanceName> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| InstanceName::parse(entry.file_name().to_str()?).ok())
        .collect();
    let look = |name: &InstanceName| {
        let paths = RunPaths::new(home.runs_dir(name));
        let spec = runfiles::read(&paths.spec()).ok().flatten();
        Found {
            name: name.clone(),
            adoption: adopt::inspect(&paths),
            spec,
        }
    };
    std::thread::scope(|threads| {
        let parts: Vec<_> = names
            .chunks(FOLDERS_PER_THREAD)
            .map(|part| threads.spawn(move || part.iter().map(look).collect::<Vec<_>>()))
            .collect();
        parts
            .into_iter()
            .filter_map(|part| part.join().ok())
            .flatten()
            .collect()
    })
}

impl Actor {
    /// Turns what was found of a run into an input; a living run is watched from here on.
    fn take_over(&mut self, found: Found, remembered: &Remembered) -> Option<Input> {
        let Found {
            name,
            adoption,
            spec,
        } = found;
        let covered = self.scope.covers(&name);
        if matches!(adoption, Adoption::Live(_) | Adoption::ShimGone(_)) {
            self.keep_wanting(&name, remembered);
        }
        match adoption {
            Adoption::Nothing => None,
            Adoption::Live(live) => {
                let stopping = live.run.stopping();
                let up = remembered.continued(&name, launch::up(&live, spec));
                if covered {
                    self.watch(&name, live);
                }
                Some(Input::Adopted { name, up, stopping })
            }
            Adoption::ShimGone(live) => {
                let stopping = live.run.stopping();
                let up = remembered.continued(&name, launch::up(&live, spec));
                if covered {
                    self.attach_again(name.clone(), live);
                }
                Some(Input::Adopted { name, up, stopping })
            }
            // The end of a run is told by the owner that decides for its instance.
            Adoption::Ended(..) | Adoption::Vanished(_) | Adoption::Rebooted(_) if !covered => None,
            Adoption::Ended(run, exit) => {
                let known = self.recorder.knows_end(&name, &run.run_id);
                (!known).then(|| self.ended_unwatched(name, &run, RunExit::from(exit)))
            }
            Adoption::Vanished(run) => {
                let paths = self.launcher.run_paths(&name);
                let exit = adopt::collect_exit(&paths, &run, None);
                let known = self.recorder.knows_end(&name, &run.run_id);
                (!known).then(|| self.ended_unwatched(name, &run, RunExit::from(exit)))
            }
            Adoption::Rebooted(run) => {
                let known = self.recorder.knows_end(&name, &run.run_id);
                let exit = RunExit {
                    status: None,
                    core_dumped: false,
                    started_at: run.started_at,
                    ended_at: wall(),
                    dropped_bytes: 0,
                    requested: run.stopping(),
                };
                let traces = Traces {
                    rebooted: true,
                    ..Traces::default()
                };
                (!known).then(|| ended(name, &run, exit, traces))
            }
            Adoption::Unproven { run, why } => {
                let message = format!(
                    "pid {} may be its server but is not proven ({why}); it is left alone",
                    run.child.pid
                );
                self.announce(Some(name), Level::Warning, EventType::OrphanFound, message);
                None
            }
            Adoption::Damaged { why } => {
                let message = format!("its run files cannot be read: {why}");
                self.announce(Some(name), Level::Error, EventType::OrphanFound, message);
                None
            }
        }
    }

    fn ended_unwatched(&mut self, name: InstanceName, run: &RunFile, exit: RunExit) -> Input {
        let paths = self.launcher.run_paths(&name);
        let traces = ends::traces(&paths, run, &exit, &mut self.oom);
        ended(name, run, exit, traces)
    }

    /// Takes a living run for wanted, unless a user surely asked for its stop.
    fn keep_wanting(&mut self, name: &InstanceName, remembered: &Remembered) {
        let instance = self.fleet.instances.entry(name.clone()).or_default();
        if instance.desired == Desired::Stopped && remembered.wants_living(name) {
            instance.desired = Desired::Running;
            self.recorder.desired(name, Desired::Running, wall());
        }
    }

    /// An instance that had given up stays so until a person acts.
    fn restore(&mut self, remembered: &Remembered) {
        for (name, failure, reason) in &remembered.failed {
            if remembered.desired.get(name) == Some(&Desired::Running) {
                self.restore_failed(name, *failure, reason.clone());
            }
        }
    }

    /// What was wanted, and autostart instances never seen before.
    fn first_starts(&self, remembered: &Remembered) -> Vec<InstanceName> {
        if self.scope != Scope::Fleet {
            return Vec::new();
        }
        self.fleet
            .instances
            .iter()
            .filter(|(name, instance)| match remembered.desired.get(*name) {
                Some(desired) => *desired == Desired::Running,
                None => matches!(&instance.config, Config::Ready(spec) if spec.autostart),
            })
            .map(|(name, _)| name.clone())
            .collect()
    }
}

fn ended(name: InstanceName, run: &RunFile, exit: RunExit, traces: Traces) -> Input {
    Input::EndedUnwatched {
        name,
        run: RunId::new(run.run_id.clone()),
        exit,
        traces,
    }
}
