//! The values that go into the database and come out of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::autopsy::Autopsy;
use crate::domain::event::{Event, Level};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::run::RunId;
use crate::domain::work::{Chunk, StatusChange, WorkUnit};

/// One change to store.
// A new kind also needs its SQL in `statements.rs` and its place in `Held::hold`.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Event(EventWrite),
    /// What the user wants; committed with a full sync.
    Desired(DesiredWrite),
    Runtime {
        name: InstanceName,
        row: RuntimeRow,
        at: f64,
    },
    RunStarted(RunStarted),
    RunEnded(RunEnded),
    /// A change of health; see `Store::record_health`.
    Health(HealthSample),
    HealthRollup(HealthRollup),
    /// The instance was removed; its events stay, without a name.
    Forget(InstanceName),
    /// The owner has looked at the processes the predecessor left for this instance.
    PredecessorSettled(InstanceName),
    /// A work unit as it is now.
    WorkUnit(Box<WorkUnit>),
    WorkUnitDeleted(Chunk),
    /// A line of the status log.
    WorkLog(StatusChange),
}

/// An event numbered by the caller, with optional machine-readable details.
#[derive(Clone, Debug, PartialEq)]
pub struct EventWrite {
    pub event: Event,
    pub meta_json: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DesiredWrite {
    pub name: InstanceName,
    pub config_path: Option<PathBuf>,
    pub desired: Desired,
    /// Unix seconds.
    pub at: f64,
}

/// The last known state of an instance, for showing it when nobody owns the home.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeRow {
    pub pid: Option<i32>,
    pub port: Option<u16>,
    /// What the present run's binary said of its version.
    pub binary_version: Option<String>,
    pub status: Status,
    pub health: Health,
    /// Unix seconds, as all times here.
    pub started_at: Option<f64>,
    pub last_seen_at: Option<f64>,
    pub last_health_ok_at: Option<f64>,
    pub restart_attempts: u32,
    pub restart_at: Option<f64>,
    pub last_exit_code: Option<i32>,
    pub last_error: Option<String>,
    /// What kind of failure `failed` is.
    pub failure: Option<Failure>,
    /// Why its latest run ended, or its latest start was refused; absent once a run was healthy.
    pub autopsy: Option<Autopsy>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RunStarted {
    pub run: RunId,
    pub instance: InstanceName,
    pub token: String,
    pub pid: Option<i32>,
    pub shim_pid: Option<i32>,
    pub port: Option<u16>,
    pub started_at: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RunEnded {
    pub run: RunId,
    pub instance: InstanceName,
    pub exit: RunExit,
    pub autopsy: Option<Autopsy>,
}

/// What one probe said.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSample {
    pub name: InstanceName,
    pub health: Health,
    pub response_ms: Option<f64>,
    pub error: Option<String>,
    /// Unix seconds.
    pub at: f64,
}

/// All probes of one instance in one stretch of five minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthRollup {
    pub name: InstanceName,
    pub started_at: f64,
    pub probes: u32,
    pub failures: u32,
    pub responses: u32,
    pub response_total_ms: f64,
    pub response_max_ms: f64,
}

/// What is remembered of an instance's health, each list oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthHistory {
    pub changes: Vec<HealthSample>,
    pub rollups: Vec<HealthRollup>,
}

/// Where a change is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    OnDisk,
    /// The database cannot be written at present; the change waits in memory.
    InMemory,
}

/// Whether history and intent reach the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    Ok,
    /// Written by a newer program: read, never written.
    ReadOnly {
        why: String,
    },
    /// Changes wait in memory and are written when the cause is gone.
    Degraded {
        why: String,
        queued: usize,
        lost: u64,
    },
}

/// Something about the database a person should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    Created,
    Migrated {
        from: i64,
        to: i64,
        backup: PathBuf,
    },
    PredecessorMigrated {
        /// 1, 2 or 3.
        version: i64,
        backup: PathBuf,
    },
    CorruptMovedAside {
        detail: String,
        to: PathBuf,
        restored_from: Option<PathBuf>,
        /// Wishes for instances that could still be read from the damaged file.
        intents: usize,
    },
    NewerVersion {
        found: i64,
        known: i64,
    },
    /// It could not be opened to write; it is tried again while changes wait in memory.
    Unavailable {
        why: String,
    },
    /// Nothing could be read at the start; this is what was stored before any waiting change.
    OpenedLate {
        stored: Box<Stored>,
    },
    /// The file was deleted under us and written again from the open connection.
    DeletedWhileRunning,
    /// Another file took the place of ours and is used from now on; ours was kept as a backup.
    ReplacedWhileRunning {
        backup: Option<PathBuf>,
    },
    /// Changes that waited in memory are on disk.
    Recovered {
        written: usize,
        lost: u64,
    },
}

