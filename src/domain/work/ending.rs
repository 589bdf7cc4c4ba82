//! What the end of a phase's command means for its unit, and how it is explained to a person.

use super::{Attention, Chunk, PhaseEnd};
use crate::domain::autopsy::Traces;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::run::StopMode;

/// Lines of the command's own words that are kept.
const EVIDENCE_LINES: usize = 8;

/// Characters kept of each of them.
const LINE_LIMIT: usize = 240;

const SIGKILL: i32 = 9;

/// A shell adds this to the signal that ended what it ran.
const SHELL_SIGNAL: i32 = 128;

/// Judges how a phase's command ended: only exit code 0 leads on.
#[must_use]
pub fn judge(chunk: &Chunk, exit: &RunExit, traces: &Traces) -> PhaseEnd {
    match exit.status {
        Some(ExitStatus::Code(0)) if exit.requested.is_none() && !traces.rebooted => {
            PhaseEnd::Succeeded
        }
        Some(_) | None => PhaseEnd::Failed(explain(chunk, exit, traces)),
    }
}

fn explain(chunk: &Chunk, exit: &RunExit, traces: &Traces) -> Attention {
    let again = format!("run it again: llama-orch work-unit status {chunk} READY");
    let log = format!("llama-orch work-unit logs {chunk}");
    let (summary, remedy) = if traces.rebooted {
        let remedy = format!("look how far it came ({log}), then {again}");
        (
            "the machine was rebooted under its command".to_owned(),
            remedy,
        )
    } else if let Some(mode) = exit.requested {
        let summary = match (exit.status, mode) {
            (Some(ExitStatus::Signal(SIGKILL)), StopMode::Kill) => {
                "its command was killed at once, as it was asked for".to_owned()
            }
            (Some(status), _) => format!("its command was told to stop; it {}", was(status)),
            (None, _) => "its command was told to stop".to_owned(),
        };
        (summary, again)
    } else {
        match exit.status {
            Some(ExitStatus::Code(code)) => of_code(code, traces, &log),
            Some(status @ ExitStatus::Signal(signal)) => of_signal(status, signal, traces, &log),
            None => (
                "its command ended while nobody watched, and nobody knows how".to_owned(),
                format!("look how far it came ({log}), then {again}"),
            ),
        }
    };
    Attention::explained(&summary, evidence(traces).as_deref(), Some(&remedy))
}

fn was(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(_) => status.to_string(),
        ExitStatus::Signal(_) => format!("was {status}"),
    }
}

fn of_code(code: i32, traces: &Traces, log: &str) -> (String, String) {
    let killed = SHELL_SIGNAL + SIGKILL;
    match code {
        _ if code == killed && traces.oom_kill.is_some() => out_of_memory(),
        124 => (
            "exited with code 124, as timeout does when the time is up".to_owned(),
            format!("give it longer, or see what it hung on: {log}"),
        ),
        126 => (
            "exited with code 126: something it runs is not executable".to_owned(),
            "chmod +x, or name the interpreter in the command".to_owned(),
        ),
        127 => (
            "exited with code 127: something it runs was not found".to_owned(),
            "it has the owner's PATH, not that of your shell; a full path is always found"
                .to_owned(),
        ),
        _ if code > SHELL_SIGNAL => {
            let signal = ExitStatus::Signal(code - SHELL_SIGNAL);
            let summary = format!("exited with code {code}: something it ran was {signal}");
            (summary, format!("its log may say more: {log}"))
        }
        _ => (
            format!("exited with code {code}"),
            format!("its log may say more: {log}"),
        ),
    }
}

fn of_signal(status: ExitStatus, signal: i32, traces: &Traces, log: &str) -> (String, String) {
    if signal == SIGKILL && traces.oom_kill.is_some() {
        return out_of_memory();
    }
    let remedy = if signal == SIGKILL {
        "somebody's kill -9, or the kernel for want of memory: dmesg or journalctl -k tell"
            .to_owned()
    } else {
        format!("its log may say more: {log}")
    };
    (format!("its command was {status}"), remedy)
}

fn out_of_memory() -> (String, String) {
    (
        "killed by the kernel because memory ran out".to_owned(),
        "it needs more memory than there is: a smaller model, or a lower work.max_parallel"
            .to_owned(),
    )
}

/// Returns what the kernel showed, and the last lines that say anything.
fn evidence(traces: &Traces) -> Option<String> {
    let shown = [last_lines(&traces.lines), traces.oom_kill.clone()];
    let shown: Vec<String> = shown.into_iter().flatten().collect();
    (!shown.is_empty()).then(|| shown.join("\n"))
}

