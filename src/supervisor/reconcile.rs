//! Looks whether the world is as the supervisor believes it to be.
//!
//! Blocking and cheap: one reading of the socket tables, one scan for tokens, one `stat` per
//! configuration. It runs beside the loop and changes nothing but its own memory and children
//! that nobody else will reap; what is found is decided on by the policy. In a quiet fleet it
//! finds nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::configs;
use super::decision::{OrphanSeen, Place, Stranger, Survey};
use crate::config::home::Home;
use crate::domain::instance::InstanceName;
use crate::domain::run::ProcessId;
use crate::process::adopt::{self, Adoption};
use crate::process::live::LiveRun;
use crate::process::orphans::{self, Inherited, Orphan};
use crate::process::ports::{self, PortHolder};
use crate::process::runfiles::{self, RunPaths, SpecFile};
use crate::process::{os, tree};

/// Between two looks.
pub(super) const SPACING: Duration = Duration::from_secs(30);

/// What the supervisor believes.
pub(super) struct Known {
    pub(super) home: Home,
    pub(super) runs: Vec<KnownRun>,
    /// Runs of work units that are watched.
    pub(super) units: Vec<KnownUnit>,
    /// Of every run that exists or is being made.
    pub(super) run_ids: BTreeSet<String>,
    /// Fixed ports of instances without a run.
    pub(super) idle: Vec<IdlePort>,
    /// Of the configuration files as they were last read.
    pub(super) signature: u64,
}

/// A run that the supervisor watches.
pub(super) struct KnownRun {
    pub(super) name: InstanceName,
    pub(super) token: String,
    pub(super) child: ProcessId,
    pub(super) shim: ProcessId,
    pub(super) port: Option<u16>,
}

/// The run of a work unit that the supervisor watches.
pub(super) struct KnownUnit {
    pub(super) token: String,
    pub(super) child: ProcessId,
    pub(super) shim: ProcessId,
}

pub(super) struct IdlePort {
    pub(super) name: InstanceName,
    pub(super) host: String,
    pub(super) port: u16,
}

/// What one look leaves for the next.
#[derive(Default)]
pub(super) struct Memory {
    inherited: Inherited,
    /// Sockets that were seen to belong to the run on that port.
    ours: HashMap<u16, Vec<String>>,
    /// Who held a port, and by which sockets.
    holders: HashMap<u16, (Vec<String>, PortHolder)>,
}

/// What a look found.
pub(super) struct Found {
    pub(super) survey: Survey,
    /// Living runs of instances that are believed to have none.
    pub(super) runs: Vec<(InstanceName, Adoption)>,
    /// A configuration was changed and nobody noticed.
    pub(super) files_changed: bool,
}

/// Looks; ends early, with what it has, when it is cancelled.
pub(super) fn look(known: &Known, memory: &mut Memory, cancelled: &CancellationToken) -> Found {
    let mut found = Found {
        survey: Survey::default(),
        runs: Vec::new(),
        files_changed: configs::signature(&known.home) != known.signature,
    };
    if cancelled.is_cancelled() {
        return found;
    }
    let ours: Vec<ProcessId> = known
        .runs
        .iter()
        .flat_map(|run| [run.child, run.shim])
        .chain(known.units.iter().flat_map(|unit| [unit.child, unit.shim]))
        .collect();
    found.survey.reaped = memory.inherited.reap(&ours, Instant::now()).len();
    found.survey.strangers = strangers(known, memory, cancelled);
    if cancelled.is_cancelled() {
        return found;
    }
    let is_known = |token: &str| {
        known.runs.iter().any(|run| run.token == token)
            || known.units.iter().any(|unit| unit.token == token)
    };
    match orphans::scan(is_known) {
        Ok(scan) => sort_out(known, scan.orphans, &mut found),
        Err(error) => warn!(%error, "look for orphans"),
    }
    found
}

/// Finds processes that listen where an instance should.
fn strangers(known: &Known, memory: &mut Memory, cancelled: &CancellationToken) -> Vec<Stranger> {
    let listening = ports::listening();
    let mut strangers = Vec::new();
    memory.ours.retain(|port, _| listening.contains_key(port));
    memory
        .holders
        .retain(|port, _| listening.contains_key(port));
    for run in &known.runs {
        let Some((port, inodes)) = run
            .port
            .and_then(|port| Some((port, listening.get(&port)?)))
        else {
            continue; // it does not listen yet, or not any more, which its probes see
        };
        if cancelled.is_cancelled() {
            return strangers;
        }
        let seen = memory.ours.get(&port);
        if seen.is_some_and(|seen| seen.iter().any(|inode| inodes.contains(inode))) {
            continue;
        }
        let is_ours = ports::holds_any(run.child.pid, inodes)
            || tree::processes(run.child.pid, &run.token)
                .iter()
                .any(|pid| ports::holds_any(*pid, inodes));
        if is_ours {
            memory.ours.insert(port, inodes.clone());
        } else if let Some(holder) = holder(port, inodes, memory) {
            strangers.push(stranger(&run.name, port, holder, Place::OfARun));
        }
    }
    for idle in &known.idle {
        let Some(inodes) = listening.get(&idle.port) else {
            continue;
        };
        if cancelled.is_cancelled() {
            return strangers;
        }
        // Somebody may listen on another address only.
        let holder = ports::is_taken(&idle.host, idle.port)
            .then(|| holder(idle.port, inodes, memory))
            .flatten()
            .filter(|holder| !belongs(known, holder));
        if let Some(holder) = holder {
            strangers.push(stranger(&idle.name, idle.port, holder, Place::Idle));
        }
    }
    strangers
}

