//! Runs a short-lived program for a bounded time and leaves nothing of it behind.
//!
//! The program leads a process group of its own, which ends with it. One whose time is over is
//! ended with its whole tree: from the top down each process is stopped before its children are
//! listed, so that none can start another meanwhile; what had detached itself carries a token in
//! its environment. Only a process that had left the tree *and* cleared its environment before that
//! is not found.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid,
};

use super::{os, tree};
use crate::domain::exit::ExitStatus;

/// By this the processes of a program are found that have left its tree.
const TOKEN_VARIABLE: &str = "LLAMA_ORCH_BOUNDED";

/// What forks while it is being ended is found by the next look; nothing real outruns so many.
const LOOKS: usize = 100;

/// A killed process is gone within this, unless it is stuck in the kernel.
const DEATH: Duration = Duration::from_secs(1);

/// Between two looks at killed processes of which nobody holds a descriptor.
const BREATH: Duration = Duration::from_millis(1);

/// Runs a program without input and output. Blocking.
///
/// Returns how it ended, or `None` when its time was over first.
///
/// # Errors
///
/// Returns an error when it cannot be started or waited for.
pub fn run(mut command: Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env(TOKEN_VARIABLE, &token)
        .process_group(0)
        .spawn()?;
    let pid = child.id().cast_signed();
    let group = Pid::from_raw(pid).ok_or_else(|| io::Error::other("it has no pid"))?;
    // It is our child and not reaped yet: until then its number is its own, and names its group.
    let pidfd = os::open_pidfd(pid)?;
    let in_time = os::readable_within(&pidfd, limit);
    if !in_time {
        uproot(pid, &token);
    }
    kill_process_group(group, Signal::KILL).ok(); // usually nothing is left of it
    if !os::readable_within(&pidfd, DEATH) {
        return Ok(None); // stuck in the kernel
    }
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), options)?;
    reap(group);
    Ok(status.filter(|_| in_time).and_then(|status| ended(&status)))
}

fn ended(status: &WaitIdStatus) -> Option<ExitStatus> {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}

/// Kills a child of ours with everything it started.
fn uproot(leader: i32, token: &str) {
    // All but the leader, which dies with its group: not reaped yet, it keeps the group's number.
    let others = frozen(leader).into_iter().filter(|(pid, _)| *pid != leader);
    others.for_each(|(_, pidfd)| kill(&pidfd));
    for _ in 0..LOOKS {
        let left = carriers(token, leader);
        if left.is_empty() {
            return;
        }
        left.iter().for_each(kill);
    }
}

/// Stops the tree from the leader down and holds on to each of its processes.
fn frozen(leader: i32) -> BTreeMap<i32, OwnedFd> {
    let mut held = BTreeMap::new();
    for _ in 0..LOOKS {
        let before = held.len();
        for pid in tree::family(leader, None) {
            if held.contains_key(&pid) {
                continue;
            }
            let Some(pidfd) = member(pid, leader, &held) else {
                continue;
            };
            os::signal(&pidfd, Signal::STOP).ok(); // it may just have ended
            held.insert(pid, pidfd);
        }
        if held.len() == before {
            break;
        }
    }
    held
}

/// Holds a process that was seen in the tree, if it still is the one that was seen.
fn member(pid: i32, leader: i32, held: &BTreeMap<i32, OwnedFd>) -> Option<OwnedFd> {
    let pidfd = os::open_pidfd(pid).ok()?;
    let parent = os::stat(pid).ok()?.parent;
    let belongs = pid == leader || parent == leader || held.contains_key(&parent);
    (belongs && os::is_alive(&pidfd)).then_some(pidfd)
}

