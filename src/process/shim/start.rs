//! Launching: locks, logs, pipes, the server process, and the report to the owner.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::io::FdFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::copy::{Copier, PIPE_SIZE};
use super::count::Count;
use super::event_loop::EventLoop;
use super::logfile::LogFile;
use super::parent::Parent;
use super::record::{Record, now};
use super::signals::Signals;
use super::{StartFailure, report};
use crate::process::os;
use crate::process::runfiles::{
    self, ChildFile, LogStartFile, PROTOCOL, PipesFile, ProcessFile, RunFile, RunPaths, ShimPhase,
    ShimReport, SpecFile,
};

/// Added to the server's badness, so that under memory pressure it goes before us.
const OOM_SCORE_ADJUST: &str = "200";

/// Starts the server and looks after it until the whole tree is gone.
pub(super) fn launch(paths: RunPaths) -> Result<u8, StartFailure> {
    let setup = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| StartFailure::new(ShimPhase::Setup, &what, &error)
    };
    rustix::process::setsid().ok(); // fails only for a group leader, who is detached already
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(io::Error::from)
        .map_err(setup("become a subreaper"))?;
    let signals = Signals::register().map_err(setup("register signals"))?;

    let shim_lock = lock(&paths.shim_lock()).map_err(setup("lock shim.lock"))?;
    let tree_lock = lock(&paths.tree_lock()).map_err(setup("lock tree.lock"))?;
    let (Some(shim_lock), Some(tree_lock)) = (shim_lock, tree_lock) else {
        return Err(StartFailure {
            report: ShimReport::Busy,
        });
    };
    // The server and everything it starts inherit this one: kernel proof that the tree lives.
    rustix::io::fcntl_setfd(&tree_lock, FdFlags::empty())
        .map_err(io::Error::from)
        .map_err(setup("share tree.lock"))?;

    let spec: SpecFile = runfiles::read(&paths.spec())
        .and_then(|spec| spec.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)))
        .map_err(setup("read spec.json"))?;
    // A shim that comes so late that another one has run this already must not run it again.
    if was_started(&paths, &spec).map_err(setup("read run.json"))? {
        return Err(StartFailure {
            report: ShimReport::Busy,
        });
    }
    let logs = |path: &std::path::Path, count| {
        LogFile::open(path, spec.max_size, spec.rotation, count).map_err(|error| {
            StartFailure::new(ShimPhase::Logs, &format!("open {}", path.display()), &error)
        })
    };
    let [stdout_count, stderr_count] = Count::open(&paths.log_counts());
    let stdout_log = logs(&spec.stdout, stdout_count)?;
    let stderr_log = logs(&spec.stderr, stderr_count)?;
    let (stdout_read, stdout_write) = log_pipe().map_err(setup("make a pipe"))?;
    let (stderr_read, stderr_write) = log_pipe().map_err(setup("make a pipe"))?;

    let inode = |pipe: &OwnedFd| rustix::fs::fstat(pipe).map(|data| data.st_ino);
    let pipes = inode(&stdout_read)
        .and_then(|stdout| {
            let stderr = inode(&stderr_read)?;
            Ok(PipesFile { stdout, stderr })
        })
        .map_err(io::Error::from)
        .map_err(setup("look at a pipe"))?;

    let child = spawn(&spec, stdout_write, stderr_write)?;
    let pid = child.id().cast_signed();
    let starts = [stdout_log.start(), stderr_log.start()];
    let record =
        describe(paths, &spec, pid, pipes, starts).map_err(setup("describe the server"))?;
    let pidfd = os::open_pidfd(pid).map_err(setup("open the server's pidfd"))?;
    fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE_ADJUST).ok(); // a hint, no more

    let stdout = Copier::new(stdout_read, stdout_log).map_err(setup("prepare stdout"))?;
    let stderr = Copier::new(stderr_read, stderr_log).map_err(setup("prepare stderr"))?;
    record.write_run().map_err(|error| {
        os::signal(&pidfd, rustix::process::Signal::KILL).ok(); // it may have ended by itself
        StartFailure::new(ShimPhase::Setup, "write run.json", &error)
    })?;
    report(&ShimReport::Ok);
    let_go_of_stdout();

    let tree = Parent::new(pidfd, pid, spec.grace_ms, spec.ask);
    let code = EventLoop::new(signals, stdout, stderr, record)
        .and_then(|event_loop| event_loop.run(tree))
        .map_err(setup("watch the server"))?;
    // Held until here: no other shim may write these logs or start this instance meanwhile.
    drop((shim_lock, tree_lock));
    Ok(code)
}

/// Returns whether this very run was started before; a run is started once.
fn was_started(paths: &RunPaths, spec: &SpecFile) -> io::Result<bool> {
    let run: Option<RunFile> = runfiles::read(&paths.run())?;
    Ok(run.is_some_and(|run| run.run_id == spec.run_id))
}

/// Takes a lock; `None` when somebody else has it.
pub(super) fn lock(path: &std::path::Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// A pipe whose read end never blocks us and whose write end blocks the server as usual.
fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(read.as_fd(), true)?;
    rustix::pipe::fcntl_setpipe_size(&read, PIPE_SIZE).ok(); // the usual size does as well
    Ok((read, write))
}

fn spawn(spec: &SpecFile, stdout: OwnedFd, stderr: OwnedFd) -> Result<Child, StartFailure> {
    if let Some(soft) = spec.open_files {
        // The owner raised its own limit for many runs; the server gets the usual one.
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(soft),
                maximum,
            },
        )
        .ok();
    }
    Command::new(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let what = format!("run {}", spec.program.display());
            StartFailure::new(ShimPhase::Exec, &what, &error)
        })
}

fn describe(
    paths: RunPaths,
    spec: &SpecFile,
    pid: i32,
    pipes: PipesFile,
    [stdout_start, stderr_start]: [Option<LogStartFile>; 2],
) -> io::Result<Record> {
    let own = os::identity(std::process::id().cast_signed())?;
    let child = os::identity(pid)?;
    let (exe_dev, exe_ino) = os::executable(pid).unwrap_or_default();
    let run = RunFile {
        version: PROTOCOL,
        run_id: spec.run_id.clone(),
        token: spec.token.clone(),
        boot_id: os::boot_id()?,
        shim: ProcessFile {
            pid: own.pid,
            start: own.start_ticks,
        },
        child: ChildFile {
            pid,
            start: child.start_ticks,
            exe_dev,
            exe_ino,
        },
        port: spec.port,
        started_at: now(),
        stopping_since: None,
        stop: None,
        attached: false,
        pipes: Some(pipes),
        stdout_start,
        stderr_start,
        notes: Vec::new(),
    };
    Ok(Record { paths, run })
}

/// The owner reads one line; keeping its pipe open would only confuse who reads to the end.
pub(super) fn let_go_of_stdout() {
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        rustix::stdio::dup2_stdout(&null).ok(); // then the pipe just stays open
    }
}
