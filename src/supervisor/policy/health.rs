//! What follows from probes and measurements.

use super::super::decision::{Effect, Measured, Moment};
use super::super::state::{Fleet, Phase};
use super::event;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Health;
use crate::domain::readings::HostReadings;
use crate::domain::run::RunId;

/// Measurements are shown and change nothing else.
pub(super) fn measured(fleet: &mut Fleet, runs: Vec<Measured>, host: Option<HostReadings>) {
    if let Some(host) = host {
        fleet.host = host;
    }
    for measured in runs {
        let Some(instance) = fleet.instances.get_mut(&measured.name) else {
            continue;
        };
        if let Phase::Up(up) = &mut instance.phase
            && up.run == measured.run
        {
            up.readings = measured.readings;
            up.progress = measured.progress;
            up.activity = measured.activity;
        }
    }
}

pub(super) fn probed(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    health: Health,
    detail: Option<String>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    let Phase::Up(up) = &mut instance.phase else {
        return;
    };
    if up.run != *run {
        return;
    }
    up.detail = detail;
    if up.health == health {
        return;
    }
    let was = up.health;
    up.health = health;
    match health {
        Health::Healthy => {
            up.healthy_since.get_or_insert(moment.elapsed);
            instance.autopsy = None;
            effects.push(Effect::CancelTimer {
                name: name.clone(),
                timer: up.timer,
            });
        }
        Health::Unhealthy | Health::Error => up.healthy_since = None,
        Health::Unknown | Health::Loading => {}
    }
    let level = match health {
        Health::Unhealthy | Health::Error => Level::Warning,
        Health::Unknown | Health::Loading | Health::Healthy => Level::Info,
    };
    let why = up
        .detail
        .as_ref()
        .map_or(String::new(), |detail| format!(": {detail}"));
    let message = format!("health {health} (was {was}){why}");
    effects.push(event(name, level, EventType::HealthChanged, message));
    effects.push(Effect::StoreHealth {
        name: name.clone(),
        health,
    });
}
