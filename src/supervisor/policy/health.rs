//! What follows from probes, from the watchdog and from measurements.
//!
//! | what was seen | before the first healthy answer | after it |
//! |---------------|---------------------------------|----------|
//! | healthy | healthy; its place among the loading is free | healthy; failures are forgotten |
//! | loading (503) | loading | loading; never a failure |
//! | a wrong answer | error | error; a failure |
//! | nobody answers, or a stranger does | unknown: it is only starting | unhealthy; a failure |
//! | no progress for `start_period` | ended, tried again | · |
//! | wedged: work, but nothing moves | unhealthy; ended, tried again | the same |
//!
//! `retries` failures in a row end the run, which then counts as a bad one. A run that was taken
//! over is believed to be as it was stored until a probe succeeds or `retries` of them have failed.

use std::time::Duration;

use super::super::decision::{Effect, Measured, Moment, Sight};
use super::super::state::{Config, Fleet, Instance, Liveness, Phase, Standing, Then, Up};
use super::commands::begin_stop;
use super::ends::is_forgiven;
use super::event;
use crate::domain::autopsy::Cause;
use crate::domain::event::{EventType, Level};
use crate::domain::fleet::WEDGED;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health};
use crate::domain::readings::HostReadings;
use crate::domain::run::{RunId, StopMode};

/// What a look means for the row.
struct Shown {
    health: Health,
    detail: Option<String>,
    /// How long the answer took.
    took: Option<Duration>,
}

/// Measurements are shown and change nothing else.
pub(super) fn measured(fleet: &mut Fleet, runs: Vec<Measured>, host: Option<HostReadings>) {
    if let Some(host) = host {
        fleet.host = host;
    }
    for measured in runs {
        let Some(instance) = with_run(fleet, &measured.name, &measured.run) else {
            continue;
        };
        if let Phase::Up(up) = &mut instance.phase {
            up.readings = measured.readings;
            // It may have become ready since it was measured.
            if !up.was_ready() {
                up.progress = measured.progress;
                up.activity = measured.activity;
            }
        }
    }
}

/// A probe saw something new, or a failure.
pub(super) fn probed(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    sight: &Sight,
    took: Option<Duration>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = with_run(fleet, name, run) else {
        return;
    };
    let retries = retries(&instance.config);
    let Phase::Up(up) = &mut instance.phase else {
        return;
    };
    let shown = match up.liveness.count(sight, retries) {
        Belief::Kept => Shown {
            health: up.health,
            detail: up.detail.clone(),
            took,
        },
        Belief::Revised => shown(up, sight, took),
    };
    let failures = up.liveness.failures;
    let last = shown.detail.clone().unwrap_or_default();
    show(instance, name, shown, moment, effects);
    if failures >= retries {
        let reason = format!("{failures} probes failed in a row: {last}");
        end(instance, name, run, reason, effects);
    }
}

/// The watchdog found that the server has work and does none, or that it moves again.
pub(super) fn wedged(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    evidence: Option<String>,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = with_run(fleet, name, run) else {
        return;
    };
    let Phase::Up(up) = &mut instance.phase else {
        return;
    };
    if up.liveness.wedge == evidence {
        return;
    }
    up.liveness.wedge = evidence;
    let sight = Sight::Healthy;
    let shown = shown(up, &sight, None);
    let reason = shown.detail.clone();
    show(instance, name, shown, moment, effects);
    if let Some(reason) = reason {
        end(instance, name, run, reason, effects);
    }
}

/// A server that loads made no progress for longer than it may.
pub(super) fn stalled(
    fleet: &mut Fleet,
    name: &InstanceName,
    run: &RunId,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = with_run(fleet, name, run) else {
        return;
    };
    if !matches!(&instance.phase, Phase::Up(up) if !up.was_ready()) {
        return;
    }
    let kind = EventType::StartFailed;
    effects.push(event(name, Level::Error, kind, reason.clone()));
    let cause = Cause::StartTimedOut;
    let then = Then::TryAgain { cause, reason };
    begin_stop(instance, name, run, StopMode::Gentle, then, effects);
}

/// Whether what is known of a run changes by a look.
enum Belief {
    Kept,
    Revised,
}

