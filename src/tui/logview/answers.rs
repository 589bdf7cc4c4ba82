//! What answers do to the view.

use super::ask::{Part, Question};
use super::window::Window;
use super::{Follow, LogEffect, LogMsg, LogView, Top};
use crate::domain::log::{At, Direction, Page, Size};

/// A log that begins this much after a moment that is looked for does not hold it.
const LATE_MILLIS: u64 = 1000;

impl LogView {
    pub(in crate::tui) fn update(&mut self, msg: LogMsg) -> Vec<LogEffect> {
        let effects = self.answered(msg);
        self.keep_end();
        effects
    }

    fn answered(&mut self, msg: LogMsg) -> Vec<LogEffect> {
        match msg {
            LogMsg::Page(ticket, part, page) if ticket == self.tickets.page => {
                self.trouble = None;
                self.paged(part, &page)
            }
            LogMsg::Search(ticket, search) if ticket == self.tickets.search => {
                self.searched(search)
            }
            LogMsg::Count(ticket, count) if ticket == self.tickets.count => {
                self.counted(count).into_iter().collect()
            }
            LogMsg::Size(ticket, size) if ticket == self.tickets.watch => self.grew(size),
            LogMsg::Failed(ticket, why) => self.failed(ticket, why),
            LogMsg::Collected(text, lines) => {
                let word = if lines == 1 { "line" } else { "lines" };
                self.told = Some(format!("copied {lines} {word}"));
                vec![LogEffect::Copy(text)]
            }
            LogMsg::Told(text) => {
                self.told = Some(text);
                Vec::new()
            }
            // Asked before something else was looked at.
            LogMsg::Page(..) | LogMsg::Search(..) | LogMsg::Count(..) | LogMsg::Size(..) => {
                Vec::new()
            }
        }
    }

    fn paged(&mut self, part: Part, page: &Page) -> Vec<LogEffect> {
        match part {
            Part::End => {
                self.replace(page);
                self.stick_to_end();
            }
            Part::Start => {
                self.replace(page);
                if page.at_end && self.is_at_bottom() {
                    self.stick_to_end();
                }
            }
            Part::Moment(millis) => {
                self.replace(page);
                self.arrive(millis);
            }
            Part::Around(place) => {
                self.replace(page);
                let number = self.window.position(place);
                self.top.line = number.unwrap_or(0);
            }
            Part::Older => {
                self.asked.older = false;
                self.top.line += self.window.prepend(page);
                if page.lost {
                    self.told = Some("older lines have been rotated away".to_owned());
                }
                if self.window.at_end && self.is_at_bottom() {
                    self.stick_to_end();
                }
                if let Some(number) = self.reveal.take().and_then(|at| self.window.position(at)) {
                    self.settle_on(number);
                }
            }
            Part::Newer => {
                self.asked.newer = false;
                if page.lost {
                    self.told = Some("lines are missing: they were rotated away unread".to_owned());
                    self.replace(page);
                } else if self.follow == Follow::On && !page.at_end {
                    // More comes in than can be read: only the newest lines matter now.
                    return self.load(At::End, Direction::Backward, Part::End);
                } else {
                    let dropped = self.window.append(page);
                    self.top.line = self.top.line.saturating_sub(dropped);
                }
                if self.follow == Follow::On {
                    self.stick_to_end();
                }
            }
        }
        if self.window.at_start {
            self.reveal = None;
        }
        self.more()
    }

    /// The lines at and after a moment are there.
    fn arrive(&mut self, millis: u64) {
        // A search goes on from here, and its matches are numbered anew.
        if let Some(find) = &mut self.find {
            find.forget_number();
        }
        let Some(row) = self.window.get(0) else {
            self.current = None;
            self.told = Some("nothing was logged at that time or later; this is the end".into());
            return;
        };
        self.current = Some(row.place);
        self.reveal = self.current;
        let late = row.at.is_some_and(|at| at > millis + LATE_MILLIS);
        if self.window.at_start && late {
            self.told = Some("nothing that old is kept; this is where the log begins".into());
        }
    }

    fn replace(&mut self, page: &Page) {
        self.window = Window::of(page);
        if self.floor.is_some() {
            // Nothing older is to be seen.
            self.window.at_start = true;
        }
        self.asked = super::Asked::default();
        self.top = Top::default();
    }

    fn grew(&mut self, size: Size) -> Vec<LogEffect> {
        self.trouble = None;
        let first = self.log_size.is_none();
        self.log_size = Some(size);
        if first && let Follow::Off { lines } = &mut self.follow {
            // It was stopped before anything had been counted.
            *lines = size.lines;
        }
        let mut effects: Vec<LogEffect> = self.watch(Some(size.end)).into_iter().collect();
        if !size.grown && !first {
            return effects;
        }
        effects.extend(self.count_growth());
        if self.window.end() != size.end {
            self.window.at_end = false;
        }
        effects.extend(self.more());
        effects
    }

    fn failed(&mut self, ticket: u64, why: String) -> Vec<LogEffect> {
        if ticket == self.tickets.search {
            self.told = Some(why);
            return Vec::new();
        }
        if ticket == self.tickets.page {
            self.asked = super::Asked::default();
            self.trouble = Some(why);
            return Vec::new();
        }
        if ticket != self.tickets.watch {
            return Vec::new();
        }
        // The watch comes back after a pause; what else was missed is asked for with it.
        self.trouble = Some(why);
        let after = self.log_size.map(|size| size.end);
        let mut effects: Vec<LogEffect> = self.watch(after).into_iter().collect();
        if self.window.len() == 0 && self.asked.whole.is_none() {
            effects.extend(self.load(At::End, Direction::Backward, Part::End));
        } else {
            effects.extend(self.more());
        }
        effects
    }

    /// Returns whether an answer would change what is seen; one that only says that nothing was
    /// written does not.
    pub(in crate::tui) fn is_news(&self, msg: &LogMsg) -> bool {
        match msg {
            LogMsg::Size(_, size) => size.grown || self.log_size.is_none_or(|old| old != *size),
            LogMsg::Page(..)
            | LogMsg::Search(..)
            | LogMsg::Count(..)
            | LogMsg::Failed(..)
            | LogMsg::Collected(..)
            | LogMsg::Told(..) => true,
        }
    }
}

impl Question {
    /// Returns whether the answer may take long because it waits for growth.
    pub(super) fn is_watch(&self) -> bool {
        matches!(self, Self::Watch(..))
    }
}