/// What the database knew when it was opened.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Stored {
    /// Only instances somebody has said something about.
    pub desired: HashMap<InstanceName, Desired>,
    pub runtime: HashMap<InstanceName, RuntimeRow>,
    pub last_runs: HashMap<InstanceName, RunRow>,
    /// Processes noted by the Python llama-orch and not settled yet.
    pub predecessors: Vec<Predecessor>,
    /// By name.
    pub work_units: Vec<WorkUnit>,
    /// The number for the next event.
    pub next_event_id: i64,
}

/// A process the Python llama-orch believed to be its own; whether it lives is for the caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Predecessor {
    pub name: InstanceName,
    pub pid: i32,
    pub port: Option<u16>,
    pub started_at: Option<f64>,
    pub status: Status,
}

/// One stored run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub run: RunId,
    pub instance: InstanceName,
    pub token: Option<String>,
    pub pid: Option<i32>,
    pub shim_pid: Option<i32>,
    pub port: Option<u16>,
    pub started_at: f64,
    pub end: Option<RunEndRow>,
}

/// How a stored run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEndRow {
    pub ended_at: f64,
    pub status: Option<ExitStatus>,
    pub core_dumped: bool,
    pub requested: bool,
    pub dropped_bytes: u64,
    /// `None` too when a newer program stored words that this one does not know.
    pub autopsy: Option<Autopsy>,
}

/// An event as stored; older programs wrote other words, so `kind` stays text.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    pub id: i64,
    pub at: f64,
    pub instance: Option<String>,
    pub level: Level,
    pub kind: String,
    pub message: String,
    pub meta_json: Option<String>,
}

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    pub events: Duration,
    pub event_rows: u32,
    pub health: Duration,
    pub runs: Duration,
}

/// How many rows a pruning removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pruned {
    pub events: usize,
    pub health: usize,
    pub runs: usize,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            events: DAY * 7,
            event_rows: 200_000,
            health: DAY * 7,
            runs: DAY * 90,
        }
    }
}

impl RuntimeRow {
    /// Returns the row of an instance that does nothing.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            pid: None,
            port: None,
            binary_version: None,
            status: Status::Stopped,
            health: Health::Unknown,
            started_at: None,
            last_seen_at: None,
            last_health_ok_at: None,
            restart_attempts: 0,
            restart_at: None,
            last_exit_code: None,
            last_error: None,
            failure: None,
            autopsy: None,
        }
    }
}

impl RuntimeRow {
    /// Returns why an instance is as it is: what was last told of it or, by a program that did not
    /// tell that yet, how its last run ended.
    #[must_use]
    pub fn explained(&self, last_end: Option<&RunEndRow>) -> Option<Autopsy> {
        let earlier = || last_end.and_then(|end| end.autopsy.clone());
        match &self.autopsy {
            Some(autopsy) => Some(autopsy.clone()),
            None if self.status.is_live() => None,
            None => earlier(),
        }
    }
}

impl Write {
    /// Returns what the user would miss, in words for a message.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Desired(_) => "wished state",
            Self::Runtime { .. } => "runtime state",
            Self::RunStarted(_) => "start of a run",
            Self::RunEnded(_) => "end of a run",
            Self::Health(_) | Self::HealthRollup(_) => "health",
            Self::Forget(_) => "removal of an instance",
            Self::PredecessorSettled(_) => "predecessor's process",
            Self::WorkUnit(_) => "work unit",
            Self::WorkUnitDeleted(_) => "removal of a work unit",
            Self::WorkLog(_) => "status of a work unit",
        }
    }

    /// Returns whether the user asked for it, so that it must never be dropped.
    pub(super) fn is_intent(&self) -> bool {
        match self {
            Self::Desired(_) | Self::Forget(_) | Self::WorkUnit(_) | Self::WorkUnitDeleted(_) => {
                true
            }
            Self::Event(_)
            | Self::Runtime { .. }
            | Self::RunStarted(_)
            | Self::RunEnded(_)
            | Self::Health(_)
            | Self::HealthRollup(_)
            | Self::PredecessorSettled(_)
            | Self::WorkLog(_) => false,
        }
    }

    /// Returns whether `later` makes this one needless.
    pub(super) fn is_replaced_by(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Desired(old), Self::Desired(new)) => old.name == new.name,
            (Self::Runtime { name: old, .. }, Self::Runtime { name: new, .. }) => old == new,
            (Self::WorkUnit(old), Self::WorkUnit(new)) => old.chunk == new.chunk,
            (Self::WorkUnit(old), Self::WorkUnitDeleted(new)) => old.chunk == *new,
            (Self::WorkUnitDeleted(old), Self::WorkUnit(new)) => *old == new.chunk,
            _ => false,
        }
    }
}

impl From<Event> for Write {
    fn from(event: Event) -> Self {
        Self::Event(EventWrite {
            event,
            meta_json: None,
        })
    }
}

impl From<RunStarted> for Write {
    fn from(started: RunStarted) -> Self {
        Self::RunStarted(started)
    }
}

impl From<RunEnded> for Write {
    fn from(ended: RunEnded) -> Self {
        Self::RunEnded(ended)
    }
}
