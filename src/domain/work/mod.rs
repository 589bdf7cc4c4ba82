//! Work units: tracked pieces of agent work, beside the fleet.
//!
//! A unit goes through the phases GOAL, PLAN, IMPLEMENT and COMPLETE; its status says who has to
//! act. Agents and people move a unit through the API; a phase that carries a command may be run
//! by the owner instead. `transition` holds what one unit may do, `set` what units mean to each
//! other: who waits for whom.

mod attention;
mod changed;
mod chunk;
mod command;
mod ending;
mod limit;
mod refused;
mod set;
#[cfg(test)]
mod tests;
mod transition;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use self::attention::Attention;
pub use self::changed::Changed;
pub use self::chunk::{Chunk, InvalidChunk};
pub use self::command::{InvalidCommand, PhaseCommand};
pub use self::ending::judge;
pub use self::limit::{InvalidLimit, LimitOf, TimeLimit, overdue};
pub use self::refused::Refused;
pub use self::set::{Applied, Draft, Edit, Loaded, Order, UNIT_LIMIT, Waiters, WorkSet};
pub use self::transition::{Illegal, PhaseEnd, Request, RunStop, Step};
use super::instance::InstanceName;
use super::run::RunId;
use super::words::words;

/// How far a unit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Goal,
    Plan,
    Implement,
    Complete,
}

/// Who has to act on a unit; the word of its [`State`].
// A new status also needs a colour in the dashboard's pane and a column of `transition`'s table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkStatus {
    /// Anybody may take it up.
    Ready,
    /// Somebody, or the owner, works on it.
    Running,
    /// Another unit has to be DONE first.
    Blocked,
    /// A person has to look at it.
    NeedsAttention,
    Done,
}

/// A tracked piece of agent work.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkUnit {
    pub chunk: Chunk,
    pub phase: Phase,
    pub state: State,
    /// The units that must be DONE before this one is READY.
    pub blocked_by: BTreeSet<Chunk>,
    /// Where its work happens; absolute.
    pub worktree: Option<PathBuf>,
    /// The instance its commands talk to.
    pub instance: Option<InstanceName>,
    /// What the owner may run, phase by phase.
    pub commands: BTreeMap<Phase, PhaseCommand>,
    /// How long each of them may run; what the home says when absent.
    pub time_limit: Option<TimeLimit>,
    /// Unix seconds, as all times here.
    pub created_at: f64,
    pub updated_at: f64,
    /// When status or phase changed last.
    pub since: f64,
}

/// The status of a unit with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    Blocked,
    Running(Worker),
    NeedsAttention {
        why: Attention,
        /// A run of the owner's that was told to stop and whose end is not on record yet.
        ending: Option<RunId>,
    },
    Done,
}

/// Who works on a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worker {
    /// An agent or a person, who says how it goes.
    Outside,
    /// The owner runs the command of the present phase.
    Run(RunId),
}

/// One line of the status log.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusChange {
    pub chunk: Chunk,
    /// Unix seconds.
    pub at: f64,
    /// Absent when the unit was created.
    pub from: Option<(WorkStatus, Phase)>,
    /// Absent when the unit was deleted.
    pub to: Option<(WorkStatus, Phase)>,
    /// Why it needs attention, in one line.
    pub reason: Option<String>,
    /// The run of the owner's that this is about.
    pub run: Option<RunId>,
}

/// How many units there are of each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkCounts {
    pub ready: usize,
    pub running: usize,
    pub blocked: usize,
    pub needs_attention: usize,
    pub done: usize,
}

/// All units at one moment, in the order they were created; a higher generation is newer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkSnapshot {
    pub generation: u64,
    pub units: Vec<WorkUnit>,
    /// What READY units with a command wait for before the owner runs it.
    pub waits: BTreeMap<Chunk, String>,
    /// Commands that the owner runs at once, at most; 0 when it runs none.
    pub max_parallel: u32,
}

impl Phase {
    /// Every phase with its word, in order.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Goal, "GOAL"),
        (Self::Plan, "PLAN"),
        (Self::Implement, "IMPLEMENT"),
        (Self::Complete, "COMPLETE"),
    ];

    /// Returns the phase after this one; `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Goal => Some(Self::Plan),
            Self::Plan => Some(Self::Implement),
            Self::Implement => Some(Self::Complete),
            Self::Complete => None,
        }
    }
}

impl WorkStatus {
    /// Every status with its word.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Ready, "READY"),
        (Self::Running, "RUNNING"),
        (Self::Blocked, "BLOCKED"),
        (Self::NeedsAttention, "NEEDS_ATTENTION"),
        (Self::Done, "DONE"),
    ];
}

words!(Phase);
words!(WorkStatus);

impl State {
    #[must_use]
    pub fn status(&self) -> WorkStatus {
        match self {
            Self::Ready => WorkStatus::Ready,
            Self::Blocked => WorkStatus::Blocked,
            Self::Running(_) => WorkStatus::Running,
            Self::NeedsAttention { .. } => WorkStatus::NeedsAttention,
            Self::Done => WorkStatus::Done,
        }
    }

    /// Returns the owner's run whose process may still be alive.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::Running(Worker::Run(run)) => Some(run),
            Self::NeedsAttention { ending, .. } => ending.as_ref(),
            Self::Ready | Self::Blocked | Self::Running(Worker::Outside) | Self::Done => None,
        }
    }

    /// Returns why a person has to look at it.
    #[must_use]
    pub fn attention(&self) -> Option<&Attention> {
        match self {
            Self::NeedsAttention { why, .. } => Some(why),
            Self::Ready | Self::Blocked | Self::Running(_) | Self::Done => None,
        }
    }
}

impl WorkUnit {
    #[must_use]
    pub fn status(&self) -> WorkStatus {
        self.state.status()
    }

    /// Returns the command the owner may run now: that of a READY unit's present phase.
    #[must_use]
    pub fn due_command(&self) -> Option<&PhaseCommand> {
        match self.state {
            State::Ready => self.commands.get(&self.phase),
            State::Blocked | State::Running(_) | State::NeedsAttention { .. } | State::Done => None,
        }
    }
}

impl WorkCounts {
    #[must_use]
    pub fn of<'a>(units: impl IntoIterator<Item = &'a WorkUnit>) -> Self {
        let mut counts = Self::default();
        for unit in units {
            match unit.status() {
                WorkStatus::Ready => counts.ready += 1,
                WorkStatus::Running => counts.running += 1,
                WorkStatus::Blocked => counts.blocked += 1,
                WorkStatus::NeedsAttention => counts.needs_attention += 1,
                WorkStatus::Done => counts.done += 1,
            }
        }
        counts
    }

    /// Returns how many have this status.
    #[must_use]
    pub fn with(&self, status: WorkStatus) -> usize {
        match status {
            WorkStatus::Ready => self.ready,
            WorkStatus::Running => self.running,
            WorkStatus::Blocked => self.blocked,
            WorkStatus::NeedsAttention => self.needs_attention,
            WorkStatus::Done => self.done,
        }
    }
}
