//! The fleet without an owner: read from files, database and kernel, changing nothing.

use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::exit::RunExit;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Status};
use crate::process::adopt::{self, Adoption};
use crate::process::runfiles::{self, RunPaths, SpecFile};
use crate::store::{Reader, RuntimeView};
use crate::supervisor::state::{Fleet, Phase};
use crate::supervisor::{configs, launch};

/// Returns the fleet as it can be seen without an owner.
#[must_use]
pub(super) fn picture(home: &Home) -> FleetSnapshot {
    picture_of(home, &load::load(home))
}

/// As [`picture`], with configurations that were read already.
#[must_use]
pub(super) fn picture_of(home: &Home, set: &ConfigSet) -> FleetSnapshot {
    let stored = Reader::open(&home.database())
        .ok()
        .flatten()
        .and_then(|reader| reader.instances().ok())
        .unwrap_or_default();
    let mut fleet = Fleet::new(1);
    for (name, config) in configs::of_set(set) {
        let instance = fleet.instances.entry(name.clone()).or_default();
        instance.config = config;
        let stored = stored.get(&name);
        if let Some(view) = stored {
            instance.desired = view.desired;
            instance.restarts = view.restarts;
            instance.last_exit = view.last_exit;
        }
        let (phase, exit) = phase_of(home, &name, stored);
        instance.phase = phase;
        if let Some(exit) = exit {
            instance.last_exit = exit.status;
        }
    }
    fleet.snapshot(0, configs::drifted)
}

fn phase_of(
    home: &Home,
    name: &InstanceName,
    stored: Option<&RuntimeView>,
) -> (Phase, Option<RunExit>) {
    let paths = RunPaths::new(home.runs_dir(name));
    match adopt::inspect(&paths) {
        Adoption::Live(live) | Adoption::ShimGone(live) => {
            let spec: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
            let started_with = spec.map(|spec| spec.config).unwrap_or_default();
            let mut up = launch::up(&live, started_with);
            if let Some(view) = stored.filter(|view| view.status.is_live()) {
                up.health = view.health;
            }
            (Phase::Up(up), None)
        }
        Adoption::Ended(_, exit) => {
            let exit = RunExit::from(exit);
            let wanted = stored.is_some_and(|view| view.desired == Desired::Running);
            let phase = match (exit.status, exit.requested || !wanted) {
                (Some(status), false) => failed(&status.to_string()),
                (_, _) => told(stored),
            };
            (phase, Some(exit))
        }
        Adoption::Vanished(_) => (failed("it ended, nobody knows how"), None),
        Adoption::Unproven { why, .. } => (failed(&format!("not proven: {why}")), None),
        Adoption::Damaged { why } => (
            failed(&format!("its run files cannot be read: {why}")),
            None,
        ),
        Adoption::Nothing | Adoption::Rebooted(_) => (told(stored), None),
    }
}

/// What the last owner said of an instance that does not run.
fn told(stored: Option<&RuntimeView>) -> Phase {
    match stored {
        Some(view) if view.status == Status::Failed => {
            failed(view.last_error.as_deref().unwrap_or("it had failed"))
        }
        Some(_) | None => Phase::Stopped,
    }
}

fn failed(reason: &str) -> Phase {
    Phase::Failed {
        failure: Failure::Crashed,
        reason: reason.to_owned(),
    }
}
