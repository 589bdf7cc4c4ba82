//! The state a fleet is in, and the picture of it that readers get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::columns::Columns;
use super::decision::{Noticed, PortTable};
use crate::domain::autopsy::{Autopsy, Cause};
use crate::domain::exit::ExitStatus;
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::{InstanceName, InstanceSpec, Port};
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::readings::{HostReadings, Readings};
use crate::domain::run::{RunId, StopMode};

/// All instances of a home. Only `policy::handle` changes it.
#[derive(Debug)]
pub struct Fleet {
    pub instances: BTreeMap<InstanceName, Instance>,
    /// How many instances may be on their way up at once.
    pub max_loading: usize,
    /// What was last measured of the machine.
    pub host: HostReadings,
    /// What is wrong with files that belong to no instance; each is told once.
    pub problems: BTreeSet<String>,
    /// What the regular look told and still sees.
    pub noticed: BTreeSet<Noticed>,
    /// What was wanted of instances whose files are gone, should they come back.
    pub wishes: BTreeMap<InstanceName, Desired>,
}

#[derive(Debug)]
pub struct Instance {
    pub config: Config,
    pub desired: Desired,
    pub phase: Phase,
    /// Automatic restarts since it was last healthy for long, or since a user acted.
    pub restarts: u32,
    pub resource_failures: u32,
    /// What was last said to be in the way of a start, so that looking again does not repeat it.
    pub hindrance: Option<String>,
    pub last_exit: Option<ExitStatus>,
    /// Why the latest finished run ended, until a newer run is healthy.
    pub autopsy: Option<Autopsy>,
}

/// What the files say of an instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Config {
    Ready(Arc<InstanceSpec>),
    /// It cannot be used; the text says why. A run, and its restarts, go on with the last good one.
    Broken {
        reason: String,
        last: Option<Arc<InstanceSpec>>,
    },
    /// There is no file, or none any more.
    Gone {
        last: Option<Arc<InstanceSpec>>,
    },
}

/// Where an instance is in its life.
// A new phase also needs a column in the table of `policy.rs` and an arm in `Instance::row`.
#[derive(Clone, Debug)]
pub enum Phase {
    Stopped,
    /// Wanted, but too many others are loading.
    Waiting {
        origin: Origin,
    },
    /// A shim is being started; a stop asked for meanwhile is kept.
    Launching {
        run: RunId,
        origin: Origin,
        stop: Option<StopMode>,
    },
    Up(Up),
    Stopping {
        run: RunId,
        mode: StopMode,
        then: Then,
        up: Option<Up>,
    },
    /// Will be started again at `until` (unix seconds).
    Backoff {
        timer: u64,
        until: f64,
        reason: String,
        waits: Waits,
    },
    Failed {
        failure: Failure,
        reason: String,
    },
}

/// A run whose server process lives.
#[derive(Clone, Debug, PartialEq)]
pub struct Up {
    pub run: RunId,
    pub pid: i32,
    pub port: Option<u16>,
    /// Unix seconds.
    pub started_at: f64,
    /// What the binary said of its version, if it was asked.
    pub build: Option<String>,
    /// Static fields of the configuration the run was started with.
    pub started_with: BTreeMap<String, String>,
    pub health: Health,
    /// What the last probe had to say.
    pub detail: Option<String>,
    /// What it does while it loads, such as `reading 1.2 of 4.0 GB`.
    pub activity: Option<String>,
    /// Percent of the load that is done, where that can be told.
    pub progress: Option<u8>,
    pub readings: Readings,
    /// Owner's monotonic time of the first healthy answer in the present healthy stretch.
    pub healthy_since: Option<Duration>,
    /// The timer that ends a start which takes too long.
    pub timer: u64,
    pub liveness: Liveness,
}

/// What probes have shown of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liveness {
    /// It was healthy at least once.
    pub proven: bool,
    /// Failed probes in a row.
    pub failures: u32,
    pub standing: Standing,
    /// Evidence that it has work and does none.
    pub wedge: Option<String>,
}

/// Where the knowledge of a run's health comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Seen,
    /// An earlier owner stored it; it gets no worse before a full cycle of probes.
    Assumed,
}

