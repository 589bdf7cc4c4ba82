//! Starting a shim and hearing whether its server runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::live::{LiveRun, Watched};
use super::orphans;
use super::os;
use super::runfiles::{self, PROTOCOL, RunFile, RunPaths, ShimPhase, ShimReport, SpecFile};
use super::shim::WRONG_PROTOCOL;
use crate::domain::run::{ProcessId, StopMode};

/// A shim reports within this, or something is wrong with the machine.
const DEADLINE: Duration = Duration::from_secs(5);

/// What an ended or hanging shim is given before the next, harder measure.
const PATIENCE: Duration = Duration::from_millis(200);

/// Between the end of a shim's report and its exit code, on a machine that is busy.
const LAST_STEP: Duration = Duration::from_secs(2);

/// Descriptors that starting a run takes: the shim's pidfd, both ends of the report's pipe, the
/// server's pidfd and the two spare read ends, and one for the files that are read meanwhile.
const DESCRIPTORS: usize = 7;

/// Descriptors that no new run may take: an owner that has none left hears no command, reads no
/// configuration, probes nothing, and can give no lost run a new shim.
const RESERVE: usize = 32;

/// A process in the middle of an exec shows no token; it does at the next look.
const SWEEPS: usize = 3;

/// How to run a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimProgram {
    program: PathBuf,
    role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A shim and nothing else.
    Shim,
    /// The small binary beside us; an upgrade may replace it while we run.
    Sibling,
    /// The hidden subcommand of this program, which always speaks our protocol.
    Ourselves,
}

/// What becomes of the server when its shim could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing<'a> {
    /// It goes too; whatever carries this token is of this very start.
    EndsTheRun { token: &'a str },
    /// It ran before and goes on.
    LeavesTheServer,
}

/// Why no run came up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("something of an earlier run still lives (llama-orch orphans shows it)")]
    Busy,
    #[error("{message}")]
    Exec { message: String },
    #[error("this machine has no room for it: {message}")]
    Resources { message: String },
    /// Its output has nowhere to go.
    #[error("its output cannot be kept: {message}")]
    Logs { message: String },
    #[error("the shim failed: {message}")]
    Shim { message: String },
    #[error("the shim speaks another protocol; reinstall llama-orch so that both programs match")]
    Protocol,
    #[error("the shim did not report within {} s", DEADLINE.as_secs())]
    Deadline,
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
}

impl ShimProgram {
    /// Finds the small shim binary beside this one; a hidden subcommand of this one does as well.
    ///
    /// # Errors
    ///
    /// Returns an error when not even our own path is known.
    pub fn find() -> io::Result<Self> {
        let own = std::env::current_exe()?;
        let sibling = own.with_file_name("llama-orch-shim");
        let speaks = Command::new(&sibling)
            .args(["--protocol", &PROTOCOL.to_string(), "--check"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if speaks {
            return Ok(Self {
                program: sibling,
                role: Role::Sibling,
            });
        }
        Ok(Self::ourselves())
    }

    /// Returns whether shims cost as little as they can.
    #[must_use]
    pub fn is_small(&self) -> bool {
        match self.role {
            Role::Shim | Role::Sibling => true,
            Role::Ourselves => false,
        }
    }

    /// The running program, also when its file has been replaced or deleted since.
    fn ourselves() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            role: Role::Ourselves,
        }
    }

    /// Uses this program as the shim.
    #[must_use]
    pub fn at(program: PathBuf) -> Self {
        Self {
            program,
            role: Role::Shim,
        }
    }

    pub(super) fn command(&self, paths: &RunPaths) -> Command {
        let mut command = Command::new(&self.program);
        match self.role {
            Role::Shim | Role::Sibling => {}
            Role::Ourselves => {
                command.arg0("llama-orch").arg("shim");
            }
        }
        command
            .args(["--protocol", &PROTOCOL.to_string()])
            .arg(paths.dir());
        command
    }
}

