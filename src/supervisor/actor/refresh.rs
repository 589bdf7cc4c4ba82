//! Looking now instead of when it would be time.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::probing::Knock;
use super::Actor;
use super::message::Looks;
use crate::domain::instance::InstanceName;

/// The probing of one run.
pub(super) struct Probe {
    pub(super) token: CancellationToken,
    pub(super) knock: mpsc::Sender<Knock>,
}

impl Actor {
    /// Asks the probes of these instances, or of all, to look now.
    pub(super) fn knock(&self, names: Option<&[InstanceName]>) -> Looks {
        let wanted = |name: &InstanceName| names.is_none_or(|names| names.contains(name));
        let mut looks = Vec::new();
        for (_, probe) in self.probes.iter().filter(|(name, _)| wanted(name)) {
            let (knock, look) = oneshot::channel();
            // A full queue means that a look is coming anyway.
            if probe.knock.try_send(knock).is_ok() {
                looks.push(look);
            }
        }
        looks
    }
}