/// Who wanted a start: a user who waits for the answer, or the supervisor itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    User,
    Automatic,
}

/// What follows the end of a stopping run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    Stop,
    Launch(Origin),
    /// It was stopped because of what it did or failed to do, and is not started again.
    Fail {
        cause: Cause,
        reason: String,
    },
    /// It was stopped because of what it did or failed to do; the restart policy decides.
    TryAgain {
        cause: Cause,
        reason: String,
    },
}

/// What a backoff waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    Delay,
    /// A device that has more free memory than at the first look, or the end of the wait.
    Vram {
        /// Bytes free on each device at the first look.
        free: Option<Vec<u64>>,
        /// Owner's monotonic time at which it is tried in any case.
        at_latest: Duration,
    },
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            config: Config::Gone { last: None },
            desired: Desired::Stopped,
            phase: Phase::Stopped,
            restarts: 0,
            resource_failures: 0,
            hindrance: None,
            last_exit: None,
            autopsy: None,
        }
    }
}

impl Config {
    /// Returns the spec in force: the file's, or the last good one while its file is not.
    #[must_use]
    pub fn spec(&self) -> Option<&Arc<InstanceSpec>> {
        match self {
            Self::Ready(spec) => Some(spec),
            Self::Broken { last, .. } | Self::Gone { last } => last.as_ref(),
        }
    }

    /// Returns why the file cannot be used, if it cannot.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Ready(_) => None,
            Self::Broken { reason, .. } => Some(reason.clone()),
            Self::Gone { .. } => Some("its configuration file is gone".to_owned()),
        }
    }
}

impl Up {
    /// Returns whether the server has ever answered that it is ready in this run.
    #[must_use]
    pub fn was_ready(&self) -> bool {
        self.healthy_since.is_some()
            || matches!(
                self.health,
                Health::Unhealthy | Health::Error | Health::Healthy
            )
    }
}

impl Phase {
    /// Returns the run whose processes exist or are being made.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Launching { run, .. } | Self::Stopping { run, .. } => Some(run),
            Self::Up(up) => Some(&up.run),
            Self::Stopped | Self::Waiting { .. } | Self::Backoff { .. } | Self::Failed { .. } => {
                None
            }
        }
    }

    /// Returns the run whose server process lives.
    #[must_use]
    pub fn up(&self) -> Option<&Up> {
        match self {
            Self::Up(up) => Some(up),
            Self::Stopping { up, .. } => up.as_ref(),
            Self::Stopped
            | Self::Waiting { .. }
            | Self::Launching { .. }
            | Self::Backoff { .. }
            | Self::Failed { .. } => None,
        }
    }
}

