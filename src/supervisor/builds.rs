//! The builds that a fleet runs, with the devices that each can compute on. Blocking.

use std::path::PathBuf;

use crate::config::home::Home;
use crate::config::load::ConfigSet;
use crate::domain::instance::{Binary, InstanceName};
use crate::probes::devices::{self, Asking, DeviceList};
use crate::process::program::{self, Program};

/// Looked at when no instance names a program.
const USUAL: &str = "llama-server";

/// One program and who runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Build {
    pub program: PathBuf,
    pub instances: Vec<InstanceName>,
    /// `None` when the build does not say.
    pub list: Option<DeviceList>,
}

/// Finds every build of a fleet; without any, the llama-server in PATH.
#[must_use]
pub fn of(home: &Home, set: &ConfigSet, asking: Asking) -> Vec<Build> {
    let mut programs: Vec<(Program, Vec<InstanceName>)> = Vec::new();
    let specs = set.rows.iter().filter_map(|row| row.as_ref().ok());
    for spec in specs.map(|loaded| &loaded.spec) {
        // The simulated server computes on nothing.
        if spec.binary == Binary::Simulated {
            continue;
        }
        let Ok(program) = program::resolve(&spec.binary) else {
            continue;
        };
        match programs.iter_mut().find(|(known, _)| *known == program) {
            Some((_, names)) => names.push(spec.name.clone()),
            None => programs.push((program, vec![spec.name.clone()])),
        }
    }
    if programs.is_empty()
        && let Ok(program) = program::resolve(&Binary::InPath(USUAL.to_owned()))
    {
        programs.push((program, Vec::new()));
    }
    programs
        .into_iter()
        .map(|(program, instances)| Build {
            list: devices::listed(&home.state_dir(), &program.path, &program.prefix, asking),
            program: program.path,
            instances,
        })
        .collect()
}
