//! Attaching to a run whose shim was lost: the logs go on, the tree can be stopped, and the end is
//! recorded as far as the kernel tells a stranger.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::copy::Copier;
use super::count::Count;
use super::event_loop::{EventLoop, Tree};
use super::logfile::LogFile;
use super::record::{End, Record};
use super::signals::Signals;
use super::start::{let_go_of_stdout, lock};
use super::{StartFailure, report};
use crate::domain::run::ProcessId;
use crate::process::pipes::{self, Wanted};
use crate::process::runfiles::{
    self, AskFile, ProcessFile, RunFile, RunPaths, ShimPhase, ShimReport, SpecFile, TOKEN_VARIABLE,
};
use crate::process::{os, tree};

/// The shim before us has this long to let go of its lock.
const LOCK_TIME: Duration = Duration::from_secs(4);

/// Between two looks at that lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Takes over the logs and the stopping of a living (or just ended) server.
pub(super) fn attach(paths: RunPaths) -> Result<u8, StartFailure> {
    let setup = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| StartFailure::new(ShimPhase::Setup, &what, &error)
    };
    // Before anything may write to stderr: it is a log pipe now.
    let passed = passed_pipes(&paths).map_err(setup("take the passed pipes"))?;
    rustix::process::setsid().ok(); // fails only for a group leader, who is detached already
    let signals = Signals::register().map_err(setup("register signals"))?;
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let spec: SpecFile = runfiles::read(&paths.spec())
        .and_then(|spec| spec.ok_or_else(missing))
        .map_err(setup("read spec.json"))?;
    let mut run: RunFile = runfiles::read(&paths.run())
        .and_then(|run| run.ok_or_else(missing))
        .map_err(setup("read run.json"))?;
    if run.run_id != spec.run_id {
        let error = io::Error::other("run.json and spec.json are of different runs");
        return Err(setup("read the run")(error));
    }
    let Some(shim_lock) = wait_for_lock(&paths).map_err(setup("lock shim.lock"))? else {
        return Err(StartFailure {
            report: ShimReport::Busy,
        });
    };

    let child = ProcessId::from(run.child);
    let pidfd = verified(child, &run.token).map_err(setup("prove the server"))?;
    let logs = |path: &std::path::Path, count| {
        LogFile::open(path, spec.max_size, spec.rotation, count).map_err(|error| {
            StartFailure::new(ShimPhase::Logs, &format!("open {}", path.display()), &error)
        })
    };
    let [stdout_count, stderr_count] = Count::open(&paths.log_counts());
    let stdout_log = logs(&spec.stdout, stdout_count)?;
    let stderr_log = logs(&spec.stderr, stderr_count)?;
    let mut notes = Vec::new();
    let mut pipe = |passed: Option<OwnedFd>, wanted: Wanted| match passed {
        Some(pipe) => Ok(pipe),
        None => reopened(&run, wanted, &mut notes),
    };
    let inodes = run.pipes;
    let stdout = Wanted {
        number: 1,
        inode: inodes.map(|pipes| pipes.stdout),
    };
    let stderr = Wanted {
        number: 2,
        inode: inodes.map(|pipes| pipes.stderr),
    };
    let stdout_pipe = pipe(passed.0, stdout).map_err(setup("reopen the server's output"))?;
    let stderr_pipe = pipe(passed.1, stderr).map_err(setup("reopen the server's output"))?;
    let own = os::identity(std::process::id().cast_signed()).map_err(setup("describe the shim"))?;
    run.shim = ProcessFile {
        pid: own.pid,
        start: own.start_ticks,
    };
    run.attached = true;
    let token = run.token.clone();
    let mut record = Record {
        paths: paths.clone(),
        run,
    };
    record.run.notes.extend(notes);
    record.write_run().map_err(setup("write run.json"))?;
    report(&ShimReport::Ok);
    let_go_of_stdout();

    let stdout = Copier::new(stdout_pipe, stdout_log).map_err(setup("prepare stdout"))?;
    let stderr = Copier::new(stderr_pipe, stderr_log).map_err(setup("prepare stderr"))?;
    let grace = Duration::from_millis(spec.grace_ms);
    let tree = Stranger {
        leader: pidfd,
        child,
        token,
        grace,
        asks: spec.ask,
        paths,
        end: End::default(),
    };
    let code = EventLoop::new(signals, stdout, stderr, record)
        .and_then(|event_loop| event_loop.run(tree))
        .map_err(setup("watch the server"))?;
    drop(shim_lock);
    Ok(code)
}

