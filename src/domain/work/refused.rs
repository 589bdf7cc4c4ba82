//! Why an order was not carried out, and what to do next.

use super::{Chunk, Illegal, UNIT_LIMIT, WorkStatus, chunk};

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no work unit is called {0}")]
    Unknown(Chunk),
    #[error("a work unit called {chunk} exists already: it is {status}")]
    Exists { chunk: Chunk, status: WorkStatus },
    #[error("{chunk} cannot wait for {blocker}: no work unit is called {blocker}")]
    UnknownBlocker { chunk: Chunk, blocker: Chunk },
    /// From a unit by way of those it waits for back to itself.
    #[error("nobody could begin: {}", waits_for(.0))]
    Circular(Vec<Chunk>),
    #[error("{chunk} {why}")]
    Illegal { chunk: Chunk, why: Illegal },
    #[error("{chunk} is not DONE, and others wait for it: {}", chunk::list(.by))]
    WaitedFor { chunk: Chunk, by: Vec<Chunk> },
    #[error("a reason goes with the status NEEDS_ATTENTION only")]
    NeedlessReason,
    #[error("a command is stopped with the status NEEDS_ATTENTION only")]
    NeedlessStop,
    #[error("a home holds at most {UNIT_LIMIT} work units")]
    TooMany,
}

impl Refused {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unknown(_) | Self::NeedlessReason | Self::NeedlessStop => None,
            Self::Exists { .. } => Some("change that one, or delete it first"),
            Self::UnknownBlocker { .. } => Some("create what it waits for first"),
            Self::Circular(_) => Some("take one of these out of the other's blocked_by"),
            Self::Illegal { why, .. } => why.hint(),
            Self::WaitedFor { .. } => Some("finish it, or delete it with force: they wait no more"),
            Self::TooMany => Some("delete units that are DONE"),
        }
    }
}

fn waits_for(path: &[Chunk]) -> String {
    let names: Vec<&str> = path.iter().map(Chunk::as_str).collect();
    names.join(" waits for ")
}
