//! Measures one run again and again: what its processes use, and how much its server works.
//!
//! A look at the processes is one file each. The server itself is asked only when its processes used
//! CPU time, when it logged, when it had work, or after a while, whoever watches: a server that did
//! nothing has nothing to say, and a real one answers `/metrics` and `/slots` in the loop that serves
//! requests, which then logs "all slots are idle". One that may sleep is asked first whether it does,
//! so that it is never woken.

use std::time::Duration;

use tokio::time::Instant;

use super::super::tally::{Tokens, Totals};
use super::family::{Family, Look};
use super::target::Target;
use super::work::{Pace, Work};
use crate::domain::readings::{GpuUse, Readings};
use crate::probes::http::Server;
use crate::probes::metrics;

/// CPU time that an idle server may use, with our own questions, without being asked what it did.
const IDLE_CPU: Duration = Duration::from_millis(10);

/// What an idle server may log without being asked what it did: our question leaves a line of some
/// sixty bytes, a request leaves more than this.
const IDLE_LOG: u64 = 256;

/// Between two questions to a server that works.
const SPACING: Duration = Duration::from_secs(2);

/// Between two questions to a server that seems to do nothing.
const IDLE_SPACING: Duration = Duration::from_secs(60);

/// Between two questions to a server that never said that it is a llama-server.
const STRANGE_SPACING: Duration = Duration::from_secs(10);

/// What is known of a run's use and work.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) target: Target,
    server: Option<Server>,
    pub(super) family: Family,
    work: Work,
    /// The last moment at which the counters are known to have been those of the last scrape.
    counted: Option<Instant>,
    slots: Option<u32>,
    asked: Option<Asked>,
    pub(super) readings: Readings,
}

/// The last time the server answered `/metrics`, or should have.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    /// CPU time of the run and bytes of its logs, just before.
    cpu: Duration,
    logged: u64,
    answer: Answer,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Counted,
    /// It does not tell its counters; it will not be asked again in this run.
    Refused,
    /// It sleeps and was left alone, it loads, or it does not take our key.
    Later,
    Silence,
}

impl Gauge {
    pub(super) fn new(target: Target, family: Family) -> Self {
        Self {
            target,
            server: None,
            family,
            work: Work::default(),
            counted: None,
            slots: None,
            asked: None,
            readings: Readings::default(),
        }
    }

    /// Looks at the processes; `None` when the server has ended.
    pub(super) fn look(
        &mut self,
        now: Instant,
        gpu: impl Fn(i32) -> Option<GpuUse>,
    ) -> Option<Look> {
        let look = self.family.look(now, gpu)?;
        self.readings.cpu_percent = look.cpu_percent;
        self.readings.rss_bytes = Some(look.resident_bytes);
        let on_cards = look.gpu.map(|gpu| gpu.memory_bytes);
        self.readings.vram_bytes = on_cards.filter(|bytes| *bytes > 0);
        Some(look)
    }

    /// Asks the server for its counters if there may be something new; `logged` is the length of its
    /// logs.
    pub(super) async fn ask_if_due(
        &mut self,
        look: &Look,
        logged: u64,
        limit: Duration,
    ) -> Option<Answer> {
        let now = Instant::now();
        let stirred = self.has_stirred(look, logged);
        if !stirred && self.counted.is_some() {
            // The pace of what comes next is not to be spread over this rest.
            self.counted = Some(now);
        }
        if !self.is_due(stirred, now) {
            // It did nothing since it was asked, so nothing can have been generated.
            let rested = self.asked.is_some_and(|asked| now - asked.at >= SPACING);
            if rested && self.work.last().is_some() {
                self.readings.tokens_per_second = Some(0.0);
                self.readings.prompt_tokens_per_second = Some(0.0);
            }
            return None;
        }
        // Apart from the loop, as this is asked seldom.
        let answer = Box::pin(tokio::time::timeout(limit, self.ask(now)))
            .await
            .unwrap_or(Answer::Silence);
        if answer == Answer::Silence {
            self.readings.tokens_per_second = None;
            self.readings.prompt_tokens_per_second = None;
        }
        self.asked = Some(Asked {
            at: now,
            cpu: look.cpu,
            logged,
            answer,
        });
        Some(answer)
    }

    /// Returns what the run has counted itself.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            cpu: self.family.cpu(),
            tokens: self.work.last().map(|counters| Tokens {
                prompt: counters.prompt_tokens,
                generated: counters.predicted_tokens,
            }),
        }
    }

    /// Returns whether it may have done anything since it was asked.
    fn has_stirred(&self, look: &Look, logged: u64) -> bool {
        let Some(asked) = self.asked else { return true };
        let worked = look.cpu.saturating_sub(asked.cpu) > IDLE_CPU;
        // Shorter is another file by now.
        let told = logged.abs_diff(asked.logged) > IDLE_LOG;
        let busy = self.readings.busy_slots.is_some_and(|slots| slots > 0);
        worked || told || busy
    }

    fn is_due(&self, stirred: bool, now: Instant) -> bool {
        let Some(asked) = self.asked else { return true };
        let since = now - asked.at;
        match asked.answer {
            Answer::Refused => false,
            Answer::Silence if self.slots.is_none() => since >= STRANGE_SPACING,
            Answer::Silence => since >= SPACING,
            Answer::Counted | Answer::Later if stirred => since >= SPACING,
            Answer::Counted | Answer::Later => since >= IDLE_SPACING,
        }
    }

    async fn ask(&mut self, now: Instant) -> Answer {
        if self.server.is_none() {
            self.server = self.target.server();
        }
        let Some(server) = self.server.clone() else {
            return Answer::Refused;
        };
        if self.slots.is_none() || self.target.may_sleep {
            let path = format!("{}/props", self.target.prefix);
            let Ok(answer) = server.get(&path).await else {
                return Answer::Silence;
            };
            let facts = metrics::facts(&answer.body);
            self.slots = facts.and_then(|facts| facts.slots).or(self.slots);
            self.readings.slots = self.slots;
            let sleeps = facts.and_then(|facts| facts.sleeping);
            if self.target.may_sleep && sleeps != Some(false) {
                self.readings.busy_slots = self.slots.map(|_| 0);
                return Answer::Later;
            }
        }
        let path = format!("{}/metrics", self.target.prefix);
        let Ok(answer) = server.get(&path).await else {
            return Answer::Silence;
        };
        let counters = match answer.status {
            200 => metrics::parse(&answer.body),
            401 | 503 => {
                self.server = None; // the key in its file may be another by then
                return Answer::Later;
            }
            _ => None,
        };
        let Some(counters) = counters else {
            return Answer::Refused;
        };
        let since = self.counted.replace(now);
        let since = since.map_or(Duration::ZERO, |counted| now - counted);
        let pace = self.work.take(counters, since);
        self.readings.tokens_per_second = pace.map(|pace: Pace| pace.tokens_per_second);
        self.readings.prompt_tokens_per_second = pace.map(|pace| pace.prompt_tokens_per_second);
        self.readings.busy_slots = Some(counters.processing);
        Answer::Counted
    }
}
