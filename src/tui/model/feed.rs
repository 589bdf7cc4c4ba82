//! The event feed: what happened, newest last, and which of it is shown.

use std::collections::VecDeque;

use super::filter::Filter;
use crate::domain::event::{Event, Level};
use crate::domain::instance::InstanceName;

/// Events kept for looking back.
const LIMIT: usize = 2000;

#[derive(Debug)]
pub(in crate::tui) struct Feed {
    pub(in crate::tui) events: VecDeque<Event>,
    pub(in crate::tui) filter: Filter,
    pub(in crate::tui) level: Level,
    /// Only events of this instance.
    pub(in crate::tui) only: Option<InstanceName>,
    /// How far up the cursor is from the newest shown one.
    pub(in crate::tui) back: usize,
    /// Whether somebody looks back, so that new events do not move the list.
    pub(in crate::tui) unseen: usize,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            events: VecDeque::new(),
            filter: Filter::default(),
            level: Level::Info,
            only: None,
            back: 0,
            unseen: 0,
        }
    }
}

impl Feed {
    /// The id of the newest event, to ask for later ones.
    pub(in crate::tui) fn newest(&self) -> i64 {
        self.events.back().map_or(0, |event| event.id)
    }

    /// Adds newer events; returns those that were new.
    pub(in crate::tui) fn add(&mut self, events: Vec<Event>) -> Vec<Event> {
        let newest = self.newest();
        let fresh: Vec<Event> = events
            .into_iter()
            .filter(|event| event.id > newest)
            .collect();
        for event in &fresh {
            if self.back > 0 && self.shows(event) {
                self.back += 1;
            }
            self.events.push_back(event.clone());
        }
        self.unseen += fresh.len();
        while self.events.len() > LIMIT {
            self.events.pop_front();
        }
        self.keep();
        fresh
    }

    pub(in crate::tui) fn shows(&self, event: &Event) -> bool {
        event.level >= self.level
            && (self.only.is_none() || event.instance == self.only)
            && (self.filter.is_empty()
                || self.filter.matches_text(&format!(
                    "{} {} {} {}",
                    event.level,
                    event.instance.as_ref().map_or("", InstanceName::as_str),
                    event.kind,
                    event.message
                )))
    }

    /// Returns the shown events, newest first.
    pub(in crate::tui) fn shown(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().filter(|event| self.shows(event))
    }

    /// Returns the event the cursor is on.
    pub(in crate::tui) fn selected(&self) -> Option<&Event> {
        self.shown().nth(self.back)
    }

    pub(in crate::tui) fn go(&mut self, step: isize) {
        self.back = self.back.saturating_add_signed(step);
        self.keep();
    }

    /// Keeps the cursor within what is shown.
    pub(in crate::tui) fn keep(&mut self) {
        let count = self.shown().count();
        self.back = self.back.min(count.saturating_sub(1));
    }

    pub(in crate::tui) fn next_level(&mut self) {
        self.level = match self.level {
            Level::Info => Level::Warning,
            Level::Warning => Level::Error,
            Level::Error => Level::Info,
        };
        self.keep();
    }
}
