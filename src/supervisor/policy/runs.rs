//! How runs begin, or fail to.

use std::time::Duration;

use super::super::decision::{Effect, Moment};
use super::super::state::{Fleet, Instance, Origin, Phase, Then, Up, Waits};
use super::commands::begin_stop;
use super::configs::probed;
use super::event;
use super::retry::back_off;
use crate::domain::autopsy::Autopsy;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health};
use crate::domain::run::{RunId, StopMode};

/// Between looks at a port that a stranger holds, when nobody is waiting for the start.
pub(super) const PORT_RETRY: Duration = Duration::from_secs(5);

/// Our own lack of resources is retried from one second up to this.
const RESOURCE_RETRY_LIMIT: Duration = Duration::from_secs(30);

pub(super) fn adopted(
    fleet: &mut Fleet,
    name: &InstanceName,
    mut up: Up,
    stopping: Option<StopMode>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    up.timer = moment.new_timer();
    // A run whose file is gone has no row yet; what was wanted of it is remembered.
    let wish = fleet.wishes.remove(name);
    let instance = fleet
        .instances
        .entry(name.clone())
        .or_insert_with(|| Instance {
            desired: wish.unwrap_or(Desired::Stopped),
            ..Instance::default()
        });
    let message = format!("adopted pid {}", up.pid);
    effects.push(event(name, Level::Info, EventType::Adopted, message));
    if let Some(mode) = stopping {
        let then = match instance.desired {
            Desired::Running => Then::Launch(Origin::Automatic),
            Desired::Stopped => Then::Stop,
        };
        instance.phase = Phase::Stopping {
            run: up.run.clone(),
            mode,
            then,
            up: Some(up),
        };
        return;
    }
    let run = up.run.clone();
    start_probing(instance, name, &up, effects);
    instance.phase = Phase::Up(up);
    // The stop was intended, but the owner died before it could send it.
    if instance.desired == Desired::Stopped {
        begin_stop(instance, name, &run, StopMode::Gentle, Then::Stop, effects);
    }
}

pub(super) fn launched(
    fleet: &mut Fleet,
    name: &InstanceName,
    mut up: Up,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    up.timer = moment.new_timer();
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    let stop = match &instance.phase {
        Phase::Launching { run, stop, .. } if *run == up.run => *stop,
        Phase::Launching { .. }
        | Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Up(_)
        | Phase::Stopping { .. }
        | Phase::Backoff { .. }
        | Phase::Failed { .. } => return,
    };
    let port = up
        .port
        .map_or(String::new(), |port| format!(" on port {port}"));
    let message = format!("started pid {}{port}", up.pid);
    effects.push(event(name, Level::Info, EventType::Started, message));
    instance.hindrance = None;
    instance.resource_failures = 0;
    effects.push(Effect::StoreRunStarted {
        name: name.clone(),
        run: up.run.clone(),
    });
    let run = up.run.clone();
    if stop.is_none() {
        start_probing(instance, name, &up, effects);
    }
    instance.phase = Phase::Up(up);
    if let Some(mode) = stop {
        begin_stop(instance, name, &run, mode, Then::Stop, effects);
    }
}

pub(super) fn start_probing(
    instance: &mut Instance,
    name: &InstanceName,
    up: &Up,
    effects: &mut Vec<Effect>,
) {
    let Some(spec) = instance.config.spec() else {
        return;
    };
    effects.push(Effect::StartProbing {
        name: name.clone(),
        run: up.run.clone(),
        pid: up.pid,
        port: up.port,
        spec: probed(spec, up),
        health: up.health,
    });
    if let (Some(limit), Health::Unknown | Health::Loading) =
        (spec.healthcheck.start_timeout, up.health)
    {
        effects.push(Effect::SetTimer {
            name: name.clone(),
            timer: up.timer,
            after: limit,
        });
    }
}

/// A launch that made no running process.
pub(super) struct Refused {
    pub(super) run: RunId,
    pub(super) failure: Failure,
    pub(super) message: String,
    pub(super) autopsy: Option<Autopsy>,
}

pub(super) fn launch_failed(
    fleet: &mut Fleet,
    name: &InstanceName,
    refused: Refused,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    let (origin, stop) = match &instance.phase {
        Phase::Launching { run, origin, stop } if *run == refused.run => (*origin, *stop),
        Phase::Launching { .. }
        | Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Up(_)
        | Phase::Stopping { .. }
        | Phase::Backoff { .. }
        | Phase::Failed { .. } => return,
    };
    if stop.is_some() {
        instance.phase = Phase::Stopped;
        return;
    }
    let Refused {
        failure,
        message,
        autopsy,
        ..
    } = refused;
    instance.autopsy = autopsy.map(|autopsy| autopsy.of(name));
    let kind = if failure == Failure::PortInUse {
        EventType::PortTaken
    } else {
        EventType::StartFailed
    };
    let Some(delay) = look_again(instance, origin, failure) else {
        effects.push(event(
            name,
            Level::Error,
            EventType::StartFailed,
            message.clone(),
        ));
        instance.phase = Phase::Failed {
            failure,
            reason: message,
        };
        return;
    };
    // Said once: the looks that follow find the same until it changes.
    if instance.hindrance.as_ref() != Some(&message) {
        effects.push(event(name, Level::Warning, kind, message.clone()));
        instance.hindrance = Some(message.clone());
    }
    let waits = Waits::Delay;
    back_off(instance, name, delay, message, waits, moment, effects);
}

/// Returns when a launch that failed is tried again; `None` when a person has to do something.
fn look_again(instance: &mut Instance, origin: Origin, failure: Failure) -> Option<Duration> {
    match (origin, failure) {
        (Origin::Automatic, Failure::PortInUse | Failure::AddressUnusable | Failure::Busy) => {
            Some(PORT_RETRY)
        }
        (_, Failure::Resources) => {
            instance.resource_failures += 1;
            let doubled = Duration::from_secs(1 << instance.resource_failures.min(5));
            Some((doubled / 2).min(RESOURCE_RETRY_LIMIT))
        }
        (Origin::User, _)
        | (
            Origin::Automatic,
            Failure::InvalidConfig
            | Failure::ExecutableNotFound
            | Failure::Crashed
            | Failure::Other,
        ) => None,
    }
}

pub(super) fn reattached(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    if instance.phase.run() == Some(run) {
        let message = "its shim was gone; a new one took over its logs".to_owned();
        effects.push(event(name, Level::Warning, EventType::Reattached, message));
    }
}
