//! How runs begin and end, and what follows.

use std::sync::Arc;
use std::time::Duration;

use super::super::decision::{Effect, Moment};
use super::super::state::{Config, Fleet, Instance, Origin, Phase, Then, Up};
use super::commands::begin_stop;
use super::event;
use crate::domain::event::{EventType, Level};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health};
use crate::domain::restart::next_delay;
use crate::domain::run::{RunId, StopMode};

/// Healthy for this long clears the count of bad runs.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// Between looks at a port that a stranger holds, when nobody is waiting for the start.
const PORT_RETRY: Duration = Duration::from_secs(5);

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
    let instance = fleet.instances.entry(name.clone()).or_default();
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

/// A run that ended while nobody owned the home: it is told, then treated like any other end.
pub(super) fn ended_unwatched(
    instance: &mut Instance,
    name: &InstanceName,
    run: RunId,
    exit: &RunExit,
    last_words: Option<String>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    instance.last_exit = exit.status;
    effects.push(Effect::StoreRunEnded {
        name: name.clone(),
        run,
        exit: exit.clone(),
    });
    let text = end_text(exit, last_words);
    let message = format!("ended while nobody watched: {text}");
    let kind = if exit.requested {
        EventType::Stopped
    } else {
        EventType::Crashed
    };
    let level = if exit.requested {
        Level::Info
    } else {
        Level::Warning
    };
    effects.push(event(name, level, kind, message));
    if !exit.requested && matches!(instance.phase, Phase::Stopped) {
        try_again(instance, name, text, moment, effects);
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
    let Config::Ready(spec) = &instance.config else {
        return;
    };
    effects.push(Effect::StartProbing {
        name: name.clone(),
        run: up.run.clone(),
        port: up.port,
        spec: Arc::clone(spec),
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

pub(super) fn launch_failed(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    failure: Failure,
    message: &str,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    let (origin, stop) = match &instance.phase {
        Phase::Launching {
            run: present,
            origin,
            stop,
        } if present == run => (*origin, *stop),
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
    let retry = match (origin, failure) {
        (Origin::Automatic, Failure::PortInUse | Failure::Busy) => Some(PORT_RETRY),
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
    };
    match retry {
        Some(delay) => {
            let kind = if failure == Failure::PortInUse {
                EventType::PortTaken
            } else {
                EventType::StartFailed
            };
            effects.push(event(name, Level::Warning, kind, message.to_owned()));
            back_off(instance, name, delay, message.to_owned(), moment, effects);
        }
        None => {
            effects.push(event(
                name,
                Level::Error,
                EventType::StartFailed,
                message.to_owned(),
            ));
            instance.phase = Phase::Failed {
                failure,
                reason: message.to_owned(),
            };
        }
    }
}

pub(super) fn back_off(
    instance: &mut Instance,
    name: &InstanceName,
    delay: Duration,
    reason: String,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let timer = moment.new_timer();
    let until = moment.wall + delay.as_secs_f64();
    instance.phase = Phase::Backoff {
        timer,
        until,
        reason,
    };
    effects.push(Effect::SetTimer {
        name: name.clone(),
        timer,
        after: delay,
    });
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

pub(super) fn exited(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    exit: &RunExit,
    last_words: Option<String>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    if instance.phase.run() != Some(run) {
        return;
    }
    instance.last_exit = exit.status;
    let ended = Effect::StoreRunEnded {
        name: name.clone(),
        run: run.clone(),
        exit: exit.clone(),
    };
    match std::mem::replace(&mut instance.phase, Phase::Stopped) {
        Phase::Stopping { then, .. } => {
            effects.push(ended);
            let message = format!("stopped: {}", end_text(exit, None));
            effects.push(event(name, Level::Info, EventType::Stopped, message));
            match then {
                Then::Stop => {}
                Then::Launch(origin) => instance.phase = Phase::Waiting { origin },
                Then::Fail { reason } => {
                    instance.phase = Phase::Failed {
                        failure: Failure::Other,
                        reason,
                    };
                }
            }
        }
        Phase::Up(up) => {
            effects.push(Effect::StopProbing { name: name.clone() });
            effects.push(Effect::CancelTimer {
                name: name.clone(),
                timer: up.timer,
            });
            effects.push(ended);
            crashed(instance, name, &up, exit, last_words, moment, effects);
        }
        Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Launching { .. }
        | Phase::Backoff { .. }
        | Phase::Failed { .. } => {}
    }
}

pub(super) fn crashed(
    instance: &mut Instance,
    name: &InstanceName,
    up: &Up,
    exit: &RunExit,
    last_words: Option<String>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let text = end_text(exit, last_words);
    // Somebody else stopped the shim (a system shutdown): what is wanted has not changed.
    if exit.requested {
        effects.push(event(
            name,
            Level::Warning,
            EventType::Stopped,
            format!("stopped from outside: {text}"),
        ));
        return;
    }
    effects.push(event(name, Level::Error, EventType::Crashed, text.clone()));
    if up
        .healthy_since
        .is_some_and(|since| moment.elapsed.saturating_sub(since) >= FORGIVEN_AFTER)
    {
        instance.restarts = 0;
    }
    try_again(instance, name, text, moment, effects);
}

/// Decides after a crash: another try after a delay, or giving up.
pub(super) fn try_again(
    instance: &mut Instance,
    name: &InstanceName,
    text: String,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Config::Ready(spec) = &instance.config else {
        instance.phase = Phase::Failed {
            failure: Failure::Crashed,
            reason: text,
        };
        return;
    };
    let policy = spec.restart_policy;
    if instance.desired == Desired::Stopped {
        return;
    }
    if !policy.enabled || policy.max_retries == 0 {
        instance.phase = Phase::Failed {
            failure: Failure::Crashed,
            reason: text,
        };
        return;
    }
    if instance.restarts >= policy.max_retries {
        let reason = format!("gave up after {} restarts: {text}", instance.restarts);
        effects.push(event(name, Level::Error, EventType::GaveUp, reason.clone()));
        instance.phase = Phase::Failed {
            failure: Failure::Crashed,
            reason,
        };
        return;
    }
    instance.restarts += 1;
    let delay = next_delay(policy, instance.restarts, moment.chance());
    let message = format!(
        "restart {} of {} in {:.1} s",
        instance.restarts,
        policy.max_retries,
        delay.as_secs_f64()
    );
    effects.push(event(
        name,
        Level::Info,
        EventType::RestartScheduled,
        message,
    ));
    back_off(instance, name, delay, text, moment, effects);
}

pub(super) fn end_text(exit: &RunExit, last_words: Option<String>) -> String {
    let end = exit.status.map_or_else(
        || "ended, nobody knows how".to_owned(),
        |status| status.to_string(),
    );
    match (exit.status, last_words) {
        // A signal came from outside; what was logged before it explains nothing.
        (Some(ExitStatus::Signal(_)), _) | (_, None) => end,
        (Some(ExitStatus::Code(_)) | None, Some(words)) => format!("{end}: {words}"),
    }
}
