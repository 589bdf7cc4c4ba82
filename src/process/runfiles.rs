//! The files of a run: what the owner asks of a shim and what the shim reports back.
//!
//! `spec.json` is written by the owner; `run.json` and `exit.json` by the shim and by nobody else.
//! Every file carries the run id, and an `exit.json` counts only for the id in `spec.json`.
//! All are versioned and additive: unknown keys are ignored, new ones are optional, so a shim
//! keeps running under a newer owner.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::run::{ProcessId, StopMode};

/// The version of the files and of the shim's arguments.
pub const PROTOCOL: u32 = 1;

/// The environment variable that carries a run's random token through its whole tree.
pub const TOKEN_VARIABLE: &str = "LLAMA_ORCH_ID";

/// The environment variable that carries the run id.
pub const RUN_VARIABLE: &str = "LLAMA_ORCH_RUN";

/// The environment variable that tells a work unit's command which home it belongs to.
pub const HOME_VARIABLE: &str = "LLAMA_ORCH_HOME";

/// Where the files of one instance's run are: `<home>/state/runs/<name>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    dir: PathBuf,
}

/// What to run and where its output goes. Mode 0600: the environment can hold secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecFile {
    pub version: u32,
    pub run_id: String,
    pub token: String,
    /// The instance, or `work/CHUNK` for a work unit: no instance's name has a slash.
    pub instance: String,
    /// Absolute path of the executable.
    pub program: PathBuf,
    pub args: Vec<String>,
    /// The whole environment of the server, token and run id included.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    /// Bytes per log file before it is rotated.
    pub max_size: u64,
    /// Rotated files kept beside the live one.
    pub rotation: u32,
    /// Milliseconds between SIGTERM and SIGKILL.
    pub grace_ms: u64,
    pub host: String,
    pub port: Option<u16>,
    /// The server's soft limit of open files; the owner raises its own.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// How often the kernel's OOM killer had struck around here before the start.
    #[serde(default)]
    pub oom: Option<OomFile>,
    /// The build's own version.
    #[serde(default)]
    pub build: Option<String>,
    /// The static fields of the configuration at start, for finding drift.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Who hears SIGTERM first when the run is stopped.
    #[serde(default)]
    pub ask: AskFile,
    /// Present when it is no instance that runs.
    #[serde(default)]
    pub unit: Option<UnitFile>,
}

/// The work unit whose command runs: enough to know it again should the database be lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitFile {
    pub chunk: String,
    pub phase: String,
    pub worktree: Option<PathBuf>,
    pub instance: Option<String>,
    /// Program and arguments, by phase.
    pub commands: BTreeMap<String, Vec<String>>,
    /// Seconds; 0 means none, absent what the home says.
    #[serde(default)]
    pub time_limit: Option<f64>,
}

/// Whom a stop asks before it kills. A shim that does not know the key asks the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskFile {
    /// A server, which looks after its own children.
    #[default]
    Leader,
    /// Everybody: a shell passes nothing on, and what it runs would be killed unasked.
    Tree,
}

/// How hard a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopFile {
    Gentle,
    Kill,
}

/// A counter of OOM kills and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomFile {
    pub file: PathBuf,
    pub kills: u64,
}

/// Where the output of a run begins in a log that earlier runs wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStartFile {
    /// The file that was the live one then; rotation renames it.
    pub inode: u64,
    pub offset: u64,
}

/// The log pipes of a run by their inodes: whoever holds one, it can be opened anew through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipesFile {
    pub stdout: u64,
    pub stderr: u64,
}

/// A process as written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFile {
    pub pid: i32,
    /// Raw `/proc/PID/stat` field 22.
    pub start: u64,
}

/// The server process and the executable it was started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFile {
    pub pid: i32,
    pub start: u64,
    pub exe_dev: u64,
    pub exe_ino: u64,
}

/// A run that was started; rewritten when it begins to stop or a new shim attaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    pub version: u32,
    pub run_id: String,
    pub token: String,
    pub boot_id: String,
    pub shim: ProcessFile,
    pub child: ChildFile,
    pub port: Option<u16>,
    /// Unix seconds; for display only.
    pub started_at: f64,
    /// Unix seconds of the first stop request.
    #[serde(default)]
    pub stopping_since: Option<f64>,
    /// How hard it was told to stop; absent before that.
    #[serde(default)]
    pub stop: Option<StopFile>,
    /// The writing shim is not the server's parent.
    #[serde(default)]
    pub attached: bool,
    /// Its log pipes; a shim of an older version did not say.
    #[serde(default)]
    pub pipes: Option<PipesFile>,
    #[serde(default)]
    pub stdout_start: Option<LogStartFile>,
    #[serde(default)]
    pub stderr_start: Option<LogStartFile>,
    /// Things a person should know of this run, such as logs copied without splice.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitFile {
    pub version: u32,
    pub run_id: String,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    #[serde(default)]
    pub core: bool,
    /// Unix seconds.
    pub started_at: f64,
    /// Unix seconds.
    pub ended_at: f64,
    /// A stop had been asked for.
    #[serde(default)]
    pub requested: bool,
    /// How hard it was told to stop; a shim of an older version does not say.
    #[serde(default)]
    pub stop: Option<StopFile>,
    /// Log bytes that could not be written.
    #[serde(default)]
    pub dropped_bytes: u64,
    /// CPU time of the whole tree.
    #[serde(default)]
    pub user_ms: u64,
    #[serde(default)]
    pub system_ms: u64,
    /// Offsets in the two live log files at the end.
    #[serde(default)]
    pub stdout_offset: u64,
    #[serde(default)]
    pub stderr_offset: u64,
}