/// Holds what carries the token, but for the leader and ourselves.
fn carriers(token: &str, leader: i32) -> Vec<OwnedFd> {
    let carries = |pid| matches!(os::environment_variable(pid, TOKEN_VARIABLE), Ok(Some(found)) if found == token);
    let own = std::process::id().cast_signed();
    let pids = os::all_pids().unwrap_or_default().into_iter();
    pids.filter(|pid| ![own, leader].contains(pid) && carries(*pid))
        .filter_map(|pid| Some((pid, os::open_pidfd(pid).ok()?)))
        // Read again behind the descriptor: then it is surely the process that was meant.
        .filter(|(pid, pidfd)| carries(*pid) && os::is_alive(pidfd))
        .map(|(_, pidfd)| pidfd)
        .collect()
}

/// Kills a process; one that had detached itself may have become our child, as a subreaper's.
fn kill(pidfd: &OwnedFd) {
    os::signal(pidfd, Signal::KILL).ok(); // it may just have ended
    if os::readable_within(pidfd, DEATH) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        waitid(WaitId::PidFd(pidfd.as_fd()), options).ok(); // not ours, mostly
    }
}

/// Reaps a killed group: the leader, and what has become our child with its end.
fn reap(group: Pid) {
    let deadline = Instant::now() + DEATH;
    loop {
        match waitid(
            WaitId::Pgid(Some(group)),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Err(_) => return,
            Ok(None) if Instant::now() >= deadline => return, // stuck in the kernel
            Ok(None) => std::thread::sleep(BREATH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn shell(script: &str, folder: &Path) -> Command {
        let mut command = Command::new("/bin/bash");
        command.arg("-c").arg(script).current_dir(folder);
        command
    }

    #[test]
    fn a_program_that_ends_in_time_is_told_with_its_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let rows = [
            ("exit 0", ExitStatus::Code(0)),
            ("exit 3", ExitStatus::Code(3)),
            ("kill -9 $$", ExitStatus::Signal(9)),
            ("sleep 60 & exit 4", ExitStatus::Code(4)),
        ];
        for (script, expected) in rows {
            let found = run(shell(script, folder.path()), Duration::from_secs(60));
            assert_eq!(found.expect("it runs"), Some(expected), "{script}");
        }
        assert!(run(Command::new("/nowhere"), Duration::ZERO).is_err());
    }

    /// Each of these is another way to get away; all of them write their pids before they wait.
    const RUNAWAYS: &str = "
        echo $$ >> pids
        setsid sh -c 'echo $$ >> pids; exec sleep 600' &
        (setsid sh -c 'trap \"\" TERM INT HUP; echo $$ >> pids; sleep 600' &)
        env -i sh -c 'echo $$ >> pids; exec sleep 600' &
        setsid env -i sh -c 'echo $$ >> pids; exec sleep 600' &
        (setsid sh -c '(setsid sh -c \"echo \\$\\$ >> pids; exec sleep 600\" &)' &)
        while [ $(wc -l < pids) -lt 6 ]; do sleep 0.01; done
        touch ready
        wait
    ";

    #[test]
    fn a_program_whose_time_is_over_takes_its_whole_tree_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let ready = folder.path().join("ready");
        // The time is over as soon as everything runs, however slow the machine is.
        let script = RUNAWAYS.to_owned();
        let mut limit = Duration::from_millis(200);
        while !ready.exists() {
            fs::remove_file(folder.path().join("pids")).ok(); // of the last try
            let ended = run(shell(&script, folder.path()), limit);
            assert_eq!(ended.expect("it runs"), None);
            limit *= 2;
            assert!(limit < Duration::from_secs(120), "it never got ready");
        }
        let pids = fs::read_to_string(folder.path().join("pids")).expect("pids");
        let pids: Vec<i32> = pids
            .lines()
            .map(|pid| pid.parse().expect("a pid"))
            .collect();
        assert_eq!(pids.len(), 6, "{pids:?}");
        for pid in pids {
            let gone = os::stat(pid).map_or(true, |stat| stat.state == 'Z');
            assert!(gone, "pid {pid} goes on");
        }
    }
}
