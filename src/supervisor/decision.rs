//! What goes into a decision and what comes out of it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::state::{Config, Up};
use super::tally::Totals;
use crate::domain::autopsy::{Autopsy, Traces};
use crate::domain::event::{EventType, Level};
use crate::domain::exit::RunExit;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::{Desired, Failure, Health};
use crate::domain::readings::{HostReadings, Readings};
use crate::domain::run::{ProcessId, RunId, StopMode};

/// Everything that can happen to a fleet.
#[derive(Clone, Debug)]
pub enum Input {
    Command(Command),
    ConfigsLoaded(Configs),
    /// The regular look whether everything is as it is believed to be.
    Surveyed(Survey),
    /// A living run of an earlier owner was proven and taken over.
    Adopted {
        name: InstanceName,
        up: Up,
        stopping: Option<StopMode>,
    },
    /// A run of an earlier owner had ended before this owner came.
    EndedUnwatched {
        name: InstanceName,
        run: RunId,
        exit: RunExit,
        traces: Traces,
    },
    /// Instances that should run because of what is stored or configured.
    Autostart {
        names: Vec<InstanceName>,
    },
    Launched {
        name: InstanceName,
        up: Up,
    },
    LaunchFailed {
        name: InstanceName,
        run: RunId,
        failure: Failure,
        message: String,
        /// Present when the server would have ended of it.
        autopsy: Option<Autopsy>,
    },
    /// A new shim watches a run whose shim had died.
    Reattached {
        name: InstanceName,
        run: RunId,
    },
    Exited {
        name: InstanceName,
        run: RunId,
        exit: RunExit,
        traces: Traces,
    },
    /// A probe saw something that is new, or a failure.
    Probed {
        name: InstanceName,
        run: RunId,
        sight: Sight,
        /// How long the answer took, if there was one.
        took: Option<Duration>,
    },
    /// The watchdog's evidence that a server has work and does none; `None` when it moves again.
    Wedged {
        name: InstanceName,
        run: RunId,
        evidence: Option<String>,
    },
    /// A server that loads made no progress for longer than it may.
    Stalled {
        name: InstanceName,
        run: RunId,
        reason: String,
    },
    /// What was measured since the last time.
    Measured {
        runs: Vec<Measured>,
        host: Option<HostReadings>,
    },
    TimerFired {
        name: InstanceName,
        timer: u64,
    },
}

/// What one probe of a run saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    Healthy,
    /// It reads its model, or does what else comes before it is ready.
    Loading(Option<String>),
    /// It answers, but not as it should.
    Wrong(String),
    /// Nobody answers.
    Unreachable(String),
    /// Somebody else answers in its place.
    Stranger(String),
}

impl Sight {
    /// Returns whether it counts against a server that was healthy before.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Healthy | Self::Loading(_) => false,
            Self::Wrong(_) | Self::Unreachable(_) | Self::Stranger(_) => true,
        }
    }
}

/// The newest measurements of one run. They are shown, never decided by and never stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub name: InstanceName,
    pub run: RunId,
    pub readings: Readings,
    /// Percent of the load that is done, where that can be told.
    pub progress: Option<u8>,
    /// What it does while it loads.
    pub activity: Option<String>,
    pub totals: Totals,
}

/// What a look at the world found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Processes that listen where an instance should.
    pub strangers: Vec<Stranger>,
    pub orphans: Vec<OrphanSeen>,
    /// Ended processes that nobody else would have reaped.
    pub reaped: usize,
}

/// A process on the port of an instance that is not the instance's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    pub name: InstanceName,
    pub port: u16,
    pub process: ProcessId,
    pub executable: String,
    pub place: Place,
}

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of an instance without a run.
    Idle,
    OfARun,
}

/// A process that carries a token of ours and belongs to no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanSeen {
    pub process: ProcessId,
    pub executable: String,
    pub run_id: Option<String>,
    pub instance: Option<InstanceName>,
}

/// Something that was told and lasts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    Stranger {
        name: InstanceName,
        port: u16,
        process: ProcessId,
    },
    Orphan {
        process: ProcessId,
    },
}

/// Every configuration of the home, read again.
#[derive(Clone, Debug, Default)]
pub struct Configs {
    pub instances: BTreeMap<InstanceName, Config>,
    /// What is wrong with files that belong to no instance.
    pub problems: BTreeSet<String>,
    pub newcomers: Newcomers,
}

