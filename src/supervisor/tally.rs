//! What is counted since this owner started, for `/metrics`.
//!
//! Only counts that rise are kept: whoever reads them makes rates of them. Nothing is decided by
//! them and none is stored; a new owner begins anew, which its start time tells.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::autopsy::Cause;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Health;
use crate::domain::run::RunId;
use crate::domain::work::PhaseEnd;

/// Upper bounds of the stretches that response times of probes fall into, in seconds.
pub const STRETCHES: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The counts of every instance, and of the work units; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    shared: Arc<Mutex<BTreeMap<InstanceName, Counts>>>,
    work_ends: Arc<Mutex<WorkEnds>>,
}

/// How often the commands of work units ended, of all units: a unit may be gone by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkEnds {
    /// With exit code 0.
    pub succeeded: u64,
    /// In any other way, also because somebody stopped them.
    pub failed: u64,
}

/// The counts of one instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    pub starts: u64,
    /// Starts by ourselves after an end that nobody asked for.
    pub restarts: u64,
    /// Ends by the word of their cause.
    pub ends: BTreeMap<&'static str, u64>,
    /// Probes by the word of what they found.
    pub probes: BTreeMap<&'static str, u64>,
    pub answers: Answers,
    pub cpu_seconds: Rising,
    pub prompt_tokens: Rising,
    pub generated_tokens: Rising,
}

/// How long answered probes took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// As many as took no longer than the bound at the same place in [`STRETCHES`], and longer than
    /// the one before.
    pub within: [u64; STRETCHES.len()],
    pub count: u64,
    pub seconds: f64,
}

/// What one run has counted itself, from its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub cpu: Duration,
    /// `None` until the server has told.
    pub tokens: Option<Tokens>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tokens {
    pub prompt: f64,
    pub generated: f64,
}

/// A count over several runs, each of which counts from zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rising {
    total: f64,
    run: Option<RunId>,
    last: f64,
}

impl Rising {
    #[must_use]
    pub fn total(&self) -> f64 {
        self.total
    }

    fn take(&mut self, run: &RunId, value: f64) {
        let same = self.run.as_ref() == Some(run) && value >= self.last;
        self.total += if same { value - self.last } else { value };
        self.run = Some(run.clone());
        self.last = value;
    }
}

impl Tally {
    /// Returns the counts as they are now.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<InstanceName, Counts> {
        self.lock().clone()
    }

    /// Returns how the commands of work units ended until now.
    #[must_use]
    pub fn work_ends(&self) -> WorkEnds {
        *self.lock_work_ends()
    }

    pub(super) fn work_ended(&self, end: &PhaseEnd) {
        let mut ends = self.lock_work_ends();
        match end {
            PhaseEnd::Succeeded => ends.succeeded += 1,
            PhaseEnd::Failed(_) => ends.failed += 1,
            PhaseEnd::NotBegun => {}
        }
    }

    pub(super) fn started(&self, name: &InstanceName) {
        self.on(name, |counts| counts.starts += 1);
    }

    pub(super) fn restarted(&self, name: &InstanceName) {
        self.on(name, |counts| counts.restarts += 1);
    }

    pub(super) fn ended(&self, name: &InstanceName, cause: Cause) {
        self.on(name, |counts| {
            *counts.ends.entry(cause.as_str()).or_default() += 1;
        });
    }

    pub(super) fn probed(&self, name: &InstanceName, health: Health, took: Option<Duration>) {
        self.on(name, |counts| {
            *counts.probes.entry(health.as_str()).or_default() += 1;
            if let Some(took) = took {
                counts.answers.take(took.as_secs_f64());
            }
        });
    }

    pub(super) fn measured(&self, name: &InstanceName, run: &RunId, totals: &Totals) {
        self.on(name, |counts| {
            counts.cpu_seconds.take(run, totals.cpu.as_secs_f64());
            if let Some(tokens) = totals.tokens {
                counts.prompt_tokens.take(run, tokens.prompt);
                counts.generated_tokens.take(run, tokens.generated);
            }
        });
    }

    fn on(&self, name: &InstanceName, count: impl FnOnce(&mut Counts)) {
        count(self.lock().entry(name.clone()).or_default());
    }

    fn lock_work_ends(&self) -> MutexGuard<'_, WorkEnds> {
        let lock = self.work_ends.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceName, Counts>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn take(&mut self, seconds: f64) {
        self.count += 1;
        self.seconds += seconds;
        let stretch = STRETCHES.iter().position(|bound| seconds <= *bound);
        if let Some(within) = stretch.and_then(|stretch| self.within.get_mut(stretch)) {
            *within += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_over_runs_never_falls() {
        let [one, two] = ["one", "two"].map(|run| RunId::new(run.to_owned()));
        let mut rising = Rising::default();
        // The run, what it says, what all of them make.
        let rows = [
            (&one, 5.0, 5.0),
            (&one, 5.0, 5.0),
            (&one, 9.0, 9.0),
            (&two, 2.0, 11.0),
            // Its server began anew behind our back.
            (&two, 1.0, 12.0),
            (&two, 4.0, 15.0),
        ];
        for (run, value, total) in rows {
            rising.take(run, value);
            assert_eq!(rising.total(), total, "{value}");
        }
    }

    #[test]
    fn an_answer_falls_into_the_first_stretch_that_holds_it() {
        let mut answers = Answers::default();
        for seconds in [0.0, 0.001, 0.002, 0.05, 29.0, 31.0] {
            answers.take(seconds);
        }
        assert_eq!(answers.within, [2, 1, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!(answers.count, 6);
    }
}
