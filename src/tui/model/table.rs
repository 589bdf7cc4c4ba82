//! The table's own state: cursor, marks, order, filter; and which rows are shown.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::filter::Filter;
use super::fleet::{Fleet, tone};
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;

/// The columns, in the order they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    Name,
    State,
    Pid,
    Port,
    Backend,
    Device,
    Model,
    Slots,
    Tokens,
    Spark,
    Cpu,
    Rss,
    Vram,
    Uptime,
    Restarts,
}

impl Column {
    /// Every column with its heading; the word in small letters is what is remembered.
    pub(in crate::tui) const ALL: [(Self, &'static str); 15] = [
        (Self::Name, "NAME"),
        (Self::State, "STATE"),
        (Self::Pid, "PID"),
        (Self::Port, "PORT"),
        (Self::Backend, "BACKEND"),
        (Self::Device, "DEV"),
        (Self::Model, "MODEL"),
        (Self::Slots, "SLOTS"),
        (Self::Tokens, "T/S"),
        (Self::Spark, "60s"),
        (Self::Cpu, "CPU"),
        (Self::Rss, "RSS"),
        (Self::Vram, "VRAM"),
        (Self::Uptime, "UP"),
        (Self::Restarts, "RST"),
    ];

    pub(in crate::tui) fn title(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(column, _)| *column == self)
            .map_or("", |(_, title)| title)
    }

    /// Whether larger is more interesting, so that the first order is downwards.
    fn falls(self) -> bool {
        match self {
            Self::Tokens
            | Self::Slots
            | Self::Spark
            | Self::Cpu
            | Self::Rss
            | Self::Vram
            | Self::Uptime
            | Self::Restarts => true,
            Self::Name
            | Self::State
            | Self::Pid
            | Self::Port
            | Self::Backend
            | Self::Device
            | Self::Model => false,
        }
    }
}

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
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Line {
    /// A heading when grouped by tag, with the number of rows below it.
    Group(String, usize),
    /// A row of the picture, by its place there.
    Row(usize),
}

/// Reads the headings of columns; returns those that are none, too.
pub(in crate::tui) fn columns_of(words: &[String]) -> (Vec<Column>, Vec<&str>) {
    let mut columns = Vec::new();
    let mut unknown = Vec::new();
    for word in words {
        let known = Column::ALL
            .iter()
            .find(|(_, title)| title.eq_ignore_ascii_case(word));
        match known {
            Some((column, _)) => columns.push(*column),
            None => unknown.push(word.as_str()),
        }
    }
    (columns, unknown)
}

#[derive(Debug, Default)]
pub(in crate::tui) struct Table {
    /// The columns a person chose; empty means all that fit.
    pub(in crate::tui) columns: Vec<Column>,
    pub(in crate::tui) cursor: Option<InstanceName>,
    pub(in crate::tui) marks: BTreeSet<InstanceName>,
    pub(in crate::tui) filter: Filter,
    pub(in crate::tui) sort: Sort,
    pub(in crate::tui) grouped: bool,
    pub(in crate::tui) hide_stopped: bool,
    /// What is shown, top to bottom.
    pub(in crate::tui) lines: Vec<Line>,
    /// The first line on the screen.
    pub(in crate::tui) offset: usize,
    /// Columns of the screen that are scrolled out to the left, counted in columns of the table.
    pub(in crate::tui) first_column: usize,
    /// Where the cursor was, for when its instance disappears.
    last_place: usize,
}

impl Table {
    /// Decides again what is shown, and keeps the cursor on something.
    pub(in crate::tui) fn arrange(&mut self, fleet: &Fleet) {
        let rows = fleet.rows();
        let mut places: Vec<usize> = (0..rows.len())
            .filter(|place| {
                let row = &rows[*place];
                self.filter.matches(row)
                    && !(self.hide_stopped && row.status == Status::Stopped && !row.broken)
            })
            .collect();
        if let Some(column) = self.sort.column {
            let falling = self.sort.direction == Direction::Falling;
            // Stable: equal rows keep the configured order.
            places.sort_by(|left, right| {
                let order = compare(&rows[*left], &rows[*right], column);
                if falling { order.reverse() } else { order }
            });
        } else if self.sort.direction == Direction::Falling {
            places.reverse();
        }
        self.lines = if self.grouped {
            grouped(rows, &places)
        } else {
            places.into_iter().map(Line::Row).collect()
        };
        self.marks.retain(|name| fleet.row(name).is_some());
        self.keep_cursor(rows);
    }

    fn keep_cursor(&mut self, rows: &[InstanceRow]) {
        if let Some(place) = self.cursor_line(rows) {
            self.last_place = place;
            return;
        }
        let row_at = |line: &Line| match line {
            Line::Row(place) => Some(rows[*place].name.clone()),
            Line::Group(..) => None,
        };
        let start = self.last_place.min(self.lines.len());
        let below = self.lines[start..].iter().find_map(row_at);
        self.cursor = below.or_else(|| self.lines[..start].iter().rev().find_map(row_at));
        self.last_place = self.cursor_line(rows).unwrap_or(0);
    }

