//! What a user asks of an instance.

use super::super::decision::{Action, Command, Denied, Effect, Ignored, Outcome};
use super::super::state::{Fleet, Instance, Origin, Phase, Then};
use super::event;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Desired;
use crate::domain::run::{RunId, StopMode};

pub(super) fn command_given(
    fleet: &mut Fleet,
    command: &Command,
    effects: &mut Vec<Effect>,
) -> Outcome {
    let name = &command.name;
    let Some(instance) = fleet.instances.get_mut(name) else {
        return Outcome::Denied(Denied::Unknown {
            name: name.to_string(),
        });
    };
    if let (Action::Start | Action::Restart(_), Some(reason)) =
        (command.action, instance.config.problem())
    {
        return Outcome::Denied(Denied::Broken { reason });
    }
    match command.action {
        Action::Start => start(instance, name, effects),
        Action::Stop(mode) => stop(instance, name, mode, effects),
        Action::Restart(mode) => restart(instance, name, mode, effects),
    }
}

pub(super) fn start(
    instance: &mut Instance,
    name: &InstanceName,
    effects: &mut Vec<Effect>,
) -> Outcome {
    match &mut instance.phase {
        Phase::Waiting { .. } => {
            set_desired(instance, name, Desired::Running, effects);
            return Outcome::Ignored(Ignored::AlreadyWaiting);
        }
        Phase::Up(up) => {
            let ignored = if up.was_ready() {
                Ignored::AlreadyRunning
            } else {
                Ignored::AlreadyStarting
            };
            set_desired(instance, name, Desired::Running, effects);
            return Outcome::Ignored(ignored);
        }
        Phase::Launching { stop, .. } => {
            if stop.take().is_none() {
                return Outcome::Ignored(Ignored::AlreadyStarting);
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

pub(super) fn stop(
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

pub(super) fn restart(
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

pub(super) fn begin_stop(
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

pub(super) fn set_desired(
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

pub(super) fn wait_for_turn(
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
