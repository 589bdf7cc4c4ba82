//! The lines that are in memory: one stretch of the log, a few thousand lines at most.

use std::collections::VecDeque;

use super::text::{self, Shown};
use crate::domain::log::{Cursor, Ending, LogLine, Page, Place, Stream};
use crate::domain::log_level::LogLevel;

/// More lines than this are not kept.
pub(super) const KEPT: usize = 3000;

/// One line of the log, ready to be shown.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Row {
    pub(in crate::tui) stream: Stream,
    pub(in crate::tui) place: Place,
    /// Unix milliseconds.
    pub(in crate::tui) at: Option<u64>,
    pub(in crate::tui) level: Option<LogLevel>,
    pub(in crate::tui) text: Shown,
    /// Bytes that are not shown.
    pub(in crate::tui) hidden: u64,
    /// Bytes of the whole line.
    length: u64,
}

/// A stretch of the log without gaps, as far as the filter lets lines through.
#[derive(Debug, Default)]
pub(in crate::tui) struct Window {
    rows: VecDeque<Row>,
    /// Lines without an end; only at the end of the log.
    unfinished: Vec<Row>,
    start: Cursor,
    end: Cursor,
    pub(super) at_start: bool,
    pub(super) at_end: bool,
}

impl Row {
    fn of(line: &LogLine) -> Self {
        Self {
            stream: line.stream,
            place: line.place,
            at: line.at,
            level: LogLevel::of(&line.bytes),
            text: text::shown(&line.bytes),
            hidden: line.length.saturating_sub(line.bytes.len() as u64),
            length: line.length,
        }
    }

    /// The place behind this row, as a part of a cursor.
    fn next(&self) -> Place {
        Place {
            offset: self.place.offset + self.length + 1,
            ..self.place
        }
    }
}

impl Window {
    pub(super) fn of(page: &Page) -> Self {
        let mut window = Self {
            start: page.start,
            end: page.start,
            at_start: page.at_start,
            ..Self::default()
        };
        window.append(page);
        window
    }

    /// All lines, the unfinished ones last.
    pub(in crate::tui) fn len(&self) -> usize {
        self.rows.len() + self.unfinished.len()
    }

    pub(in crate::tui) fn get(&self, number: usize) -> Option<&Row> {
        self.rows
            .get(number)
            .or_else(|| self.unfinished.get(number.checked_sub(self.rows.len())?))
    }

    /// Returns whether nothing lies before or behind it.
    pub(in crate::tui) fn is_whole(&self) -> bool {
        self.at_start && self.at_end
    }

    pub(super) fn start(&self) -> Cursor {
        self.start
    }

    pub(super) fn end(&self) -> Cursor {
        self.end
    }

    /// Adds what follows; returns how many lines were dropped at the start for it.
    pub(super) fn append(&mut self, page: &Page) -> usize {
        let (whole, unfinished): (Vec<_>, Vec<_>) = page
            .lines
            .iter()
            .partition(|line| line.ending == Ending::Whole);
        self.rows.extend(whole.into_iter().map(Row::of));
        self.unfinished = unfinished.into_iter().map(Row::of).collect();
        self.end = page.end;
        self.at_end = page.at_end;
        let surplus = self.rows.len().saturating_sub(KEPT);
        for row in self.rows.drain(..surplus) {
            self.start.set(row.stream, Some(row.next()));
            self.at_start = false;
        }
        surplus
    }

    /// Adds what comes before; returns how many lines that were.
    pub(super) fn prepend(&mut self, page: &Page) -> usize {
        let mut added = 0;
        for line in page.lines.iter().rev() {
            if line.ending == Ending::Whole {
                self.rows.push_front(Row::of(line));
                added += 1;
            }
        }
        self.start = page.start;
        self.at_start = page.at_start;
        while self.rows.len() > KEPT {
            if let Some(row) = self.rows.pop_back() {
                self.end.set(row.stream, Some(row.place));
            }
            self.at_end = false;
            self.unfinished.clear();
        }
        added
    }

    /// The place of a line, as a cursor before it.
    pub(super) fn cursor_at(&self, number: usize) -> Cursor {
        if number >= self.rows.len() {
            return self.end;
        }
        let mut cursor = self.start;
        for row in self.rows.iter().take(number) {
            cursor.set(row.stream, Some(row.next()));
        }
        cursor
    }

    pub(super) fn position(&self, place: Place) -> Option<usize> {
        let all = self.rows.iter().chain(&self.unfinished);
        all.into_iter().position(|row| row.place == place)
    }
}
