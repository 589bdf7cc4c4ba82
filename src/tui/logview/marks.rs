//! Marked lines, and what is done with a part of the log: copying it, clearing it away.

use super::ask::{Collect, LogEffect, Part, Until};
use super::{Follow, LogView};
use crate::domain::log::{At, Cursor, Direction, Place, Streams};

/// A line that a person marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Mark {
    pub(in crate::tui) place: Place,
    at: Option<u64>,
    cursor: Cursor,
    streams: Streams,
}

impl LogView {
    /// Marks the line that was jumped to, else the first one on the screen, or while following the
    /// last one; a mark that is there is taken away.
    pub(super) fn mark(&mut self) {
        let jumped = self.current.and_then(|place| self.window.position(place));
        let number = match (jumped, self.follow) {
            (Some(number), _) => number,
            (None, Follow::Off { .. }) => self.top.line,
            (None, Follow::On) => self.window.len().saturating_sub(1),
        };
        let Some(row) = self.window.get(number) else {
            return;
        };
        let before = self.marks.len();
        self.marks.retain(|mark| mark.place != row.place);
        if self.marks.len() < before {
            return;
        }
        self.marks.push(Mark {
            place: row.place,
            at: row.at,
            cursor: self.window.cursor_at(number),
            streams: self.streams,
        });
        self.marks.sort_by_key(|mark| (mark.at, mark.place.offset));
        if self.marks.len() == 1 {
            self.told =
                Some("marked; with a second mark, y copies from one to the other".to_owned());
        }
    }

    /// Hides everything that is there now; done again, shows it.
    pub(super) fn clear(&mut self) -> Vec<LogEffect> {
        if self.floor.take().is_some() {
            return self.go_to_end_anew();
        }
        let end = match self.log_size {
            Some(size) => size.end,
            None => self.window.end(),
        };
        self.floor = Some(end);
        self.follow = Follow::On;
        self.current = None;
        self.load(At::Cursor(end), Direction::Forward, Part::End)
    }

    fn go_to_end_anew(&mut self) -> Vec<LogEffect> {
        self.follow = Follow::On;
        self.load(At::End, Direction::Backward, Part::End)
    }

    /// Copies what is selected, else from the first mark to the last, else what is on the screen.
    pub(super) fn copy(&mut self) -> Vec<LogEffect> {
        let Some(whose) = self.whose.clone() else {
            return Vec::new();
        };
        let selected = self.selected_stretch();
        self.selection = None;
        let (from, until, streams) = match (selected, self.marks.first(), self.marks.last()) {
            (Some((from, last, streams)), _, _) => (from, Until::Line(last), streams),
            (None, Some(first), Some(last)) if first != last => {
                (first.cursor, Until::Line(last.place), first.streams)
            }
            (None, _, _) => {
                let lines = self.bottom().saturating_sub(self.top.line);
                let from = self.window.cursor_at(self.top.line);
                (from, Until::Lines(lines), self.streams)
            }
        };
        vec![LogEffect::Collect(Collect {
            whose,
            streams,
            filter: self.filter.clone(),
            from,
            until,
        })]
    }
}
