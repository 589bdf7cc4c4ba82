//! What `describe --json` prints.
// A new key also needs its line in `tests/data/describe.json`, and usually one in `text.rs`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::wire::{
    AutopsyBody, EventBody, ExitBody, FitBody, HealthChangeBody, HealthRollupBody, InstanceBody,
};

/// Everything that is known of one instance. Secrets are masked wherever they can appear.
#[derive(Debug, Serialize)]
pub(super) struct Description {
    #[serde(flatten)]
    pub(super) instance: InstanceBody,
    pub(super) config_path: String,
    /// Empty when it belongs to another directory or cannot be used.
    pub(super) binary: Option<String>,
    /// What the present run's binary says of its version.
    pub(super) build: Option<String>,
    /// The command of the present run, or of the next one.
    pub(super) command: Option<Vec<String>>,
    /// The command that a restart would run, when it differs from the present one.
    pub(super) next_command: Option<Vec<String>>,
    /// Variables that are ours, llama.cpp's or the configuration's.
    pub(super) environment: BTreeMap<String, String>,
    /// Configuration files of llama.cpp that the server reads besides.
    pub(super) ambient: Vec<AmbientBody>,
    pub(super) memory: Option<FitBody>,
    pub(super) shim_pid: Option<i32>,
    /// What is unusual about the present run.
    pub(super) notes: Vec<String>,
    pub(super) last_end: Option<EndBody>,
    /// Present and past runs, the newest first.
    pub(super) runs: Vec<RunBody>,
    /// Changes of health, the oldest first.
    pub(super) health_history: Vec<HealthChangeBody>,
    /// All probes in stretches, the oldest first.
    pub(super) health_rollups: Vec<HealthRollupBody>,
    pub(super) events: Vec<EventBody>,
    /// What the configuration says now and the present run was not started with.
    pub(super) changed: Vec<Changed>,
    /// What is doubtful about the configuration.
    pub(super) findings: Vec<String>,
    pub(super) paths: Paths,
}

#[derive(Debug, Serialize)]
pub(super) struct AmbientBody {
    pub(super) path: String,
    /// What it sets; the values are not shown.
    pub(super) keys: Vec<String>,
    pub(super) error: Option<String>,
}

/// How the latest finished run ended.
#[derive(Debug, Serialize)]
pub(super) struct EndBody {
    pub(super) run_id: String,
    pub(super) ended_at: String,
    pub(super) exit: ExitBody,
    /// It was asked to.
    pub(super) requested: bool,
    pub(super) autopsy: Option<AutopsyBody>,
}

#[derive(Debug, Serialize)]
pub(super) struct RunBody {
    pub(super) run_id: String,
    pub(super) pid: Option<i32>,
    pub(super) port: Option<u16>,
    pub(super) started_at: String,
    pub(super) ended_at: Option<String>,
    pub(super) exit: Option<ExitBody>,
    pub(super) requested: Option<bool>,
    pub(super) cause: Option<String>,
}

/// A field that was another when the run was started.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    pub(super) field: String,
    pub(super) was: Option<String>,
    pub(super) now: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Paths {
    pub(super) home: String,
    pub(super) model: Option<String>,
    pub(super) logs: Vec<String>,
    pub(super) run_files: String,
    pub(super) crashes: String,
    /// The newest crash bundle.
    pub(super) newest_crash: Option<String>,
    pub(super) database: String,
}
