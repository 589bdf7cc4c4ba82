//! The work units as the dashboard knows them.

use crate::api::wire::{StatusChangeBody, WorkUnitBody, WorkUnitsBody};
use crate::domain::work::{Chunk, WorkStatus};

/// What can be done in the pane of work units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkAction {
    /// Choose what to do with the selected.
    Menu,
    New,
    /// Take it up.
    Claim,
    /// Put it back for anybody, or reopen it.
    Ready,
    Finish,
    /// Ask for a person, with a reason.
    Flag,
    NextPhase,
    Remove,
    History,
    /// What its commands wrote.
    Log,
    HideDone,
}

/// A change that is asked of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum WorkOrder {
    Create(Chunk),
    Move {
        chunk: Chunk,
        status: WorkStatus,
        reason: Option<String>,
    },
    Phase {
        chunk: Chunk,
        phase: String,
    },
    /// Also when others wait for it.
    Remove(Chunk),
}

/// What came back about work units.
#[derive(Clone, Debug)]
pub enum WorkMsg {
    Units(Box<WorkUnitsBody>),
    /// What was done, or why it was not.
    Answered(Result<String, String>),
    History(Chunk, Result<Vec<StatusChangeBody>, String>),
}

/// The pane of work units.
#[derive(Debug, Default)]
pub(in crate::tui) struct Work {
    /// In the order they were created; nothing before the first answer.
    pub(in crate::tui) units: Option<Vec<WorkUnitBody>>,
    /// The selected unit, by name, so that it stays selected when others come and go.
    cursor: Option<String>,
    pub(in crate::tui) hide_done: bool,
}

impl Work {
    /// Takes newer units; the selected one stays selected wherever it is now.
    pub(in crate::tui) fn take(&mut self, body: WorkUnitsBody) {
        let place = self.place();
        self.units = Some(body.units);
        self.stay(place);
    }

    /// Returns the units that are shown.
    pub(in crate::tui) fn shown(&self) -> Vec<&WorkUnitBody> {
        let done = WorkStatus::Done.as_str();
        let units = self.units.iter().flatten();
        units
            .filter(|unit| !self.hide_done || unit.status != done)
            .collect()
    }

    /// Returns the line of the selected unit.
    pub(in crate::tui) fn place(&self) -> usize {
        let shown = self.shown();
        let place = shown
            .iter()
            .position(|unit| Some(&unit.chunk) == self.cursor.as_ref());
        place.unwrap_or(0)
    }

    pub(in crate::tui) fn selected(&self) -> Option<&WorkUnitBody> {
        self.shown().get(self.place()).copied()
    }

    pub(in crate::tui) fn go(&mut self, step: isize) {
        self.go_to(self.place().saturating_add_signed(step));
    }

    pub(in crate::tui) fn toggle_done(&mut self) {
        let place = self.place();
        self.hide_done = !self.hide_done;
        self.stay(place);
    }

    /// Returns how many units have this status.
    pub(in crate::tui) fn count(&self, status: WorkStatus) -> usize {
        let units = self.units.iter().flatten();
        units.filter(|unit| unit.status == status.as_str()).count()
    }

    /// Returns the units that wait for this one.
    pub(in crate::tui) fn waiters(&self, chunk: &str) -> Vec<&str> {
        let units = self.units.iter().flatten();
        units
            .filter(|unit| unit.blocked_by.iter().any(|name| name == chunk))
            .map(|unit| unit.chunk.as_str())
            .collect()
    }

    /// Selects the unit at a line, or the last one.
    pub(in crate::tui) fn go_to(&mut self, place: usize) {
        let shown = self.shown();
        let last = shown.len().saturating_sub(1);
        self.cursor = shown.get(place.min(last)).map(|unit| unit.chunk.clone());
    }

    /// Selects the unit at a line when the selected one is not shown any more.
    fn stay(&mut self, place: usize) {
        let cursor = self.cursor.as_ref();
        if !self.shown().iter().any(|unit| Some(&unit.chunk) == cursor) {
            self.go_to(place);
        }
    }
}
