//! What a look at the world corrects or tells. Each thing is told once, for as long as it lasts.

use std::collections::BTreeSet;

use super::super::decision::{Effect, Noticed, Place, Survey};
use super::super::state::Fleet;
use super::event;
use crate::domain::event::{EventType, Level};

pub(super) fn surveyed(fleet: &mut Fleet, survey: Survey, effects: &mut Vec<Effect>) {
    let mut present = BTreeSet::new();
    for stranger in survey.strangers {
        let noticed = Noticed::Stranger {
            name: stranger.name.clone(),
            port: stranger.port,
            process: stranger.process,
        };
        let (pid, port) = (stranger.process.pid, stranger.port);
        let executable = &stranger.executable;
        let message = match stranger.place {
            Place::Idle => format!(
                "its port {port} is held by pid {pid} ({executable}); it cannot start until that ends"
            ),
            Place::OfARun => format!(
                "pid {pid} ({executable}), which is not of this run, answers on its port {port}"
            ),
        };
        if !fleet.noticed.contains(&noticed) {
            let name = &stranger.name;
            effects.push(event(name, Level::Warning, EventType::PortTaken, message));
        }
        present.insert(noticed);
    }
    for orphan in survey.orphans {
        let running = |run: &str| {
            let mut instances = fleet.instances.values();
            instances.any(|instance| instance.phase.run().is_some_and(|id| id.as_str() == run))
        };
        // Its run began while we looked.
        if orphan.run_id.as_deref().is_some_and(running) {
            continue;
        }
        let noticed = Noticed::Orphan {
            process: orphan.process,
        };
        if !fleet.noticed.contains(&noticed) {
            let run = orphan
                .run_id
                .as_deref()
                .unwrap_or("of which nothing is known");
            let message = format!(
                "pid {} ({}) of run {run} belongs to nobody and is left alone; \
                 llama-orch orphans shows it",
                orphan.process.pid, orphan.executable
            );
            effects.push(Effect::Announce {
                name: orphan.instance,
                level: Level::Warning,
                kind: EventType::OrphanFound,
                message,
            });
        }
        present.insert(noticed);
    }
    for gone in fleet.noticed.difference(&present) {
        if let Noticed::Orphan { process } = gone {
            effects.push(Effect::Announce {
                name: None,
                level: Level::Info,
                kind: EventType::OrphanStopped,
                message: format!("the orphan pid {} is gone", process.pid),
            });
        }
    }
    fleet.noticed = present;
    if survey.reaped > 0 {
        effects.push(Effect::Announce {
            name: None,
            level: Level::Info,
            kind: EventType::Reconciled,
            message: format!(
                "reaped {} ended processes that a lost shim had left behind",
                survey.reaped
            ),
        });
    }
}
