//! What is told for a moment (toasts), and what stays until it is seen (the alert).

use std::collections::{BTreeMap, VecDeque};

use super::super::effect::Command;
use crate::domain::event::{Event, Level};
use crate::domain::instance::InstanceName;

/// Seconds a notice stays.
const STAY: f64 = 5.0;

/// Bad news stay longer.
const STAY_BAD: f64 = 12.0;

/// More at once would hide the table.
const LIMIT: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Kind {
    Info,
    Good,
    Bad,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Toast {
    pub(in crate::tui) kind: Kind,
    pub(in crate::tui) text: String,
    until: f64,
}

/// A command that was accepted and whose outcome is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Underway {
    pub(in crate::tui) command: Command,
    pub(in crate::tui) since: f64,
}

#[derive(Debug, Default)]
pub(in crate::tui) struct Notices {
    pub(in crate::tui) toasts: VecDeque<Toast>,
    /// The newest warning or error nobody has looked at.
    pub(in crate::tui) alert: Option<Event>,
    pub(in crate::tui) underway: BTreeMap<InstanceName, Underway>,
}

impl Notices {
    pub(in crate::tui) fn tell(&mut self, kind: Kind, text: impl Into<String>, mono: f64) {
        let text = text.into();
        // The same words again only stay longer.
        self.toasts.retain(|toast| toast.text != text);
        let stay = match kind {
            Kind::Info | Kind::Good => STAY,
            Kind::Bad => STAY_BAD,
        };
        self.toasts.push_back(Toast {
            kind,
            text,
            until: mono + stay,
        });
        while self.toasts.len() > LIMIT {
            self.toasts.pop_front();
        }
    }

    /// Forgets what is over.
    pub(in crate::tui) fn forget(&mut self, text: &str) {
        self.toasts.retain(|toast| toast.text != text);
    }

    /// Forgets what was told long enough; returns whether anything went.
    pub(in crate::tui) fn expire(&mut self, mono: f64) -> bool {
        let before = self.toasts.len();
        self.toasts.retain(|toast| toast.until > mono);
        before != self.toasts.len()
    }

    /// Keeps the newest warning or error of these.
    pub(in crate::tui) fn watch(&mut self, events: &[Event]) {
        if let Some(event) = events.iter().rev().find(|event| event.level > Level::Info) {
            self.alert = Some(event.clone());
        }
    }
}
