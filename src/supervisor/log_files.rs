//! Where logs are: where the last run wrote them, else where the next one would.

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
    let run = RunPaths::new(home.runs_dir(name));
    if let Ok(Some(SpecFile { stdout, stderr, .. })) = runfiles::read(&run.spec()) {
        return LogFiles { stdout, stderr };
    }
    let configured = load::load(home)
        .rows
        .into_iter()
        .filter_map(Result::ok)
        .find(|loaded| loaded.spec.name == *name);
    match configured {
        Some(loaded) => LogFiles {
            stdout: loaded.spec.logs.stdout,
            stderr: loaded.spec.logs.stderr,
        },
        None => LogFiles {
            stdout: home.logs_dir(name).join("stdout.log"),
            stderr: home.logs_dir(name).join("stderr.log"),
        },
    }
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
