//! A living run as its owner holds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use super::os;
use super::pipes::{self, Wanted};
use super::runfiles::RunFile;
use crate::domain::exit::ExitStatus;
use crate::domain::run::{ProcessId, StopMode};

/// A proven process and the descriptor that holds on to it.
#[derive(Debug)]
pub struct Watched {
    pub id: ProcessId,
    fd: OwnedFd,
    behind: Behind,
}

/// Whose descriptor a [`Watched`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Itself,
    /// The process had ended before it could be held; its shim, which is recording that, is held
    /// instead. Whatever is asked or told of this descriptor would be about the shim.
    ItsShim,
}

/// Read ends of the server's log pipes, never read: while somebody holds them, a killed shim
/// costs neither a byte nor the server's life. One that could not be opened is absent.
#[derive(Debug)]
pub struct Spares {
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// A run whose server lived when it was proven.
#[derive(Debug)]
pub struct LiveRun {
    pub run: RunFile,
    shim: Option<Watched>,
    child: Watched,
    spares: Option<Spares>,
}

impl Watched {
    #[must_use]
    pub(super) fn new(id: ProcessId, fd: OwnedFd) -> Self {
        Self {
            id,
            fd,
            behind: Behind::Itself,
        }
    }

    /// Holds on to the shim of a process that ended before it could be held itself.
    pub(super) fn ended(id: ProcessId, shim: &Self) -> io::Result<Self> {
        Ok(Self {
            id,
            fd: shim.fd.try_clone()?,
            behind: Behind::ItsShim,
        })
    }

    /// Returns whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.behind == Behind::Itself && os::is_alive(&self.fd)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.behind {
            Behind::Itself => os::signal(&self.fd, signal),
            Behind::ItsShim => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Reaps the process if it is our child and has ended.
    pub(super) fn reap(&self) -> Option<rustix::process::WaitIdStatus> {
        if self.behind == Behind::ItsShim {
            return None;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        waitid(WaitId::PidFd(self.fd.as_fd()), options)
            .ok()
            .flatten()
    }

    /// Returns how the process ended, as far as the kernel tells us; reaps it if it is our child.
    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        if let Some(status) = self.reap() {
            let code = status.exit_status().map(ExitStatus::Code);
            return code.or_else(|| status.terminating_signal().map(ExitStatus::Signal));
        }
        match self.behind {
            Behind::Itself => os::exit_of_stranger(self.id, &self.fd),
            Behind::ItsShim => os::exit_of_zombie(self.id),
        }
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Spares {
    /// Opens the read ends through the server's own descriptors, or those of its shim.
    fn open(run: &RunFile, shim: Option<&Watched>, child: ProcessId) -> Option<Self> {
        let open = |number: u8, inode: Option<u64>| {
            let wanted = Wanted { number, inode };
            let through = |process| pipes::through(process, wanted).ok().flatten();
            // Without an inode the shim's own descriptors would be taken for the server's.
            let shim = shim.filter(|_| inode.is_some());
            through(child).or_else(|| through(shim?.id))
        };
        let spares = Self {
            stdout: open(1, run.pipes.map(|pipes| pipes.stdout)),
            stderr: open(2, run.pipes.map(|pipes| pipes.stderr)),
        };
        (spares.stdout.is_some() || spares.stderr.is_some()).then_some(spares)
    }
}

impl LiveRun {
    pub(super) fn new(run: RunFile, shim: Option<Watched>, child: Watched) -> Self {
        // Without spares a killed shim costs what is in the pipes; the run itself goes on.
        let spares = Spares::open(&run, shim.as_ref(), child.id);
        Self {
            run,
            shim,
            child,
            spares,
        }
    }

    #[must_use]
    pub fn child(&self) -> &Watched {
        &self.child
    }

    #[must_use]
    pub fn has_shim(&self) -> bool {
        self.shim.is_some()
    }

    /// Returns whether the server itself still runs.
    #[must_use]
    pub fn child_is_alive(&self) -> bool {
        self.child.is_alive()
    }

    /// Returns the descriptor whose end is the run's end: the shim's, or without one the server's.
    #[must_use]
    pub fn watched_fd(&self) -> BorrowedFd<'_> {
        self.shim.as_ref().unwrap_or(&self.child).as_fd()
    }

    /// Tells the shim to stop the run; without a shim the server itself is signalled.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` when the process has ended already.
    pub fn stop(&self, mode: StopMode) -> io::Result<()> {
        match (&self.shim, mode) {
            (Some(shim), StopMode::Gentle) => shim.signal(Signal::TERM),
            (Some(shim), StopMode::Kill) => shim.signal(Signal::USR2),
            (None, StopMode::Gentle) => self.child.signal(Signal::TERM),
            (None, StopMode::Kill) => self.child.signal(Signal::KILL),
        }
    }

    /// Tells the shim to begin new log files now.
    ///
    /// # Errors
    ///
    /// Returns `NotFound` when there is no shim any more.
    pub fn rotate(&self) -> io::Result<()> {
        match &self.shim {
            Some(shim) => shim.signal(Signal::USR1),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Reaps an ended shim that we started ourselves.
    pub fn reap_shim(&self) {
        if let Some(shim) = &self.shim {
            shim.reap();
        }
    }

    /// Gives the spare read ends away, for a new shim.
    #[must_use]
    pub fn take_spares(&mut self) -> Option<Spares> {
        self.spares.take()
    }

    /// Gives up on a shim; the server's own end is watched from now on.
    #[must_use]
    pub fn without_shim(self) -> Self {
        // The spares go too: a pipe that is held and never read blocks the server.
        Self {
            run: self.run,
            shim: None,
            child: self.child,
            spares: None,
        }
    }
}
