//! What a reader sees of the fleet: one immutable picture per generation.

use super::autopsy::Autopsy;
use super::exit::ExitStatus;
use super::instance::InstanceName;
use super::lifecycle::{Desired, Failure, Health, Status};
use super::readings::{HostReadings, Readings};
use super::run::RunId;

/// The word for a server that has work and does none; in a reason, what showed it follows.
pub const WEDGED: &str = "wedged";

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
    /// Returns whether it is down because somebody wants it so: whatever ended or refused it before
    /// is history, and nothing to be mended now.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.status == Status::Stopped && self.desired == Desired::Stopped
    }

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

    /// Returns whether it is unhealthy because the watchdog found it wedged.
    #[must_use]
    pub fn is_wedged(&self) -> bool {
        let evidence = self
            .reason
            .as_deref()
            .and_then(|reason| reason.strip_prefix(WEDGED)?.strip_prefix(": "));
        self.status == Status::Running && self.health == Health::Unhealthy && evidence.is_some()
    }

    /// Returns status and health in one word: ready, loading, unhealthy, wedged, backoff, failed …
    #[must_use]
    pub fn state_word(&self) -> &'static str {
        match (self.status, self.health) {
            (Status::Running, Health::Healthy) => "ready",
            (Status::Starting | Status::Running, Health::Loading) => "loading",
            (Status::Running, Health::Unhealthy) if self.is_wedged() => WEDGED,
            (Status::Running, Health::Unhealthy) => "unhealthy",
            (Status::Running, Health::Error) => "error",
            (Status::Running, Health::Unknown) => "running",
            (status, _) => status.as_str(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row in this state, for this reason.
    pub(crate) fn row(status: Status, health: Health, reason: Option<&str>) -> InstanceRow {
        InstanceRow {
            name: InstanceName::parse("a").expect("a name"),
            display_name: "a".to_owned(),
            tags: Vec::new(),
            desired: Desired::Running,
            status,
            health,
            reason: reason.map(str::to_owned),
            failure: None,
            run: None,
            pid: None,
            port: None,
            host: "127.0.0.1".to_owned(),
            backend: "cpu".to_owned(),
            device: "-".to_owned(),
            model: "m".to_owned(),
            started_at: None,
            restart_at: None,
            restarts: 0,
            exit: None,
            autopsy: None,
            progress: None,
            readings: Readings::default(),
            drift: false,
            broken: false,
        }
    }

    #[test]
    fn one_word_says_status_and_health_and_a_wedge() {
        let wedge = Some("wedged: 2 of 4 slots busy");
        let rows = [
            (Status::Running, Health::Healthy, None, "ready"),
            (Status::Starting, Health::Loading, None, "loading"),
            (Status::Running, Health::Unhealthy, wedge, "wedged"),
            (
                Status::Running,
                Health::Unhealthy,
                Some("unreachable: it wedged: no"),
                "unhealthy",
            ),
            (Status::Running, Health::Unhealthy, None, "unhealthy"),
            (Status::Running, Health::Error, wedge, "error"),
            // It is ended for it: that is what happens now.
            (Status::Stopping, Health::Unhealthy, wedge, "stopping"),
            (Status::Backoff, Health::Unknown, wedge, "backoff"),
        ];
        for (status, health, reason, word) in rows {
            assert_eq!(row(status, health, reason).state_word(), word, "{reason:?}");
        }
    }
}
