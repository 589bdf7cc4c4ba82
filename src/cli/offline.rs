//! The fleet without an owner: read from files, database and kernel, changing nothing.

use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::autopsy::{Asked, Autopsy, Readiness, examine};
use crate::domain::exit::RunExit;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Status};
use crate::domain::work::Chunk;
use crate::process::adopt::{self, Adoption};
use crate::process::runfiles::{self, RunFile, RunPaths, SpecFile};
use crate::store::{Reader, RuntimeRow};
use crate::supervisor::ends::{self, OomWatch};
use crate::supervisor::state::{Fleet, Phase};
use crate::supervisor::{configs, launch};

/// Returns the instances whose server runs, by their run files and the kernel.
#[must_use]
pub(super) fn living(home: &Home) -> Vec<InstanceName> {
    let entries = std::fs::read_dir(home.all_runs_dir()).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| InstanceName::parse(entry.file_name().to_str()?).ok())
        .filter(|name| {
            let found = adopt::inspect(&RunPaths::new(home.runs_dir(name)));
            matches!(found, Adoption::Live(_) | Adoption::ShimGone(_))
        })
        .collect()
}

/// Returns the instances that run or that the next owner would start.
#[must_use]
pub(super) fn to_stop(home: &Home) -> Vec<InstanceName> {
    let mut names = living(home);
    let fleet = fleet(home, &load::load(home));
    let wanted = fleet.instances.into_iter().filter(|(_, instance)| {
        instance.desired == Desired::Running && !matches!(instance.phase, Phase::Failed { .. })
    });
    names.extend(wanted.map(|(name, _)| name));
    names.sort();
    names.dedup();
    names
}

/// Returns the work units whose command runs, in the same way.
#[must_use]
pub(super) fn living_units(home: &Home) -> Vec<Chunk> {
    let entries = std::fs::read_dir(home.work_runs_dir())
        .into_iter()
        .flatten();
    let mut units: Vec<Chunk> = entries
        .filter_map(Result::ok)
        // A plus at the end tells the folder of a unit from a file beside it.
        .filter_map(|entry| Chunk::parse(entry.file_name().to_str()?.trim_end_matches('+')).ok())
        .filter(|chunk| {
            let found = adopt::inspect(&RunPaths::new(home.work_run_dir(chunk)));
            matches!(found, Adoption::Live(_) | Adoption::ShimGone(_))
        })
        .collect();
    units.sort();
    units
}

/// Returns the fleet as it can be seen without an owner.
#[must_use]
pub(super) fn picture(home: &Home) -> FleetSnapshot {
    picture_of(home, &load::load(home))
}

/// As [`picture`], with configurations that were read already.
#[must_use]
pub(super) fn picture_of(home: &Home, set: &ConfigSet) -> FleetSnapshot {
    fleet(home, set).snapshot(0, configs::drifted)
}

/// Returns the fleet as an owner would find it.
#[must_use]
pub(super) fn fleet(home: &Home, set: &ConfigSet) -> Fleet {
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
        let last_run = stored.last_runs.get(&name);
        let last_end = last_run.and_then(|run| run.end.as_ref());
        instance.last_exit = last_end.and_then(|end| end.status);
        instance.autopsy = match row {
            Some(row) => row.explained(last_end),
            None => last_end.and_then(|end| end.autopsy.clone()),
        };
        let told_of = last_run.filter(|run| run.end.is_some());
        let found = phase_of(
            home,
            &name,
            row,
            desired,
            told_of.map(|run| run.run.as_str()),
        );
        instance.phase = found.phase;
        // A failure after a stop that was asked for has another cause than that end.
        if matches!(instance.phase, Phase::Failed { .. })
            && last_end.is_some_and(|end| end.requested)
        {
            instance.autopsy = None;
        }
        if let Some((exit, autopsy)) = found.end {
            instance.last_exit = exit.status;
            instance.autopsy = Some(autopsy);
        }
    }
    fleet
}

/// What the files and the kernel show of one instance.
struct Found {
    phase: Phase,
    /// The end of its run, when no owner has told it yet.
    end: Option<(RunExit, Autopsy)>,
}

impl Found {
    fn living(phase: Phase) -> Self {
        Self { phase, end: None }
    }
}

fn phase_of(
    home: &Home,
    name: &InstanceName,
    stored: Option<&RuntimeRow>,
    desired: Desired,
    told_of: Option<&str>,
) -> Found {
    let paths = RunPaths::new(home.runs_dir(name));
    match adopt::inspect(&paths) {
        Adoption::Live(live) | Adoption::ShimGone(live) => {
            let spec: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
            let mut up = launch::up(&live, spec);
            if let Some(view) = stored.filter(|view| view.status.is_live()) {
                up.health = view.health;
            }
            Found::living(Phase::Up(up))
        }
        Adoption::Ended(run, exit) if told_of != Some(run.run_id.as_str()) => {
            ended(name, &paths, &run, RunExit::from(exit), stored, desired)
        }
        Adoption::Vanished(run) if told_of != Some(run.run_id.as_str()) => {
            let exit = RunExit::from(adopt::collect_exit(&paths, &run, None));
            ended(name, &paths, &run, exit, stored, desired)
        }
        Adoption::Unproven { why, .. } => Found::living(failed(&format!("not proven: {why}"))),
        Adoption::Damaged { why } => {
            Found::living(failed(&format!("its run files cannot be read: {why}")))
        }
        Adoption::Ended(..) | Adoption::Vanished(_) | Adoption::Nothing | Adoption::Rebooted(_) => {
            Found::living(told(stored))
        }
    }
}

/// Explains an end that no owner has seen yet, as the next one will.
fn ended(
    name: &InstanceName,
    paths: &RunPaths,
    run: &RunFile,
    exit: RunExit,
    stored: Option<&RuntimeRow>,
    desired: Desired,
) -> Found {
    let traces = ends::traces(paths, run, &exit, &mut OomWatch::default());
    let asked = match (exit.requested, desired) {
        (Some(mode), Desired::Stopped) => Asked::Stop(mode),
        (Some(_), Desired::Running) | (None, _) => Asked::Nothing,
    };
    let autopsy = examine(&exit, &traces, &asked, Readiness::NotSeen).of(name);
    let phase = if exit.requested.is_some() || desired == Desired::Stopped {
        told(stored)
    } else {
        failed(&autopsy.summary)
    };
    Found {
        phase,
        end: Some((exit, autopsy)),
    }
}

/// What the last owner said of an instance that does not run.
fn told(stored: Option<&RuntimeRow>) -> Phase {
    match stored {
        Some(view) if view.status == Status::Failed => Phase::Failed {
            failure: view.failure.unwrap_or(Failure::Crashed),
            reason: view
                .last_error
                .clone()
                .unwrap_or_else(|| "it had failed".to_owned()),
        },
        Some(_) | None => Phase::Stopped,
    }
}

fn failed(reason: &str) -> Phase {
    Phase::Failed {
        failure: Failure::Crashed,
        reason: reason.to_owned(),
    }
}
