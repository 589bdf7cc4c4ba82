//! Processes that carry a token of ours and that no instance claims.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use super::os;
use super::runfiles::{
    self, HOME_VARIABLE, RUN_VARIABLE, RunFile, RunPaths, SpecFile, TOKEN_VARIABLE,
};
use crate::domain::run::{ProcessId, StopMode};
use crate::domain::secrets;

/// A shim that has not reported within this is given up by its owner.
const START_TIME: Duration = Duration::from_secs(10);
/// A child that ended this long ago and is still there will be reaped by nobody else.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// A process of ours that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    pub process: ProcessId,
    pub token: String,
    pub run_id: Option<String>,
    pub executable: String,
    /// Secrets masked.
    pub command: Vec<String>,
    /// The home it was started in: what its environment says, which is that of a work unit's
    /// command, or its working directory.
    pub home: Option<String>,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub orphans: Vec<Orphan>,
    /// Processes whose environment we may not read; some of them could be ours.
    pub unreadable: usize,
}

/// Scans all processes for tokens; those for which `is_claimed` holds are left out.
///
/// # Errors
///
/// Returns an error when `/proc` cannot be read.
pub fn scan(is_claimed: impl Fn(&str) -> bool) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for pid in others()? {
        match os::environment_variable(pid, TOKEN_VARIABLE) {
            Ok(Some(token)) if !is_claimed(&token) => {
                if let Ok(orphan) = prove(pid, token) {
                    scan.orphans.push(orphan);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => scan.unreadable += 1,
            // It ended while we looked.
            Err(_) => {}
        }
    }
    scan.orphans.sort_by_key(|orphan| orphan.process.pid);
    Ok(scan)
}

/// Lists the folders inside these, each of which may hold a run.
#[must_use]
pub fn folders(parents: &[PathBuf]) -> Vec<RunPaths> {
    parents
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| RunPaths::new(entry.path()))
        .collect()
}

/// Returns the tokens of all runs that these folders account for.
#[must_use]
pub fn claimed(folders: &[RunPaths]) -> BTreeSet<String> {
    folders
        .iter()
        .filter_map(|paths| {
            let spec: SpecFile = runfiles::read(&paths.spec()).ok()??;
            let Some(run) = runfiles::read::<RunFile>(&paths.run()).ok()? else {
                // Its shim is about to write what it started.
                return is_young(&paths.spec()).then_some(spec.token);
            };
            // What outlives a recorded end is nobody's any more.
            let is_over = runfiles::read::<runfiles::ExitFile>(&paths.exit())
                .ok()
                .flatten()
                .is_some_and(|exit| exit.run_id == run.run_id);
            // Nor is what is left when both shim and server were killed.
            let lives = [ProcessId::from(run.shim), ProcessId::from(run.child)]
                .into_iter()
                .any(still_runs);
            (run.run_id == spec.run_id && !is_over && lives).then_some(run.token)
        })
        .collect()
}

/// A zombie that nobody reaped yet runs no more.
fn still_runs(process: ProcessId) -> bool {
    os::stat(process.pid)
        .is_ok_and(|stat| stat.start_ticks == process.start_ticks && stat.state != 'Z')
}

/// Returns whether a start that wrote this file may still be under way. A clock that was set back
/// cannot tell, and then a process is rather not called an orphan.
fn is_young(spec: &Path) -> bool {
    let written = fs::metadata(spec).and_then(|data| data.modified());
    written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < START_TIME) || at.elapsed().is_err())
}

/// All pids but ours: an agent that a server started may well run this program, token and all.
fn others() -> io::Result<Vec<i32>> {
    let own = std::process::id().cast_signed();
    let mut pids = os::all_pids()?;
    pids.retain(|pid| *pid != own);
    Ok(pids)
}

