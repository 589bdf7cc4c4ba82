//! Decides: one closed set of inputs, the fleet's state, and the effects that follow.
//!
//! No I/O, no clock, no chance of its own: the moment and everything random come in as arguments,
//! so every decision can be tested as a row of data.
//!
//! State × input, for one instance (· = nothing changes; stale run ids and timers never match):
//!
//! | state     | start          | stop            | restart         | launched       | launch failed     | exited                   | probed        | timer  |
//! |-----------|----------------|-----------------|-----------------|----------------|-------------------|--------------------------|---------------|--------|
//! | stopped   | → waiting      | no-op           | → waiting       | ·              | ·                 | ·                        | ·             | ·      |
//! | waiting   | no-op          | → stopped       | no-op           | ·              | ·                 | ·                        | ·             | ·      |
//! | launching | no-op          | remembered      | no-op           | → up, or stops | → failed, backoff | ·                        | ·             | ·      |
//! | up        | no-op          | → stopping      | → stopping, then | ·             | ·                 | → backoff, failed        | health        | → stopping (start took too long) |
//! | stopping  | remembered     | may become kill | remembered      | ·              | ·                 | → stopped, or waiting    | ·             | ·      |
//! | backoff   | → waiting      | → stopped       | → waiting       | ·              | ·                 | ·                        | ·             | → waiting |
//! | failed    | → waiting      | → stopped       | → waiting       | ·              | ·                 | ·                        | ·             | ·      |
//!
//! *Waiting* becomes *launching* as soon as fewer than `max_loading` instances are on their way up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Action, Command, Decision, Denied, Effect, Ignored, Input, Moment, Outcome};
use super::state::{Config, Fleet, Instance, Origin, Phase, Then, Up};
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

/// Decides what follows from `input`. The fleet is changed; nothing else happens here.
#[must_use]
pub fn handle(fleet: &mut Fleet, input: Input, moment: &Moment) -> Decision {
    let mut decision = Decision::default();
    match input {
        Input::Command(command) => {
            decision.outcome = Some(command_given(fleet, &command, &mut decision.effects));
        }
        Input::ConfigsLoaded(configs) => configs_loaded(fleet, configs, &mut decision.effects),
        Input::Adopted { name, up, stopping } => {
            adopted(fleet, &name, up, stopping, moment, &mut decision.effects);
        }
        Input::EndedUnwatched {
            name,
            run,
            exit,
            last_words,
        } => {
            if let Some(instance) = fleet.instances.get_mut(&name) {
                ended_unwatched(
                    instance,
                    &name,
                    run,
                    &exit,
                    last_words,
                    moment,
                    &mut decision.effects,
                );
            }
        }
        Input::Autostart { names } => autostart(fleet, &names, &mut decision.effects),
        Input::Launched { name, up } => {
            launched(fleet, &name, up, moment, &mut decision.effects);
        }
        Input::LaunchFailed {
            name,
            run,
            failure,
            message,
        } => {
            launch_failed(
                fleet,
                &name,
                &run,
                failure,
                &message,
                moment,
                &mut decision.effects,
            );
        }
        Input::Reattached { name, run } => reattached(fleet, &name, &run, &mut decision.effects),
        Input::Exited {
            name,
            run,
            exit,
            last_words,
        } => {
            exited(
                fleet,
                &name,
                &run,
                &exit,
                last_words,
                moment,
                &mut decision.effects,
            );
        }
        Input::Probed {
            name,
            run,
            health,
            detail,
        } => {
            probed(
                fleet,
                &name,
                &run,
                health,
                detail,
                moment,
                &mut decision.effects,
            );
        }
        Input::TimerFired { name, timer } => {
            timer_fired(fleet, &name, timer, &mut decision.effects);
        }
    }
    admit(fleet, moment, &mut decision.effects);
    decision
}

fn command_given(fleet: &mut Fleet, command: &Command, effects: &mut Vec<Effect>) -> Outcome {
    let name = &command.name;
    let Some(instance) = fleet.instances.get_mut(name) else {
        return Outcome::Denied(Denied::Unknown {
            name: name.to_string(),
        });
    };
    if let (Action::Start | Action::Restart(_), Config::Broken(reason)) =
        (command.action, &instance.config)
    {
        return Outcome::Denied(Denied::Broken {
            reason: reason.clone(),
        });
    }
    match command.action {
        Action::Start => start(instance, name, effects),
        Action::Stop(mode) => stop(instance, name, mode, effects),
        Action::Restart(mode) => restart(instance, name, mode, effects),
    }
}

