//! Sums probe results up in memory, so that a healthy fleet wakes the database thread rarely.

use std::collections::HashMap;

use super::rows::{HealthRollup, HealthSample, Write};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Health;

/// Seconds that one row of `health_rollup` stands for.
pub const STRETCH: f64 = 300.0;

/// The open stretch and the last known health of every instance.
#[derive(Debug, Default)]
pub(super) struct HealthBook {
    last: HashMap<InstanceName, Health>,
    open: HashMap<InstanceName, HealthRollup>,
}

impl HealthBook {
    /// Takes a sample in and returns what is worth storing now: a change, and finished stretches.
    pub(super) fn take(&mut self, sample: HealthSample) -> Vec<Write> {
        let started_at = (sample.at / STRETCH).floor() * STRETCH;
        let stale = self
            .open
            .get(&sample.name)
            .is_some_and(|rollup| differs(rollup.started_at, started_at));
        let mut writes = if stale {
            // One wake-up stores the finished stretches of the whole fleet.
            self.close(|rollup| differs(rollup.started_at, started_at))
        } else {
            Vec::new()
        };
        self.add(&sample, started_at);
        let before = self.last.insert(sample.name.clone(), sample.health);
        if before != Some(sample.health) {
            writes.push(Write::Health(sample));
        }
        writes
    }

    /// Returns everything that is not stored yet.
    pub(super) fn drain(&mut self) -> Vec<Write> {
        self.close(|_| true)
    }

    /// Returns the stretch that is not stored yet.
    pub(super) fn open(&self, name: &InstanceName) -> Option<HealthRollup> {
        self.open.get(name).cloned()
    }

    pub(super) fn forget(&mut self, name: &InstanceName) {
        self.last.remove(name);
        self.open.remove(name);
    }

    fn close(&mut self, finished: impl Fn(&HealthRollup) -> bool) -> Vec<Write> {
        let mut rollups: Vec<_> = self
            .open
            .extract_if(|_, rollup| finished(rollup))
            .map(|(_, rollup)| rollup)
            .collect();
        rollups.sort_by(|one, other| one.name.cmp(&other.name));
        rollups.into_iter().map(Write::HealthRollup).collect()
    }

    fn add(&mut self, sample: &HealthSample, started_at: f64) {
        let rollup = self
            .open
            .entry(sample.name.clone())
            .or_insert_with(|| HealthRollup {
                name: sample.name.clone(),
                started_at,
                probes: 0,
                failures: 0,
                responses: 0,
                response_total_ms: 0.0,
                response_max_ms: 0.0,
            });
        rollup.probes += 1;
        rollup.failures += match sample.health {
            Health::Unhealthy | Health::Error => 1,
            Health::Unknown | Health::Loading | Health::Healthy => 0,
        };
        if let Some(response) = sample.response_ms {
            rollup.responses += 1;
            rollup.response_total_ms += response;
            rollup.response_max_ms = rollup.response_max_ms.max(response);
        }
    }
}

impl HealthRollup {
    /// Takes in what followed: more of the last stretch, or a later one.
    pub(super) fn append(rollups: &mut Vec<Self>, next: Self) {
        match rollups.last_mut() {
            Some(last) if !differs(last.started_at, next.started_at) => {
                last.probes += next.probes;
                last.failures += next.failures;
                last.responses += next.responses;
                last.response_total_ms += next.response_total_ms;
                last.response_max_ms = last.response_max_ms.max(next.response_max_ms);
            }
            Some(_) | None => rollups.push(next),
        }
    }
}

fn differs(one: f64, other: f64) -> bool {
    (one - other).abs() >= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, health: Health, at: f64) -> HealthSample {
        HealthSample {
            name: InstanceName::parse(name).expect("a good name"),
            health,
            response_ms: Some(at % 10.0),
            error: None,
            at,
        }
    }

    #[test]
    fn only_changes_and_finished_stretches_are_stored() {
        let mut book = HealthBook::default();
        let rows = [
            ("a", Health::Loading, 0.0, 1),
            ("a", Health::Healthy, 1.0, 1),
            ("a", Health::Healthy, 2.0, 0),
            ("b", Health::Healthy, 3.0, 1),
            ("a", Health::Unhealthy, 299.0, 1),
            // The next stretch: both instances' rows are finished at once.
            ("b", Health::Healthy, 300.0, 2),
            ("a", Health::Unhealthy, 301.0, 0),
        ];
        for (name, health, at, stored) in rows {
            assert_eq!(
                book.take(sample(name, health, at)).len(),
                stored,
                "{name} {at}"
            );
        }
        assert_eq!(book.drain().len(), 2);
        assert_eq!(book.drain().len(), 0);
    }

    #[test]
    fn a_stretch_counts_probes_failures_and_response_times() {
        let mut book = HealthBook::default();
        for (health, at) in [
            (Health::Healthy, 1.0),
            (Health::Error, 4.0),
            (Health::Unhealthy, 3.0),
        ] {
            book.take(sample("a", health, at));
        }
        let rollup = HealthRollup {
            name: InstanceName::parse("a").expect("a good name"),
            started_at: 0.0,
            probes: 3,
            failures: 2,
            responses: 3,
            response_total_ms: 8.0,
            response_max_ms: 4.0,
        };
        assert_eq!(book.drain(), [Write::HealthRollup(rollup)]);
    }
}
