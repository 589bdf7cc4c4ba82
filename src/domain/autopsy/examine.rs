//! From what is known of an end to its explanation.

use super::rules::{AT_ANY_TIME, AT_START, Meaning, VAGUE};
use super::{Autopsy, Cause, RetryClass, pattern};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::run::StopMode;

/// The longest line that is kept as evidence, in characters.
const EVIDENCE_LIMIT: usize = 240;

const SIGINT: i32 = 2;
const SIGILL: i32 = 4;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// What the dynamic linker and shells end with when a program cannot be run at all.
const CANNOT_RUN: i32 = 127;

/// What the machine shows of an end beside the process's status.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Traces {
    /// The last lines this run wrote, oldest first.
    pub lines: Vec<String>,
    /// What shows that the kernel's OOM killer struck.
    pub oom_kill: Option<String>,
    /// The machine went down under it.
    pub rebooted: bool,
}

/// What we had asked of the run before it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// To stop, because somebody wanted that.
    Stop(StopMode),
    /// To stop because of what it did or failed to do.
    Because {
        cause: Cause,
        reason: String,
    },
}

/// Whether the server had ever been ready in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    WasReady,
    /// No probe saw it ready; its log may tell.
    NotSeen,
}

/// Explains how a run ended.
#[must_use]
pub fn examine(exit: &RunExit, traces: &Traces, asked: &Asked, readiness: Readiness) -> Autopsy {
    if traces.rebooted {
        return plain(Cause::Rebooted, "the machine was rebooted under it");
    }
    match asked {
        Asked::Stop(mode) => return stopped(exit, *mode),
        Asked::Because { cause, reason } => {
            return Autopsy {
                evidence: last_said(&traces.lines),
                remedy: remedy_of_ours(*cause),
                ..plain(*cause, reason)
            };
        }
        Asked::Nothing => {}
    }
    if exit.requested.is_some() {
        let summary = "its shim was told to stop from outside, as a system shutdown does";
        return plain(Cause::KilledFromOutside, summary);
    }
    let Some(status) = exit.status else {
        return Autopsy {
            evidence: last_said(&traces.lines),
            ..plain(Cause::Unwitnessed, "ended, nobody knows how")
        };
    };
    match status {
        ExitStatus::Code(0) => left_by_itself(traces),
        ExitStatus::Code(code) => ended_with(code, status, traces, readiness),
        ExitStatus::Signal(signal) => died_of(signal, status, traces, readiness),
    }
}

fn plain(cause: Cause, summary: &str) -> Autopsy {
    Autopsy {
        cause,
        class: RetryClass::Backoff,
        summary: summary.to_owned(),
        evidence: None,
        remedy: None,
    }
}

fn stopped(exit: &RunExit, mode: StopMode) -> Autopsy {
    let summary = match (exit.status, mode) {
        (Some(ExitStatus::Code(0)), _) => "stopped as it was asked to".to_owned(),
        (Some(ExitStatus::Signal(SIGKILL)), StopMode::Kill) => {
            "killed at once, as it was asked for".to_owned()
        }
        (Some(ExitStatus::Signal(SIGKILL)), StopMode::Gentle) => {
            "stopped; it did not end in time and was killed".to_owned()
        }
        (Some(status), _) => format!("stopped; {status}"),
        (None, _) => "stopped".to_owned(),
    };
    plain(Cause::Stopped, &summary)
}

fn remedy_of_ours(cause: Cause) -> Option<String> {
    let remedy = match cause {
        Cause::StartTimedOut => {
            "its log shows how far it came; healthcheck.start_timeout and start_period give it longer"
        }
        Cause::Unresponsive => {
            "its log may show what it hangs on; if it is only busy, raise healthcheck.timeout or retries"
        }
        Cause::Stopped
        | Cause::UnknownFlag
        | Cause::InvalidArgument
        | Cause::InvalidDevice
        | Cause::ModelMissing
        | Cause::ModelDamaged
        | Cause::UnknownArchitecture
        | Cause::PortInUse
        | Cause::ProgramMissing
        | Cause::LogUnwritable
        | Cause::OutOfVram
        | Cause::OutOfMemory
        | Cause::OomKilled
        | Cause::DeviceError
        | Cause::Assertion
        | Cause::Segfault
        | Cause::IllegalInstruction
        | Cause::LibraryMissing
        | Cause::DownloadFailed
        | Cause::KilledFromOutside
        | Cause::Rebooted
        | Cause::Unexplained
        | Cause::Unwitnessed => return None,
    };
    Some(remedy.to_owned())
}

/// Code 0 without a stop of ours: a signal sent straight to the server ends it just so.
fn left_by_itself(traces: &Traces) -> Autopsy {
    let said = |line: &&String| line.contains("cleaning up before exit");
    match traces.lines.iter().rev().find(said) {
        Some(line) => Autopsy {
            evidence: Some(shown(line)),
            remedy: Some(
                "stop it with llama-orch down; whoever signals it gets it back".to_owned(),
            ),
            ..plain(
                Cause::KilledFromOutside,
                "told to stop from outside; it cleaned up and exited with code 0",
            )
        },
        None => Autopsy {
            evidence: last_said(&traces.lines),
            ..plain(
                Cause::Unexplained,
                "exited with code 0, without being asked",
            )
        },
    }
}

