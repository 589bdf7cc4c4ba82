//! `orphans`: processes of ours that nobody owns, with proof.

use std::time::Duration;

use serde::Serialize;

use super::args::OrphansArgs;
use super::exit::{CliError, Exit};
use super::output::Output;
use crate::api::client::{Client, ClientError};
use crate::config::home::Home;
use crate::domain::instance::InstanceName;
use crate::domain::run::StopMode;
use crate::process::orphans::{self, Orphan};
use crate::process::runfiles::{self, RunFile, SpecFile};

/// Between asking an orphan to end and killing it.
const GRACE: Duration = Duration::from_secs(10);

/// An owner's look takes far less.
const OWNER_TIME: Duration = Duration::from_secs(10);

/// One orphan on stdout.
#[derive(Debug, Serialize)]
struct OrphanBody {
    pid: i32,
    start_ticks: u64,
    run_id: Option<String>,
    executable: String,
    command: Vec<String>,
    home: Option<String>,
    proof: String,
}

/// `llama-orch orphans`
///
/// # Errors
///
/// Returns an error when processes cannot be listed, or the pid is no orphan.
pub(super) async fn run(
    home: &Home,
    args: &OrphansArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let folders = orphans::folders(&home.run_folders());
    let claimed = orphans::claimed(&folders);
    let scan = orphans::scan(|token| claimed.contains(token))?;
    // Runs of other homes are looked after there.
    let ours: Vec<&Orphan> = scan
        .orphans
        .iter()
        .filter(|orphan| {
            orphan
                .home
                .as_deref()
                .is_none_or(|cwd| home.root().as_os_str() == cwd)
        })
        .collect();
    if let Some(pid) = args.stop {
        let exit = stop(&ours, pid, output)?;
        tell_owner(home).await?;
        return Ok(exit);
    }
    if let Some(pid) = args.adopt {
        let name = adopt(home, &ours, pid)?;
        if tell_owner(home).await? {
            output.say(&format!("{name}: pid {pid} is looked after again"));
        } else {
            output.say(&format!("{name}: claims pid {pid} again"));
            output.hint("have it looked after: llama-orch daemon start");
        }
        return Ok(Exit::Success);
    }
    if args.json {
        let bodies: Vec<OrphanBody> = ours.iter().map(|orphan| body(orphan)).collect();
        output.json(&bodies)?;
        return Ok(Exit::Success);
    }
    if ours.is_empty() {
        output.say("no orphans: every process that carries a token of this home is accounted for");
    }
    for orphan in &ours {
        output.line(&format!(
            "{}\t{}\trun {}\t{}",
            orphan.process.pid,
            orphan.executable,
            orphan.run_id.as_deref().unwrap_or("-"),
            orphan.command.join(" "),
        ))?;
        output.line(&format!("\tproof: {}", proof(orphan)))?;
    }
    if !ours.is_empty() {
        output.hint("stop one: llama-orch orphans --stop PID; take one over: --adopt PID");
    }
    if scan.unreadable > 0 {
        output.say(&format!(
            "{} processes of other users could not be looked at; none of them was touched",
            scan.unreadable
        ));
    }
    Ok(Exit::Success)
}

fn find<'a>(ours: &[&'a Orphan], pid: i32) -> Result<&'a Orphan, CliError> {
    ours.iter()
        .find(|orphan| orphan.process.pid == pid)
        .copied()
        .ok_or_else(|| {
            CliError::new(
                Exit::NotFound,
                format!("pid {pid} is no orphan of this home"),
            )
            .with_hint("llama-orch orphans lists them")
        })
}

fn stop(ours: &[&Orphan], pid: i32, output: &Output) -> Result<Exit, CliError> {
    let orphan = find(ours, pid)?;
    let count = orphans::stop(orphan, StopMode::Gentle, GRACE)?;
    output.say(&format!(
        "stopped {count} process(es) of run {}",
        orphan.run_id.as_deref().unwrap_or("-")
    ));
    Ok(Exit::Success)
}

/// Has an owner look at once; `false` when there is none.
async fn tell_owner(home: &Home) -> Result<bool, CliError> {
    let nobody: [InstanceName; 0] = [];
    match Client::socket(&home.socket())
        .refresh(Some(&nobody), OWNER_TIME)
        .await
    {
        Ok(_) => Ok(true),
        Err(ClientError::NoOwner { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Why the process is surely one of ours.
fn proof(orphan: &Orphan) -> String {
    format!(
        "its environment carries our token {}…, it began at tick {} of this boot, and lived while \
         that was read",
        orphan.token.get(..8).unwrap_or(&orphan.token),
        orphan.process.start_ticks
    )
}

/// Writes the run files that an orphan's instance lost; the owner adopts it by them.
fn adopt(home: &Home, ours: &[&Orphan], pid: i32) -> Result<String, CliError> {
    let orphan = find(ours, pid)?;
    let folders = orphans::folders(&home.run_folders());
    let of_run = folders.into_iter().find_map(|paths| {
        let spec: SpecFile = runfiles::read(&paths.spec()).ok()??;
        (Some(spec.run_id.as_str()) == orphan.run_id.as_deref()).then_some((paths, spec))
    });
    let Some((paths, spec)) = of_run else {
        return Err(CliError::new(
            Exit::General,
            format!(
                "no instance of this home ever started run {}",
                orphan.run_id.as_deref().unwrap_or("-")
            ),
        )
        .with_hint(format!("stop it instead: llama-orch orphans --stop {pid}")));
    };
    let (exe_dev, exe_ino) = crate::process::os::executable(pid)?;
    let run = RunFile {
        version: runfiles::PROTOCOL,
        run_id: spec.run_id.clone(),
        token: orphan.token.clone(),
        boot_id: crate::process::os::boot_id()?,
        // No shim: the next owner starts one that attaches.
        shim: runfiles::ProcessFile { pid: 0, start: 0 },
        child: runfiles::ChildFile {
            pid,
            start: orphan.process.start_ticks,
            exe_dev,
            exe_ino,
        },
        port: spec.port,
        started_at: crate::supervisor::wall_clock(),
        stopping_since: None,
        pipes: None,
        stop: None,
        stdout_start: None,
        stderr_start: None,
        attached: false,
        notes: vec!["adopted by hand".to_owned()],
    };
    std::fs::remove_file(paths.exit()).ok(); // there may be none
    runfiles::write(&paths.run(), &run)?;
    Ok(spec.instance)
}

fn body(orphan: &Orphan) -> OrphanBody {
    OrphanBody {
        pid: orphan.process.pid,
        start_ticks: orphan.process.start_ticks,
        run_id: orphan.run_id.clone(),
        executable: orphan.executable.clone(),
        command: orphan.command.clone(),
        home: orphan.home.clone(),
        proof: proof(orphan),
    }
}
