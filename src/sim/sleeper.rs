//! Processes that leave the server's session and outlive it, for testing that a stop finds them.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::faults::{Grandchildren, Sigterm};
use super::logfmt;

/// The argument that turns the simulated server into a sleeper.
pub(super) const ARGUMENT: &str = "--sim-sleeper";

/// The argument that makes a sleeper deaf to SIGTERM.
const DEAF: &str = "--sim-ignore-sigterm";

/// A forgotten sleeper ends by itself.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Starts the sleepers and waits until each has left the session.
pub(super) fn start(grandchildren: Grandchildren) -> io::Result<()> {
    for _ in 0..grandchildren.number {
        let mut command = Command::new("/proc/self/exe");
        if let Some(name) = env::args_os().next() {
            command.arg0(name);
        }
        command.args(["sim", ARGUMENT]);
        match grandchildren.sigterm {
            Sigterm::Ignored => {
                command.arg(DEAF);
            }
            Sigterm::Graceful | Sigterm::StuckWhenBusy => {}
        }
        // stderr stays open on purpose: whoever reads the log must not wait for its end.
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
        }
    }
    Ok(())
}

/// Is a sleeper: returns the exit code when the time is up.
pub(super) fn run(arguments: &[impl AsRef<OsStr>]) -> u8 {
    if arguments.iter().any(|argument| argument.as_ref() == DEAF) && ignore_termination().is_err() {
        return 1;
    }
    if rustix::process::setsid().is_err() {
        return 1;
    }
    logfmt::write_stdout(b"ready\n");
    thread::sleep(LIFETIME);
    0
}

/// Takes SIGTERM and SIGINT and does nothing about them.
pub(super) fn ignore_termination() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}
