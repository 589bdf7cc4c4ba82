//! One execution of an instance and the processes in it.

use std::fmt;

/// The id of a run (UUIDv7 text).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

/// A process named so that a reused pid cannot be mistaken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId {
    pub pid: i32,
    /// Raw `/proc/PID/stat` field 22: clock ticks since boot.
    pub start_ticks: u64,
}

/// How hard a run is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// SIGTERM, then the grace period, then SIGKILL for what is left.
    Gentle,
    /// SIGKILL at once.
    Kill,
}

impl RunId {
    /// Wraps a run id that this program made or read from one of its own files.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
