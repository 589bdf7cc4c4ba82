//! What a person wants of an instance, what its process does, and what its probes say.

use super::words::words;

/// What the user wants; survives every restart of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    Running,
    Stopped,
}

/// What the process of an instance is doing.
///
/// `stopped → starting → running → stopping → stopped`, plus `backoff` (will restart at a known
/// time) and `failed` (gave up and needs a human).
// A new status also needs a word in `Status::NAMES`, which the database and the wire use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Stopped,
    Starting,
    Running,
    Stopping,
    Backoff,
    Failed,
}

/// What the probes say of a running instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was probed yet, or nothing runs.
    Unknown,
    /// The server answers that it is still reading its model.
    Loading,
    Healthy,
    Unhealthy,
    /// The server answers, but wrongly.
    Error,
}

/// Why a start failed, as far as a program reading the answer must tell the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    InvalidConfig,
    PortInUse,
    /// It cannot listen on its host, which may be one that is not there yet.
    AddressUnusable,
    ExecutableNotFound,
    /// A process of an earlier run is still there.
    Busy,
    /// This machine could not give what a start needs (descriptors, memory, disk).
    Resources,
    /// It ran, ended by itself, and is not restarted any more.
    Crashed,
    Other,
}

impl Failure {
    const NAMES: [(Self, &'static str); 8] = [
        (Self::InvalidConfig, "invalid_config"),
        (Self::PortInUse, "port_in_use"),
        (Self::AddressUnusable, "address_unusable"),
        (Self::ExecutableNotFound, "executable_not_found"),
        (Self::Busy, "busy"),
        (Self::Resources, "resources"),
        (Self::Crashed, "crashed"),
        (Self::Other, "other"),
    ];
}

impl Desired {
    const NAMES: [(Self, &'static str); 2] =
        [(Self::Running, "running"), (Self::Stopped, "stopped")];
}

impl Status {
    pub const NAMES: [(Self, &'static str); 6] = [
        (Self::Stopped, "stopped"),
        (Self::Starting, "starting"),
        (Self::Running, "running"),
        (Self::Stopping, "stopping"),
        (Self::Backoff, "backoff"),
        (Self::Failed, "failed"),
    ];

    /// Returns whether a run's process exists or is about to.
    #[must_use]
    pub fn is_live(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Stopping => true,
            Self::Stopped | Self::Backoff | Self::Failed => false,
        }
    }
}

impl Health {
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Unknown, "unknown"),
        (Self::Loading, "loading"),
        (Self::Healthy, "healthy"),
        (Self::Unhealthy, "unhealthy"),
        (Self::Error, "error"),
    ];
}

words!(Desired);
words!(Status);
words!(Health);
words!(Failure);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_value() {
        for (status, word) in Status::NAMES {
            assert_eq!(Status::parse(word), Some(status));
            assert_eq!(status.as_str(), word);
        }
        for (health, word) in Health::NAMES {
            assert_eq!(Health::parse(word), Some(health));
        }
        assert_eq!(Desired::parse("running"), Some(Desired::Running));
        assert_eq!(Status::parse("error"), None);
    }
}
