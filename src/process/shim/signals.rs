//! Signals as bytes in sockets, so that the one loop sees them.
//!
//! Nothing is ever blocked: children inherit the mask, and a server with SIGTERM blocked could
//! never be stopped. Ignored signals are inherited too (`nohup` and a shell's `&` leave some), so
//! SIGHUP and whatever we were born ignoring get a handler that does nothing: the server then
//! starts with the default of each.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{FORBIDDEN, SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGUSR1, SIGUSR2};

/// The last of the classic signals; those behind it belong to the C library and to programs that
/// agree on them.
const LAST_SIGNAL: i32 = 31;

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
        let unheard = Arc::new(AtomicBool::new(false));
        // SIGPIPE is ignored by every Rust program, and std gives children its default back.
        let ignored = ignored_signals().filter(|signal| *signal != SIGPIPE);
        for signal in ignored.chain([SIGHUP]) {
            signal_hook::flag::register(signal, Arc::clone(&unheard))?;
        }
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

/// The signals that this process ignores and may catch.
fn ignored_signals() -> impl Iterator<Item = i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = ignored_mask(&status);
    (1..=LAST_SIGNAL)
        .filter(move |signal| bits >> (signal - 1) & 1 == 1 && !FORBIDDEN.contains(signal))
}

fn ignored_mask(status: &str) -> u64 {
    let field = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    field
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_from_their_field() {
        let rows = [
            (
                "Name:\tx\nSigIgn:\t0000000180000004\nSigCgt:\t1\n",
                0x1_8000_0004,
            ),
            ("SigBlk:\t4\n", 0),
            ("SigIgn:\tnonsense\n", 0),
        ];
        for (status, expected) in rows {
            assert_eq!(ignored_mask(status), expected, "{status}");
        }
    }
}
