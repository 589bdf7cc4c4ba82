//! The configurations as the supervisor sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::{Config, Up};
use crate::config::drift;
use crate::config::finding::Finding;
use crate::config::home::Home;
use crate::config::load::{self, Broken, ConfigSet};
use crate::config::settings::Settings;
use crate::domain::instance::{InstanceName, InstanceSpec};

/// Everything that was read from the home's files.
pub struct Loaded {
    pub instances: BTreeMap<InstanceName, Config>,
    /// The last good ones, while their file cannot be used.
    pub settings: Settings,
    /// What is wrong with files that belong to no instance.
    pub problems: BTreeSet<String>,
    /// Of the files just before they were read.
    pub signature: u64,
}

/// Reads every configuration of the home. Blocking.
#[must_use]
pub fn read(home: &Home, last_good: Option<&Settings>) -> Loaded {
    let signature = signature(home);
    let found = Settings::load(home);
    let mut problems = errors(&found.findings);
    let settings = match last_good {
        Some(last_good) if !problems.is_empty() => last_good.clone(),
        Some(_) | None => found,
    };
    let set = load::load_with(home, settings);
    problems.extend(errors(&set.findings));
    Loaded {
        instances: set.rows.into_iter().map(config_of).collect(),
        settings: set.settings,
        problems,
        signature,
    }
}

/// Returns a number that is another when a configuration file is, without reading any.
#[must_use]
pub fn signature(home: &Home) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut note = |path: &Path| {
        if let Ok(file) = fs::metadata(path) {
            let stamp = (file.len(), file.mtime(), file.mtime_nsec(), file.ino());
            (path, stamp).hash(&mut hasher);
        }
    };
    note(&home.settings_file());
    note(&home.autostart_file());
    note(&home.registry_file());
    let entries = fs::read_dir(home.instances_dir()).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    folders.sort_unstable();
    for folder in folders {
        note(&folder.join("config.toml"));
        note(&folder.join("config.json"));
    }
    hasher.finish()
}

fn errors(findings: &[Finding]) -> BTreeSet<String> {
    let errors = findings.iter().filter(|finding| finding.is_error());
    errors.map(ToString::to_string).collect()
}

/// Returns one configuration per instance, usable or not.
#[must_use]
pub fn of_set(set: &ConfigSet) -> BTreeMap<InstanceName, Config> {
    set.rows.iter().cloned().map(config_of).collect()
}

fn config_of(row: Result<load::Loaded, Broken>) -> (InstanceName, Config) {
    match row {
        Ok(loaded) => (
            loaded.spec.name.clone(),
            Config::Ready(Arc::new(loaded.spec)),
        ),
        Err(broken) => {
            let reason = broken.reason();
            (broken.name, Config::Broken { reason, last: None })
        }
    }
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
