//! The small parent process of one run.
//!
//! # Theory of operation
//!
//! A shim starts one server, copies its output into the logs, stops it when told, and records how
//! it ended. It never restarts anything and never talks to the network. It outlives the owner, so
//! that ending the owner ends no server and loses no log byte and no exit code.
//!
//! * Its pipes are drained by `splice` (`copy`): a shim that is killed loses nothing, as long as
//!   somebody else holds a read end. The owner does, and passes it to the next shim (`--attach`).
//! * It is a subreaper: whatever the server starts, however detached, becomes its child in the
//!   end, and is killed until no child is left (`parent`).
//! * A shim that attached to a run is nobody's parent; it finds the tree by its token
//!   (`attached`).
//! * A stop asks the leader with SIGTERM, once more near the end of its grace (`event_loop` says
//!   why), and kills the whole tree when the grace is over.
//! * `tree.lock` is inherited by the whole tree: while it is held, something of the run lives.
//!
//! One thread, one epoll loop (`event_loop`), no runtime: a shim costs little memory because
//! there is one for every server.

mod attached;
mod copy;
mod count;
mod event_loop;
mod index;
mod logfile;
mod parent;
mod record;
mod signals;
mod start;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::runfiles::{PROTOCOL, RunPaths, ShimPhase, ShimReport};

/// The exit code for a protocol version that is not spoken here.
pub const WRONG_PROTOCOL: u8 = 65;

/// Arguments that are not ours.
const USAGE: u8 = 64;

/// The shim could not start its server; the report says why.
const FAILED: u8 = 1;

/// What the owner asks of a shim.
enum Mode {
    Launch,
    Attach,
}

/// Why a shim could not begin its work.
#[derive(Debug)]
struct StartFailure {
    report: ShimReport,
}

impl StartFailure {
    fn new(during: ShimPhase, what: &str, error: &io::Error) -> Self {
        let message = format!("{what}: {error}");
        Self {
            report: ShimReport::Error {
                message,
                errno: error.raw_os_error(),
                during,
            },
        }
    }
}

/// Runs the shim: `--protocol N <run dir> [--attach]`. Returns the exit code.
#[must_use]
pub fn main(args: &[OsString]) -> u8 {
    let (paths, mode) = match parse(args) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let begun = match mode {
        Mode::Launch => start::launch(paths),
        Mode::Attach => attached::attach(paths),
    };
    match begun {
        Ok(code) => code,
        Err(failure) => {
            report(&failure.report);
            FAILED
        }
    }
}

fn parse(args: &[OsString]) -> Result<(RunPaths, Mode), u8> {
    let [flag, version, dir, rest @ ..] = args else {
        complain("usage: --protocol N RUN_DIR [--attach]");
        return Err(USAGE);
    };
    if flag != "--protocol" || version.to_str().and_then(|text| text.parse().ok()) != Some(PROTOCOL)
    {
        complain(&format!("this shim speaks protocol {PROTOCOL}"));
        return Err(WRONG_PROTOCOL);
    }
    let mode = match rest {
        // Only asked whether this version is spoken here.
        [] if dir == "--check" => return Err(0),
        [] => Mode::Launch,
        [only] if only == "--attach" => Mode::Attach,
        _ => {
            complain("usage: --protocol N RUN_DIR [--attach]");
            return Err(USAGE);
        }
    };
    Ok((RunPaths::new(PathBuf::from(dir)), mode))
}

/// Writes the one line the owner waits for.
fn report(report: &ShimReport) {
    let mut line = serde_json::to_vec(report).unwrap_or_default();
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).ok(); // the owner may be gone
}

/// Writes to the shim's own stderr file; there is no other place for its words.
fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok(); // a full disk must not end a shim
}
