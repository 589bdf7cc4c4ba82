//! Looking at one run for as long as it lives: how its server is, and what it uses.
//!
//! Two loops in one task. [`health`] probes at the instance's own cadence and reports what it saw;
//! [`measuring`] puts measurements on the board. Neither decides anything: that is the policy's.

mod family;
mod gauge;
mod health;
mod measuring;
mod target;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::actor::Message;
use super::measure::Board;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::Health;
use crate::domain::run::{ProcessId, RunId};

/// The run that is looked at.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: InstanceName,
    pub(super) run: RunId,
    pub(super) server: ProcessId,
    pub(super) shim: Option<i32>,
    pub(super) port: Option<u16>,
    pub(super) spec: Arc<InstanceSpec>,
    /// What is known of it so far.
    pub(super) health: Health,
    /// Its working directory.
    pub(super) root: PathBuf,
}

/// Asks for a look now; answered when what it found has been reported.
pub(super) type Knock = oneshot::Sender<()>;

/// Whether the server has been ready in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Loading,
    Ready,
}

/// Looks at a run until it is cancelled or the supervisor ends.
pub(super) async fn run(
    subject: Subject,
    board: Board,
    sender: mpsc::Sender<Message>,
    knocks: mpsc::Receiver<Knock>,
) {
    let ready = match subject.health {
        Health::Healthy | Health::Unhealthy | Health::Error => Readiness::Ready,
        Health::Unknown | Health::Loading => Readiness::Loading,
    };
    let (ready, seen) = watch::channel(ready);
    tokio::join!(
        health::run(&subject, &ready, &sender, knocks),
        measuring::run(&subject, &board, seen),
    );
}
