//! The last picture of the fleet, and a minute of measurements per instance.

use std::collections::{HashMap, VecDeque};

use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Health, Status};

/// Seconds of measurements that are kept.
pub(in crate::tui) const HISTORY: f64 = 60.0;

/// The last picture with what was measured before it.
#[derive(Debug, Default)]
pub(in crate::tui) struct Fleet {
    pub(in crate::tui) snapshot: FleetSnapshot,
    /// Whether any picture arrived yet.
    pub(in crate::tui) known: bool,
    places: HashMap<InstanceName, usize>,
    histories: HashMap<InstanceName, History>,
}

/// What was measured of one instance within the last minute.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct History {
    pub(in crate::tui) tokens: Series,
    pub(in crate::tui) cpu: Series,
    pub(in crate::tui) rss: Series,
    /// The highest rate of the present run.
    pub(in crate::tui) peak: f32,
}

/// Values with their times, oldest first.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Series {
    points: VecDeque<(f64, f32)>,
}

/// How many instances are in which state; what the header shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Counts {
    pub(in crate::tui) ready: usize,
    pub(in crate::tui) busy: usize,
    pub(in crate::tui) bad: usize,
    pub(in crate::tui) stopped: usize,
}

/// How urgent a state is; decides its colour and its place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tui) enum Tone {
    Bad,
    /// It changes by itself.
    Busy,
    Good,
    Still,
}

/// Returns how urgent the state of a row is.
pub(in crate::tui) fn tone(row: &InstanceRow) -> Tone {
    match (row.status, row.health) {
        (Status::Failed, _) => Tone::Bad,
        (Status::Stopped, _) if row.broken => Tone::Bad,
        (Status::Stopped, _) => Tone::Still,
        (Status::Running, Health::Unhealthy | Health::Error) => Tone::Bad,
        (Status::Running, Health::Healthy) => Tone::Good,
        (Status::Running, Health::Unknown | Health::Loading)
        | (Status::Starting | Status::Stopping | Status::Backoff, _) => Tone::Busy,
    }
}

impl Fleet {
    /// Takes a newer picture; returns whether more changed than measurements.
    pub(in crate::tui) fn take(&mut self, snapshot: FleetSnapshot, at: f64) -> bool {
        let states = self.known
            && self.snapshot.rows.len() == snapshot.rows.len()
            && self
                .snapshot
                .rows
                .iter()
                .zip(&snapshot.rows)
                .all(|(old, new)| same_state(old, new));
        for row in &snapshot.rows {
            let history = self.histories.entry(row.name.clone()).or_default();
            let before = self.places.get(&row.name);
            let run_changed = before.is_some_and(|place| {
                let old = self.snapshot.rows.get(*place);
                old.is_none_or(|old| old.run != row.run)
            });
            if run_changed {
                *history = History::default();
            }
            history.push(row, at);
        }
        self.places = snapshot
            .rows
            .iter()
            .enumerate()
            .map(|(place, row)| (row.name.clone(), place))
            .collect();
        self.histories
            .retain(|name, _| self.places.contains_key(name));
        self.snapshot = snapshot;
        self.known = true;
        !states
    }

    pub(in crate::tui) fn rows(&self) -> &[InstanceRow] {
        &self.snapshot.rows
    }

    pub(in crate::tui) fn row(&self, name: &InstanceName) -> Option<&InstanceRow> {
        self.snapshot.rows.get(*self.places.get(name)?)
    }

    pub(in crate::tui) fn history(&self, name: &InstanceName) -> Option<&History> {
        self.histories.get(name)
    }

    pub(in crate::tui) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in self.rows() {
            match tone(row) {
                Tone::Good => counts.ready += 1,
                Tone::Busy => counts.busy += 1,
                Tone::Bad => counts.bad += 1,
                Tone::Still => counts.stopped += 1,
            }
        }
        counts
    }

    /// Returns the rates and slots of all together; `None` where nothing was measured.
    pub(in crate::tui) fn tokens_per_second(&self) -> Option<f32> {
        let known = self
            .rows()
            .iter()
            .filter_map(|row| row.readings.tokens_per_second);
        known.fold(None, |sum: Option<f32>, rate| {
            Some(sum.unwrap_or(0.0) + rate)
        })
    }

    pub(in crate::tui) fn busy_slots(&self) -> Option<u32> {
        let known = self.rows().iter().filter_map(|row| row.readings.busy_slots);
        known.fold(None, |sum: Option<u32>, busy| Some(sum.unwrap_or(0) + busy))
    }
}

/// Whether two rows say the same apart from what is measured.
fn same_state(old: &InstanceRow, new: &InstanceRow) -> bool {
    old.name == new.name
        && old.status == new.status
        && old.health == new.health
        && old.run == new.run
        && old.pid == new.pid
        && old.port == new.port
        && old.reason == new.reason
        && old.restart_at == new.restart_at
        && old.restarts == new.restarts
        && old.progress == new.progress
        && old.drift == new.drift
        && old.broken == new.broken
        && old.autopsy == new.autopsy
        && old.model == new.model
        && old.tags == new.tags
        && old.desired == new.desired
}

impl History {
    fn push(&mut self, row: &InstanceRow, at: f64) {
        let readings = &row.readings;
        if let Some(rate) = readings.tokens_per_second {
            self.peak = self.peak.max(rate);
            self.tokens.push(at, rate);
        }
        if let Some(cpu) = readings.cpu_percent {
            self.cpu.push(at, cpu);
        }
        if let Some(rss) = readings.rss_bytes {
            self.rss.push(at, rss as f32);
        }
    }
}

impl Series {
    pub(in crate::tui) fn push(&mut self, at: f64, value: f32) {
        // Several pictures a second say nothing more than one.
        if let Some(last) = self.points.back_mut()
            && at - last.0 < 0.5
        {
            last.1 = value;
            return;
        }
        self.points.push_back((at, value));
        while self
            .points
            .front()
            .is_some_and(|(then, _)| at - then > HISTORY + 10.0)
        {
            self.points.pop_front();
        }
    }

    /// Returns the last minute as `count` values, `None` before the first measurement. Buckets
    /// keep their borders, so a graph moves only when a bucket is over.
    pub(in crate::tui) fn buckets(&self, count: usize, now: f64) -> Vec<Option<f32>> {
        if count == 0 {
            return Vec::new();
        }
        let length = HISTORY / count as f64;
        let last = (now / length).floor() as i64;
        let mut sums = vec![(0.0_f32, 0_u32); count];
        for (at, value) in &self.points {
            let age = last - (at / length).floor() as i64;
            if let Some(place) = usize::try_from(age).ok().filter(|age| *age < count) {
                let sum = &mut sums[count - 1 - place];
                sum.0 += value;
                sum.1 += 1;
            }
        }
        let mut carried = None;
        sums.into_iter()
            .map(|(sum, number)| {
                if number > 0 {
                    carried = Some(sum / number as f32);
                }
                carried
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_cut_into_buckets_that_keep_their_borders() {
        let mut series = Series::default();
        // 1020 is a border of half minutes.
        for second in 0..60 {
            let value = if second < 30 { 1.0 } else { 3.0 };
            series.push(1020.0 + f64::from(second), value);
        }
        assert_eq!(series.buckets(2, 1079.5), [Some(1.0), Some(3.0)]);
        assert_eq!(Series::default().buckets(3, 5.0), [None, None, None]);
        assert!(series.points.len() <= 71);
        for second in 60..400 {
            series.push(1020.0 + f64::from(second), 1.0);
        }
        assert!(series.points.len() <= 72);
    }
}
