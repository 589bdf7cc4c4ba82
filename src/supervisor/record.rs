//! What the supervisor remembers: collected during a turn, committed before it is announced.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tracing::warn;

use super::clock::wall;
use super::state::{Fleet, Liveness, Standing, Up};
use super::tally::Tally;
use super::work::WorkWrite;
use crate::config::home::Home;
use crate::config::settings;
use crate::domain::autopsy::Autopsy;
use crate::domain::event::{Event, EventType, Level};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::run::RunId;
use crate::domain::work::{PhaseEnd, WorkUnit};
use crate::process::live::LiveRun;
use crate::process::os;
use crate::store::{
    DesiredWrite, HealthHistory, HealthSample, Notice, Options, Retention, RunEnded, RunStarted,
    RuntimeRow, Store, StoreError, StoreHealth, Stored, Write,
};

/// A commit that takes longer is not waited for: the database must not hold the fleet up.
const COMMIT_TIME: Duration = Duration::from_secs(2);

/// What an earlier owner left of one instance.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) restarts: u32,
    pub(super) last_exit: Option<ExitStatus>,
    pub(super) autopsy: Option<Autopsy>,
    pub(super) health: Health,
}

/// What an earlier owner left in the database.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) desired: BTreeMap<InstanceName, Desired>,
    /// Instances that had given up, with the kind of failure and the reason.
    pub(super) failed: Vec<(InstanceName, Failure, String)>,
    pub(super) history: BTreeMap<InstanceName, History>,
    pub(super) work_units: Vec<WorkUnit>,
    /// The database was damaged; what it says of wishes may be old.
    pub(super) doubtful: bool,
}

impl Remembered {
    /// Returns whether a living run is wanted. Only a wish that is surely the last one stops it: a
    /// lost or damaged database never costs a running instance.
    pub(super) fn wants_living(&self, name: &InstanceName) -> bool {
        self.doubtful || self.desired.get(name) != Some(&Desired::Stopped)
    }

    /// Gives an adopted run the health it was last seen with, until it has been probed.
    pub(super) fn continued(&self, name: &InstanceName, mut up: Up) -> Up {
        if let Some(history) = self.history.get(name) {
            up.health = history.health;
            up.liveness = Liveness {
                proven: matches!(
                    history.health,
                    Health::Healthy | Health::Unhealthy | Health::Error
                ),
                standing: Standing::Assumed,
                ..Liveness::default()
            };
            up.healthy_since = (history.health == Health::Healthy).then_some(Duration::ZERO);
        }
        up
    }
}

/// Collects writes and commits them.
pub(super) struct Recorder {
    store: Store,
    later: UnboundedReceiver<Notice>,
    pending: Vec<Write>,
    events: Vec<Event>,
    next_event_id: i64,
    /// The number of the first event of this owner.
    first_event_id: i64,
    /// What was last stored of each instance, so that only changes are written.
    stored: HashMap<InstanceName, RuntimeRow>,
    /// Work units of a database that could be read at last.
    late_units: Vec<WorkUnit>,
    /// Runs whose end is on record.
    ended: HashMap<InstanceName, RunId>,
    tally: Tally,
}

/// How the database is, for `GET /status`.
#[derive(Clone)]
pub(super) struct DatabaseState {
    store: Store,
}

/// Where probes that saw nothing new are counted; nobody waits for it.
#[derive(Clone)]
pub(super) struct HealthLog {
    store: Store,
    tally: Tally,
}

impl HealthLog {
    pub(super) fn new(store: Store, tally: Tally) -> Self {
        Self { store, tally }
    }

    pub(super) fn note(&self, name: &InstanceName, health: Health, took: Option<Duration>) {
        self.tally.probed(name, health, took);
        self.store
            .record_health(sample(name.clone(), health, took, None));
    }
}

