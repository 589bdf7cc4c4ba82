//! The files a shim writes about its run.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::complain;
use super::copy::Copier;
use crate::domain::exit::ExitStatus;
use crate::process::runfiles::{self, ExitFile, PROTOCOL, RunFile, RunPaths, SpecFile, StopFile};

/// Unix seconds.
pub(super) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// The run file as it stands on disk, and the record to come.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) paths: RunPaths,
    pub(super) run: RunFile,
}

/// How the server ended, as far as this shim could learn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    pub(super) status: Option<ExitStatus>,
    pub(super) core: bool,
}

impl Record {
    pub(super) fn write_run(&self) -> io::Result<()> {
        runfiles::write(&self.paths.run(), &self.run)
    }

    /// Notes that a stop was asked for, and when that was for the first time; who is told to end
    /// may still be killed by request.
    pub(super) fn stopping(&mut self, how: StopFile) {
        self.run.stopping_since.get_or_insert_with(now);
        if self.run.stop != Some(how) {
            self.run.stop = Some(how);
            self.rewrite();
        }
    }

    /// Returns the time between asking and killing as the owner wants it by now.
    pub(super) fn present_grace(&self) -> Option<Duration> {
        let spec: SpecFile = runfiles::read(&self.paths.spec()).ok()??;
        (spec.run_id == self.run.run_id).then(|| Duration::from_millis(spec.grace_ms))
    }

    /// Adds something a person should know of this run.
    pub(super) fn note(&mut self, text: &str) {
        if !self.run.notes.iter().any(|note| note == text) {
            self.run.notes.push(text.to_owned());
            self.rewrite();
        }
    }

    fn rewrite(&self) {
        if let Err(error) = self.write_run() {
            complain(&format!("write {}: {error}", self.paths.run().display()));
        }
    }

    /// Writes how the run ended, after the last byte of its output.
    pub(super) fn write_exit(&self, end: End, stdout: &Copier, stderr: &Copier) -> io::Result<()> {
        let (user_ms, system_ms) = children_cpu_ms();
        let file = ExitFile {
            version: PROTOCOL,
            run_id: self.run.run_id.clone(),
            code: end.status.and_then(ExitStatus::code),
            signal: end.status.and_then(ExitStatus::signal),
            core: end.core,
            started_at: self.run.started_at,
            ended_at: now(),
            requested: self.run.stopping_since.is_some(),
            stop: self.run.stop,
            dropped_bytes: stdout.log().dropped() + stderr.log().dropped(),
            user_ms,
            system_ms,
            stdout_offset: stdout.log().size(),
            stderr_offset: stderr.log().size(),
        };
        runfiles::write(&self.paths.exit(), &file)
    }
}

/// CPU time of all reaped children, from fields 16 and 17 of `/proc/self/stat`.
fn children_cpu_ms() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |number: usize| -> u64 {
        rest.split_whitespace()
            .nth(number - 3)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    (field(16) * 1000 / ticks, field(17) * 1000 / ticks)
}
