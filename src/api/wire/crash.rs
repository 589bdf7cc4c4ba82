//! What was kept of a crash, on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The query of `GET /instances/{name}/crash`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CrashQuery {
    /// Which one: with so many newer ones; the newest when absent.
    pub back: Option<usize>,
}

/// `GET /instances/{name}/crash`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeptCrashBody {
    /// How many are kept.
    pub count: usize,
    /// Null when there is none, or not one with so many newer ones.
    pub crash: Option<CrashBody>,
}

/// A crash bundle; secrets are masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CrashBody {
    #[serde(flatten)]
    pub about: CrashAboutBody,
    /// The folder it is kept in, on the owner's machine.
    pub path: String,
    /// The end of what it wrote.
    pub last_words: Vec<String>,
    /// The file in the folder that has more of them.
    pub words_file: String,
    /// The instance's last events, a line each.
    pub events: Vec<String>,
    /// Its last changes of health, a line each.
    pub health: Vec<String>,
}

/// The bundle's `about.json`; a bundle of an earlier version may know less.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CrashAboutBody {
    pub run_id: String,
    pub cause: Option<String>,
    pub summary: Option<String>,
    /// The server's own words.
    pub evidence: Option<String>,
    pub remedy: Option<String>,
    pub exit: CrashExitBody,
    /// RFC 3339.
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub program: Option<String>,
    pub build: Option<String>,
    pub args: Vec<String>,
    /// Variables that say something about a server.
    pub environment: BTreeMap<String, String>,
    pub pid: Option<i32>,
    /// What was unusual about the run.
    pub notes: Vec<String>,
    pub machine: CrashMachineBody,
}

/// How it ended; code and signal are null when nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CrashExitBody {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// A core was dumped.
    pub core: bool,
}

/// The memory when it ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CrashMachineBody {
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    pub devices: Vec<CrashDeviceBody>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CrashDeviceBody {
    pub label: String,
    pub name: Option<String>,
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
}
