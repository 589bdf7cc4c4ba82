//! The fleet without an owner: read from files, database and kernel, changing nothing.

use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::exit::RunExit;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Status};
use crate::process::adopt::{self, Adoption};
use crate::process::runfiles::{self, RunPaths, SpecFile};
use crate::store::{Reader, RuntimeRow};
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
        .and_then(|reader| reader.load().ok())
        .unwrap_or_default();
    let mut fleet = Fleet::new(1);
    for (name, config) in configs::of_set(set) {
        let instance = fleet.instances.entry(name.clone()).or_default();
        instance.config = config;
        let row = stored.runtime.get(&name);
        let desired = stored
            .desired
            .get(&name)
            .copied()
            .unwrap_or(Desired::Stopped);
        instance.desired = desired;
        instance.restarts = row.map_or(0, |row| row.restart_attempts);
        let last_end = stored.last_runs.get(&name).and_then(|run| run.end.as_ref());
        instance.last_exit = last_end.and_then(|end| end.status);
        let (phase, exit) = phase_of(home, &name, row, desired);
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
    stored: Option<&RuntimeRow>,
    desired: Desired,
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
            let wanted = desired == Desired::Running;
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
fn told(stored: Option<&RuntimeRow>) -> Phase {
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
