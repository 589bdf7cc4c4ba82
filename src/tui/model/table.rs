//! The table's own state: cursor, marks, order, filter; and which rows are shown.

use std::collections::{BTreeSet, HashMap};

use super::filter::Filter;
use super::fleet::Fleet;
use super::sort::Sort;
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

    /// Whether what is in it is measured, so that it may differ in every picture.
    fn is_measured(self) -> bool {
        match self {
            Self::Tokens | Self::Slots | Self::Spark | Self::Cpu | Self::Rss | Self::Vram => true,
            Self::Name
            | Self::State
            | Self::Pid
            | Self::Port
            | Self::Backend
            | Self::Device
            | Self::Model
            | Self::Uptime
            | Self::Restarts => false,
        }
    }

    /// Whether larger is more interesting, so that the first order is downwards.
    pub(super) fn falls(self) -> bool {
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
    /// The rows among them.
    shown: usize,
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
        self.shown = places.len();
        self.sort.apply(rows, &mut places);
        self.lines = if self.grouped {
            grouped(rows, &places)
        } else {
            places.into_iter().map(Line::Row).collect()
        };
        self.marks.retain(|name| fleet.row(name).is_some());
        self.keep_cursor(rows);
    }

    /// Returns whether what is shown, or its order, may differ when only readings do.
    pub(in crate::tui) fn depends_on_readings(&self) -> bool {
        self.sort.column.is_some_and(Column::is_measured) || self.filter.asks_for_readings()
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
        self.shown
    }
}

/// One line per row under a heading per tag; the first tag of a row decides.
fn grouped(rows: &[InstanceRow], places: &[usize]) -> Vec<Line> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for place in places {
        let tag = rows[*place].tags.first().map_or("untagged", String::as_str);
        let group = *known.entry(tag).or_insert(groups.len());
        if group == groups.len() {
            groups.push((tag, Vec::new()));
        }
        groups[group].1.push(*place);
    }
    let mut lines = Vec::with_capacity(places.len() + groups.len());
    for (tag, members) in groups {
        lines.push(Line::Group(tag.to_owned(), members.len()));
        lines.extend(members.into_iter().map(Line::Row));
    }
    lines
}
