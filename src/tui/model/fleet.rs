//! The last picture of the fleet, and a minute of measurements per instance.

use std::collections::{HashMap, VecDeque};

use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Health, Status};

/// Seconds of measurements that are kept.
pub(in crate::tui) const HISTORY: f64 = 60.0;

/// The last picture with what was measured before it.
///
/// A frame shows a few rows of many: what is true of all of them is worked out once per picture.
#[derive(Debug, Default)]
pub(in crate::tui) struct Fleet {
    pub(in crate::tui) snapshot: FleetSnapshot,
    /// Whether any picture arrived yet.
    pub(in crate::tui) known: bool,
    places: HashMap<InstanceName, usize>,
    /// One for each row, in the order of the rows.
    histories: Vec<History>,
    totals: Totals,
}

/// What all rows of a picture say together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    counts: Counts,
    /// `None` where nothing was measured.
    tokens_per_second: Option<f32>,
    busy_slots: Option<u32>,
    /// Whether any row changes with the time alone: an uptime, a countdown.
    moves: bool,
}

/// What is different in a newer picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Changed {
    /// Nothing but what is measured.
    Readings,
    /// The same instances, and some are in another state.
    States,
    /// Instances came, went, or changed places.
    Instances,
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

/// Values with their times, oldest first; `None` from when on nothing was measured any more.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Series {
    points: VecDeque<(f64, Option<f32>)>,
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
    /// Takes a newer picture.
    pub(in crate::tui) fn take(&mut self, snapshot: FleetSnapshot, at: f64) -> Changed {
        let changed = self.difference(&snapshot.rows);
        if changed == Changed::Instances {
            self.find_places(&snapshot.rows);
        } else {
            let pairs = self.snapshot.rows.iter().zip(&snapshot.rows);
            for ((old, new), history) in pairs.zip(&mut self.histories) {
                if old.run != new.run {
                    *history = History::default();
                }
            }
        }
        for (row, history) in snapshot.rows.iter().zip(&mut self.histories) {
            history.push(row, at);
        }
        self.totals = Totals::of(&snapshot.rows);
        self.snapshot = snapshot;
        self.known = true;
        changed
    }

    fn difference(&self, new: &[InstanceRow]) -> Changed {
        let old = &self.snapshot.rows;
        let same = |same: fn(&InstanceRow, &InstanceRow) -> bool| {
            old.iter().zip(new).all(|(old, new)| same(old, new))
        };
        if !self.known || old.len() != new.len() || !same(|old, new| old.name == new.name) {
            Changed::Instances
        } else if same(same_state) {
            Changed::Readings
        } else {
            Changed::States
        }
    }

    /// Each row's place by its name, and its history if its run is the one that was seen before.
    fn find_places(&mut self, rows: &[InstanceRow]) {
        let histories = rows.iter().map(|row| {
            let before = self.places.get(&row.name);
            let kept = before.filter(|place| self.snapshot.rows[**place].run == row.run);
            kept.map_or_else(History::default, |place| {
                std::mem::take(&mut self.histories[*place])
            })
        });
        self.histories = histories.collect();
        let names = rows.iter().map(|row| row.name.clone());
        self.places = names.zip(0..).collect();
    }

    pub(in crate::tui) fn rows(&self) -> &[InstanceRow] {
        &self.snapshot.rows
    }

    pub(in crate::tui) fn row(&self, name: &InstanceName) -> Option<&InstanceRow> {
        self.snapshot.rows.get(*self.places.get(name)?)
    }

    /// Returns where among the rows an instance is.
    pub(in crate::tui) fn place(&self, name: &InstanceName) -> Option<usize> {
        self.places.get(name).copied()
    }

    pub(in crate::tui) fn history(&self, name: &InstanceName) -> Option<&History> {
        self.histories.get(*self.places.get(name)?)
    }

    pub(in crate::tui) fn counts(&self) -> Counts {
        self.totals.counts
    }

    /// Returns the rate of all together; `None` where nothing was measured.
    pub(in crate::tui) fn tokens_per_second(&self) -> Option<f32> {
        self.totals.tokens_per_second
    }

    /// Returns the busy slots of all together; `None` where nothing was measured.
    pub(in crate::tui) fn busy_slots(&self) -> Option<u32> {
        self.totals.busy_slots
    }

    /// Returns whether any row changes with the time alone.
    pub(in crate::tui) fn moves(&self) -> bool {
        self.totals.moves
    }
}

impl Totals {
    fn of(rows: &[InstanceRow]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            match tone(row) {
                Tone::Good => totals.counts.ready += 1,
                Tone::Busy => totals.counts.busy += 1,
                Tone::Bad => totals.counts.bad += 1,
                Tone::Still => totals.counts.stopped += 1,
            }
            if let Some(rate) = row.readings.tokens_per_second {
                *totals.tokens_per_second.get_or_insert(0.0) += rate;
            }
            if let Some(busy) = row.readings.busy_slots {
                *totals.busy_slots.get_or_insert(0) += busy;
            }
            totals.moves |= row.status.is_live() || row.restart_at.is_some();
        }
        totals
    }
}

/// Whether two rows say the same apart from what is measured.
fn same_state(old: &InstanceRow, new: &InstanceRow) -> bool {
    old.status == new.status
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
        && old.display_name == new.display_name
        && old.model == new.model
        && old.backend == new.backend
        && old.device == new.device
        && old.tags == new.tags
        && old.desired == new.desired
}

