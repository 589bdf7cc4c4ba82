//! Reading the configurations again, and what waits for it.

use tokio::sync::oneshot;

use super::super::Scope;
use super::super::configs::{self, Loaded};
use super::super::decision::{Configs, Effect, Input, Newcomers};
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
        let settings = self.settings.clone();
        let renewed = |waiting: &Waiting| match waiting {
            Waiting::Touched | Waiting::Refresh(..) => true,
            Waiting::Command(..) | Waiting::Autostart(_) => false,
        };
        let watch = self
            .config_watch
            .clone()
            .filter(|_| then.iter().any(renewed));
        let sender = self.sender.clone();
        self.config_reader.run(move || {
            if let Some(watch) = watch {
                watch.follow(&home);
            }
            let loaded = configs::read(&home, Some(&settings));
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
        self.settings = loaded.settings;
        self.api_settings.send_if_modified(|known| {
            let changed = *known != self.settings.api;
            known.clone_from(&self.settings.api);
            changed
        });
        self.units.changed = true;
        self.signature = loaded.signature;
        let configs = Configs {
            instances: loaded.instances,
            problems: loaded.problems,
            newcomers: match self.scope {
                Scope::Fleet => Newcomers::Start,
                Scope::Only(_) => Newcomers::Leave,
            },
        };
        self.decide(Input::ConfigsLoaded(configs), effects);
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
                Waiting::Touched => {}
                Waiting::Refresh(names, reply) => {
                    let mut looks = self.knock(names.as_deref());
                    let (looked, look) = oneshot::channel();
                    self.look_over(Some(looked), effects);
                    looks.push(look);
                    reply.send(looks).ok(); // the client may have hung up
                }
            }
        }
        if !self.waiting.is_empty() {
            self.start_reading();
        }
    }

    fn autostart_names(&self) -> Vec<InstanceName> {
        let wanted = |config: &Config| matches!(config, Config::Ready(spec) if spec.autostart);
        let instances = self.fleet.instances.iter();
        instances
            .filter(|(_, instance)| wanted(&instance.config))
            .map(|(name, _)| name.clone())
            .collect()
    }
}