/// The owner passes its spare read ends as stdin (stdout's pipe) and stderr (stderr's pipe), as far
/// as it has them.
fn passed_pipes(paths: &RunPaths) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let taken = |path: &str, end: BorrowedFd<'_>| -> io::Result<Option<OwnedFd>> {
        if !std::fs::metadata(path).is_ok_and(|data| data.file_type().is_fifo()) {
            return Ok(None);
        }
        let pipe = rustix::io::fcntl_dupfd_cloexec(end, 3)?;
        rustix::io::ioctl_fionbio(pipe.as_fd(), true)?;
        Ok(Some(pipe))
    };
    let stdout = taken("/proc/self/fd/0", rustix::stdio::stdin())?;
    let stderr = taken("/proc/self/fd/2", rustix::stdio::stderr())?;
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let words = OpenOptions::new()
        .append(true)
        .create(true)
        .open(paths.shim_err())?;
    rustix::stdio::dup2_stderr(&words)?;
    Ok((stdout, stderr))
}

/// Opens a log pipe anew through whoever of the run holds it. One that nobody holds has ended: the
/// server sends its output elsewhere.
fn reopened(run: &RunFile, wanted: Wanted, notes: &mut Vec<String>) -> io::Result<OwnedFd> {
    let child = ProcessId::from(run.child);
    let error = match pipes::through(child, wanted) {
        Ok(Some(pipe)) => return Ok(pipe),
        Ok(None) => None,
        Err(error) => Some(error),
    };
    if wanted.inode.is_some() {
        for pid in tree::processes(child.pid, &run.token) {
            if let Ok(Some(pipe)) = pipes::held_by(pid, wanted) {
                return Ok(pipe);
            }
        }
    }
    if let Some(error) = error {
        notes.push(format!(
            "no log until it restarts: its output cannot be reopened: {error}"
        ));
    }
    Ok(io::pipe()?.0.into())
}

fn wait_for_lock(paths: &RunPaths) -> io::Result<Option<std::fs::File>> {
    let deadline = Instant::now() + LOCK_TIME;
    loop {
        let held = lock(&paths.shim_lock())?;
        if held.is_some() || Instant::now() >= deadline {
            return Ok(held);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Opens the server's pidfd and proves that it is the server: pid and start first, and alive
/// afterwards means that all that was read belonged to it. One that just ended is proven by its
/// zombie.
fn verified(child: ProcessId, token: &str) -> io::Result<OwnedFd> {
    let pidfd = os::open_pidfd(child.pid)?;
    let stat = os::stat(child.pid)?;
    if stat.start_ticks != child.start_ticks {
        return Err(io::Error::other("its pid belongs to another process now"));
    }
    // An ended process has no environment any more; its start time is proof enough.
    if stat.state != 'Z'
        && let Ok(Some(found)) = os::environment_variable(child.pid, TOKEN_VARIABLE)
        && found != token
    {
        return Err(io::Error::other("its token is not this run's"));
    }
    Ok(pidfd)
}

/// The tree of a run whose parent is somebody else.
struct Stranger {
    leader: OwnedFd,
    child: ProcessId,
    token: String,
    grace: Duration,
    asks: AskFile,
    paths: RunPaths,
    end: End,
}

impl Tree for Stranger {
    fn leader(&self) -> &OwnedFd {
        &self.leader
    }

    fn grace(&self) -> Duration {
        self.grace
    }

    fn asks(&self) -> AskFile {
        self.asks
    }

    /// To every process that carries the run's token, each proven before.
    fn signal_all(&self, signal: Signal) {
        let own = std::process::id().cast_signed();
        for pid in os::all_pids().unwrap_or_default() {
            let carries = |pid| matches!(os::environment_variable(pid, TOKEN_VARIABLE), Ok(Some(token)) if token == self.token);
            if pid == own || !carries(pid) {
                continue;
            }
            let Ok(pidfd) = os::open_pidfd(pid) else {
                continue;
            };
            // Read again now that the descriptor holds the process fast.
            if carries(pid) && os::is_alive(&pidfd) {
                os::signal(pidfd, signal).ok(); // it may just have ended
            }
        }
    }

    fn kill(&mut self) {
        os::signal(&self.leader, Signal::KILL).ok(); // it may just have ended
        self.signal_all(Signal::KILL);
    }

    fn leader_ended(&mut self) {
        self.end.status = os::exit_of_stranger(self.child, &self.leader);
    }

    fn reap_others(&mut self) {
        // An attached shim started nothing and has no children.
    }

    fn is_gone(&mut self) -> bool {
        // The lock is inherited by the whole tree; whoever lives of it holds it.
        matches!(lock(&self.paths.tree_lock()), Ok(Some(_)))
    }

    fn end(&mut self) -> End {
        if self.end.status.is_none() {
            self.end.status = os::exit_of_stranger(self.child, &self.leader);
        }
        self.end
    }
}
