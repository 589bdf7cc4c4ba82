//! The watchdog: finds a server that has work and does none. Pure.
//!
//! `/health` never touches the part of llama-server that computes and answers 200 for ever. What
//! shows a wedge is all of this together, over a whole window: `/metrics`, which goes through that
//! part, is not answered; no CPU time is used beyond what our own questions cost, and no GPU time
//! where a driver tells it of the process; and somebody waits for an answer. A long prompt batch
//! does not answer either, but it computes.

use std::time::Duration;

use tokio::time::Instant;

use super::gauge::Answer;
use crate::process::usage::State;

/// CPU time that our own questions may cost, whatever the window.
const QUESTIONS: Duration = Duration::from_millis(50);

/// Share of the window that a server which does nothing may use all the same.
const IDLE_SHARE: f64 = 0.005;

/// What was found at one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) answer: Answer,
    /// CPU time of the whole run so far.
    pub(super) cpu: Duration,
    /// How long GPUs have worked for it so far, where that is told.
    pub(super) gpu: Option<Duration>,
    pub(super) state: State,
    pub(super) work: Work,
}

/// What is known of the work a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    /// Slots that were busy when it last told.
    pub(super) busy: Option<u32>,
    pub(super) slots: Option<u32>,
    /// Connections of others to its port.
    pub(super) connections: usize,
}

/// Watches one run.
#[derive(Debug)]
pub(super) struct Watchdog {
    window: Duration,
    silence: Option<Silence>,
}

/// A stretch without an answer and without work done.
#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Instant,
    cpu: Duration,
    gpu: Option<Duration>,
}

impl Silence {
    fn of(finding: &Finding, since: Instant) -> Self {
        Self {
            since,
            cpu: finding.cpu,
            gpu: finding.gpu,
        }
    }
}

impl Watchdog {
    pub(super) fn new(window: Duration) -> Self {
        let silence = None;
        Self { window, silence }
    }

    /// Returns whether nothing was heard of it last time.
    pub(super) fn suspects(&self) -> bool {
        self.silence.is_some()
    }

    /// Takes a look in and returns the evidence, if it is complete.
    pub(super) fn take(&mut self, finding: &Finding, now: Instant) -> Option<String> {
        match finding.answer {
            Answer::Counted | Answer::Refused | Answer::Later => {
                self.silence = None;
                return None;
            }
            Answer::Silence => {}
        }
        let begun = *self
            .silence
            .get_or_insert_with(|| Silence::of(finding, now));
        let time = now - begun.since;
        let used = finding.cpu.saturating_sub(begun.cpu);
        let worked = finding
            .gpu
            .map(|now| now.saturating_sub(begun.gpu.unwrap_or(now)));
        let idle = QUESTIONS + time.mul_f64(IDLE_SHARE);
        if used > idle || worked.is_some_and(|worked| worked > idle) {
            // It computes, so it may only be slow.
            self.silence = Some(Silence::of(finding, now));
            return None;
        }
        let busy = finding.work.busy.is_some_and(|busy| busy > 0);
        if time < self.window || !(busy || finding.work.connections > 0) {
            return None;
        }
        Some(evidence(finding, time, used, worked))
    }
}

