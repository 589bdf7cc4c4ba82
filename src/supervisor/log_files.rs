//! Where logs are: where the last run wrote them, else where the next one would.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::config::home::Home;
use crate::config::load;
use crate::domain::instance::InstanceName;
use crate::domain::log::Whose;
use crate::domain::work::Chunk;
use crate::logs::LogFiles;
use crate::process::runfiles::{self, RunPaths, SpecFile};

/// Finds the logs of an instance or of a work unit's commands.
#[must_use]
pub fn of_whom(home: &Home, whose: &Whose) -> LogFiles {
    match whose {
        Whose::Instance(name) => of(home, name),
        Whose::Unit(chunk) => of_unit(home, chunk),
    }
}

/// Finds the logs of an instance; those of a broken configuration are where they usually are.
#[must_use]
pub fn of(home: &Home, name: &InstanceName) -> LogFiles {
    Finder::new(home).of(name)
}

/// Finds the logs of many instances; the configurations are read at most once.
#[derive(Debug)]
pub struct Finder<'a> {
    home: &'a Home,
    configured: OnceCell<BTreeMap<InstanceName, LogFiles>>,
}

impl<'a> Finder<'a> {
    #[must_use]
    pub fn new(home: &'a Home) -> Self {
        Self {
            home,
            configured: OnceCell::new(),
        }
    }

    /// As [`of`].
    #[must_use]
    pub fn of(&self, name: &InstanceName) -> LogFiles {
        let run = RunPaths::new(self.home.runs_dir(name));
        if let Ok(Some(SpecFile { stdout, stderr, .. })) = runfiles::read(&run.spec()) {
            return LogFiles { stdout, stderr };
        }
        let configured = self.configured.get_or_init(|| configured(self.home));
        configured.get(name).cloned().unwrap_or_else(|| LogFiles {
            stdout: self.home.logs_dir(name).join("stdout.log"),
            stderr: self.home.logs_dir(name).join("stderr.log"),
        })
    }
}

fn configured(home: &Home) -> BTreeMap<InstanceName, LogFiles> {
    let rows = load::load(home).rows.into_iter().filter_map(Result::ok);
    rows.map(|load::Loaded { spec, .. }| {
        let files = LogFiles {
            stdout: spec.logs.stdout,
            stderr: spec.logs.stderr,
        };
        (spec.name, files)
    })
    .collect()
}

/// Finds the logs of a work unit's commands.
#[must_use]
pub fn of_unit(home: &Home, chunk: &Chunk) -> LogFiles {
    let folder = home.work_logs_dir(chunk);
    LogFiles {
        stdout: folder.join("stdout.log"),
        stderr: folder.join("stderr.log"),
    }
}
