//! Lines that are selected to be copied: by keys from a line on, or by dragging the mouse.

use std::ops::RangeInclusive;

use super::{Follow, LogAction, LogEffect, LogView};
use crate::domain::log::{Cursor, Place, Streams};
use crate::tui::format;

/// A stretch of lines, from where it was begun to where it was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    anchor: Spot,
    head: Spot,
    direction: Drawn,
    lines: usize,
}

/// A line and how it is found again once it is no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    place: Place,
    before: Cursor,
}

/// Which end of it a selection was begun at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Upwards,
    Downwards,
}

/// Where the mouse drags a selection to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drag {
    Line(Place),
    Above,
    Below,
}

impl Selection {
    /// The first and the last line.
    fn ends(&self) -> (Spot, Spot) {
        match self.direction {
            Drawn::Upwards => (self.head, self.anchor),
            Drawn::Downwards => (self.anchor, self.head),
        }
    }
}

impl LogView {
    /// Begins to select at the line that was clicked or jumped to, else at the last one while
    /// following and at the first one on the screen otherwise; done again, drops the selection.
    pub(super) fn select(&mut self) {
        if self.selection.take().is_some() {
            return;
        }
        let seen = self.top.line..self.bottom();
        let chosen = [self.pressed, self.current].into_iter().flatten();
        let chosen = chosen.filter_map(|place| self.window.position(place));
        let otherwise = match self.follow {
            Follow::On => seen.end.saturating_sub(1),
            Follow::Off { .. } => seen.start,
        };
        let mut on_screen = chosen.filter(|number| seen.contains(number));
        let number = on_screen.next().unwrap_or(otherwise);
        self.begin_selection(number);
    }

    fn begin_selection(&mut self, number: usize) {
        let Some(spot) = self.spot(number) else {
            return;
        };
        self.stop_following();
        self.selection = Some(Selection {
            anchor: spot,
            head: spot,
            direction: Drawn::Downwards,
            lines: 1,
        });
        self.tell_selection();
    }

    /// Moves the end of the selection by so many lines.
    pub(super) fn extend(&mut self, step: isize) -> Vec<LogEffect> {
        let Some(selection) = self.selection else {
            return Vec::new();
        };
        let head = self.window.position(selection.head.place);
        let last = self.window.len().saturating_sub(1);
        let number = head.unwrap_or(self.top.line).saturating_add_signed(step);
        self.extend_to(number.min(last));
        self.more()
    }

    fn extend_to(&mut self, number: usize) {
        let Some(head) = self.spot(number) else {
            return;
        };
        let Some(selection) = &mut self.selection else {
            return;
        };
        let anchor = self.window.position(selection.anchor.place);
        selection.head = head;
        match anchor {
            Some(anchor) if number < anchor => selection.direction = Drawn::Upwards,
            Some(_) => selection.direction = Drawn::Downwards,
            // It is beyond what is in memory, where it was before.
            None => {}
        }
        if let Some(anchor) = anchor {
            selection.lines = anchor.abs_diff(number) + 1;
        }
        self.tell_selection();
        self.bring_on_screen(number);
    }

    /// The mouse was pressed on a line.
    pub(in crate::tui) fn press(&mut self, place: Place) {
        self.selection = None;
        self.pressed = Some(place);
        self.told = None;
    }

    /// The mouse moved with its button down.
    pub(in crate::tui) fn drag(&mut self, drag: Drag) -> Vec<LogEffect> {
        if self.selection.is_none()
            && let Some(pressed) = self.pressed
            && drag != Drag::Line(pressed)
            && let Some(number) = self.window.position(pressed)
        {
            self.begin_selection(number);
        }
        match drag {
            Drag::Above => self.extend(-1),
            Drag::Below => self.extend(1),
            Drag::Line(place) => {
                if let Some(number) = self.window.position(place) {
                    self.extend_to(number);
                }
                self.more()
            }
        }
    }

    /// The selected lines by their numbers in memory.
    pub(in crate::tui) fn selected(&self) -> Option<RangeInclusive<usize>> {
        let (first, last) = self.selection.as_ref()?.ends();
        let first = self.window.position(first.place).unwrap_or(0);
        let last = self.window.position(last.place);
        Some(first..=last.unwrap_or(usize::MAX))
    }

    /// What a copy takes: before the first line, and the last one.
    pub(super) fn selected_stretch(&self) -> Option<(Cursor, Place, Streams)> {
        let (first, last) = self.selection.as_ref()?.ends();
        Some((first.before, last.place, self.streams))
    }

    fn tell_selection(&mut self) {
        if let Some(selection) = &self.selection {
            let word = match selection.lines {
                1 => "line",
                _ => "lines",
            };
            let count = format::count(selection.lines as u64);
            self.told = Some(format!(
                "{count} {word} selected; ↑↓ or the mouse take more, y copies, Esc drops"
            ));
        }
    }

    fn spot(&self, number: usize) -> Option<Spot> {
        let row = self.window.get(number)?;
        Some(Spot {
            place: row.place,
            before: self.window.cursor_at(number),
        })
    }

    /// Scrolls no further than is needed to see a line.
    fn bring_on_screen(&mut self, number: usize) {
        if number < self.top.line {
            self.top = super::Top {
                line: number,
                row: 0,
            };
        }
        while number >= self.bottom() || (number + 1 == self.bottom() && self.is_cut_off(number)) {
            let before = self.top;
            self.down(1);
            if self.top == before {
                break;
            }
        }
    }
}

/// How far an action that moves takes the end of a selection.
pub(super) fn steps(action: LogAction, page: usize) -> Option<isize> {
    let page = isize::try_from(page).unwrap_or(isize::MAX);
    match action {
        LogAction::Up => Some(-1),
        LogAction::Down => Some(1),
        LogAction::PageUp => Some(-page),
        LogAction::PageDown => Some(page),
        LogAction::HalfUp => Some(-(page + 1) / 2),
        LogAction::HalfDown => Some((page + 1) / 2),
        LogAction::Top => Some(isize::MIN),
        LogAction::Bottom => Some(isize::MAX),
        LogAction::Follow
        | LogAction::Search
        | LogAction::Next
        | LogAction::Previous
        | LogAction::Filter
        | LogAction::NextError
        | LogAction::PreviousError
        | LogAction::GoToTime
        | LogAction::Wrap
        | LogAction::Left
        | LogAction::Right
        | LogAction::Timestamps
        | LogAction::Stream
        | LogAction::Select
        | LogAction::Mark
        | LogAction::Clear
        | LogAction::Copy
        | LogAction::Save
        | LogAction::Open => None,
    }
}