/// Whether an instance that was never seen before may be started because its file says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newcomers {
    Start,
    #[default]
    Leave,
}

/// What a user asks of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: InstanceName,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Start,
    Stop(StopMode),
    Restart(StopMode),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// It was already so; nothing changed.
    Ignored(Ignored),
    Denied(Denied),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    AlreadyRunning,
    AlreadyStarting,
    /// Too many others are loading; it starts when it is its turn.
    AlreadyWaiting,
    NotRunning,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("no instance is called {name:?}")]
    Unknown { name: String },
    #[error("its configuration cannot be used: {reason}")]
    Broken { reason: String },
}

/// Something for the actor to carry out.
#[derive(Clone, Debug)]
pub enum Effect {
    StoreDesired {
        name: InstanceName,
        desired: Desired,
    },
    StoreRunStarted {
        name: InstanceName,
        run: RunId,
    },
    StoreRunEnded {
        name: InstanceName,
        run: RunId,
        exit: RunExit,
        autopsy: Autopsy,
    },
    /// Keeps what explains an unexpected end, while the run's files still speak of it.
    KeepBundle {
        name: InstanceName,
        run: RunId,
        exit: RunExit,
        autopsy: Autopsy,
    },
    StoreHealth {
        name: InstanceName,
        health: Health,
        took: Option<Duration>,
        detail: Option<String>,
    },
    Announce {
        name: Option<InstanceName>,
        level: Level,
        kind: EventType,
        message: String,
    },
    Launch {
        name: InstanceName,
        run: RunId,
        spec: Arc<InstanceSpec>,
        ports: Arc<PortTable>,
    },
    Stop {
        name: InstanceName,
        run: RunId,
        mode: StopMode,
    },
    StartProbing {
        name: InstanceName,
        run: RunId,
        pid: i32,
        port: Option<u16>,
        spec: Arc<InstanceSpec>,
        /// What is known of the run so far.
        health: Health,
    },
    StopProbing {
        name: InstanceName,
    },
    /// From now on a stop of the run gives it this long before it is killed.
    SetGrace {
        name: InstanceName,
        run: RunId,
        grace: Duration,
    },
    SetTimer {
        name: InstanceName,
        timer: u64,
        after: Duration,
    },
    CancelTimer {
        name: InstanceName,
        timer: u64,
    },
}

/// The ports that instances of this home use now or have reserved by configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortTable {
    /// Ports of living runs.
    pub used: BTreeMap<u16, InstanceName>,
    /// Fixed ports of all configurations.
    pub reserved: BTreeMap<u16, InstanceName>,
}

/// The answer to one input.
#[derive(Debug, Default)]
pub struct Decision {
    /// Present when the input was a command.
    pub outcome: Option<Outcome>,
    pub effects: Vec<Effect>,
}

/// When a decision is made, and the chance it may use.
#[derive(Debug)]
pub struct Moment {
    /// Unix seconds, for display.
    pub wall: f64,
    /// Monotonic time since the owner started.
    pub elapsed: Duration,
    random: fn() -> u128,
    next_timer: Cell<u64>,
}

impl Moment {
    /// `random` gives fresh bits for run ids and jitter; `first_timer` starts the timer numbers.
    #[must_use]
    pub fn new(wall: f64, elapsed: Duration, first_timer: u64, random: fn() -> u128) -> Self {
        Self {
            wall,
            elapsed,
            random,
            next_timer: Cell::new(first_timer),
        }
    }

    /// Makes the id of a run that may be launched now: a UUIDv7, so ids sort by time.
    #[must_use]
    pub fn new_run(&self) -> RunId {
        let millis = (self.wall * 1000.0) as u64;
        let random = (self.random)().to_be_bytes();
        let bytes = std::array::from_fn(|index| random[index + 6]);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        RunId::new(id.to_string())
    }

    /// Makes a timer number that was never used before.
    #[must_use]
    pub fn new_timer(&self) -> u64 {
        let timer = self.next_timer.get();
        self.next_timer.set(timer + 1);
        timer
    }

    /// The first timer number that is still unused.
    #[must_use]
    pub fn unused_timer(&self) -> u64 {
        self.next_timer.get()
    }

    /// Uniform in 0..1.
    #[must_use]
    pub fn chance(&self) -> f64 {
        f64::from((self.random)() as u32) / f64::from(u32::MAX)
    }
}