impl Liveness {
    fn count(&mut self, sight: &Sight, retries: u32) -> Belief {
        if !sight.is_failure() {
            self.failures = 0;
            self.standing = Standing::Seen;
            self.proven |= matches!(sight, Sight::Healthy);
            return Belief::Revised;
        }
        if !self.proven {
            return Belief::Revised;
        }
        self.failures += 1;
        match self.standing {
            Standing::Seen => Belief::Revised,
            Standing::Assumed if self.failures < retries => Belief::Kept,
            Standing::Assumed => {
                // From here on it counts like any other.
                self.failures = 0;
                self.standing = Standing::Seen;
                Belief::Revised
            }
        }
    }
}

fn shown(up: &Up, sight: &Sight, took: Option<Duration>) -> Shown {
    let (health, detail) = match (sight, &up.liveness.wedge) {
        (Sight::Healthy, None) => (Health::Healthy, None),
        (Sight::Healthy | Sight::Loading(_), Some(evidence)) => {
            (Health::Unhealthy, Some(format!("{WEDGED}: {evidence}")))
        }
        (Sight::Loading(what), None) => (Health::Loading, what.clone()),
        (Sight::Wrong(answer), _) => (Health::Error, Some(answer.clone())),
        (Sight::Unreachable(_), _) if !up.liveness.proven => (Health::Unknown, None),
        (Sight::Stranger(who), _) if !up.liveness.proven => (Health::Unknown, Some(who.clone())),
        (Sight::Unreachable(why), _) => (Health::Unhealthy, Some(format!("unreachable: {why}"))),
        (Sight::Stranger(who), _) => (Health::Unhealthy, Some(who.clone())),
    };
    Shown {
        health,
        detail,
        took,
    }
}

fn show(
    instance: &mut Instance,
    name: &InstanceName,
    shown: Shown,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Phase::Up(up) = &mut instance.phase else {
        return;
    };
    let Shown {
        health,
        detail,
        took,
    } = shown;
    let was = std::mem::replace(&mut up.health, health);
    up.detail.clone_from(&detail);
    effects.push(Effect::StoreHealth {
        name: name.clone(),
        health,
        took,
        detail: detail.clone(),
    });
    if was == health {
        return;
    }
    let forgiven = is_forgiven(up, moment);
    let mut level = Level::Info;
    match health {
        Health::Healthy => {
            up.healthy_since.get_or_insert(moment.elapsed);
            up.progress = None;
            up.activity = None;
            instance.autopsy = None;
            effects.push(Effect::CancelTimer {
                name: name.clone(),
                timer: up.timer,
            });
        }
        Health::Unhealthy | Health::Error => {
            up.healthy_since = None;
            level = Level::Warning;
        }
        Health::Unknown | Health::Loading => {}
    }
    if forgiven {
        instance.restarts = 0;
    }
    let why = detail.map_or(String::new(), |detail| format!(": {detail}"));
    let message = format!("health {health} (was {was}){why}");
    effects.push(event(name, level, EventType::HealthChanged, message));
}

/// Ends a run that is of no use, if it may be started again.
fn end(
    instance: &mut Instance,
    name: &InstanceName,
    run: &RunId,
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let Some(spec) = instance.config.spec() else {
        return;
    };
    let policy = spec.restart_policy;
    if !policy.enabled || policy.max_retries == 0 || instance.desired == Desired::Stopped {
        return;
    }
    let message = format!("{reason}; it is ended and started again");
    effects.push(event(name, Level::Error, EventType::HealthChanged, message));
    let cause = Cause::Unresponsive;
    let then = Then::TryAgain { cause, reason };
    begin_stop(instance, name, run, StopMode::Gentle, then, effects);
}

fn with_run<'a>(
    fleet: &'a mut Fleet,
    name: &InstanceName,
    run: &RunId,
) -> Option<&'a mut Instance> {
    let instance = fleet.instances.get_mut(name)?;
    let is_up = matches!(&instance.phase, Phase::Up(up) if up.run == *run);
    is_up.then_some(instance)
}

/// Failures in a row that end a run; without a configuration none do.
fn retries(config: &Config) -> u32 {
    config
        .spec()
        .map_or(u32::MAX, |spec| spec.healthcheck.retries.max(1))
}
