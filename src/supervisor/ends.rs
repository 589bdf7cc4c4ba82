//! What became of a run whose watched process ended. Blocking, but only for file reads, except
//! [`attach`], which waits for a new shim.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::domain::autopsy::Traces;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::logs::ending::{self, Start};
use crate::process::launch::ShimProgram;
use crate::process::live::LiveRun;
use crate::process::runfiles::{LogStartFile, OomFile, RunFile, RunPaths, SpecFile, read};
use crate::process::{adopt, launch, oom};

/// How much of the end of a run's output is looked at: a backtrace may follow the line that matters.
const TAIL: usize = 64 << 10;

/// What a look at the run files found.
pub enum End {
    /// The run is over and its end is known as well as it ever will be.
    Recorded { exit: RunExit, traces: Traces },
    /// The shim ended without a record: the server may live.
    ShimLost,
}

/// How many of the kernel's OOM kills this owner has explained already.
#[derive(Debug, Default)]
pub struct OomWatch {
    explained: HashMap<PathBuf, u64>,
}

impl OomWatch {
    /// Returns what shows that a kill was the OOM killer's; each of its kills explains one end.
    fn explain(&mut self, before: &OomFile) -> Option<String> {
        let now = oom::kills(&before.file)?;
        let explained = self.explained.get(&before.file).copied().unwrap_or(0);
        let before_this = before.kills.max(explained);
        if now <= before_this {
            return None;
        }
        self.explained.insert(before.file.clone(), before_this + 1);
        Some(format!("oom_kill {now} in {}", before.file.display()))
    }
}

/// Looks at a run whose shim (or, without one, whose server) has ended.
#[must_use]
pub fn look(paths: &RunPaths, live: &LiveRun, oom: &mut OomWatch) -> End {
    live.reap_shim();
    if live.has_shim() && !adopt::is_recorded(paths, &live.run) {
        return End::ShimLost;
    }
    let (exit, traces) = collect(paths, live, oom);
    End::Recorded { exit, traces }
}

/// Collects the end of a run from its record, or from the kernel.
#[must_use]
pub fn collect(paths: &RunPaths, live: &LiveRun, oom: &mut OomWatch) -> (RunExit, Traces) {
    let exit = RunExit::from(adopt::collect_exit(paths, &live.run, Some(live.child())));
    let traces = traces(paths, &live.run, &exit, oom);
    (exit, traces)
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

/// Collects what explains the end of a run.
#[must_use]
pub fn traces(paths: &RunPaths, run: &RunFile, exit: &RunExit, oom: &mut OomWatch) -> Traces {
    let spec: Option<SpecFile> = read(&paths.spec()).ok().flatten();
    let Some(spec) = spec.filter(|spec| spec.run_id == run.run_id) else {
        return Traces::default();
    };
    let killed = match exit.status {
        Some(ExitStatus::Signal(signal)) => signal == KILL,
        Some(ExitStatus::Code(code)) => code == KILL_IN_A_SHELL,
        None => false,
    };
    let oom_kill = match &spec.oom {
        Some(before) if killed => oom.explain(before),
        Some(_) | None => None,
    };
    Traces {
        lines: last_lines(&spec, run),
        oom_kill,
        rebooted: false,
    }
}

/// SIGKILL, which is what the OOM killer sends.
const KILL: i32 = 9;

/// What a shell ends with when what it ran was killed so.
const KILL_IN_A_SHELL: i32 = 128 + KILL;

/// Returns the end of what the run said on stderr, and on stdout when its log goes there.
fn last_lines(spec: &SpecFile, run: &RunFile) -> Vec<String> {
    let stdout = tail(&spec.stdout, run.stdout_start, TAIL);
    let mut lines = if ending::is_json_log(&stdout) {
        ending::lines(&stdout)
    } else {
        Vec::new()
    };
    lines.extend(ending::lines(&tail(&spec.stderr, run.stderr_start, TAIL)));
    lines
}

/// Returns the last lines that say anything of each stream of a run on record, stdout's first.
#[must_use]
pub fn last_words(paths: &RunPaths, run: &RunFile, count: usize) -> Vec<String> {
    let spec: Option<SpecFile> = read(&paths.spec()).ok().flatten();
    let Some(spec) = spec.filter(|spec| spec.run_id == run.run_id) else {
        return Vec::new();
    };
    let streams = [
        (&spec.stdout, run.stdout_start),
        (&spec.stderr, run.stderr_start),
    ];
    let mut words = Vec::new();
    for (log, start) in streams {
        let mut lines = ending::lines(&tail(log, start, TAIL));
        lines.retain(|line| !line.trim().is_empty());
        words.extend(lines.split_off(lines.len().saturating_sub(count)));
    }
    words
}

/// Returns the last bytes of this run's output; a shim of an older version did not say where it
/// begins, and the words of another run would explain nothing.
pub(super) fn tail(log: &Path, start: Option<LogStartFile>, limit: usize) -> Vec<u8> {
    let Some(start) = start else {
        return Vec::new();
    };
    let start = Start {
        inode: start.inode,
        offset: start.offset,
    };
    ending::of_run(log, start, limit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn each_kill_of_the_kernel_explains_one_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("memory.events");
        fs::write(&file, "oom 7\noom_kill 3\n").expect("write");
        let before = OomFile {
            file: file.clone(),
            kills: 1,
        };
        let mut watch = OomWatch::default();
        let found: Vec<bool> = (0..3).map(|_| watch.explain(&before).is_some()).collect();
        assert_eq!(found, [true, true, false]);
        fs::write(&file, "oom_kill 4\n").expect("write");
        assert!(
            watch
                .explain(&before)
                .is_some_and(|text| text.starts_with("oom_kill 4 in "))
        );
        fs::remove_file(&file).expect("remove");
        assert_eq!(watch.explain(&before), None);
    }
}
