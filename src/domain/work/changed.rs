//! What an order did to one unit, for the database and the status log.

use super::{Chunk, StatusChange, WorkUnit};

/// One unit before and after.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    Created(Box<WorkUnit>),
    Edited {
        before: Box<WorkUnit>,
        after: Box<WorkUnit>,
    },
    Deleted(Box<WorkUnit>),
}

impl Changed {
    pub(super) fn edited(before: WorkUnit, after: WorkUnit) -> Self {
        Self::Edited {
            before: Box::new(before),
            after: Box::new(after),
        }
    }

    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        match self {
            Self::Created(unit) | Self::Deleted(unit) | Self::Edited { after: unit, .. } => {
                &unit.chunk
            }
        }
    }

    /// Returns the line for the status log; `None` when status and phase are what they were.
    #[must_use]
    pub fn status_change(&self, at: f64) -> Option<StatusChange> {
        let place = |unit: &WorkUnit| (unit.status(), unit.phase);
        let (from, to, run) = match self {
            Self::Created(unit) => (None, Some(unit.as_ref()), None),
            Self::Deleted(unit) => (Some(unit.as_ref()), None, None),
            Self::Edited { before, after } => {
                if place(before) == place(after) {
                    return None;
                }
                let run = before.state.run().or(after.state.run());
                (Some(before.as_ref()), Some(after.as_ref()), run.cloned())
            }
        };
        let why = to.and_then(|unit| unit.state.attention());
        Some(StatusChange {
            chunk: self.chunk().clone(),
            at,
            from: from.map(place),
            to: to.map(place),
            reason: why.map(|why| why.summary.clone()),
            run,
        })
    }
}