fn start(instance: &mut Instance, name: &InstanceName, effects: &mut Vec<Effect>) -> Outcome {
    match &mut instance.phase {
        Phase::Waiting { .. } | Phase::Up(_) => {
            set_desired(instance, name, Desired::Running, effects);
            return Outcome::Ignored(Ignored::AlreadyRunning);
        }
        Phase::Launching { stop, .. } => {
            if stop.take().is_none() {
                return Outcome::Ignored(Ignored::AlreadyRunning);
            }
        }
        Phase::Stopping { then, .. } => *then = Then::Launch(Origin::User),
        Phase::Stopped | Phase::Backoff { .. } | Phase::Failed { .. } => {
            instance.restarts = 0;
            wait_for_turn(instance, name, Origin::User, effects);
        }
    }
    set_desired(instance, name, Desired::Running, effects);
    Outcome::Accepted
}

fn stop(
    instance: &mut Instance,
    name: &InstanceName,
    mode: StopMode,
    effects: &mut Vec<Effect>,
) -> Outcome {
    let was_wanted = instance.desired == Desired::Running;
    match &mut instance.phase {
        Phase::Stopped if !was_wanted => return Outcome::Ignored(Ignored::NotRunning),
        Phase::Stopped => {}
        Phase::Waiting { .. } | Phase::Backoff { .. } | Phase::Failed { .. } => {
            if let Phase::Backoff { timer, .. } = instance.phase {
                effects.push(Effect::CancelTimer {
                    name: name.clone(),
                    timer,
                });
            }
            instance.phase = Phase::Stopped;
            effects.push(event(
                name,
                Level::Info,
                EventType::Stopped,
                "stopped before it ran".into(),
            ));
        }
        Phase::Launching { stop, .. } => *stop = Some(mode),
        Phase::Up(up) => {
            let run = up.run.clone();
            begin_stop(instance, name, &run, mode, Then::Stop, effects);
        }
        Phase::Stopping {
            run,
            mode: present,
            then,
            ..
        } => {
            *then = Then::Stop;
            if mode == StopMode::Kill && *present == StopMode::Gentle {
                *present = mode;
                effects.push(Effect::Stop {
                    name: name.clone(),
                    run: run.clone(),
                    mode,
                });
            }
        }
    }
    instance.restarts = 0;
    set_desired(instance, name, Desired::Stopped, effects);
    Outcome::Accepted
}

fn restart(
    instance: &mut Instance,
    name: &InstanceName,
    mode: StopMode,
    effects: &mut Vec<Effect>,
) -> Outcome {
    match &instance.phase {
        Phase::Up(up) => {
            let run = up.run.clone();
            instance.restarts = 0;
            set_desired(instance, name, Desired::Running, effects);
            begin_stop(
                instance,
                name,
                &run,
                mode,
                Then::Launch(Origin::User),
                effects,
            );
            Outcome::Accepted
        }
        Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Launching { .. }
        | Phase::Stopping { .. }
        | Phase::Backoff { .. }
        | Phase::Failed { .. } => start(instance, name, effects),
    }
}

fn begin_stop(
    instance: &mut Instance,
    name: &InstanceName,
    run: &RunId,
    mode: StopMode,
    then: Then,
    effects: &mut Vec<Effect>,
) {
    let up = match std::mem::replace(&mut instance.phase, Phase::Stopped) {
        Phase::Up(up) => Some(up),
        other => {
            instance.phase = other;
            return;
        }
    };
    instance.phase = Phase::Stopping {
        run: run.clone(),
        mode,
        then,
        up,
    };
    effects.push(Effect::StopProbing { name: name.clone() });
    effects.push(Effect::Stop {
        name: name.clone(),
        run: run.clone(),
        mode,
    });
    effects.push(event(
        name,
        Level::Info,
        EventType::Stopping,
        "stopping".into(),
    ));
}

fn set_desired(
    instance: &mut Instance,
    name: &InstanceName,
    desired: Desired,
    effects: &mut Vec<Effect>,
) {
    if instance.desired != desired {
        instance.desired = desired;
        effects.push(Effect::StoreDesired {
            name: name.clone(),
            desired,
        });
    }
}

fn wait_for_turn(
    instance: &mut Instance,
    name: &InstanceName,
    origin: Origin,
    effects: &mut Vec<Effect>,
) {
    if let Phase::Backoff { timer, .. } = instance.phase {
        effects.push(Effect::CancelTimer {
            name: name.clone(),
            timer,
        });
    }
    instance.phase = Phase::Waiting { origin };
}