impl Instance {
    /// Returns whether the instance is on its way up and takes one of the loading places.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        match &self.phase {
            Phase::Launching { .. } => true,
            Phase::Up(up) => !up.was_ready(),
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Failed { .. } => false,
        }
    }

    fn status(&self) -> Status {
        match &self.phase {
            Phase::Stopped => Status::Stopped,
            Phase::Waiting { .. } | Phase::Launching { .. } => Status::Starting,
            Phase::Up(up) if up.was_ready() => Status::Running,
            Phase::Up(_) => Status::Starting,
            Phase::Stopping { .. } => Status::Stopping,
            Phase::Backoff { .. } => Status::Backoff,
            Phase::Failed { .. } => Status::Failed,
        }
    }

    /// Returns what there is to say to a reader.
    fn reason(&self) -> Option<String> {
        let activity = || match &self.phase {
            Phase::Up(up) => up.activity.clone(),
            Phase::Stopped
            | Phase::Waiting { .. }
            | Phase::Launching { .. }
            | Phase::Stopping { .. }
            | Phase::Backoff { .. }
            | Phase::Failed { .. } => None,
        };
        self.trouble().or_else(activity)
    }

    /// Returns what is worth remembering of why it is in this state.
    #[must_use]
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.phase {
            Phase::Waiting { .. } => Some("waiting for others to load".to_owned()),
            Phase::Up(up) => up.detail.clone().or_else(|| self.config.problem()),
            Phase::Backoff { reason, .. } | Phase::Failed { reason, .. } => Some(reason.clone()),
            Phase::Stopped | Phase::Launching { .. } | Phase::Stopping { .. } => {
                self.config.problem()
            }
        }
    }

    /// Returns the row that readers see.
    #[must_use]
    pub fn row(&self, name: &InstanceName, drift: bool) -> InstanceRow {
        let up = self.phase.up();
        let spec = self.config.spec();
        let fixed_port = spec.and_then(|spec| match spec.server.port {
            Port::Fixed(port) => Some(port),
            Port::Auto => None,
        });
        // What a run computes with is its own; the file may have been changed or broken since.
        let columns = up
            .and_then(|up| Columns::of_run(&up.started_with))
            .or_else(|| spec.map(|spec| Columns::of_spec(spec)))
            .unwrap_or_default();
        InstanceRow {
            name: name.clone(),
            display_name: spec.map_or_else(|| name.to_string(), |spec| spec.display_name.clone()),
            tags: spec.map_or_else(Vec::new, |spec| spec.tags.clone()),
            desired: self.desired,
            status: self.status(),
            health: up.map_or(Health::Unknown, |up| up.health),
            reason: self.reason(),
            failure: match &self.phase {
                Phase::Failed { failure, .. } => Some(*failure),
                Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Launching { .. }
                | Phase::Up(_)
                | Phase::Stopping { .. }
                | Phase::Backoff { .. } => None,
            },
            run: self.phase.run().cloned(),
            pid: up.map(|up| up.pid),
            port: up.and_then(|up| up.port).or(fixed_port),
            // Where it listens; the file may have been changed since.
            host: up
                .and_then(|up| up.started_with.get("server.host"))
                .or(spec.map(|spec| &spec.server.host))
                .cloned()
                .unwrap_or_default(),
            backend: columns.backend,
            device: columns.device,
            model: columns.model,
            started_at: up.map(|up| up.started_at),
            restart_at: match &self.phase {
                Phase::Backoff { until, .. } => Some(*until),
                Phase::Stopped
                | Phase::Waiting { .. }
                | Phase::Launching { .. }
                | Phase::Up(_)
                | Phase::Stopping { .. }
                | Phase::Failed { .. } => None,
            },
            restarts: self.restarts,
            exit: self.last_exit,
            autopsy: self.autopsy.clone(),
            progress: up.and_then(|up| up.progress),
            readings: up.map_or_else(Readings::default, |up| up.readings.clone()),
            drift,
            broken: self.config.problem().is_some(),
        }
    }
}

impl Fleet {
    #[must_use]
    pub fn new(max_loading: usize) -> Self {
        Self {
            instances: BTreeMap::new(),
            max_loading,
            host: HostReadings::default(),
            problems: BTreeSet::new(),
            noticed: BTreeSet::new(),
            wishes: BTreeMap::new(),
        }
    }

    /// Returns which ports are taken by whom.
    #[must_use]
    pub fn ports(&self) -> Arc<PortTable> {
        let mut table = PortTable::default();
        for (name, instance) in &self.instances {
            if let Some(port) = instance.phase.up().and_then(|up| up.port) {
                table.used.insert(port, name.clone());
            }
            if let Some(spec) = instance.config.spec()
                && let Port::Fixed(port) = spec.server.port
            {
                table.reserved.entry(port).or_insert_with(|| name.clone());
            }
        }
        Arc::new(table)
    }

    /// Draws the picture for readers; `drifted` compares a run's start with the present spec.
    #[must_use]
    pub fn snapshot(
        &self,
        generation: u64,
        drifted: impl Fn(&Up, &InstanceSpec) -> bool,
    ) -> FleetSnapshot {
        let mut rows: Vec<(Option<i64>, InstanceRow)> = self
            .instances
            .iter()
            .map(|(name, instance)| {
                let (drift, order) = match instance.config.spec() {
                    Some(spec) => (
                        instance.phase.up().is_some_and(|up| drifted(up, spec)),
                        spec.sort_order,
                    ),
                    None => (false, None),
                };
                (order, instance.row(name, drift))
            })
            .collect();
        rows.sort_by_key(|(order, _)| order.unwrap_or(i64::MAX));
        FleetSnapshot {
            generation,
            rows: rows.into_iter().map(|(_, row)| row).collect(),
            host: self.host.clone(),
        }
    }
}
