//! Everything about one instance on the wire.
// A new key also needs its line in `tests/data/describe.json`, and usually one in the text of
// `describe`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AutopsyBody, EventBody, ExitBody, FitBody, HealthChangeBody, HealthRollupBody, InstanceBody,
};
use crate::domain::connection::{Connection, Run};

/// `GET /instances/{name}/describe`; also what `describe --json` prints. Secrets are masked wherever
/// they can appear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DescriptionBody {
    #[serde(flatten)]
    pub instance: InstanceBody,
    pub config_path: String,
    /// Empty when it belongs to another directory or cannot be used.
    pub binary: Option<String>,
    /// What the present run's binary says of its version.
    pub build: Option<String>,
    /// The command of the present run, or of the next one.
    pub command: Option<Vec<String>>,
    /// The command that a restart would run, when it differs from the present one.
    pub next_command: Option<Vec<String>>,
    /// Variables that are ours, llama.cpp's or the configuration's.
    pub environment: BTreeMap<String, String>,
    /// Configuration files of llama.cpp that the server reads besides.
    pub ambient: Vec<AmbientBody>,
    pub memory: Option<FitBody>,
    pub shim_pid: Option<i32>,
    /// What is unusual about the present run.
    pub notes: Vec<String>,
    pub last_end: Option<EndBody>,
    /// Present and past runs, the newest first.
    pub runs: Vec<RunBody>,
    /// Changes of health, the oldest first.
    pub health_history: Vec<HealthChangeBody>,
    /// All probes in stretches, the oldest first.
    pub health_rollups: Vec<HealthRollupBody>,
    pub events: Vec<EventBody>,
    /// What the configuration says now and the present run was not started with.
    pub changed: Vec<ChangedBody>,
    /// What is doubtful about the configuration.
    pub findings: Vec<String>,
    pub paths: PathsBody,
}

impl DescriptionBody {
    /// Returns how a client on the owner's machine reaches the instance; `None` while nothing runs.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.instance.pid?;
        let run = Run {
            command: self.command.as_deref().unwrap_or_default(),
            environment: &self.environment,
            home: &self.paths.home,
        };
        let url = self.instance.url.as_deref()?;
        Some(Connection::of(&self.instance.name, url, run))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmbientBody {
    pub path: String,
    /// What it sets; the values are not shown.
    pub keys: Vec<String>,
    pub error: Option<String>,
}

/// How the latest finished run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndBody {
    pub run_id: String,
    pub ended_at: String,
    pub exit: ExitBody,
    /// It was asked to.
    pub requested: bool,
    pub autopsy: Option<AutopsyBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunBody {
    pub run_id: String,
    pub pid: Option<i32>,
    pub port: Option<u16>,
    pub started_at: String,
    pub ended_at: Option<String>,
    pub exit: Option<ExitBody>,
    pub requested: Option<bool>,
    pub cause: Option<String>,
}

/// A field that was another when the run was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangedBody {
    pub field: String,
    pub was: Option<String>,
    pub now: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PathsBody {
    pub home: String,
    pub model: Option<String>,
    pub logs: Vec<String>,
    pub run_files: String,
    pub crashes: String,
    /// The newest crash bundle.
    pub newest_crash: Option<String>,
    pub database: String,
}
