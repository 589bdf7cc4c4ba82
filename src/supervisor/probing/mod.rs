//! Looking at one run for as long as it lives: how its server is, and what it uses.
//!
//! Two loops in one task. [`health`] probes at the instance's own cadence and reports what it saw;
//! [`measuring`] puts measurements on the board. Neither decides anything: that is the policy's.

mod family;
mod gauge;
mod health;
mod measuring;
mod once;
mod pace;
mod progress;
mod target;
#[cfg(test)]
mod tests;
mod wedge;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

pub use once::probe_once;
pub use target::Endpoint;

use super::actor::Message;
use super::measure::Board;
use super::record::HealthLog;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::Health;
use crate::domain::run::RunId;
use crate::process::listeners::Tree;

/// The run that is looked at.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: InstanceName,
    pub(super) run: RunId,
    pub(super) tree: Tree,
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

/// How far the probing has come; measuring goes along with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pulse {
    readiness: Readiness,
    /// Looks so far.
    probes: u64,
}

/// Looks at a run until it is cancelled or the supervisor ends.
pub(super) async fn run(
    subject: Subject,
    board: Board,
    log: HealthLog,
    sender: mpsc::Sender<Message>,
    knocks: mpsc::Receiver<Knock>,
) {
    let readiness = match subject.health {
        Health::Healthy | Health::Unhealthy | Health::Error => Readiness::Ready,
        Health::Unknown | Health::Loading => Readiness::Loading,
    };
    let probes = 0;
    let (pulse, seen) = watch::channel(Pulse { readiness, probes });
    let reports = health::Reports {
        pulse: &pulse,
        log: &log,
        sender: &sender,
    };
    tokio::join!(
        health::run(&subject, &reports, knocks),
        measuring::run(&subject, &board, seen, &sender),
    );
}