/// Children of killed shims that came to us, the subreaper, and that nobody else will reap.
///
/// A zombie is reaped at a later look that finds it again: one that we started ourselves is gone by
/// then, reaped by whoever waits for it, and its exit code is never stolen.
#[derive(Debug, Default)]
pub struct Inherited {
    seen: Vec<(ProcessId, Instant)>,
}

impl Inherited {
    /// Reaps the ended children seen at an earlier look too, except `known` ones. Returns them.
    pub fn reap(&mut self, known: &[ProcessId], now: Instant) -> Vec<ProcessId> {
        let ended: Vec<ProcessId> = os::own_children()
            .into_iter()
            .filter(|pid| os::stat(*pid).is_ok_and(|stat| stat.state == 'Z'))
            .filter_map(|pid| os::identity(pid).ok())
            .filter(|process| !known.contains(process))
            .collect();
        let since = |process: ProcessId| {
            let seen = self.seen.iter().find(|(seen, _)| *seen == process);
            seen.map_or(now, |(_, since)| *since)
        };
        let ended: Vec<(ProcessId, Instant)> = ended
            .into_iter()
            .map(|process| (process, since(process)))
            .collect();
        let (old, new): (Vec<_>, Vec<_>) = ended
            .into_iter()
            .partition(|(_, since)| now.saturating_duration_since(*since) >= LEFT_ALONE);
        self.seen = new;
        old.into_iter()
            .map(|(process, _)| process)
            .filter(|process| reaped(*process))
            .collect()
    }
}