/// Returns whether something of a run lives. Only the owner may ask, and never while a shim starts.
///
/// # Errors
///
/// Returns an error when the lock cannot be opened.
pub fn tree_is_locked(paths: &RunPaths) -> io::Result<bool> {
    let file = match OpenOptions::new()
        .read(true)
        .write(true)
        .open(paths.tree_lock())
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Starts a run: its files, its shim, its server. Blocks until the shim reported.
///
/// # Errors
///
/// Returns why nothing runs; nothing is left behind then.
pub fn launch(
    paths: &RunPaths,
    spec: &SpecFile,
    shim: &ShimProgram,
) -> Result<LiveRun, LaunchError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| resources_or(what, source)
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(paths.dir())
        .map_err(io("make the run's folder"))?;
    if tree_is_locked(paths).map_err(io("test tree.lock"))? {
        return Err(LaunchError::Busy);
    }
    runfiles::write_first(&paths.spec(), spec).map_err(io("write spec.json"))?;
    for old in [paths.run(), paths.exit()] {
        runfiles::remove(&old).map_err(io("remove the last run's files"))?;
    }
    let start = |shim: &ShimProgram| {
        let words = open_words(paths).map_err(io("open shim.err"))?;
        let mut command = shim.command(paths);
        command.stdin(Stdio::null()).stderr(words);
        begin(paths, command, Failing::EndsTheRun { token: &spec.token })
    };
    match (start(shim), shim.role) {
        // The file beside us was upgraded under our feet.
        (Err(LaunchError::Protocol), Role::Sibling) => start(&ShimProgram::ourselves()),
        (outcome, _) => outcome,
    }
}

/// Starts a prepared shim and waits for its report.
pub(super) fn begin(
    paths: &RunPaths,
    mut command: Command,
    failing: Failing<'_>,
) -> Result<LiveRun, LaunchError> {
    // Better refused now than when a server runs already that nobody could hold on to.
    let needed = match failing {
        Failing::EndsTheRun { .. } => DESCRIPTORS + RESERVE,
        Failing::LeavesTheServer => DESCRIPTORS,
    };
    check_room(needed).map_err(|error| resources_or("start the shim".to_owned(), error))?;
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| resources_or("start the shim".to_owned(), error))?;
    // Dropped before anybody waits for the end of its pipes.
    drop(command);
    // Not reaped before it was opened, so the number is surely the shim's.
    let shim_fd = match os::open_pidfd(child.id().cast_signed()) {
        Ok(shim_fd) => shim_fd,
        Err(error) => {
            child.kill().ok(); // unreaped, so std hits nobody else
            child.wait().ok(); // how it ended is known
            sweep(paths, failing);
            return Err(resources_or("open the shim's pidfd".to_owned(), error));
        }
    };
    let outcome = heard(paths, &mut child, &shim_fd);
    if let Err(error) = &outcome {
        end_shim(&mut child, &shim_fd, failing);
        // A busy run belongs to somebody else, who looks after it.
        if !matches!(error, LaunchError::Busy) {
            sweep(paths, failing);
        }
    }
    outcome
}

/// Takes as many descriptors and gives them back at once.
fn check_room(needed: usize) -> io::Result<()> {
    let held: io::Result<Vec<File>> = (0..needed).map(|_| File::open("/dev/null")).collect();
    held.map(drop)
}

/// Ends a shim that failed: most do so by themselves, one that hangs must not linger.
fn end_shim(child: &mut Child, shim_fd: &OwnedFd, failing: Failing<'_>) {
    if !os::readable_within(shim_fd, PATIENCE) && matches!(failing, Failing::EndsTheRun { .. }) {
        // Killed by its shim, the whole tree goes.
        os::signal(shim_fd, Signal::USR2).ok(); // it may just have ended
    }
    if !os::readable_within(shim_fd, PATIENCE) {
        os::signal(shim_fd, Signal::KILL).ok(); // it may just have ended
    }
    if os::readable_within(shim_fd, DEADLINE) {
        child.wait().ok(); // reaped; how it ended was reported
    }
}

/// Kills what a shim left behind that failed after it had started the server.
fn sweep(paths: &RunPaths, failing: Failing<'_>) {
    match failing {
        Failing::EndsTheRun { token } => {
            for _ in 0..SWEEPS {
                if !tree_is_locked(paths).unwrap_or(true) {
                    return;
                }
                // What survives even this is seen by the next start, which then reports it.
                orphans::stop_token(token, StopMode::Kill, DEADLINE).ok();
            }
        }
        Failing::LeavesTheServer => {}
    }
}