fn evidence(finding: &Finding, time: Duration, used: Duration, worked: Option<Duration>) -> String {
    let Work {
        busy,
        slots,
        connections,
    } = finding.work;
    let work = match (busy.filter(|busy| *busy > 0), slots) {
        (Some(busy), Some(slots)) => format!("{busy} of {slots} slots busy"),
        (Some(busy), None) => format!("busy slots: {busy}"),
        (None, _) => format!("open connections: {connections}"),
    };
    let stopped = match finding.state {
        State::Stopped => ", its process is stopped by a signal",
        State::Active | State::Ended => "",
    };
    // Where no driver tells, nothing is said of it.
    let gpu = worked.map_or_else(String::new, |worked| {
        format!(" and {:.2} s of GPU time", worked.as_secs_f64())
    });
    format!(
        "{work}, but no answer on /metrics, no counter moved and {:.2} s of CPU time{gpu} used in \
         {:.0} s{stopped}",
        used.as_secs_f64(),
        time.as_secs_f64(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    /// One look every ten seconds: (answer, CPU milliseconds so far, busy slots, connections).
    type Look = (Answer, u64, Option<u32>, usize);

    fn check(what: &str, looks: &[Look], expected: Option<&str>) {
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(WINDOW);
        let mut found = None;
        for (number, (answer, cpu, busy, connections)) in looks.iter().enumerate() {
            let finding = Finding {
                answer: *answer,
                cpu: Duration::from_millis(*cpu),
                gpu: None,
                state: State::Active,
                work: Work {
                    busy: *busy,
                    slots: Some(4),
                    connections: *connections,
                },
            };
            let now = begun + Duration::from_secs(10 * number as u64);
            found = watchdog.take(&finding, now);
        }
        assert_eq!(found.as_deref(), expected, "{what}");
    }

    #[test]
    fn only_work_without_an_answer_without_time_used_is_a_wedge() {
        use Answer::{Counted, Later, Refused, Silence};
        let wedged = "2 of 4 slots busy, but no answer on /metrics, no counter moved and 0.03 s of \
                      CPU time used in 30 s";
        let some = Some(2);
        let silent = [
            (Silence, 100, some, 0),
            (Silence, 110, some, 0),
            (Silence, 120, some, 0),
            (Silence, 130, some, 0),
        ];
        check("all of it", &silent, Some(wedged));
        check("not for long enough", &silent[..3], None);
        let clients = silent.map(|(answer, cpu, _, _)| (answer, cpu, Some(0), 3));
        let connected = "open connections: 3, but no answer on /metrics, no counter moved and \
                         0.03 s of CPU time used in 30 s";
        check("clients that wait", &clients, Some(connected));
        let idle = silent.map(|(answer, cpu, _, _)| (answer, cpu, Some(0), 0));
        check("nobody waits", &idle, None);
        // A long prompt batch: silent for minutes, but computing, on one core or a tenth of one.
        for step in [10_000, 1_000] {
            let batch: Vec<Look> = (0..30).map(|n| (Silence, n * step, some, 1)).collect();
            check("a long batch", &batch, None);
        }
        let mut answered = silent.to_vec();
        answered[2].0 = Counted;
        answered.push((Silence, 140, some, 0));
        check("an answer between", &answered, None);
        for answer in [Counted, Later, Refused] {
            let looks = silent.map(|(_, cpu, busy, _)| (answer, cpu, busy, 0));
            check("it answers", &looks, None);
        }
    }

    #[test]
    fn a_server_whose_gpu_works_for_it_is_only_slow() {
        let finding = |seconds: u64| Finding {
            answer: Answer::Silence,
            cpu: Duration::ZERO,
            gpu: Some(Duration::from_secs(seconds)),
            state: State::Active,
            work: Work {
                busy: Some(1),
                slots: Some(1),
                connections: 0,
            },
        };
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(WINDOW);
        for look in 0..9 {
            // The card works for a second in each ten.
            let now = begun + Duration::from_secs(10 * look);
            assert_eq!(watchdog.take(&finding(look), now), None, "{look}");
        }
        let stands = finding(8);
        let now = begun + Duration::from_secs(80);
        let evidence = watchdog.take(&stands, now + WINDOW).expect("complete");
        assert!(
            evidence.contains("0.00 s of CPU time and 0.00 s of GPU time"),
            "{evidence}"
        );
    }

    #[test]
    fn a_stopped_process_is_named_as_such() {
        let finding = Finding {
            answer: Answer::Silence,
            cpu: Duration::ZERO,
            gpu: None,
            state: State::Stopped,
            work: Work {
                busy: Some(1),
                slots: None,
                connections: 0,
            },
        };
        let begun = Instant::now();
        let mut watchdog = Watchdog::new(WINDOW);
        assert_eq!(watchdog.take(&finding, begun), None);
        assert!(watchdog.suspects());
        let evidence = watchdog.take(&finding, begun + WINDOW).expect("complete");
        assert!(evidence.starts_with("busy slots: 1,"), "{evidence}");
        assert!(evidence.ends_with("stopped by a signal"), "{evidence}");
    }
}
