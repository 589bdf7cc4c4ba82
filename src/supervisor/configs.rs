//! The configurations as the supervisor sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Config, Up};
use crate::config::drift;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::config::settings::Settings;
use crate::domain::instance::{InstanceName, InstanceSpec};

/// Everything that was read from the home's files.
pub struct Loaded {
    pub configs: BTreeMap<InstanceName, Config>,
    pub settings: Settings,
}

/// Reads every configuration of the home. Blocking.
#[must_use]
pub fn read(home: &Home) -> Loaded {
    let set = load::load(home);
    Loaded {
        configs: of_set(&set),
        settings: set.settings,
    }
}

/// Returns one configuration per instance, usable or not.
#[must_use]
pub fn of_set(set: &ConfigSet) -> BTreeMap<InstanceName, Config> {
    set.rows
        .iter()
        .map(|row| match row {
            Ok(loaded) => (
                loaded.spec.name.clone(),
                Config::Ready(Arc::new(loaded.spec.clone())),
            ),
            Err(broken) => (broken.name.clone(), Config::Broken(broken.reason())),
        })
        .collect()
}

/// Returns the static fields as a run remembers them.
#[must_use]
pub fn started_with(spec: &InstanceSpec) -> BTreeMap<String, String> {
    drift::static_fields(spec)
}

/// Returns whether a restart would run something else than what runs.
#[must_use]
pub fn drifted(up: &Up, spec: &InstanceSpec) -> bool {
    // A run of an older version may have remembered nothing.
    !up.started_with.is_empty() && !drift::drift(&up.started_with, &started_with(spec)).is_empty()
}
