//! What a reader sees of the fleet: one immutable picture per generation.

use super::autopsy::Autopsy;
use super::exit::ExitStatus;
use super::instance::InstanceName;
use super::lifecycle::{Desired, Failure, Health, Status};
use super::readings::{HostReadings, Readings};
use super::run::RunId;

/// The fleet at one moment; a higher generation is newer.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct FleetSnapshot {
    pub generation: u64,
    pub rows: Vec<InstanceRow>,
    pub host: HostReadings,
}

/// One instance as shown in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceRow {
    pub name: InstanceName,
    pub display_name: String,
    pub tags: Vec<String>,
    pub desired: Desired,
    pub status: Status,
    pub health: Health,
    /// Why it is in this state, when there is something to say.
    pub reason: Option<String>,
    /// What kind of failure `failed` is.
    pub failure: Option<Failure>,
    pub run: Option<RunId>,
    pub pid: Option<i32>,
    pub port: Option<u16>,
    pub host: String,
    pub backend: String,
    pub device: String,
    pub model: String,
    /// Unix seconds of the present run's start.
    pub started_at: Option<f64>,
    /// Unix seconds of the next automatic restart.
    pub restart_at: Option<f64>,
    /// Automatic restarts since the last healthy stretch.
    pub restarts: u32,
    /// The end of the latest finished run.
    pub exit: Option<ExitStatus>,
    /// Why the latest finished run ended; absent once a newer run was healthy.
    pub autopsy: Option<Autopsy>,
    /// Percent of the load that is done, while it loads and that can be told.
    pub progress: Option<u8>,
    pub readings: Readings,
    /// The configuration differs from what the run was started with.
    pub drift: bool,
    /// The configuration cannot be used; the reason says why.
    pub broken: bool,
}

impl InstanceRow {
    /// Returns the address a client uses, once the port is known.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        if self.host.ends_with(".sock") {
            return Some(format!("unix://{}", self.host));
        }
        let port = self.port?;
        // A client cannot connect to "any address"; it reaches such a server on this machine.
        let host = match self.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        if host.contains(':') {
            Some(format!("http://[{host}]:{port}"))
        } else {
            Some(format!("http://{host}:{port}"))
        }
    }

    /// Returns whether it is healthy, or stopped on purpose.
    #[must_use]
    pub fn is_as_wanted(&self) -> bool {
        match self.status {
            Status::Starting | Status::Running | Status::Stopping => self.health == Health::Healthy,
            Status::Stopped => self.desired == Desired::Stopped,
            Status::Backoff | Status::Failed => false,
        }
    }

    /// Returns status and health in one word: ready, loading, unhealthy, backoff, failed …
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        match (self.status, self.health) {
            (Status::Running, Health::Healthy) => "ready",
            (Status::Starting | Status::Running, Health::Loading) => "loading",
            (Status::Running, Health::Unhealthy) => "unhealthy",
            (Status::Running, Health::Error) => "error",
            (Status::Running, Health::Unknown) => "running",
            (status, _) => status.as_str(),
        }
    }
}