/// The one line a starting shim reports on its stdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimReport {
    /// `run.json` is written and the server runs.
    Ok,
    /// Another shim or a surviving tree holds the lock.
    Busy,
    /// What was tried, and the error number if the kernel gave one.
    Error {
        message: String,
        errno: Option<i32>,
        during: ShimPhase,
    },
}

/// Where a starting shim failed; `Exec` is the configuration's fault, the rest is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimPhase {
    Setup,
    Logs,
    Exec,
}

impl RunPaths {
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    #[must_use]
    pub fn spec(&self) -> PathBuf {
        self.dir.join("spec.json")
    }

    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.dir.join("run.json")
    }

    #[must_use]
    pub fn exit(&self) -> PathBuf {
        self.dir.join("exit.json")
    }

    /// The right to write the logs; held by one shim.
    #[must_use]
    pub fn shim_lock(&self) -> PathBuf {
        self.dir.join("shim.lock")
    }

    /// Inherited by the whole tree: while it is held, something of the run lives.
    #[must_use]
    pub fn tree_lock(&self) -> PathBuf {
        self.dir.join("tree.lock")
    }

    /// How much its runs have logged; outlives them.
    #[must_use]
    pub fn log_counts(&self) -> PathBuf {
        self.dir.join("log-counts")
    }

    /// What a shim itself had to say on stderr.
    #[must_use]
    pub fn shim_err(&self) -> PathBuf {
        self.dir.join("shim.err")
    }
}

impl From<ProcessFile> for ProcessId {
    fn from(file: ProcessFile) -> Self {
        Self {
            pid: file.pid,
            start_ticks: file.start,
        }
    }
}

impl From<ChildFile> for ProcessId {
    fn from(file: ChildFile) -> Self {
        Self {
            pid: file.pid,
            start_ticks: file.start,
        }
    }
}

impl From<StopFile> for StopMode {
    fn from(file: StopFile) -> Self {
        match file {
            StopFile::Gentle => Self::Gentle,
            StopFile::Kill => Self::Kill,
        }
    }
}

impl RunFile {
    /// Returns how it was told to stop; `None` when it was not. Most are told gently, and older
    /// shims do not say.
    #[must_use]
    pub fn stopping(&self) -> Option<StopMode> {
        self.stopping_since?;
        Some(self.stop.map_or(StopMode::Gentle, StopMode::from))
    }
}

impl ExitFile {
    /// Returns how it was told to stop; `None` when nobody asked for its end.
    #[must_use]
    pub fn requested(&self) -> Option<StopMode> {
        let mode = self.stop.map_or(StopMode::Gentle, StopMode::from);
        self.requested.then_some(mode)
    }

    /// Returns how the leader ended; `None` when nobody learned it.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        match (self.code, self.signal) {
            (Some(code), _) => Some(ExitStatus::Code(code)),
            (None, Some(signal)) => Some(ExitStatus::Signal(signal)),
            (None, None) => None,
        }
    }
}

impl From<ExitFile> for RunExit {
    fn from(file: ExitFile) -> Self {
        Self {
            status: file.status(),
            core_dumped: file.core,
            started_at: file.started_at,
            ended_at: file.ended_at,
            dropped_bytes: file.dropped_bytes,
            requested: file.requested(),
        }
    }
}

/// Reads a run file; `None` when it does not exist.
///
/// # Errors
///
/// Returns an error when the file cannot be read or is not what it should be.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a run file in one step, mode 0600. Not synced: a reboot ends every run anyway.
///
/// # Errors
///
/// Returns an error when the folder cannot be written; the old file is then untouched.
pub fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    put(path, value, |temporary| fs::rename(temporary, path))
}

/// Writes the first file of a run. The old one goes before the new one comes: ext4 writes a file
/// that takes another's place to the disk at once, and every start would wait for the disk.
///
/// # Errors
///
/// Returns an error when the folder cannot be written.
pub(super) fn write_first<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    put(path, value, |temporary| {
        remove(path)?;
        fs::rename(temporary, path)
    })
}

/// Removes a run file, if there is one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn put<T: Serialize>(
    path: &Path,
    value: &T,
    settle: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let written = write_new(&temporary, &bytes).and_then(|()| settle(&temporary));
    if written.is_err() {
        fs::remove_file(&temporary).ok(); // it may never have been created
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}