fn ended_with(code: i32, status: ExitStatus, traces: &Traces, readiness: Readiness) -> Autopsy {
    let second = |line: &&String| line.contains("Received second interrupt");
    if let Some(line) = traces.lines.iter().rev().find(second) {
        return Autopsy {
            evidence: Some(shown(line)),
            ..plain(
                Cause::KilledFromOutside,
                "told twice to stop from outside; it exited at once",
            )
        };
    }
    if let Some(autopsy) = told(&traces.lines, readiness) {
        return autopsy;
    }
    if code == CANNOT_RUN {
        return Autopsy {
            class: RetryClass::Never,
            evidence: last_said(&traces.lines),
            remedy: Some(
                "run the binary by hand with --version; ldd shows missing libraries".to_owned(),
            ),
            ..plain(
                Cause::LibraryMissing,
                "exited with code 127: it could not be run",
            )
        };
    }
    Autopsy {
        evidence: last_said(&traces.lines),
        remedy: Some("its log may say more: llama-orch logs NAME".to_owned()),
        ..plain(Cause::Unexplained, &status.to_string())
    }
}

fn died_of(signal: i32, status: ExitStatus, traces: &Traces, readiness: Readiness) -> Autopsy {
    match signal {
        SIGKILL => match &traces.oom_kill {
            Some(evidence) => Autopsy {
                evidence: Some(evidence.clone()),
                remedy: Some(
                    "it needs more memory than there is: a smaller context, model or number of instances"
                        .to_owned(),
                ),
                ..plain(
                    Cause::OomKilled,
                    "killed by the kernel because memory ran out",
                )
            },
            None => from_outside(status),
        },
        // The server says what is wrong before it aborts.
        SIGABRT => told(&traces.lines, readiness).unwrap_or_else(|| Autopsy {
            evidence: last_said(&traces.lines),
            ..plain(Cause::Assertion, "aborted itself (SIGABRT) without saying why")
        }),
        SIGSEGV | SIGBUS | SIGFPE => fault(signal, status, traces),
        SIGILL => Autopsy {
            class: RetryClass::Never,
            evidence: last_said(&traces.lines),
            remedy: Some(
                "the build uses instructions this processor does not have; use another build"
                    .to_owned(),
            ),
            ..plain(Cause::IllegalInstruction, "killed by SIGILL: built for another processor")
        },
        _ => from_outside(status),
    }
}

/// A device that failed explains a fault better than the fault does.
fn fault(signal: i32, status: ExitStatus, traces: &Traces) -> Autopsy {
    if let Some(autopsy) = last_match(AT_ANY_TIME, &traces.lines) {
        return autopsy;
    }
    let (summary, remedy) = if signal == SIGBUS {
        (
            "killed by SIGBUS: a mapped file, most likely the model, was cut short or is unreadable"
                .to_owned(),
            "leave a model file alone while it is in use; check the disk",
        )
    } else {
        (
            format!("crashed: {status}"),
            "a defect of this build or of a driver; another build may not have it",
        )
    };
    Autopsy {
        evidence: last_said(&traces.lines),
        remedy: Some(remedy.to_owned()),
        ..plain(Cause::Segfault, &summary)
    }
}

fn from_outside(status: ExitStatus) -> Autopsy {
    let remedy = match status {
        ExitStatus::Signal(SIGKILL) => Some(
            "somebody's kill -9, or the kernel for want of memory: dmesg or journalctl -k tell",
        ),
        ExitStatus::Signal(SIGINT) => Some("a Ctrl-C or a script sent it"),
        ExitStatus::Signal(_) | ExitStatus::Code(_) => None,
    };
    Autopsy {
        remedy: remedy.map(str::to_owned),
        ..plain(Cause::KilledFromOutside, &format!("{status} from outside"))
    }
}

/// Looks for a line that explains the end, the surest kind first.
fn told(lines: &[String], readiness: Readiness) -> Option<Autopsy> {
    let was_ready = match readiness {
        Readiness::WasReady => true,
        Readiness::NotSeen => lines.iter().any(|line| line.contains("listening on ")),
    };
    if was_ready {
        return last_match(AT_ANY_TIME, lines);
    }
    last_match(AT_START, lines)
        .or_else(|| last_match(AT_ANY_TIME, lines))
        .or_else(|| first_meaning(VAGUE, lines))
}

/// Returns what the last line means that any of these knows.
fn last_match(meanings: &[Meaning], lines: &[String]) -> Option<Autopsy> {
    lines
        .iter()
        .rev()
        .find_map(|line| meanings.iter().find_map(|meaning| read(meaning, line)))
}

/// Returns the first of these meanings that any line has.
fn first_meaning(meanings: &[Meaning], lines: &[String]) -> Option<Autopsy> {
    meanings
        .iter()
        .find_map(|meaning| lines.iter().rev().find_map(|line| read(meaning, line)))
}

fn read(meaning: &Meaning, line: &str) -> Option<Autopsy> {
    meaning.rows.iter().find_map(|(pattern, sentence)| {
        let captured = pattern::captures(pattern, line)?;
        Some(Autopsy {
            cause: meaning.cause,
            class: meaning.class,
            summary: shortened(&pattern::fill(sentence, &captured)),
            evidence: Some(shown(line)),
            remedy: Some(meaning.remedy.to_owned()),
        })
    })
}

/// Returns the last line that says anything.
fn last_said(lines: &[String]) -> Option<String> {
    let line = lines.iter().rev().find(|line| !line.trim().is_empty())?;
    Some(shown(line))
}

fn shown(line: &str) -> String {
    shortened(line.trim())
}

fn shortened(text: &str) -> String {
    text.chars().take(EVIDENCE_LIMIT).collect()
}