    /// Returns the line the cursor is on.
    pub(in crate::tui) fn cursor_line(&self, rows: &[InstanceRow]) -> Option<usize> {
        let cursor = self.cursor.as_ref()?;
        let at = |place: usize| match self.lines.get(place) {
            Some(Line::Row(row)) => rows.get(*row).is_some_and(|row| row.name == *cursor),
            Some(Line::Group(..)) | None => false,
        };
        if at(self.last_place) {
            return Some(self.last_place);
        }
        (0..self.lines.len()).find(|place| at(*place))
    }

    /// Moves the cursor to the nearest row at or beyond a line, in the direction of the move.
    pub(in crate::tui) fn go_to(&mut self, rows: &[InstanceRow], line: usize, step: isize) {
        let last = self.lines.len().saturating_sub(1);
        let line = line.min(last);
        let name_at = |place: usize| match self.lines.get(place) {
            Some(Line::Row(row)) => rows.get(*row).map(|row| row.name.clone()),
            Some(Line::Group(..)) | None => None,
        };
        let downwards = || (line..=last).find_map(|place| name_at(place).map(|name| (place, name)));
        let upwards = || {
            (0..=line)
                .rev()
                .find_map(|place| name_at(place).map(|name| (place, name)))
        };
        let found = if step < 0 {
            upwards().or_else(downwards)
        } else {
            downwards().or_else(upwards)
        };
        if let Some((place, name)) = found {
            self.cursor = Some(name);
            self.last_place = place;
        }
    }

    /// Scrolls so that the cursor is within `height` lines.
    pub(in crate::tui) fn scroll(&mut self, rows: &[InstanceRow], height: usize) {
        let height = height.max(1);
        let line = self.cursor_line(rows).unwrap_or(0);
        if line < self.offset {
            self.offset = line;
            // A group's heading stays visible above its first row.
            if line > 0 && matches!(self.lines[line - 1], Line::Group(..)) {
                self.offset = line - 1;
            }
        } else if line >= self.offset + height {
            self.offset = line + 1 - height;
        }
        let most = self.lines.len().saturating_sub(height);
        self.offset = self.offset.min(most);
    }

    /// Returns the instances a command is about: the marked ones, else the selected one.
    pub(in crate::tui) fn targets(&self) -> Vec<InstanceName> {
        if self.marks.is_empty() {
            self.cursor.iter().cloned().collect()
        } else {
            self.marks.iter().cloned().collect()
        }
    }

    /// Returns the number of instances shown.
    pub(in crate::tui) fn shown(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| matches!(line, Line::Row(_)))
            .count()
    }
}

/// One line per row under a heading per tag; the first tag of a row decides.
fn grouped(rows: &[InstanceRow], places: &[usize]) -> Vec<Line> {
    let tag = |place: usize| rows[place].tags.first().map_or("untagged", String::as_str);
    let mut tags: Vec<&str> = Vec::new();
    for place in places {
        if !tags.contains(&tag(*place)) {
            tags.push(tag(*place));
        }
    }
    let mut lines = Vec::with_capacity(places.len() + tags.len());
    for name in tags {
        let members: Vec<usize> = places
            .iter()
            .copied()
            .filter(|place| tag(*place) == name)
            .collect();
        lines.push(Line::Group(name.to_owned(), members.len()));
        lines.extend(members.into_iter().map(Line::Row));
    }
    lines
}

fn compare(left: &InstanceRow, right: &InstanceRow, column: Column) -> Ordering {
    fn number<T: PartialOrd + Copy>(left: Option<T>, right: Option<T>) -> Ordering {
        left.partial_cmp(&right).unwrap_or(Ordering::Equal)
    }
    let (l, r) = (&left.readings, &right.readings);
    match column {
        Column::Name => left.name.cmp(&right.name),
        Column::State => (tone(left), left.state_word()).cmp(&(tone(right), right.state_word())),
        Column::Pid => left.pid.cmp(&right.pid),
        Column::Port => left.port.cmp(&right.port),
        Column::Backend => left.backend.cmp(&right.backend),
        Column::Device => left.device.cmp(&right.device),
        Column::Model => left.model.cmp(&right.model),
        Column::Slots => l.busy_slots.cmp(&r.busy_slots),
        Column::Tokens | Column::Spark => number(l.tokens_per_second, r.tokens_per_second),
        Column::Cpu => number(l.cpu_percent, r.cpu_percent),
        Column::Rss => l.rss_bytes.cmp(&r.rss_bytes),
        Column::Vram => l.vram_bytes.cmp(&r.vram_bytes),
        // A later start is a shorter time.
        Column::Uptime => number(right.started_at, left.started_at),
        Column::Restarts => left.restarts.cmp(&right.restarts),
    }
}