/// Returns whether a holder is the server of another instance, which `up` names by itself.
fn belongs(known: &Known, holder: &PortHolder) -> bool {
    known.runs.iter().any(|run| run.child == holder.process)
}

fn holder(port: u16, inodes: &[String], memory: &mut Memory) -> Option<PortHolder> {
    if let Some((seen, holder)) = memory.holders.get(&port)
        && seen == inodes
        && os::identity(holder.process.pid).ok() == Some(holder.process)
    {
        return Some(holder.clone());
    }
    let holder = ports::holder_of(port)?;
    memory
        .holders
        .insert(port, (inodes.to_vec(), holder.clone()));
    Some(holder)
}

fn stranger(name: &InstanceName, port: u16, holder: PortHolder, place: Place) -> Stranger {
    Stranger {
        name: name.clone(),
        port,
        process: holder.process,
        executable: holder.executable,
        place,
    }
}

/// Tells processes that nobody owns from living runs that were lost sight of.
fn sort_out(known: &Known, candidates: Vec<Orphan>, found: &mut Found) {
    let root = known.home.root();
    let is_ours = |orphan: &Orphan| {
        let here = orphan
            .home
            .as_deref()
            .is_none_or(|cwd| root.as_os_str() == cwd);
        // Of a run that is being made or ended right now.
        let known = orphan
            .run_id
            .as_deref()
            .is_some_and(|id| known.run_ids.contains(id));
        here && !known
    };
    let candidates: Vec<Orphan> = candidates.into_iter().filter(is_ours).collect();
    if candidates.is_empty() {
        return;
    }
    let asked = asked_for(&known.home);
    let mut inspected = BTreeSet::new();
    for orphan in candidates {
        let instance = orphan.run_id.as_ref().and_then(|id| asked.get(id));
        if let Some(name) = instance
            && inspected.insert(name.clone())
            && let Some(adoption) = living(&known.home, name)
        {
            found.runs.push((name.clone(), adoption));
            continue;
        }
        // What belongs to a run that was found goes with it.
        if instance.is_some_and(|name| found.runs.iter().any(|(found, _)| found == name)) {
            continue;
        }
        found.survey.orphans.push(OrphanSeen {
            process: orphan.process,
            executable: orphan.executable,
            run_id: orphan.run_id,
            instance: instance.cloned(),
        });
    }
}

/// Which instance each run was asked for, as the run files say.
fn asked_for(home: &Home) -> BTreeMap<String, InstanceName> {
    let entries = std::fs::read_dir(home.all_runs_dir()).into_iter().flatten();
    let of_folder = |entry: std::fs::DirEntry| {
        let name = InstanceName::parse(entry.file_name().to_str()?).ok()?;
        let spec: SpecFile = runfiles::read(&RunPaths::new(entry.path()).spec()).ok()??;
        Some((spec.run_id, name))
    };
    entries
        .filter_map(Result::ok)
        .filter_map(of_folder)
        .collect()
}

fn living(home: &Home, name: &InstanceName) -> Option<Adoption> {
    match adopt::inspect(&RunPaths::new(home.runs_dir(name))) {
        live @ (Adoption::Live(_) | Adoption::ShimGone(_)) => Some(live),
        Adoption::Nothing
        | Adoption::Ended(..)
        | Adoption::Rebooted(_)
        | Adoption::Vanished(_)
        | Adoption::Unproven { .. }
        | Adoption::Damaged { .. } => None,
    }
}

impl KnownRun {
    pub(super) fn of(name: &InstanceName, live: &LiveRun) -> Self {
        Self {
            name: name.clone(),
            token: live.run.token.clone(),
            child: live.child().id,
            shim: ProcessId::from(live.run.shim),
            port: live.run.port,
        }
    }
}

impl KnownUnit {
    pub(super) fn of(live: &LiveRun) -> Self {
        Self {
            token: live.run.token.clone(),
            child: live.child().id,
            shim: ProcessId::from(live.run.shim),
        }
    }
}