fn heard(paths: &RunPaths, child: &mut Child, shim_fd: &OwnedFd) -> Result<LiveRun, LaunchError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| resources_or(what, source)
    };
    let shim_id = os::identity(child.id().cast_signed()).map_err(io("look at the shim"))?;
    let line = read_report(child)?;
    let report: ShimReport = match serde_json::from_slice(&line) {
        Ok(report) => report,
        Err(_) => return Err(mute(paths, child, shim_fd)),
    };
    match report {
        ShimReport::Ok => {}
        ShimReport::Busy => return Err(LaunchError::Busy),
        ShimReport::Error {
            message,
            errno,
            during,
        } => {
            let error = errno.map(io::Error::from_raw_os_error);
            return Err(match (during, error) {
                (_, Some(error)) if is_resources(&error) => LaunchError::Resources { message },
                (ShimPhase::Exec, _) => LaunchError::Exec { message },
                (ShimPhase::Logs, _) => LaunchError::Logs { message },
                (ShimPhase::Setup, _) => LaunchError::Shim { message },
            });
        }
    }
    let run: RunFile = runfiles::read(&paths.run())
        .and_then(|run| run.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)))
        .map_err(io("read run.json"))?;
    let shim_fd = shim_fd.try_clone().map_err(io("hold on to the shim"))?;
    let shim = Watched::new(shim_id, shim_fd);
    let server = hold_server(&run, &shim).map_err(io("hold on to the server"))?;
    Ok(LiveRun::new(run, Some(shim), server))
}

/// Holds on to the server; the shim stands in for one that ended and was reaped already.
fn hold_server(run: &RunFile, shim: &Watched) -> io::Result<Watched> {
    let id = ProcessId::from(run.child);
    match os::open_pidfd(id.pid) {
        Ok(fd) if os::identity(id.pid).is_ok_and(|found| found == id) => Ok(Watched::new(id, fd)),
        Ok(_) => Watched::ended(id, shim),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Watched::ended(id, shim),
        Err(error) => Err(error),
    }
}

/// Reads one line with a deadline; an early end of the pipe ends the line.
fn read_report(child: &mut Child) -> Result<Vec<u8>, LaunchError> {
    let Some(mut stdout) = child.stdout.take() else {
        return Err(LaunchError::Shim {
            message: "it has no stdout".to_owned(),
        });
    };
    let deadline = Instant::now() + DEADLINE;
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if !os::readable_within(&stdout, left) {
            return Err(LaunchError::Deadline);
        }
        match stdout.read(&mut chunk) {
            Ok(0) => return Ok(line),
            Ok(read) => line.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(LaunchError::Io {
                    what: "hear the shim".to_owned(),
                    error,
                });
            }
        }
        if line.last() == Some(&b'\n') {
            return Ok(line);
        }
    }
}

/// The shim ended without a report: what it wrote on stderr has to explain it.
fn mute(paths: &RunPaths, child: &mut Child, shim_fd: &OwnedFd) -> LaunchError {
    // Its pipe closes a little before its exit code is there.
    let ended = os::readable_within(shim_fd, LAST_STEP);
    let code = ended
        .then(|| child.try_wait().ok().flatten()?.code())
        .flatten();
    if code == Some(i32::from(WRONG_PROTOCOL)) {
        return LaunchError::Protocol;
    }
    let words = fs::read_to_string(paths.shim_err()).unwrap_or_default();
    let last = words.lines().rev().find(|line| !line.trim().is_empty());
    let message = match (last, code) {
        (Some(last), _) => format!("it ended: {last}"),
        (None, Some(code)) => format!("it ended without a word, with code {code}"),
        (None, None) => "it ended without a word".to_owned(),
    };
    LaunchError::Shim { message }
}

fn open_words(paths: &RunPaths) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(paths.shim_err())
}

fn is_resources(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::NOSPC,
        Errno::DQUOT,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

fn resources_or(what: String, error: io::Error) -> LaunchError {
    if is_resources(&error) {
        LaunchError::Resources {
            message: format!("{what}: {error}"),
        }
    } else {
        LaunchError::Io { what, error }
    }
}
