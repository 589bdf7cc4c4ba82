//! The configurations as the supervisor sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Config, Up};
use crate::config::fields;
use crate::config::home::Home;
use crate::config::load;
use crate::domain::instance::{InstanceName, InstanceSpec};

/// What `orchestrator.toml` says about supervising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupervisorSettings {
    pub max_loading: usize,
    pub retention_days: u32,
    pub retention_rows: u32,
}

/// Everything that was read from the home's files.
pub struct Loaded {
    pub configs: BTreeMap<InstanceName, Config>,
    pub settings: SupervisorSettings,
}

/// Reads every configuration of the home. Blocking.
#[must_use]
pub fn read(home: &Home) -> Loaded {
    let set = load::load(home);
    let settings = SupervisorSettings {
        max_loading: set.settings.max_loading as usize,
        retention_days: set.settings.events_days,
        retention_rows: set.settings.events_rows,
    };
    let mut configs = BTreeMap::new();
    for entry in &set.entries {
        let Ok(name) = InstanceName::parse(entry.label()) else { continue };
        let config = match entry.spec() {
            Some(spec) => Config::Ready(Arc::new(spec.clone())),
            None => Config::Broken(entry.first_error()),
        };
        configs.insert(name, config);
    }
    Loaded { configs, settings }
}

/// Returns the static fields as a run remembers them.
#[must_use]
pub fn started_with(spec: &InstanceSpec) -> BTreeMap<String, String> {
    fields::static_fields(spec)
}

/// Returns whether a restart would run something else than what runs.
#[must_use]
pub fn drifted(up: &Up, spec: &InstanceSpec) -> bool {
    // A run of an older version may have remembered nothing.
    !up.started_with.is_empty() && !fields::drift(&up.started_with, &started_with(spec)).is_empty()
}
