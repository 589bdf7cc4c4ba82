//! The shapes of requests and answers. All are additive: unknown keys are ignored.

pub(crate) mod allowed;
mod checkup;
mod crash;
mod describe;
mod events;
mod fit;
mod health;
pub mod logs;
mod plan;
mod readings;
mod work;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use self::checkup::{CheckupBody, FoundBody};
pub use self::crash::{
    CrashAboutBody, CrashBody, CrashDeviceBody, CrashExitBody, CrashMachineBody, CrashQuery,
    KeptCrashBody,
};
pub use self::describe::{AmbientBody, ChangedBody, DescriptionBody, EndBody, PathsBody, RunBody};
pub use self::events::{EventBody, EventsBody, EventsQuery, InstanceEventsKeys};
pub use self::fit::{
    BuildDevicesBody, DevicesBody, FitBody, FitsBody, InstanceFitBody, ListedDeviceBody, PlaceBody,
};
pub use self::health::{
    FleetHealthBody, HealthChangeBody, HealthHistoryBody, HealthQuery, HealthRollupBody,
    InstanceHealthBody,
};
pub use self::plan::{AppliedBody, ChangeBody, PlanBody, PlansBody};
pub use self::readings::{AutopsyBody, DeviceBody, HostBody, ReadingsBody};
pub use self::work::{
    DeleteQuery, InvalidWork, NewWorkUnit, StatusChangeBody, WorkAnswerBody, WorkCountsBody,
    WorkHistoryBody, WorkHistoryQuery, WorkUnitBody, WorkUnitPatch, WorkUnitsBody, WorkUnitsQuery,
};
use crate::domain::exit::ExitStatus;
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::readings::{HostReadings, Readings};
use crate::domain::run::{RunId, StopMode};

/// `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OwnerStatus {
    pub pid: u32,
    pub version: String,
    /// `daemon`, `dashboard` or `command`.
    pub role: Role,
    pub home: String,
    pub started_at: String,
    pub uptime_seconds: u64,
    pub instances: usize,
    pub running: usize,
    #[serde(default)]
    pub work_units: WorkCountsBody,
    /// Commands of work units that it runs at once, at most; 0 when it runs none.
    #[serde(default)]
    pub work_max_parallel: Option<u32>,
    pub generation: u64,
    /// `ok`, or why the database cannot be used as it should be.
    pub database: String,
    /// The API beside the socket, where the settings ask for it.
    #[serde(default)]
    pub tcp: Option<TcpBody>,
}

/// The API beside the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TcpBody {
    /// Where it answers; null when it does not.
    pub url: Option<String>,
    /// Where the token stands that it wants; null when it wants none.
    pub token_file: Option<String>,
    /// Why it does not answer, or not as the settings say.
    pub problem: Option<String>,
}

/// What kind of process owns the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Daemon,
    Dashboard,
    Command,
}

/// The query of `GET /instances`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PictureQuery {
    /// A generation: waits until there is a newer picture.
    pub after: Option<u64>,
    /// Milliseconds that it waits at most: up to 30000, which is also meant when nothing is said.
    pub wait_ms: Option<u64>,
}

/// The answer of a request that there is nothing to say about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {}

/// `GET /instances`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FleetBody {
    pub generation: u64,
    pub instances: Vec<InstanceBody>,
    #[serde(default)]
    pub host: HostBody,
}

/// One instance on the wire; also what `ps --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceBody {
    pub name: String,
    pub display_name: String,
    pub pid: Option<i32>,
    pub port: Option<u16>,
    pub host: String,
    pub backend: String,
    pub device: String,
    pub model: String,
    pub status: String,
    pub health: String,
    pub desired: String,
    /// Status and health in one word.
    pub state: String,
    pub reason: Option<String>,
    pub failure: Option<String>,
    pub run_id: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    pub uptime_seconds: Option<u64>,
    /// RFC 3339; when it will be started again.
    pub restart_at: Option<String>,
    pub restarts: u32,
    pub exit: Option<ExitBody>,
    #[serde(default)]
    pub autopsy: Option<AutopsyBody>,
    /// Percent of the load, while it loads.
    #[serde(default)]
    pub progress: Option<u8>,
    #[serde(flatten)]
    pub readings: ReadingsBody,
    pub drift: bool,
    pub broken: bool,
    pub tags: Vec<String>,
    pub url: Option<String>,
}

/// How a run ended; both null when nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitBody {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// The body of `POST /instances/{name}/stop` and `…/restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopRequest {
    #[serde(default)]
    pub mode: StopModeBody,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopModeBody {
    #[default]
    Gentle,
    Kill,
}

/// The answer (202) to a command on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandAnswer {
    /// The run that was present when the command had been decided.
    pub run_id: Option<String>,
    /// The first generation that shows the command's effect.
    pub generation: u64,
}

/// The body of `POST /refresh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefreshRequest {
    /// Which instances are probed now; absent means all.
    #[serde(default)]
    #[schema(schema_with = allowed::instances_or_null)]
    pub names: Option<Vec<String>>,
    /// How long a slow probe is waited for.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

