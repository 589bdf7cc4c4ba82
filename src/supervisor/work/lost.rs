//! Knowing a work unit again by the files of its run, when its record is lost with the database.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::home::Home;
use crate::domain::instance::InstanceName;
use crate::domain::work::{Chunk, Draft, Phase, PhaseCommand, TimeLimit, WorkUnit};
use crate::process::adopt::{self, Adoption};
use crate::process::live::LiveRun;
use crate::process::orphans;
use crate::process::runfiles::{self, SpecFile, UnitFile};

/// A command that runs for a unit nobody has on record.
pub struct LostUnit {
    pub draft: Draft,
    pub live: Box<LiveRun>,
}

/// Writes down what a unit needs to be known again.
#[must_use]
pub fn written(unit: &WorkUnit) -> UnitFile {
    let words =
        |(phase, command): (&Phase, &PhaseCommand)| (phase.to_string(), command.argv().to_vec());
    UnitFile {
        chunk: unit.chunk.to_string(),
        phase: unit.phase.to_string(),
        worktree: unit.worktree.clone(),
        instance: unit.instance.as_ref().map(InstanceName::to_string),
        commands: unit.commands.iter().map(words).collect(),
        time_limit: unit.time_limit.map(TimeLimit::seconds),
    }
}

/// Finds commands that run for units other than these. Blocking.
#[must_use]
pub fn find(home: &Home, recorded: &BTreeSet<Chunk>) -> Vec<LostUnit> {
    let mut found = Vec::new();
    for paths in orphans::folders(&[home.work_runs_dir()]) {
        let spec: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
        let Some(draft) = spec.and_then(|spec| known_again(spec.unit?)) else {
            continue;
        };
        // A folder that was copied or renamed by hand is not its unit's.
        let is_its_own = home.work_run_dir(&draft.chunk) == paths.dir();
        if recorded.contains(&draft.chunk) || !is_its_own {
            continue;
        }
        if let Adoption::Live(live) | Adoption::ShimGone(live) = adopt::inspect(&paths) {
            found.push(LostUnit { draft, live });
        }
    }
    found
}

fn known_again(file: UnitFile) -> Option<Draft> {
    let command = |(phase, argv): (String, Vec<String>)| {
        Some((Phase::parse(&phase)?, PhaseCommand::parse(argv).ok()?))
    };
    let commands: Option<BTreeMap<_, _>> = file.commands.into_iter().map(command).collect();
    Some(Draft {
        chunk: Chunk::parse(&file.chunk).ok()?,
        phase: Phase::parse(&file.phase)?,
        // What it waited for was done when it began.
        blocked_by: BTreeSet::new(),
        worktree: file.worktree,
        instance: file
            .instance
            .and_then(|name| InstanceName::parse(&name).ok()),
        commands: commands?,
        time_limit: file
            .time_limit
            .and_then(|seconds| TimeLimit::of_seconds(seconds).ok()),
    })
}
