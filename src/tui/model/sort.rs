//! The order of the table's rows.

use std::cmp::Reverse;

use super::fleet::tone;
use super::table::Column;
use crate::domain::fleet::InstanceRow;

/// The order of the rows; without a column as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Sort {
    pub(in crate::tui) column: Option<Column>,
    pub(in crate::tui) direction: Direction,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) enum Direction {
    #[default]
    Rising,
    Falling,
}

impl Sort {
    /// The first order of a column.
    pub(in crate::tui) fn by(column: Column) -> Self {
        Self {
            column: Some(column),
            direction: if column.falls() {
                Direction::Falling
            } else {
                Direction::Rising
            },
        }
    }

    pub(in crate::tui) fn inverted(self) -> Self {
        Self {
            direction: match self.direction {
                Direction::Rising => Direction::Falling,
                Direction::Falling => Direction::Rising,
            },
            ..self
        }
    }

    /// Returns the order by the next or previous column; the configured order is between them.
    pub(in crate::tui) fn step(self, forward: bool) -> Self {
        let places: Vec<Option<Column>> = std::iter::once(None)
            .chain(Column::ALL.iter().map(|(column, _)| Some(*column)))
            .filter(|column| *column != Some(Column::Spark))
            .collect();
        let here = places
            .iter()
            .position(|column| *column == self.column)
            .unwrap_or(0);
        let next = if forward {
            (here + 1) % places.len()
        } else {
            (here + places.len() - 1) % places.len()
        };
        places[next].map_or_else(Self::default, Self::by)
    }

    /// Brings rows, by their places in the picture, into this order; equal ones keep theirs.
    pub(super) fn apply(self, rows: &[InstanceRow], places: &mut [usize]) {
        let Some(column) = self.column else {
            if self.direction == Direction::Falling {
                places.reverse();
            }
            return;
        };
        let row = |place: usize| &rows[place];
        let readings = |place: usize| &rows[place].readings;
        match column {
            Column::Name => self.order(places, |place| &row(place).name),
            Column::State => {
                self.order(places, |place| (tone(row(place)), row(place).state_word()));
            }
            Column::Pid => self.order(places, |place| row(place).pid),
            Column::Port => self.order(places, |place| row(place).port),
            Column::Backend => self.order(places, |place| &row(place).backend),
            Column::Device => self.order(places, |place| &row(place).device),
            Column::Model => self.order(places, |place| &row(place).model),
            Column::Slots => self.order(places, |place| readings(place).busy_slots),
            Column::Tokens | Column::Spark => {
                self.order(places, |place| rank(readings(place).tokens_per_second));
            }
            Column::Cpu => self.order(places, |place| rank(readings(place).cpu_percent)),
            Column::Rss => self.order(places, |place| readings(place).rss_bytes),
            Column::Vram => self.order(places, |place| readings(place).vram_bytes),
            // A later start is a shorter time.
            Column::Uptime => {
                self.order(places, |place| Reverse(row(place).started_at.map(millis)));
            }
            Column::Restarts => self.order(places, |place| row(place).restarts),
        }
    }

    /// Each key is made once: a picture may hold thousands of rows.
    fn order<K: Ord>(self, places: &mut [usize], key: impl Fn(usize) -> K) {
        match self.direction {
            Direction::Rising => places.sort_by_cached_key(|place| key(*place)),
            Direction::Falling => places.sort_by_cached_key(|place| Reverse(key(*place))),
        }
    }
}

/// A measured number as one that has an order.
fn rank(value: Option<f32>) -> Option<i64> {
    value.map(|value| millis(value.into()))
}

/// Thousandths are finer than what is shown.
fn millis(value: f64) -> i64 {
    (value * 1000.0) as i64
}