pub(super) fn sample(
    name: InstanceName,
    health: Health,
    took: Option<Duration>,
    error: Option<String>,
) -> HealthSample {
    HealthSample {
        name,
        health,
        response_ms: took.map(|took| took.as_secs_f64() * 1000.0),
        error,
        at: wall(),
    }
}

impl DatabaseState {
    /// Adds what is not in the database yet.
    pub(super) fn complete(&self, name: &InstanceName, history: &mut HealthHistory) {
        self.store.complete(name, history);
    }

    /// Returns `ok`, or why it cannot be used as it should be.
    #[must_use]
    pub(super) fn describe(&self) -> String {
        match self.store.health() {
            StoreHealth::Ok => "ok".to_owned(),
            StoreHealth::ReadOnly { why } => format!("read-only: {why}"),
            StoreHealth::Degraded { why, queued, lost } => {
                format!("degraded: {why} ({queued} changes wait, {lost} lost)")
            }
        }
    }
}

impl Recorder {
    /// Opens the home's database. Blocking.
    pub(super) fn open(home: &Home) -> Result<(Self, Remembered), StoreError> {
        let opened = Store::open(&home.database(), Options::default())?;
        let stored = opened.stored;
        let mut remembered = remembered(&stored);
        remembered.work_units = stored.work_units;
        let ended = stored
            .last_runs
            .iter()
            .filter(|(_, run)| run.end.is_some())
            .map(|(name, run)| (name.clone(), run.run.clone()))
            .collect();
        let mut recorder = Self {
            store: opened.store,
            later: opened.later,
            pending: Vec::new(),
            events: Vec::new(),
            next_event_id: stored.next_event_id,
            first_event_id: stored.next_event_id,
            stored: HashMap::new(),
            late_units: Vec::new(),
            ended,
            tally: Tally::default(),
        };
        for notice in &opened.notices {
            remembered.doubtful |= matches!(notice, Notice::CorruptMovedAside { .. });
            recorder.tell(notice);
        }
        for predecessor in stored.predecessors {
            // It carries no token of ours: it is wanted, but never signalled.
            if os::stat(predecessor.pid).is_ok() {
                remembered
                    .desired
                    .insert(predecessor.name.clone(), Desired::Running);
                recorder.desired(&predecessor.name, Desired::Running, wall());
            }
            recorder
                .pending
                .push(Write::PredecessorSettled(predecessor.name));
        }
        Ok((recorder, remembered))
    }

    /// Returns where everything is counted.
    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    pub(super) fn first_event_id(&self) -> i64 {
        self.first_event_id
    }

    pub(super) fn state(&self) -> DatabaseState {
        DatabaseState {
            store: self.store.clone(),
        }
    }

    /// Returns whether the end of this run was told already.
    pub(super) fn knows_end(&self, name: &InstanceName, run: &str) -> bool {
        self.ended
            .get(name)
            .is_some_and(|ended| ended.as_str() == run)
    }

    pub(super) fn desired(&mut self, name: &InstanceName, desired: Desired, at: f64) {
        let name = name.clone();
        self.pending.push(Write::Desired(DesiredWrite {
            name,
            config_path: None,
            desired,
            at,
        }));
    }

    pub(super) fn run_started(&mut self, name: &InstanceName, run: &RunId, live: Option<&LiveRun>) {
        self.tally.started(name);
        let Some(live) = live else { return };
        self.pending.push(Write::RunStarted(RunStarted {
            run: run.clone(),
            instance: name.clone(),
            token: live.run.token.clone(),
            pid: Some(live.run.child.pid),
            shim_pid: Some(live.run.shim.pid),
            port: live.run.port,
            started_at: live.run.started_at,
        }));
    }

    pub(super) fn run_ended(
        &mut self,
        name: &InstanceName,
        run: &RunId,
        exit: &RunExit,
        autopsy: Autopsy,
    ) {
        self.tally.ended(name, autopsy.cause);
        self.ended.insert(name.clone(), run.clone());
        self.pending.push(Write::RunEnded(RunEnded {
            run: run.clone(),
            instance: name.clone(),
            exit: exit.clone(),
            autopsy: Some(autopsy),
        }));
    }

