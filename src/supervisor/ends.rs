//! What became of a run whose watched process ended. Blocking, but only for file reads, except
//! [`attach`], which waits for a new shim.

use crate::domain::exit::RunExit;
use crate::logs::tail;
use crate::process::launch::ShimProgram;
use crate::process::live::LiveRun;
use crate::process::runfiles::{RunPaths, SpecFile, read};
use crate::process::{adopt, launch};

/// How much of the end of stderr is looked at for the last words.
const LAST_WORDS_LINES: usize = 12;

/// The longest last words that are repeated in an event.
const LAST_WORDS_LIMIT: usize = 240;

/// What a look at the run files found.
pub enum End {
    /// The run is over and its end is known as well as it ever will be.
    Recorded {
        exit: RunExit,
        last_words: Option<String>,
    },
    /// The shim ended without a record: the server may live.
    ShimLost,
}

/// Looks at a run whose shim (or, without one, whose server) has ended.
#[must_use]
pub fn look(paths: &RunPaths, live: &LiveRun) -> End {
    live.reap_shim();
    if live.has_shim() && !adopt::is_recorded(paths, &live.run) {
        return End::ShimLost;
    }
    let (exit, last_words) = collect(paths, live);
    End::Recorded { exit, last_words }
}

/// Collects the end of a run from its record, or from the kernel.
#[must_use]
pub fn collect(paths: &RunPaths, live: &LiveRun) -> (RunExit, Option<String>) {
    let file = adopt::collect_exit(paths, &live.run, Some(live.child()));
    (RunExit::from(file), last_words(paths))
}

/// Starts a shim that takes over the logs and the stopping of a run that lost its own.
///
/// # Errors
///
/// Returns the run back with what went wrong.
pub fn attach(
    paths: &RunPaths,
    mut live: Box<LiveRun>,
    shim: &ShimProgram,
) -> Result<Box<LiveRun>, (Box<LiveRun>, String)> {
    let spares = live.take_spares();
    match adopt::attach(paths, spares, shim) {
        Ok(attached) => Ok(Box::new(attached)),
        Err(error) => Err((live, describe(&error))),
    }
}

fn describe(error: &launch::LaunchError) -> String {
    error.to_string()
}

/// Returns the last line of the server's stderr that says something.
#[must_use]
pub fn last_words(paths: &RunPaths) -> Option<String> {
    let spec: SpecFile = read(&paths.spec()).ok().flatten()?;
    let lines = tail::last_texts(&spec.stderr, LAST_WORDS_LINES).ok()?;
    let line = lines.iter().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().chars().take(LAST_WORDS_LIMIT).collect())
}
