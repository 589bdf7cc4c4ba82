//! How runs end.

use std::time::Duration;

use super::super::decision::{Effect, Moment};
use super::super::state::{Fleet, Instance, Phase, Then, Up};
use super::event;
use super::retry::try_again;
use crate::domain::autopsy::{Asked, Autopsy, Cause, Readiness, Traces, examine};
use crate::domain::event::{EventType, Level};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure};
use crate::domain::run::{RunId, StopMode};

/// Healthy for this long clears the count of bad runs.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// The end of a run with everything that was collected of it.
pub(super) struct Ended<'a> {
    run: &'a RunId,
    exit: &'a RunExit,
    traces: &'a Traces,
}

impl<'a> Ended<'a> {
    pub(super) fn new(run: &'a RunId, exit: &'a RunExit, traces: &'a Traces) -> Self {
        Self { run, exit, traces }
    }
}

/// A run that ended while nobody owned the home: it is told, then treated like any other end.
pub(super) fn ended_unwatched(
    fleet: &mut Fleet,
    name: &InstanceName,
    ended: &Ended<'_>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    // A stop that nobody wants came from outside, as when the machine is shut down.
    let asked = match (ended.exit.requested, instance.desired) {
        (Some(mode), Desired::Stopped) => Asked::Stop(mode),
        (Some(_), Desired::Running) | (None, _) => Asked::Nothing,
    };
    let autopsy = explained(instance, name, ended, &asked, Readiness::NotSeen, effects);
    let text = in_an_event(ended.exit, &autopsy);
    let message = format!("ended while nobody watched: {text}");
    let is_crash = ended.exit.requested.is_none() && autopsy.cause != Cause::Rebooted;
    let (kind, level) = if is_crash {
        (EventType::Crashed, Level::Warning)
    } else {
        (EventType::Stopped, Level::Info)
    };
    effects.push(event(name, level, kind, message));
    if is_crash && matches!(instance.phase, Phase::Stopped) {
        try_again(instance, name, &autopsy, moment, effects);
    }
}

pub(super) fn exited(
    fleet: &mut Fleet,
    name: &InstanceName,
    ended: &Ended<'_>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    if instance.phase.run() != Some(ended.run) {
        return;
    }
    if ended.exit.dropped_bytes > 0 {
        let message = format!(
            "{} bytes of its log could not be written: the disk was full",
            ended.exit.dropped_bytes
        );
        effects.push(event(name, Level::Warning, EventType::LogDropped, message));
    }
    match std::mem::replace(&mut instance.phase, Phase::Stopped) {
        Phase::Stopping { then, up, mode, .. } => {
            let readiness = readiness(up.as_ref());
            let asked = asked(&then, mode);
            let autopsy = explained(instance, name, ended, &asked, readiness, effects);
            let message = ended.exit.status.map_or_else(
                || "stopped: ended, nobody knows how".to_owned(),
                |status| format!("stopped: {status}"),
            );
            effects.push(event(name, Level::Info, EventType::Stopped, message));
            match then {
                Then::Stop => {}
                Then::Launch(origin) => instance.phase = Phase::Waiting { origin },
                Then::Fail { reason, .. } => {
                    instance.phase = Phase::Failed {
                        failure: Failure::Crashed,
                        reason,
                    };
                }
                Then::TryAgain { .. } => {
                    forgive(instance, up.as_ref(), moment);
                    try_again(instance, name, &autopsy, moment, effects);
                }
            }
        }
        Phase::Up(up) => {
            effects.push(Effect::StopProbing { name: name.clone() });
            effects.push(Effect::CancelTimer {
                name: name.clone(),
                timer: up.timer,
            });
            crashed(instance, name, &up, ended, moment, effects);
        }
        other @ (Phase::Stopped
        | Phase::Waiting { .. }
        | Phase::Launching { .. }
        | Phase::Backoff { .. }
        | Phase::Failed { .. }) => instance.phase = other,
    }
}

fn crashed(
    instance: &mut Instance,
    name: &InstanceName,
    up: &Up,
    ended: &Ended<'_>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let readiness = readiness(Some(up));
    let autopsy = explained(instance, name, ended, &Asked::Nothing, readiness, effects);
    let text = in_an_event(ended.exit, &autopsy);
    // Somebody else stopped the shim (a system shutdown): what is wanted has not changed.
    if ended.exit.requested.is_some() {
        let message = format!("stopped from outside: {text}");
        effects.push(event(name, Level::Warning, EventType::Stopped, message));
        return;
    }
    effects.push(event(name, Level::Error, EventType::Crashed, text));
    forgive(instance, Some(up), moment);
    try_again(instance, name, &autopsy, moment, effects);
}

/// Finds out why a run ended, and has it remembered.
fn explained(
    instance: &mut Instance,
    name: &InstanceName,
    ended: &Ended<'_>,
    asked: &Asked,
    readiness: Readiness,
    effects: &mut Vec<Effect>,
) -> Autopsy {
    let autopsy = examine(ended.exit, ended.traces, asked, readiness).of(name);
    instance.last_exit = ended.exit.status;
    instance.autopsy = Some(autopsy.clone());
    effects.push(Effect::StoreRunEnded {
        name: name.clone(),
        run: ended.run.clone(),
        exit: ended.exit.clone(),
        autopsy: autopsy.clone(),
    });
    let expected = match asked {
        Asked::Stop(_) => true,
        Asked::Because { .. } => false,
        Asked::Nothing => ended.exit.requested.is_some() || autopsy.cause == Cause::Rebooted,
    };
    if !expected {
        effects.push(Effect::KeepBundle {
            name: name.clone(),
            run: ended.run.clone(),
            exit: ended.exit.clone(),
            autopsy: autopsy.clone(),
        });
    }
    autopsy
}

fn asked(then: &Then, mode: StopMode) -> Asked {
    match then {
        Then::Stop | Then::Launch(_) => Asked::Stop(mode),
        Then::Fail { cause, reason } | Then::TryAgain { cause, reason } => Asked::Because {
            cause: *cause,
            reason: reason.clone(),
        },
    }
}

fn readiness(up: Option<&Up>) -> Readiness {
    if up.is_some_and(Up::was_ready) {
        Readiness::WasReady
    } else {
        Readiness::NotSeen
    }
}

/// Names the exit code too, which the explanation of a log line does not.
fn in_an_event(exit: &RunExit, autopsy: &Autopsy) -> String {
    match exit.status {
        Some(status @ ExitStatus::Code(_)) if !autopsy.summary.contains(&status.to_string()) => {
            format!("{status}: {}", autopsy.summary)
        }
        Some(_) | None => autopsy.summary.clone(),
    }
}

fn forgive(instance: &mut Instance, up: Option<&Up>, moment: &Moment) {
    if up.is_some_and(|up| is_forgiven(up, moment)) {
        instance.restarts = 0;
    }
}

/// Returns whether the run has been healthy for so long that earlier bad ones do not count.
pub(super) fn is_forgiven(up: &Up, moment: &Moment) -> bool {
    up.healthy_since
        .is_some_and(|since| moment.elapsed.saturating_sub(since) >= FORGIVEN_AFTER)
}
