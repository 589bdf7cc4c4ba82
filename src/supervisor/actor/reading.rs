//! Reading the configurations again, and what waits for it.

use super::super::configs::{self, Loaded};
use super::super::decision::{Effect, Input};
use super::super::state::Config;
use super::{Actor, Message, Replies, Waiting};
use crate::domain::instance::InstanceName;

impl Actor {
    pub(super) fn read_configs(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
        if !self.reading {
            self.start_reading();
        }
    }

    fn start_reading(&mut self) {
        self.reading = true;
        let then = std::mem::take(&mut self.waiting);
        let home = self.launcher.home.clone();
        let sender = self.sender.clone();
        tokio::task::spawn_blocking(move || {
            let loaded = configs::read(&home);
            sender
                .blocking_send(Message::ConfigsRead { loaded, then })
                .ok(); // the loop has ended
        });
    }

    pub(super) fn configs_read(
        &mut self,
        loaded: Loaded,
        then: Vec<Waiting>,
        effects: &mut Vec<Effect>,
        replies: &mut Replies,
    ) {
        self.reading = false;
        self.fleet.max_loading = loaded.settings.supervisor.max_loading.max(1) as usize;
        self.decide(Input::ConfigsLoaded(loaded.configs), effects);
        for waiting in then {
            match waiting {
                Waiting::Command(command, reply) => {
                    self.command(command, reply, effects, replies);
                }
                Waiting::Autostart(reply) => {
                    let names = self.autostart_names();
                    self.decide(Input::Autostart { names }, effects);
                    replies.push((reply, Ok(None)));
                }
            }
        }
        if !self.waiting.is_empty() {
            self.start_reading();
        }
    }

    fn autostart_names(&self) -> Vec<InstanceName> {
        let wanted = |config: &Config| match config {
            Config::Ready(spec) => spec.autostart,
            Config::Broken(_) => false,
        };
        let instances = self.fleet.instances.iter();
        instances
            .filter(|(_, instance)| wanted(&instance.config))
            .map(|(name, _)| name.clone())
            .collect()
    }
}