/// Returns the last lines that say anything, cut to what is kept.
pub(super) fn last_lines(lines: &[String]) -> Option<String> {
    let mut shown: Vec<String> = lines
        .iter()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(EVIDENCE_LINES)
        .map(|line| line.trim_end().chars().take(LINE_LIMIT).collect())
        .collect();
    shown.reverse();
    (!shown.is_empty()).then(|| shown.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: Option<ExitStatus>) -> RunExit {
        RunExit {
            status,
            core_dumped: false,
            started_at: 1.0,
            ended_at: 2.0,
            dropped_bytes: 0,
            requested: None,
        }
    }

    fn said(lines: &[&str]) -> Traces {
        Traces {
            lines: lines.iter().map(ToString::to_string).collect(),
            ..Traces::default()
        }
    }

    fn judged(exit: &RunExit, traces: &Traces) -> Option<Attention> {
        let chunk = Chunk::parse("a.b").expect("a name");
        match judge(&chunk, exit, traces) {
            PhaseEnd::Succeeded | PhaseEnd::NotBegun => None,
            PhaseEnd::Failed(why) => Some(why),
        }
    }

    #[test]
    fn every_end_has_its_explanation_and_only_code_0_leads_on() {
        let code = |code| exit(Some(ExitStatus::Code(code)));
        let signal = |signal| exit(Some(ExitStatus::Signal(signal)));
        let requested = |exit| RunExit {
            requested: Some(StopMode::Gentle),
            ..exit
        };
        let killed = |exit| RunExit {
            requested: Some(StopMode::Kill),
            ..exit
        };
        let oom = || Traces {
            oom_kill: Some("oom_kill 3 in memory.events".to_owned()),
            ..Traces::default()
        };
        let rebooted = || Traces {
            rebooted: true,
            ..Traces::default()
        };
        let rows = [
            (code(0), said(&[]), None),
            (code(3), said(&[]), Some("exited with code 3")),
            (
                code(126),
                said(&[]),
                Some("exited with code 126: something it runs is not executable"),
            ),
            (
                code(127),
                said(&[]),
                Some("exited with code 127: something it runs was not found"),
            ),
            (
                code(124),
                said(&[]),
                Some("exited with code 124, as timeout does when the time is up"),
            ),
            (
                code(139),
                said(&[]),
                Some("exited with code 139: something it ran was killed by SIGSEGV"),
            ),
            (
                code(137),
                said(&[]),
                Some("exited with code 137: something it ran was killed by SIGKILL"),
            ),
            (
                code(137),
                oom(),
                Some("killed by the kernel because memory ran out"),
            ),
            (
                signal(9),
                oom(),
                Some("killed by the kernel because memory ran out"),
            ),
            (
                signal(9),
                said(&[]),
                Some("its command was killed by SIGKILL"),
            ),
            (
                signal(11),
                said(&[]),
                Some("its command was killed by SIGSEGV"),
            ),
            (
                exit(None),
                said(&[]),
                Some("its command ended while nobody watched, and nobody knows how"),
            ),
            (
                exit(None),
                rebooted(),
                Some("the machine was rebooted under its command"),
            ),
            (
                requested(code(0)),
                said(&[]),
                Some("its command was told to stop; it exited with code 0"),
            ),
            (
                killed(signal(9)),
                oom(),
                Some("its command was killed at once, as it was asked for"),
            ),
            (
                requested(signal(15)),
                said(&[]),
                Some("its command was told to stop; it was killed by SIGTERM"),
            ),
        ];
        for (exit, traces, expected) in rows {
            let why = judged(&exit, &traces);
            let summary = why.as_ref().map(|why| why.summary.as_str());
            assert_eq!(summary, expected, "{exit:?}");
            assert!(why.is_none_or(|why| why.remedy.is_some()), "{exit:?}");
        }
    }

    #[test]
    fn the_last_lines_are_shown_and_cut() {
        let long = "x".repeat(1_000);
        let lines = ["0", "1", "2", "", "3", "4", "  ", "5", "6", "7", &long];
        let why = judged(&exit(None), &said(&lines)).expect("a failure");
        let evidence = why.evidence.expect("it said something");
        let shown: Vec<&str> = evidence.lines().collect();
        assert_eq!(shown[..7], ["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(shown[7].len(), LINE_LIMIT);
        assert!(why.remedy.is_some_and(|remedy| remedy.contains("logs a.b")));
    }
}
