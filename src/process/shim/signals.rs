//! Signals as bytes in sockets, so that the one loop sees them.
//!
//! Nothing is ever blocked: children inherit the mask, and a server with SIGTERM blocked could
//! never be stopped. SIGHUP gets a handler that does nothing, because an ignored signal would be
//! inherited too.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// What a signal asks of a shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGUSR2.
    Kill,
    /// SIGUSR1.
    Rotate,
    /// SIGCHLD.
    ChildEnded,
}

/// One socket per kind of request.
#[derive(Debug)]
pub(super) struct Signals {
    sockets: Vec<(Request, UnixStream)>,
}

impl Signals {
    pub(super) fn register() -> io::Result<Self> {
        let kinds = [
            (Request::Stop, &[SIGTERM, SIGINT][..]),
            (Request::Kill, &[SIGUSR2][..]),
            (Request::Rotate, &[SIGUSR1][..]),
            (Request::ChildEnded, &[SIGCHLD][..]),
        ];
        let mut sockets = Vec::with_capacity(kinds.len());
        for (request, signals) in kinds {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            for signal in signals {
                signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
            }
            sockets.push((request, read));
        }
        signal_hook::flag::register(SIGHUP, Arc::new(AtomicBool::new(false)))?;
        Ok(Self { sockets })
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = &UnixStream> {
        self.sockets.iter().map(|(_, socket)| socket)
    }

    /// Empties the socket at `index` and returns what it stands for.
    pub(super) fn take(&self, index: usize) -> Option<Request> {
        use std::io::Read as _;
        let (request, socket) = self.sockets.get(index)?;
        let mut bytes = [0; 64];
        let mut socket: &UnixStream = socket;
        while matches!(socket.read(&mut bytes), Ok(read) if read > 0) {}
        Some(*request)
    }
}
