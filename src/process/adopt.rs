//! What a new owner finds of the runs of earlier owners.

use std::fs::OpenOptions;
use std::io;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use super::identity::{Proof, prove, prove_child};
use super::launch::{Failing, LaunchError, ShimProgram, begin, tree_is_locked};
use super::live::{LiveRun, Spares, Watched};
use super::orphans::{self, Orphan};
use super::os;
use super::runfiles::{self, ExitFile, PROTOCOL, RunFile, RunPaths, SpecFile};
use crate::domain::run::ProcessId;

/// The state of a run as its files and the kernel show it.
#[derive(Debug)]
pub enum Adoption {
    /// There is no run.
    Nothing,
    /// It is over and recorded.
    Ended(RunFile, ExitFile),
    /// It was alive when the machine went down.
    Rebooted(RunFile),
    /// Shim and server are proven.
    Live(Box<LiveRun>),
    /// The server is proven, its shim is gone.
    ShimGone(Box<LiveRun>),
    /// Neither lives, and nobody recorded the end.
    Vanished(RunFile),
    /// A process is there that may be the server; it must not be touched.
    Unproven { run: RunFile, why: String },
    /// The files cannot be read.
    Damaged { why: String },
}

/// Looks at a run without changing anything and without taking a lock.
#[must_use]
pub fn inspect(paths: &RunPaths) -> Adoption {
    let spec: SpecFile = match runfiles::read(&paths.spec()) {
        Ok(Some(spec)) => spec,
        Ok(None) => return Adoption::Nothing,
        Err(error) => {
            return Adoption::Damaged {
                why: format!("spec.json: {error}"),
            };
        }
    };
    let run: RunFile = match runfiles::read::<RunFile>(&paths.run()) {
        Ok(Some(run)) if run.run_id == spec.run_id => run,
        // The shim never got as far as starting the server, or is just about to.
        Ok(_) => return Adoption::Nothing,
        Err(error) => {
            return Adoption::Damaged {
                why: format!("run.json: {error}"),
            };
        }
    };
    match runfiles::read::<ExitFile>(&paths.exit()) {
        Ok(Some(exit)) if exit.run_id == run.run_id => return Adoption::Ended(run, exit),
        Ok(_) => {}
        Err(error) => {
            return Adoption::Damaged {
                why: format!("exit.json: {error}"),
            };
        }
    }
    if os::boot_id().is_ok_and(|boot| boot != run.boot_id) {
        return Adoption::Rebooted(run);
    }
    let child = match prove_child(run.child, &run.token, &run.boot_id) {
        Proof::Proven(child) => child,
        Proof::Unverifiable(why) => return Adoption::Unproven { run, why },
        Proof::Gone | Proof::Reused => return without_server(paths, run),
    };
    match prove(ProcessId::from(run.shim), &run.boot_id) {
        Proof::Proven(shim) => Adoption::Live(Box::new(LiveRun::new(run, Some(shim), child))),
        Proof::Gone | Proof::Reused | Proof::Unverifiable(_) => {
            Adoption::ShimGone(Box::new(LiveRun::new(run, None, child)))
        }
    }
}

/// The server is gone; a living shim is just recording that, and speaks for it until it is done.
fn without_server(paths: &RunPaths, run: RunFile) -> Adoption {
    if let Proof::Proven(shim) = prove(ProcessId::from(run.shim), &run.boot_id)
        && let Ok(child) = Watched::ended(ProcessId::from(run.child), &shim)
    {
        return Adoption::Live(Box::new(LiveRun::new(run, Some(shim), child)));
    }
    // The record may have been written between our two looks.
    match runfiles::read::<ExitFile>(&paths.exit()) {
        Ok(Some(exit)) if exit.run_id == run.run_id => Adoption::Ended(run, exit),
        Ok(_) | Err(_) => Adoption::Vanished(run),
    }
}

/// Starts a shim for a run that lost its own; the spares go to it. Blocks until it reported.
///
/// # Errors
///
/// Returns why no shim took over; the spares are closed then.
pub fn attach(
    paths: &RunPaths,
    spares: Option<Spares>,
    shim: &ShimProgram,
) -> Result<LiveRun, LaunchError> {
    let mut command = shim.command(paths);
    command.arg("--attach");
    let (stdout, stderr) = spares.map_or((None, None), |spares| (spares.stdout, spares.stderr));
    command.stdin(stdout.map_or_else(Stdio::null, Stdio::from));
    command.stderr(stderr.map_or_else(|| words(paths), Stdio::from));
    begin(paths, command, Failing::LeavesTheServer)
}

/// Where a shim's own words go.
fn words(paths: &RunPaths) -> Stdio {
    let words = OpenOptions::new()
        .append(true)
        .create(true)
        .open(paths.shim_err());
    words.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Lists what lives of a run although neither its shim nor its server is proven: the tree's lock is
/// held, so the holders are looked for by the token of the run that was last asked for. Only the
/// owner may ask, and never while a shim starts.
///
/// # Errors
///
/// Returns an error when the lock, the files or `/proc` cannot be read.
pub fn survivors(paths: &RunPaths) -> io::Result<Vec<Orphan>> {
    if !tree_is_locked(paths)? {
        return Ok(Vec::new());
    }
    let Some(spec) = runfiles::read::<SpecFile>(&paths.spec())? else {
        return Ok(Vec::new());
    };
    let mut found = orphans::scan(|token| token != spec.token)?.orphans;
    found.retain(|orphan| orphan.run_id.as_deref() == Some(&spec.run_id));
    Ok(found)
}

/// Returns whether the end of this very run is on record.
#[must_use]
pub fn is_recorded(paths: &RunPaths, run: &RunFile) -> bool {
    recorded(paths, run).is_some()
}

fn recorded(paths: &RunPaths, run: &RunFile) -> Option<ExitFile> {
    runfiles::read::<ExitFile>(&paths.exit())
        .ok()?
        .filter(|exit| exit.run_id == run.run_id)
}

/// Returns how a run ended: from its record, completed by what the kernel tells us about the
/// server. Never invented.
#[must_use]
pub fn collect_exit(paths: &RunPaths, run: &RunFile, child: Option<&Watched>) -> ExitFile {
    let mut exit = recorded(paths, run).unwrap_or_else(|| ExitFile {
        version: PROTOCOL,
        run_id: run.run_id.clone(),
        code: None,
        signal: None,
        core: false,
        started_at: run.started_at,
        ended_at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64(),
        requested: run.stopping_since.is_some(),
        stop: run.stop,
        dropped_bytes: 0,
        user_ms: 0,
        system_ms: 0,
        stdout_offset: 0,
        stderr_offset: 0,
    });
    let kernel = || match child {
        Some(child) => child.exit_status(),
        // Pids and start ticks of another boot could name anybody.
        None if os::boot_id().is_ok_and(|boot| boot == run.boot_id) => {
            os::exit_of_zombie(ProcessId::from(run.child))
        }
        None => None,
    };
    if exit.status().is_none()
        && let Some(status) = kernel()
    {
        exit.code = status.code();
        exit.signal = status.signal();
    }
    // Reaped in any case: behind a dead shim the server had become our child.
    if let Some(child) = child {
        child.reap();
    }
    exit
}
