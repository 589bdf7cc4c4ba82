//! What one work unit may do next: a pure function over its state and what happens to it.
//!
//! | state ↓ / input → | `Claim` | `Begin(run)` | `Ended(run, Succeeded)` | `Ended(run, Failed)` | `Flag` | `Queue`, `Wait` | `Finish` |
//! |---|---|---|---|---|---|---|---|
//! | READY | RUNNING outside | RUNNING run | not its run | not its run | NEEDS_ATTENTION | as it is | DONE |
//! | BLOCKED | *waits for …* | *waits for …* | not its run | not its run | NEEDS_ATTENTION | as it is | *waits for …* |
//! | RUNNING outside | *taken* | *taken* | not its run | not its run | NEEDS_ATTENTION | READY or BLOCKED | DONE |
//! | RUNNING run | *runs here* | *runs here* | next phase, READY or BLOCKED; DONE after COMPLETE | NEEDS_ATTENTION | NEEDS_ATTENTION, the run is stopped | *runs here* | *runs here* |
//! | NEEDS_ATTENTION | RUNNING outside | *needs attention* | not its run | not its run | the new reason | READY or BLOCKED | DONE |
//! | NEEDS_ATTENTION, run ending | *ending* | *ending* | the run has ended | the run has ended | the new reason; killed, if that is asked | *ending* | *ending* |
//! | DONE | *done* | *done* | not its run | not its run | *done* | at GOAL: READY or BLOCKED | as it is |
//!
//! `Ended(run, NotBegun)` is a turn given back: as `Failed`, but RUNNING run becomes READY or
//! BLOCKED again. Words in italics are refusals. Three rules hold in every row:
//!
//! - READY means that every blocker is DONE, BLOCKED that one is not. `Queue` asks for READY and
//!   `Wait` for BLOCKED; asking for the one that is not true is refused with the reason. Between
//!   the two a unit changes by itself, see `set`.
//! - `Claim` needs every blocker DONE too, in whatever state the unit is. It is refused while
//!   somebody works on the unit, so that of two who claim it only one gets it.
//! - `Queue` and `Wait` are the only way out of DONE: they reopen the unit at the phase GOAL.
//!   DONE by a person sets the phase to COMPLETE, so that no unit is DONE half-way.

use super::{Attention, Chunk, Phase, State, WorkStatus, Worker, chunk};
use crate::domain::run::{RunId, StopMode};

/// What happens to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// An agent or a person takes the unit up.
    Claim,
    /// The owner is about to run the command of the present phase.
    Begin(RunId),
    /// The owner's run of the present phase has ended.
    Ended(RunId, PhaseEnd),
    /// A person has to look at it; what the owner runs for it is stopped in this way.
    Flag(Attention, StopMode),
    /// It may be taken up by anybody.
    Queue,
    /// It waits for another unit.
    Wait,
    Finish,
}

/// How the run of a phase ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// With exit code 0.
    Succeeded,
    /// In any other way.
    Failed(Attention),
    /// It never began: whose turn it is, is decided anew.
    NotBegun,
}

/// Where a request leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub state: State,
    pub phase: Phase,
    pub stop: Option<RunStop>,
}

/// A run that has to be stopped now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStop {
    pub run: RunId,
    pub mode: StopMode,
}

/// Why a unit cannot do what is asked of it; stands after its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    #[error("waits for {}", chunk::list(.0))]
    Waits(Vec<Chunk>),
    #[error("is not BLOCKED by anything: every unit it waits for is DONE")]
    NothingOpen,
    #[error("is RUNNING already: somebody else works on it")]
    Taken,
    #[error("is RUNNING: the owner runs its command (run {0})")]
    RunsHere(RunId),
    #[error("is being stopped: its command (run {0}) has not ended yet")]
    Ending(RunId),
    #[error("needs attention first")]
    NeedsAttention,
    #[error("is DONE")]
    Done,
    #[error("cannot be DONE in phase {0}: DONE means that COMPLETE is over")]
    HalfDone(Phase),
    #[error("is not in run {0}")]
    NotItsRun(RunId),
}

impl Illegal {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Waits(_) => Some("finish what it waits for, or take that out of its blocked_by"),
            Self::NothingOpen => Some("name what it waits for in blocked_by"),
            Self::Taken => Some("set it to READY first, if nobody does"),
            Self::RunsHere(_) => Some("wait for its end, or stop it: set it to NEEDS_ATTENTION"),
            Self::Ending(_) => Some("try again when it has ended"),
            Self::NeedsAttention => Some("set it to READY"),
            Self::Done => Some("reopen it: set it to READY"),
            Self::HalfDone(_) => Some("leave the phase out"),
            Self::NotItsRun(_) => None,
        }
    }
}

impl Request {
    /// Returns what a client asks for that wants this status.
    #[must_use]
    pub fn of(status: WorkStatus, why: Attention, stop: StopMode) -> Self {
        match status {
            WorkStatus::Ready => Self::Queue,
            WorkStatus::Running => Self::Claim,
            WorkStatus::Blocked => Self::Wait,
            WorkStatus::NeedsAttention => Self::Flag(why, stop),
            WorkStatus::Done => Self::Finish,
        }
    }
}

