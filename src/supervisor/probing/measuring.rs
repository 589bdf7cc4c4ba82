//! Measuring one run: its start, its use and its work, and whether it is wedged.
//!
//! Often while it loads or somebody watches; else with every third probe, or with each while it works
//! or is silent, so that both are one awakening. The server is asked for its counters beside the probes and never instead of them.

use std::fs;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::actor::Message;
use super::super::decision::{Input, Measured};
use super::super::measure::{Attention, Board};
use super::family::{Family, Look};
use super::gauge::{Answer, Gauge};
use super::progress::{Progress, Signs, Stage, model_size};
use super::target::Target;
use super::wedge::{Finding, Watchdog, Work};
use super::{Pulse, Readiness, Subject};
use crate::domain::instance::Healthcheck;
use crate::probes::Address;
use crate::process::ports;

/// Between two looks at a server that loads.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// Probes from one measurement to the next of a run that does nothing and that nobody watches.
const PROBES_BETWEEN: u64 = 3;

/// Failed cycles of probes after which silence is a wedge and not only a slow answer.
const WEDGE_CYCLES: u32 = 3;

/// Measures until it is cancelled, the run has ended or the supervisor ends.
pub(super) async fn run(
    subject: &Subject,
    board: &Board,
    mut pulse: watch::Receiver<Pulse>,
    sender: &mpsc::Sender<Message>,
) {
    let _place = board.join();
    let mut attention = board.audience.watch();
    let mut meter = Meter::new(subject);
    loop {
        let now = Instant::now();
        let Pulse { readiness, probes } = *pulse.borrow_and_update();
        let watched = *attention.borrow_and_update();
        let Some(look) = meter.gauge.look(now, |pid| board.gpu_use(pid)) else {
            return;
        };
        let stage = match readiness {
            Readiness::Loading => Some(meter.stage(now)),
            Readiness::Ready => None,
        };
        let report = match &stage {
            Some(stage) => meter.stalled(stage),
            None => meter.asked(&look).await,
        };
        if let Some(report) = report
            && sender.send(Message::Input(report)).await.is_err()
        {
            return;
        }
        board.put(meter.measured(stage));
        let pause = match (readiness, watched) {
            (Readiness::Loading, _) => LOADING_PAUSE,
            (Readiness::Ready, Attention::Watched) => board.pace(),
            (Readiness::Ready, Attention::Unwatched) => meter.seldom(),
        };
        let due = tokio::time::sleep_until(now + pause);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                _ = attention.changed() => break,
                changed = pulse.changed() => {
                    let present = *pulse.borrow_and_update();
                    let due = watched == Attention::Unwatched
                        && present.probes - probes >= meter.probes_between();
                    if changed.is_err() || present.readiness != readiness || due {
                        break;
                    }
                }
            }
        }
    }
}

/// What is remembered of a run from measurement to measurement.
struct Meter<'a> {
    subject: &'a Subject,
    gauge: Gauge,
    progress: Progress,
    watchdog: Watchdog,
    /// What was last told of a wedge or a stall.
    told: Option<Told>,
}

/// A finding that the policy knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stalled,
    Wedged,
}

impl<'a> Meter<'a> {
    fn new(subject: &'a Subject) -> Self {
        let spec = &subject.spec;
        let target = Target::new(spec, subject.port, &subject.root);
        let family = Family::new(subject.tree.server, subject.tree.shim);
        let model = spec.model.path.as_deref().and_then(model_size);
        Self {
            subject,
            gauge: Gauge::new(target, family),
            progress: Progress::new(model, Instant::now()),
            watchdog: Watchdog::new(wedge_window(&spec.healthcheck)),
            told: None,
        }
    }

    fn stage(&mut self, now: Instant) -> Stage {
        let mut signs = Signs {
            resident: self.gauge.readings.rss_bytes.unwrap_or(0),
            logged: self.logged(),
            ..Signs::default()
        };
        signs.read_io(self.subject.tree.server.pid);
        self.progress.take(signs, now)
    }