impl History {
    fn push(&mut self, row: &InstanceRow, at: f64) {
        let readings = &row.readings;
        let rate = readings.tokens_per_second;
        self.peak = self.peak.max(rate.unwrap_or_default());
        self.tokens.push(at, rate);
        self.cpu.push(at, readings.cpu_percent);
        self.rss
            .push(at, readings.rss_bytes.map(|bytes| bytes as f32));
    }
}

impl Series {
    pub(in crate::tui) fn push(&mut self, at: f64, value: Option<f32>) {
        match (self.points.back_mut(), value) {
            (None | Some((_, None)), None) => return,
            // Several pictures a second say nothing more than one.
            (Some(last), Some(value)) if at - last.0 < 0.5 && last.1.is_some() => {
                last.1 = Some(value);
                return;
            }
            (_, _) => self.points.push_back((at, value)),
        }
        while self
            .points
            .front()
            .is_some_and(|(then, _)| at - then > HISTORY + 10.0)
        {
            self.points.pop_front();
        }
    }

    /// Returns the last minute as `count` values, `None` where nothing was measured. Buckets keep
    /// their borders, so a graph moves only when a bucket is over.
    pub(in crate::tui) fn buckets(&self, count: usize, now: f64) -> Vec<Option<f32>> {
        if count == 0 {
            return Vec::new();
        }
        let length = HISTORY / count as f64;
        let last = (now / length).floor() as i64;
        let mut sums = vec![Bucket::default(); count];
        for (at, value) in &self.points {
            let age = last - (at / length).floor() as i64;
            if let Some(age) = usize::try_from(age).ok().filter(|age| *age < count) {
                sums[count - 1 - age].add(*value);
            }
        }
        let mut carried = None;
        sums.into_iter()
            .map(|bucket| {
                let mean = bucket.mean();
                carried = if bucket.ends { None } else { mean.or(carried) };
                mean.or(carried)
            })
            .collect()
    }
}

/// What was measured within a part of the minute.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    sum: f32,
    number: u32,
    /// Nothing was measured any more at its end.
    ends: bool,
}

impl Bucket {
    fn add(&mut self, value: Option<f32>) {
        self.ends = value.is_none();
        if let Some(value) = value {
            self.sum += value;
            self.number += 1;
        }
    }

    fn mean(self) -> Option<f32> {
        (self.number > 0).then(|| self.sum / self.number as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::rows::row;

    #[test]
    fn a_minute_is_cut_into_buckets_that_keep_their_borders() {
        let mut series = Series::default();
        // 1020 is a border of half minutes.
        for second in 0..60 {
            let value = if second < 30 { 1.0 } else { 3.0 };
            series.push(1020.0 + f64::from(second), Some(value));
        }
        assert_eq!(series.buckets(2, 1079.5), [Some(1.0), Some(3.0)]);
        assert_eq!(Series::default().buckets(3, 5.0), [None, None, None]);
        assert!(series.points.len() <= 71);
        for second in 60..400 {
            series.push(1020.0 + f64::from(second), Some(1.0));
        }
        assert!(series.points.len() <= 72);
    }

    #[test]
    fn a_graph_ends_where_nothing_is_measured_any_more() {
        let mut series = Series::default();
        series.push(1000.0, None);
        series.push(1021.0, Some(4.0));
        series.push(1045.0, None);
        series.push(1046.0, None);
        assert_eq!(
            series.buckets(4, 1079.0),
            [Some(4.0), None, None, None],
            "a quarter of a minute each, from 1020 on"
        );
        series.push(1076.0, Some(2.0));
        assert_eq!(series.buckets(4, 1079.0)[3], Some(2.0));
    }

    #[test]
    fn a_history_goes_with_its_run_and_not_with_its_place() {
        let picture = |names: &[&str]| FleetSnapshot {
            rows: names
                .iter()
                .map(|name| {
                    let mut row = row(name, Status::Running, Health::Healthy);
                    row.readings.tokens_per_second = Some(5.0);
                    row
                })
                .collect(),
            ..FleetSnapshot::default()
        };
        let mut fleet = Fleet::default();
        let peak = |fleet: &Fleet, name: &str| {
            let name = InstanceName::parse(name).expect("it is a name");
            fleet.history(&name).map(|history| history.peak)
        };
        assert_eq!(fleet.take(picture(&["a", "b"]), 1.0), Changed::Instances);
        assert_eq!(fleet.take(picture(&["a", "b"]), 2.0), Changed::Readings);
        let mut slower = picture(&["b", "c"]);
        slower.rows[0].readings.tokens_per_second = Some(1.0);
        slower.rows[1].readings.tokens_per_second = Some(2.0);
        assert_eq!(fleet.take(slower.clone(), 3.0), Changed::Instances);
        assert_eq!(peak(&fleet, "a"), None);
        assert_eq!(peak(&fleet, "b"), Some(5.0));
        assert_eq!(peak(&fleet, "c"), Some(2.0));
        slower.rows[0].run = None;
        assert_eq!(fleet.take(slower, 4.0), Changed::States);
        assert_eq!(peak(&fleet, "b"), Some(1.0), "another run");
        assert_eq!(fleet.counts().ready, 2);
        assert_eq!(fleet.tokens_per_second(), Some(3.0));
        assert_eq!(fleet.busy_slots(), None);
        assert!(fleet.moves());
    }
}
