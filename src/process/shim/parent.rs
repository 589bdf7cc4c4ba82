//! The tree of a run, seen by the shim that started it: everything ends up as its child.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, wait, waitid, waitpid,
};

use super::event_loop::Tree;
use super::record::End;
use crate::domain::exit::ExitStatus;
use crate::process::os;
use crate::process::runfiles::AskFile;

pub(super) struct Parent {
    leader: OwnedFd,
    pid: i32,
    grace: Duration,
    asks: AskFile,
    end: Option<End>,
}

impl Parent {
    pub(super) fn new(leader: OwnedFd, pid: i32, grace_ms: u64, asks: AskFile) -> Self {
        Self {
            leader,
            pid,
            grace: Duration::from_millis(grace_ms),
            asks,
            end: None,
        }
    }
}

impl Tree for Parent {
    fn leader(&self) -> &OwnedFd {
        &self.leader
    }

    fn grace(&self) -> Duration {
        self.grace
    }

    fn asks(&self) -> AskFile {
        self.asks
    }

    /// To the leader's group, as long as its number surely names it.
    fn signal_all(&self, signal: Signal) {
        if self.end.is_none()
            && let Some(group) = Pid::from_raw(self.pid)
        {
            // The leader is not reaped yet, so its number still names its group and no other.
            kill_process_group(group, signal).ok(); // it may just have ended
        }
    }

    fn kill(&mut self) {
        self.signal_all(Signal::KILL);
        // Unreaped children cannot be mistaken for others; the children of the killed become ours.
        for pid in os::own_children() {
            if let Ok(pidfd) = os::open_pidfd(pid) {
                os::signal(pidfd, Signal::KILL).ok(); // it may just have ended
            }
        }
    }

    fn leader_ended(&mut self) {
        if let Ok(Some(status)) = waitid(WaitId::PidFd(self.leader.as_fd()), WaitIdOptions::EXITED)
        {
            let code = status.exit_status().map(ExitStatus::Code);
            let signal = status.terminating_signal().map(ExitStatus::Signal);
            self.end = Some(End {
                status: code.or(signal),
                core: status.dumped(),
            });
        }
    }

    fn reap_others(&mut self) {
        for pid in os::own_children() {
            // The leader's end is read through its pidfd, with all that is known of it.
            if pid != self.pid
                && os::stat(pid).is_ok_and(|stat| stat.state == 'Z')
                && let Some(pid) = Pid::from_raw(pid)
            {
                waitpid(Some(pid), WaitOptions::NOHANG).ok(); // reaped by an earlier turn
            }
        }
    }

    fn is_gone(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn end(&mut self) -> End {
        self.end.unwrap_or_default()
    }
}