    /// Counts the end of a work unit's command.
    pub(super) fn phase_ended(&self, end: &PhaseEnd) {
        self.tally.work_ended(end);
    }

    /// Takes along what a change of a work unit leaves.
    pub(super) fn work(&mut self, write: WorkWrite) {
        self.pending.push(match write {
            WorkWrite::Unit(unit) => Write::WorkUnit(unit),
            WorkWrite::Deleted(chunk) => Write::WorkUnitDeleted(chunk),
            WorkWrite::Log(change) => Write::WorkLog(change),
        });
    }

    /// Returns the work units that nobody could read when this owner started, once they are known.
    pub(super) fn take_late_units(&mut self) -> Vec<WorkUnit> {
        std::mem::take(&mut self.late_units)
    }

    /// Takes a probe's result along: a change, and what is summed up over five minutes.
    pub(super) fn health(&mut self, sample: HealthSample) {
        let took = sample.response_ms.map(|millis| millis.max(0.0) / 1000.0);
        let took = took.map(Duration::from_secs_f64);
        self.tally.probed(&sample.name, sample.health, took);
        self.pending.extend(self.store.sum_up(sample));
    }

    /// Returns where a probe notes what changed nothing.
    pub(super) fn health_log(&self) -> HealthLog {
        HealthLog::new(self.store.clone(), self.tally.clone())
    }

    /// Gives the event its number and takes it along with the next commit.
    pub(super) fn event(&mut self, mut event: Event) {
        if let (EventType::RestartScheduled, Some(name)) = (event.kind, &event.instance) {
            self.tally.restarted(name);
        }
        event.id = self.next_event_id;
        self.next_event_id += 1;
        self.pending.push(Write::from(event.clone()));
        self.events.push(event);
    }

    /// Takes along what changed of the instances since the last commit.
    pub(super) fn runtime(&mut self, fleet: &Fleet, at: f64) {
        for (name, instance) in &fleet.instances {
            let row = instance.row(name, false);
            let runtime = RuntimeRow {
                pid: row.pid,
                port: row.port,
                binary_version: instance.phase.up().and_then(|up| up.build.clone()),
                status: row.status,
                health: row.health,
                started_at: row.started_at,
                restart_attempts: row.restarts,
                restart_at: row.restart_at,
                last_exit_code: row.exit.and_then(ExitStatus::code),
                last_error: instance.trouble(),
                failure: row.failure,
                autopsy: row.autopsy,
                ..RuntimeRow::idle()
            };
            if self.stored.get(name) == Some(&runtime) {
                continue;
            }
            self.stored.insert(name.clone(), runtime.clone());
            let row = RuntimeRow {
                last_seen_at: Some(at),
                last_health_ok_at: (runtime.health == Health::Healthy).then_some(at),
                ..runtime
            };
            self.pending.push(Write::Runtime {
                name: name.clone(),
                row,
                at,
            });
        }
    }

    /// Forgets what is older or more than the settings keep.
    pub(super) fn prune(&self, retention: settings::Retention) {
        let day = Duration::from_secs(86_400);
        let retention = Retention {
            events: day * retention.events_days,
            event_rows: retention.events_rows,
            ..Retention::default()
        };
        // Nobody waits for it; the writer does it when it comes to it.
        drop(self.store.prune(retention, wall()));
    }