/// Returns READY, or BLOCKED while something is open.
pub(super) fn waiting_state(open: &[Chunk]) -> State {
    if open.is_empty() {
        State::Ready
    } else {
        State::Blocked
    }
}

/// Decides where a request leads; `open` are the blockers that are not DONE.
pub(super) fn step(
    state: &State,
    phase: Phase,
    open: &[Chunk],
    request: Request,
) -> Result<Step, Illegal> {
    let to = |state| {
        Ok(Step {
            state,
            phase,
            stop: None,
        })
    };
    match request {
        Request::Claim => {
            may_begin(state)?;
            if !open.is_empty() {
                return Err(Illegal::Waits(open.to_vec()));
            }
            to(State::Running(Worker::Outside))
        }
        Request::Begin(run) => {
            may_begin(state)?;
            if let State::NeedsAttention { .. } = state {
                return Err(Illegal::NeedsAttention);
            }
            if !open.is_empty() {
                return Err(Illegal::Waits(open.to_vec()));
            }
            to(State::Running(Worker::Run(run)))
        }
        Request::Ended(run, end) => ended(state, phase, open, run, end),
        Request::Flag(why, mode) => flag(state, phase, why, mode),
        Request::Queue => {
            if !open.is_empty() {
                return Err(Illegal::Waits(open.to_vec()));
            }
            put_back(state, phase, State::Ready)
        }
        Request::Wait => {
            if open.is_empty() {
                return Err(Illegal::NothingOpen);
            }
            put_back(state, phase, State::Blocked)
        }
        Request::Finish => {
            match state {
                State::Blocked => return Err(Illegal::Waits(open.to_vec())),
                State::Ready | State::Done | State::Running(_) | State::NeedsAttention { .. } => {
                    may_leave(state)?;
                }
            }
            Ok(Step {
                state: State::Done,
                phase: Phase::Complete,
                stop: None,
            })
        }
    }
}

/// Refuses while somebody works on it, and for ever when it is DONE.
fn may_begin(state: &State) -> Result<(), Illegal> {
    may_leave(state)?;
    match state {
        State::Running(_) => Err(Illegal::Taken),
        State::Done => Err(Illegal::Done),
        State::Ready | State::Blocked | State::NeedsAttention { .. } => Ok(()),
    }
}

/// Refuses while a process of ours works on it.
pub(super) fn may_leave(state: &State) -> Result<(), Illegal> {
    match state {
        State::Running(Worker::Run(run)) => Err(Illegal::RunsHere(run.clone())),
        State::NeedsAttention {
            ending: Some(run), ..
        } => Err(Illegal::Ending(run.clone())),
        State::Ready
        | State::Blocked
        | State::Running(Worker::Outside)
        | State::NeedsAttention { ending: None, .. }
        | State::Done => Ok(()),
    }
}

fn put_back(state: &State, phase: Phase, waiting: State) -> Result<Step, Illegal> {
    may_leave(state)?;
    let phase = match state {
        State::Done => Phase::Goal,
        State::Ready | State::Blocked | State::Running(_) | State::NeedsAttention { .. } => phase,
    };
    Ok(Step {
        state: waiting,
        phase,
        stop: None,
    })
}

fn flag(state: &State, phase: Phase, why: Attention, mode: StopMode) -> Result<Step, Illegal> {
    let (ending, stop) = match (state, mode) {
        (State::Running(Worker::Run(run)), _) => (Some(run), Some(run)),
        // Who is being asked to end can still be killed.
        (State::NeedsAttention { ending, .. }, StopMode::Kill) => {
            (ending.as_ref(), ending.as_ref())
        }
        (State::NeedsAttention { ending, .. }, StopMode::Gentle) => (ending.as_ref(), None),
        (State::Ready | State::Blocked | State::Running(Worker::Outside), _) => (None, None),
        (State::Done, _) => return Err(Illegal::Done),
    };
    Ok(Step {
        state: State::NeedsAttention {
            why,
            ending: ending.cloned(),
        },
        phase,
        stop: stop.map(|run| RunStop {
            run: run.clone(),
            mode,
        }),
    })
}

fn ended(
    state: &State,
    phase: Phase,
    open: &[Chunk],
    run: RunId,
    end: PhaseEnd,
) -> Result<Step, Illegal> {
    let (state, phase) = match state {
        State::Running(Worker::Run(present)) if *present == run => match end {
            PhaseEnd::Succeeded => match phase.next() {
                Some(next) => (waiting_state(open), next),
                None => (State::Done, phase),
            },
            PhaseEnd::Failed(why) => (State::NeedsAttention { why, ending: None }, phase),
            PhaseEnd::NotBegun => (waiting_state(open), phase),
        },
        // Who asked for attention gets it, however the command ended.
        State::NeedsAttention {
            why,
            ending: Some(present),
        } if *present == run => {
            let why = why.clone();
            (State::NeedsAttention { why, ending: None }, phase)
        }
        State::Ready
        | State::Blocked
        | State::Running(_)
        | State::NeedsAttention { .. }
        | State::Done => return Err(Illegal::NotItsRun(run)),
    };
    Ok(Step {
        state,
        phase,
        stop: None,
    })
}