/// Turns unix seconds into RFC 3339 text; a time out of range becomes the epoch.
#[must_use]
pub fn rfc3339(seconds: f64) -> String {
    let millis = (seconds * 1000.0) as i64;
    Timestamp::from_millisecond(millis)
        .unwrap_or_default()
        .to_string()
}

/// Reads RFC 3339 text back into unix seconds.
#[must_use]
pub fn unix_seconds(text: &str) -> Option<f64> {
    let timestamp: Timestamp = text.parse().ok()?;
    Some(timestamp.as_millisecond() as f64 / 1000.0)
}

impl From<StopModeBody> for StopMode {
    fn from(body: StopModeBody) -> Self {
        match body {
            StopModeBody::Gentle => Self::Gentle,
            StopModeBody::Kill => Self::Kill,
        }
    }
}

impl From<StopMode> for StopModeBody {
    fn from(mode: StopMode) -> Self {
        match mode {
            StopMode::Gentle => Self::Gentle,
            StopMode::Kill => Self::Kill,
        }
    }
}

impl ExitBody {
    /// Converts what may be unknown.
    #[must_use]
    pub fn of(status: Option<ExitStatus>) -> Self {
        status.map_or(
            Self {
                code: None,
                signal: None,
            },
            Self::from,
        )
    }

    /// Converts back; `None` when nobody knows.
    #[must_use]
    pub fn to_status(self) -> Option<ExitStatus> {
        match (self.code, self.signal) {
            (Some(code), _) => Some(ExitStatus::Code(code)),
            (None, Some(signal)) => Some(ExitStatus::Signal(signal)),
            (None, None) => None,
        }
    }
}

impl From<ExitStatus> for ExitBody {
    fn from(status: ExitStatus) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
        }
    }
}

impl InstanceBody {
    /// Converts a row; `now` (unix seconds) gives the uptime.
    #[must_use]
    pub fn from_row(row: &InstanceRow, now: f64) -> Self {
        Self {
            name: row.name.to_string(),
            display_name: row.display_name.clone(),
            pid: row.pid,
            port: row.port,
            host: row.host.clone(),
            backend: row.backend.clone(),
            device: row.device.clone(),
            model: row.model.clone(),
            status: row.status.to_string(),
            health: row.health.to_string(),
            desired: row.desired.to_string(),
            state: row.state_word().to_owned(),
            reason: row.reason.clone(),
            failure: row.failure.map(|failure| failure.to_string()),
            run_id: row.run.as_ref().map(ToString::to_string),
            started_at: row.started_at.map(rfc3339),
            uptime_seconds: row.started_at.map(|start| (now - start).max(0.0) as u64),
            restart_at: row.restart_at.map(rfc3339),
            restarts: row.restarts,
            exit: row.exit.map(ExitBody::from),
            autopsy: row.autopsy.as_ref().map(AutopsyBody::from),
            progress: row.progress,
            readings: ReadingsBody::from(&row.readings),
            drift: row.drift,
            broken: row.broken,
            tags: row.tags.clone(),
            url: row.url(),
        }
    }

    /// Converts back; `None` when the sender's names are not ours.
    #[must_use]
    pub fn to_row(&self) -> Option<InstanceRow> {
        Some(InstanceRow {
            name: InstanceName::parse(&self.name).ok()?,
            display_name: self.display_name.clone(),
            tags: self.tags.clone(),
            desired: Desired::parse(&self.desired)?,
            status: Status::parse(&self.status)?,
            health: Health::parse(&self.health)?,
            reason: self.reason.clone(),
            failure: self.failure.as_deref().and_then(Failure::parse),
            run: self.run_id.clone().map(RunId::new),
            pid: self.pid,
            port: self.port,
            host: self.host.clone(),
            backend: self.backend.clone(),
            device: self.device.clone(),
            model: self.model.clone(),
            started_at: self.started_at.as_deref().and_then(unix_seconds),
            restart_at: self.restart_at.as_deref().and_then(unix_seconds),
            restarts: self.restarts,
            exit: self.exit.and_then(ExitBody::to_status),
            autopsy: self.autopsy.as_ref().and_then(AutopsyBody::to_autopsy),
            progress: self.progress,
            readings: Readings::from(&self.readings),
            drift: self.drift,
            broken: self.broken,
        })
    }
}

impl FleetBody {
    #[must_use]
    pub fn from_snapshot(snapshot: &FleetSnapshot, now: f64) -> Self {
        Self {
            generation: snapshot.generation,
            instances: snapshot
                .rows
                .iter()
                .map(|row| InstanceBody::from_row(row, now))
                .collect(),
            host: HostBody::from(&snapshot.host),
        }
    }

    #[must_use]
    pub fn to_snapshot(&self) -> FleetSnapshot {
        FleetSnapshot {
            generation: self.generation,
            rows: self
                .instances
                .iter()
                .filter_map(InstanceBody::to_row)
                .collect(),
            host: HostReadings::from(&self.host),
        }
    }
}