    /// Commits everything collected; returns the events that may be announced now.
    pub(super) async fn commit(&mut self) -> Vec<Event> {
        while let Ok(notice) = self.later.try_recv() {
            self.tell(&notice);
        }
        if !self.pending.is_empty() {
            let reply = self.store.save_all(std::mem::take(&mut self.pending));
            match tokio::time::timeout(COMMIT_TIME, reply).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => warn!(%error, "store a change"),
                Err(_) => warn!("the database is slow; going on without waiting for it"),
            }
        }
        std::mem::take(&mut self.events)
    }

    /// Writes what is left and closes the database.
    pub(super) async fn close(&mut self) {
        self.commit().await;
        if let Err(error) = self.store.close().await {
            warn!(%error, "close the database");
        }
    }

    /// Turns something about the database into an event.
    fn tell(&mut self, notice: &Notice) {
        let (level, kind, message) = match notice {
            Notice::Created => return,
            Notice::Migrated { from, to, backup } => (
                Level::Info,
                EventType::DatabaseRecovered,
                format!(
                    "the database was migrated from version {from} to {to}; backup: {}",
                    backup.display()
                ),
            ),
            Notice::PredecessorMigrated { version, backup } => (
                Level::Info,
                EventType::DatabaseRecovered,
                format!(
                    "the Python llama-orch's database (version {version}) was taken over; backup: {}",
                    backup.display()
                ),
            ),
            Notice::CorruptMovedAside {
                detail,
                to,
                restored_from,
                intents,
            } => {
                let then = restored_from.as_ref().map_or_else(
                    || "history begins anew".to_owned(),
                    |backup| format!("the backup {} was restored", backup.display()),
                );
                let message = format!(
                    "the database was damaged ({detail}) and moved to {}; {then}; {intents} wishes \
                     were saved from it",
                    to.display()
                );
                (Level::Error, EventType::DatabaseDegraded, message)
            }
            Notice::NewerVersion { found, known } => (
                Level::Error,
                EventType::DatabaseDegraded,
                format!(
                    "the database is of a newer llama-orch (version {found}, here {known}): nothing \
                     is written to it"
                ),
            ),
            Notice::Unavailable { why } => (
                Level::Error,
                EventType::DatabaseDegraded,
                format!("the database cannot be written ({why}); changes wait in memory"),
            ),
            Notice::OpenedLate { stored } => {
                self.late_units.clone_from(&stored.work_units);
                let message = "the database can be read at last".to_owned();
                (Level::Info, EventType::DatabaseRecovered, message)
            }
            Notice::DeletedWhileRunning => (
                Level::Warning,
                EventType::DatabaseRecovered,
                "the database was deleted and has been written again".to_owned(),
            ),
            Notice::ReplacedWhileRunning { backup } => {
                let ours = backup.as_ref().map_or_else(
                    || "ours could not be kept".to_owned(),
                    |backup| format!("ours was kept as {}", backup.display()),
                );
                let message = format!("another database took the place of ours; {ours}");
                (Level::Warning, EventType::DatabaseDegraded, message)
            }
            Notice::Recovered { written, lost } => (
                Level::Info,
                EventType::DatabaseRecovered,
                format!("the database is written again: {written} changes caught up, {lost} lost"),
            ),
        };
        self.event(Event {
            id: 0,
            at: wall(),
            instance: None,
            level,
            kind,
            message,
        });
    }
}

fn remembered(stored: &Stored) -> Remembered {
    let mut remembered = Remembered {
        desired: stored
            .desired
            .iter()
            .map(|(name, desired)| (name.clone(), *desired))
            .collect(),
        ..Remembered::default()
    };
    for (name, row) in &stored.runtime {
        if row.status == Status::Failed {
            let reason = row
                .last_error
                .clone()
                .unwrap_or_else(|| "it had failed".to_owned());
            let failure = row.failure.unwrap_or(Failure::Crashed);
            remembered.failed.push((name.clone(), failure, reason));
        }
        let last_end = stored.last_runs.get(name).and_then(|run| run.end.as_ref());
        let history = History {
            restarts: row.restart_attempts,
            last_exit: last_end.and_then(|end| end.status),
            autopsy: row.explained(last_end),
            health: if row.status.is_live() {
                row.health
            } else {
                Health::Unknown
            },
        };
        remembered.history.insert(name.clone(), history);
    }
    remembered
}
