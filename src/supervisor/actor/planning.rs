//! Comparing the fleet with its files as they are now, changing nothing.

use tokio::sync::oneshot;

use super::super::configs;
use super::super::plan::{self, Plan};
use super::{Actor, Message};

impl Actor {
    pub(super) fn plan(&self, reply: oneshot::Sender<Vec<Plan>>) {
        let home = self.launcher.home.clone();
        let settings = self.settings.clone();
        let sender = self.sender.clone();
        self.config_reader.run(move || {
            let loaded = configs::read(&home, Some(&settings));
            sender
                .blocking_send(Message::ReadForPlan { loaded, reply })
                .ok(); // the loop has ended
        });
    }

    pub(super) fn read_for_plan(
        &self,
        loaded: &configs::Loaded,
        reply: oneshot::Sender<Vec<Plan>>,
    ) {
        let plans = plan::plans(&self.fleet, &loaded.instances);
        reply.send(plans).ok(); // the client may have hung up
    }
}