/// Launches waiting instances while fewer than the limit are on their way up.
fn admit(fleet: &mut Fleet, moment: &Moment, effects: &mut Vec<Effect>) {
    let mut loading = fleet
        .instances
        .values()
        .filter(|instance| instance.is_loading())
        .count();
    let ports = fleet.ports();
    for (name, instance) in &mut fleet.instances {
        if loading >= fleet.max_loading {
            break;
        }
        let Phase::Waiting { origin } = instance.phase else {
            continue;
        };
        let Config::Ready(spec) = &instance.config else {
            let reason = instance.broken_reason();
            instance.phase = Phase::Failed {
                failure: Failure::InvalidConfig,
                reason,
            };
            continue;
        };
        let run = moment.new_run();
        effects.push(Effect::Launch {
            name: name.clone(),
            run: run.clone(),
            spec: Arc::clone(spec),
            ports: Arc::clone(&ports),
        });
        instance.phase = Phase::Launching {
            run,
            origin,
            stop: None,
        };
        loading += 1;
    }
}

fn configs_loaded(
    fleet: &mut Fleet,
    configs: BTreeMap<InstanceName, Config>,
    effects: &mut Vec<Effect>,
) {
    for (name, instance) in &mut fleet.instances {
        if !configs.contains_key(name) && !matches!(instance.config, Config::Broken(_)) {
            instance.config = Config::Broken("its configuration file is gone".to_owned());
            effects.push(event(
                name,
                Level::Warning,
                EventType::ConfigBroken,
                "the configuration file is gone".into(),
            ));
        }
    }
    // A row without a configuration and without a process would only be a ghost.
    fleet.instances.retain(|name, instance| {
        configs.contains_key(name) || !matches!(instance.phase, Phase::Stopped)
    });
    for (name, config) in configs {
        let instance = fleet.instances.entry(name.clone()).or_default();
        if let (Config::Broken(reason), false) = (&config, instance.config == config) {
            effects.push(event(
                &name,
                Level::Error,
                EventType::ConfigBroken,
                reason.clone(),
            ));
        }
        instance.config = config;
    }
}

fn autostart(fleet: &mut Fleet, names: &[InstanceName], effects: &mut Vec<Effect>) {
    for name in names {
        let Some(instance) = fleet.instances.get_mut(name) else {
            continue;
        };
        if matches!(instance.phase, Phase::Stopped) && matches!(instance.config, Config::Ready(_)) {
            set_desired(instance, name, Desired::Running, effects);
            instance.phase = Phase::Waiting {
                origin: Origin::Automatic,
            };
        }
    }
}

fn adopted(
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
fn ended_unwatched(
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

fn launched(
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

fn start_probing(instance: &mut Instance, name: &InstanceName, up: &Up, effects: &mut Vec<Effect>) {
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

fn launch_failed(
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

fn back_off(
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

fn reattached(fleet: &mut Fleet, name: &InstanceName, run: &RunId, effects: &mut Vec<Effect>) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    if instance.phase.run() == Some(run) {
        let message = "its shim was gone; a new one took over its logs".to_owned();
        effects.push(event(name, Level::Warning, EventType::Reattached, message));
    }
}

fn exited(
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

fn crashed(
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
fn try_again(
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

fn end_text(exit: &RunExit, last_words: Option<String>) -> String {
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

fn probed(
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

fn timer_fired(fleet: &mut Fleet, name: &InstanceName, timer: u64, effects: &mut Vec<Effect>) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    match &instance.phase {
        Phase::Backoff { timer: present, .. } if *present == timer => {
            instance.phase = Phase::Waiting {
                origin: Origin::Automatic,
            };
        }
        Phase::Up(up) if up.timer == timer && !up.was_ready() => {
            let run = up.run.clone();
            let reason = "not ready within healthcheck.start_timeout".to_owned();
            effects.push(event(
                name,
                Level::Error,
                EventType::StartFailed,
                reason.clone(),
            ));
            begin_stop(
                instance,
                name,
                &run,
                StopMode::Gentle,
                Then::Fail { reason },
                effects,
            );
        }
        Phase::Backoff { .. }
        | Phase::Up(_)
        | Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Launching { .. }
        | Phase::Stopping { .. }
        | Phase::Failed { .. } => {}
    }
}

fn event(name: &InstanceName, level: Level, kind: EventType, message: String) -> Effect {
    Effect::Announce {
        name: Some(name.clone()),
        level,
        kind,
        message,
    }
}
