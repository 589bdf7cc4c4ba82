//! Everything that reaches the loop.

use tokio::sync::oneshot;

use super::super::claims::Claim;
use super::super::configs::Loaded;
use super::super::decision::{Command, Input};
use super::super::handle::{Answer, CommandError};
use super::super::plan::Plan;
use super::super::state::Up;
use super::super::work::Origin;
use super::look_over::LookedOver;
use super::work::WorkReply;
use super::work_runs::UnitMessage;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::work::Order;
use crate::process::live::LiveRun;

/// Everything that reaches the loop.
pub enum Message {
    Command {
        command: Command,
        reply: oneshot::Sender<Result<Answer, CommandError>>,
    },
    Autostart {
        reply: oneshot::Sender<Result<Answer, CommandError>>,
    },
    /// Reads the configurations again and probes these instances, or all, now.
    Refresh {
        names: Option<Vec<InstanceName>>,
        reply: oneshot::Sender<Looks>,
    },
    /// Compares the fleet with its files as they are now.
    Plan {
        reply: oneshot::Sender<Vec<Plan>>,
    },
    ReadForPlan {
        loaded: Loaded,
        reply: oneshot::Sender<Vec<Plan>>,
    },
    /// Something about the configurations may have changed.
    ConfigsTouched,
    /// It is time to look whether everything is as it is believed to be.
    LookOver,
    LookedOver(Box<LookedOver>),
    /// Answered once everything before it is stored.
    Settle {
        reply: oneshot::Sender<()>,
    },
    ConfigsRead {
        loaded: Loaded,
        then: Vec<Waiting>,
    },
    /// Something is asked of the work units.
    Work {
        order: Order,
        origin: Origin,
        reply: WorkReply,
    },
    /// Something came of the runs of work units.
    Unit(UnitMessage),
    /// Something happened beside the fleet.
    Announce {
        level: Level,
        kind: EventType,
        message: String,
    },
    Input(Input),
    Launched {
        name: InstanceName,
        up: Up,
        live: Box<LiveRun>,
        claim: Option<Claim>,
    },
    /// A watched process ended; the key says whose.
    Ended {
        key: u64,
    },
    Attached {
        name: InstanceName,
        live: Box<LiveRun>,
    },
    AttachFailed {
        name: InstanceName,
        live: Box<LiveRun>,
        why: String,
    },
    /// A run without a shim still has none; `key` says which one was watched meanwhile.
    StillShimless {
        key: u64,
        why: String,
    },
}

/// Looks that are under way; each ends when what it found has been reported.
pub type Looks = Vec<oneshot::Receiver<()>>;

/// A request that waits for the configurations to be read again.
pub enum Waiting {
    Command(Command, oneshot::Sender<Result<Answer, CommandError>>),
    Autostart(oneshot::Sender<Result<Answer, CommandError>>),
    Touched,
    Refresh(Option<Vec<InstanceName>>, oneshot::Sender<Looks>),
}