fn reaped(process: ProcessId) -> bool {
    // Opened first and compared then, so that it cannot be a child that took over the number.
    let Ok(pidfd) = os::open_pidfd(process.pid) else {
        return false;
    };
    if os::identity(process.pid).ok() != Some(process) {
        return false;
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    matches!(waitid(WaitId::PidFd(pidfd.as_fd()), options), Ok(Some(_)))
}

/// Reads everything behind a pidfd: as long as that lives, what was read belonged to one process.
fn prove(pid: i32, token: String) -> io::Result<Orphan> {
    let pidfd = os::open_pidfd(pid)?;
    let carries = os::environment_variable(pid, TOKEN_VARIABLE)?;
    let orphan = describe(pid, token)?;
    if carries.as_deref() == Some(&orphan.token) && os::is_alive(&pidfd) {
        Ok(orphan)
    } else {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

fn describe(pid: i32, token: String) -> io::Result<Orphan> {
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}")).map(|path| path.display().to_string())
    };
    let command = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    Ok(Orphan {
        process: os::identity(pid)?,
        token,
        run_id: os::environment_variable(pid, RUN_VARIABLE)?,
        executable: link("exe")?,
        command: secrets::mask_args(&words),
        home: match os::environment_variable(pid, HOME_VARIABLE)? {
            Some(home) => Some(home),
            None => link("cwd").ok(),
        },
    })
}

/// Stops every process that carries the orphan's token; see [`stop_token`].
///
/// # Errors
///
/// Returns the errors of [`stop_token`].
pub fn stop(orphan: &Orphan, mode: StopMode, grace: Duration) -> io::Result<usize> {
    stop_token(&orphan.token, mode, grace)
}

/// Stops every process that carries a token, each proven before it is signalled, ourselves never.
/// Gentle gives them `grace` between SIGTERM and SIGKILL. Returns how many were signalled.
///
/// # Errors
///
/// Returns an error when `/proc` cannot be read, or when something survived SIGKILL for as long as
/// the grace period.
pub fn stop_token(token: &str, mode: StopMode, grace: Duration) -> io::Result<usize> {
    let find = || -> io::Result<Vec<_>> {
        let carries = |pid| matches!(os::environment_variable(pid, TOKEN_VARIABLE), Ok(Some(found)) if found == token);
        let pids = others()?.into_iter().filter(|pid| carries(*pid));
        // Read again behind the descriptor: then it is surely the process that was meant.
        let pidfds = pids.filter_map(|pid| Some((pid, os::open_pidfd(pid).ok()?)));
        Ok(pidfds
            .filter(|(pid, pidfd)| carries(*pid) && os::is_alive(pidfd))
            .collect())
    };
    let first = find()?;
    let count = first.len();
    if mode == StopMode::Gentle {
        for (_, pidfd) in &first {
            os::signal(pidfd, Signal::TERM).ok(); // it may just have ended
            os::signal(pidfd, Signal::CONT).ok(); // a stopped process could not obey
        }
        let deadline = Instant::now() + grace;
        for (_, pidfd) in &first {
            let left = deadline.saturating_duration_since(Instant::now());
            if !os::readable_within(pidfd, left) {
                break;
            }
        }
    }
    // Whatever forks while it is being killed is found by the next look.
    for _ in 0..100 {
        let left = find()?;
        if left.is_empty() {
            return Ok(count);
        }
        for (_, pidfd) in &left {
            os::signal(pidfd, Signal::KILL).ok(); // it may just have ended
            if !os::readable_within(pidfd, grace.max(Duration::from_secs(1))) {
                return Err(io::Error::other(
                    "a process does not die: stuck in the kernel",
                ));
            }
        }
    }
    Err(io::Error::other(
        "it keeps starting processes faster than they can be killed",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_unclaimed_token_is_found_and_stopped_and_a_claimed_one_is_not() {
        let token = format!("orphan-test-{}", std::process::id());
        let mut child = Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; sleep 60 & wait"])
            .env(TOKEN_VARIABLE, &token)
            .spawn()
            .expect("sh runs");
        let ours = |scan: Scan| -> Vec<Orphan> {
            scan.orphans
                .into_iter()
                .filter(|orphan| orphan.token == token)
                .collect()
        };
        assert!(ours(scan(|found| found == token).expect("scan")).is_empty());
        let found = ours(scan(|_| false).expect("scan"));
        assert!(
            found
                .iter()
                .any(|orphan| orphan.process.pid == child.id().cast_signed())
        );
        stop(&found[0], StopMode::Kill, Duration::from_secs(5)).expect("stop");
        child.wait().expect("reap");
        assert!(ours(scan(|_| false).expect("scan")).is_empty());
    }

    #[test]
    fn a_zombie_is_reaped_at_the_second_look_and_never_a_known_one() {
        let script = ["-c", "exit 7"];
        let mut forgotten = Command::new("/bin/sh")
            .args(script)
            .spawn()
            .expect("sh runs");
        let mut known = Command::new("/bin/sh")
            .args(script)
            .spawn()
            .expect("sh runs");
        let id = |child: &std::process::Child| {
            let pid = child.id().cast_signed();
            let pidfd = os::open_pidfd(pid).expect("a pidfd");
            assert!(os::readable_within(&pidfd, Duration::from_secs(10)));
            os::identity(pid).expect("unreaped")
        };
        let (gone, kept) = (id(&forgotten), id(&known));
        // Children of other tests, which wait for them elsewhere, must stay out of it.
        let others: Vec<ProcessId> = os::own_children()
            .into_iter()
            .filter_map(|pid| os::identity(pid).ok())
            .filter(|process| *process != gone)
            .collect();
        assert!(others.contains(&kept));
        let mut inherited = Inherited { seen: Vec::new() };
        let now = Instant::now();
        assert!(!inherited.reap(&others, now).contains(&gone));
        inherited.seen.retain(|(process, _)| *process == gone);
        assert_eq!(
            inherited.reap(&others, now),
            [],
            "somebody may yet wait for it"
        );
        inherited.seen.retain(|(process, _)| *process == gone);
        assert_eq!(inherited.reap(&others, now + LEFT_ALONE), [gone]);
        assert!(os::exit_of_zombie(gone).is_none());
        assert!(forgotten.wait().is_err(), "reaped already");
        assert_eq!(known.wait().expect("reap").code(), Some(7));
    }
}