    /// Bytes in its log files.
    fn logged(&self) -> u64 {
        let logs = &self.subject.spec.logs;
        let length = |path| fs::metadata(path).map_or(0, |file| file.len());
        length(&logs.stdout) + length(&logs.stderr)
    }

    /// Tells, once, that a start has stood still for longer than it may.
    fn stalled(&mut self, stage: &Stage) -> Option<Input> {
        let limit = self.subject.spec.healthcheck.start_period;
        if limit.is_zero() || stage.still < limit || self.told == Some(Told::Stalled) {
            return None;
        }
        self.told = Some(Told::Stalled);
        let so_far = stage.activity.as_ref();
        let so_far = so_far.map_or(String::new(), |activity| format!(" ({activity})"));
        let reason = format!(
            "no progress for {} s while it loaded{so_far}: nothing read, nothing logged, no memory \
             taken",
            stage.still.as_secs()
        );
        Some(Input::Stalled {
            name: self.subject.name.clone(),
            run: self.subject.run.clone(),
            reason,
        })
    }

    /// Asks for the counters if that is due, and looks whether the server is wedged.
    async fn asked(&mut self, look: &Look) -> Option<Input> {
        let limit = self.subject.spec.healthcheck.timeout;
        let answer = self.gauge.ask_if_due(look, self.logged(), limit).await?;
        // Only a server that told its slots is known to be one that should answer.
        self.gauge.readings.slots?;
        let finding = Finding {
            answer,
            cpu: look.cpu,
            gpu: look.gpu.map(|gpu| gpu.busy),
            state: look.state,
            work: Work {
                busy: self.gauge.readings.busy_slots,
                slots: self.gauge.readings.slots,
                connections: self.connections(answer),
            },
        };
        let evidence = self.watchdog.take(&finding, Instant::now());
        // What was told stays so until it moves again; the evidence only grows older.
        let told = match (&evidence, self.told, self.watchdog.suspects()) {
            (Some(_), Some(Told::Wedged), _) | (None, Some(Told::Wedged), true) => return None,
            (Some(_), _, _) => Some(Told::Wedged),
            (None, Some(Told::Wedged), false) => None,
            (None, _, _) => return None,
        };
        self.told = told;
        Some(Input::Wedged {
            name: self.subject.name.clone(),
            run: self.subject.run.clone(),
            evidence,
        })
    }

    /// Counts who waits; only of a server that does not answer, because it is some work to find.
    fn connections(&self, answer: Answer) -> usize {
        match (&self.gauge.target.address, answer) {
            (Some(Address::Tcp { port, .. }), Answer::Silence) => {
                ports::connections_of_others(*port)
            }
            (Some(Address::Tcp { .. } | Address::Unix(_)) | None, _) => 0,
        }
    }

    fn measured(&self, stage: Option<Stage>) -> Measured {
        let (progress, activity) =
            stage.map_or((None, None), |stage| (stage.percent, stage.activity));
        Measured {
            name: self.subject.name.clone(),
            run: self.subject.run.clone(),
            readings: self.gauge.readings.clone(),
            progress,
            activity,
            totals: self.gauge.totals(),
        }
    }

    /// Returns how many probes there are from one measurement to the next while nobody watches.
    fn probes_between(&self) -> u64 {
        let works = self.gauge.readings.busy_slots.is_some_and(|busy| busy > 0);
        if works || self.watchdog.suspects() {
            1
        } else {
            PROBES_BETWEEN
        }
    }

    /// Without a probe nothing is measured either, but for a script that takes very long.
    fn seldom(&self) -> Duration {
        let check = &self.subject.spec.healthcheck;
        (check.interval + check.timeout) * (PROBES_BETWEEN as u32 + 1)
    }
}

/// Returns how long a server may be silent and idle with work to do.
fn wedge_window(check: &Healthcheck) -> Duration {
    check.interval * check.retries.max(1) * WEDGE_CYCLES
}
