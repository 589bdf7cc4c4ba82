//! Starting a shim and hearing whether its server runs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::live::{LiveRun, Watched};
use super::os;
use super::runfiles::{self, PROTOCOL, RunFile, RunPaths, ShimPhase, ShimReport, SpecFile};
use super::shim::WRONG_PROTOCOL;
use crate::domain::run::ProcessId;

/// A shim reports within this, or something is wrong with the machine.
const DEADLINE: Duration = Duration::from_secs(5);

/// How to run a shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShimProgram {
    program: PathBuf,
    prefix: Vec<String>,
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
    #[error("the shim failed: {message}")]
    Shim { message: String },
    #[error("the shim did not report within {} s", DEADLINE.as_secs())]
    Deadline,
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
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
                prefix: Vec::new(),
            });
        }
        Ok(Self {
            program: own,
            prefix: vec!["shim".to_owned()],
        })
    }

    /// Uses this program as the shim.
    #[must_use]
    pub fn at(program: PathBuf) -> Self {
        Self {
            program,
            prefix: Vec::new(),
        }
    }

    pub(super) fn command(&self, paths: &RunPaths) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.prefix)
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
    runfiles::write(&paths.spec(), spec).map_err(io("write spec.json"))?;
    for old in [paths.run(), paths.exit()] {
        match fs::remove_file(&old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io("remove the last run's files")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let words = open_words(paths).map_err(io("open shim.err"))?;
    let mut command = shim.command(paths);
    command.stdin(Stdio::null()).stderr(words);
    begin(paths, command)
}

/// Starts a prepared shim and waits for its report.
pub(super) fn begin(paths: &RunPaths, mut command: Command) -> Result<LiveRun, LaunchError> {
    command.stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| resources_or("start the shim".to_owned(), error))?;
    // Dropped before anybody waits for the end of its pipes.
    drop(command);
    let outcome = heard(paths, &mut child);
    if outcome.is_err() {
        // It reported a failure and ends by itself, or it hangs and must not linger.
        if let Ok(pidfd) = os::open_pidfd(child.id().cast_signed()) {
            if !os::readable_within(&pidfd, Duration::from_millis(200)) {
                os::signal(&pidfd, Signal::KILL).ok(); // it may just have ended
            }
            if os::readable_within(&pidfd, DEADLINE) {
                child.wait().ok(); // reaped; how it ended was reported
            }
        }
    }
    outcome
}

fn heard(paths: &RunPaths, child: &mut Child) -> Result<LiveRun, LaunchError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| resources_or(what, source)
    };
    let shim_pid = child.id().cast_signed();
    // Unreaped, so the number is surely ours.
    let shim_fd = os::open_pidfd(shim_pid).map_err(io("open the shim's pidfd"))?;
    let shim_id = os::identity(shim_pid).map_err(io("look at the shim"))?;
    let line = read_report(child)?;
    let report: ShimReport = match serde_json::from_slice(&line) {
        Ok(report) => report,
        Err(_) => return Err(mute(paths, child)),
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
                (ShimPhase::Setup | ShimPhase::Logs, _) => LaunchError::Shim { message },
            });
        }
    }
    let run: RunFile = runfiles::read(&paths.run())
        .and_then(|run| run.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)))
        .map_err(io("read run.json"))?;
    let child_id = ProcessId::from(run.child);
    let child_fd = match os::open_pidfd(child_id.pid) {
        Ok(fd)
            if os::stat(child_id.pid)
                .is_ok_and(|stat| stat.start_ticks == child_id.start_ticks) =>
        {
            fd
        }
        // The server ended and was reaped already; its shim, which is recording that, stands in.
        Ok(_) | Err(_) => rustix::io::fcntl_dupfd_cloexec(&shim_fd, 3)
            .map_err(io::Error::from)
            .map_err(io("hold on to the shim"))?,
    };
    let shim = Watched::new(shim_id, shim_fd);
    Ok(LiveRun::new(
        run,
        Some(shim),
        Watched::new(child_id, child_fd),
    ))
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
            Err(source) => {
                return Err(LaunchError::Io {
                    what: "hear the shim".to_owned(),
                    source,
                });
            }
        }
        if line.last() == Some(&b'\n') {
            return Ok(line);
        }
    }
}

/// The shim ended without a report: what it wrote on stderr has to explain it.
fn mute(paths: &RunPaths, child: &mut Child) -> LaunchError {
    let words = fs::read_to_string(paths.shim_err()).unwrap_or_default();
    let last = words
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("without a word");
    let code = child
        .try_wait()
        .ok()
        .flatten()
        .and_then(|status| status.code());
    let message = if code == Some(i32::from(WRONG_PROTOCOL)) {
        "it speaks another protocol; reinstall llama-orch so that both programs match".to_owned()
    } else {
        format!("it ended: {last}")
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

fn resources_or(what: String, source: io::Error) -> LaunchError {
    if is_resources(&source) {
        LaunchError::Resources {
            message: format!("{what}: {source}"),
        }
    } else {
        LaunchError::Io { what, source }
    }
}
