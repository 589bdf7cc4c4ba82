//! Decides: one closed set of inputs, the fleet's state, and the effects that follow.
//!
//! No I/O, no clock, no chance of its own: the moment and everything random come in as arguments,
//! so every decision can be tested as a row of data.
//!
//! State × input, for one instance (· = nothing changes; stale run ids and timers never match):
//!
//! | state     | start          | stop            | restart         | launched       | launch failed     | exited                   | probed, wedged, stalled | timer  |
//! |-----------|----------------|-----------------|-----------------|----------------|-------------------|--------------------------|---------------|--------|
//! | stopped   | → waiting      | no-op           | → waiting       | ·              | ·                 | ·                        | ·             | ·      |
//! | waiting   | no-op          | → stopped       | no-op           | ·              | ·                 | ·                        | ·             | ·      |
//! | launching | no-op          | remembered      | no-op           | → up, or stops | → failed, backoff | ·                        | ·             | ·      |
//! | up        | no-op          | → stopping      | → stopping, then | ·             | ·                 | → backoff (waiting, without a delay), failed, stopped (shim told from outside) | health, or → stopping | → stopping (start took too long) |
//! | stopping  | remembered     | may become kill | remembered      | ·              | ·                 | → stopped, waiting; what it was stopped for may lead to backoff, failed | · | · |
//! | backoff   | → waiting      | → stopped       | → waiting       | ·              | ·                 | ·                        | ·             | → waiting, or waits on for VRAM |
//! | failed    | → waiting      | → stopped       | → waiting       | ·              | ·                 | ·                        | ·             | ·      |
//!
//! What an earlier owner left comes before all of this, to *stopped*: *adopted* leads to up or
//! stopping, *ended unwatched* to what an exit leads to. *Reattached*, *measured* and *surveyed* change
//! no state; new configurations have a table of their own in `configs.rs`.
//!
//! Whether an exit leads to backoff or failed is decided by the class of its autopsy; the table is
//! in `retry.rs`. What a probe comes to is in the table of `health.rs`.
//!
//! *Waiting* becomes *launching* as soon as fewer than `max_loading` instances are on their way up.

mod commands;
mod configs;
mod ends;
mod health;
mod reconcile;
mod retry;
mod runs;

use std::sync::Arc;

use self::commands::{begin_stop, command_given, set_desired};
use self::configs::configs_loaded;
pub(super) use self::configs::probed as spec_of_run;
use self::ends::{Ended, ended_unwatched, exited};
use self::health::{measured, probed, stalled, wedged};
use self::reconcile::surveyed;
use self::retry::{Due, back_off, due};
use self::runs::{Refused, adopted, launch_failed, launched, reattached};
use super::decision::{Decision, Effect, Input, Moment};
use super::state::{Config, Fleet, Origin, Phase, Then};
use crate::domain::autopsy::Cause;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure};
use crate::domain::run::StopMode;

/// Decides what follows from `input`. The fleet is changed; nothing else happens here.
#[must_use]
pub fn handle(fleet: &mut Fleet, input: Input, moment: &Moment) -> Decision {
    let mut decision = Decision::default();
    match input {
        Input::Command(command) => {
            decision.outcome = Some(command_given(fleet, &command, &mut decision.effects));
        }
        Input::ConfigsLoaded(configs) => {
            configs_loaded(fleet, configs, moment, &mut decision.effects);
        }
        Input::Surveyed(survey) => surveyed(fleet, survey, &mut decision.effects),
        Input::Adopted { name, up, stopping } => {
            adopted(fleet, &name, up, stopping, moment, &mut decision.effects);
        }
        Input::EndedUnwatched {
            name,
            run,
            exit,
            traces,
        } => {
            let ended = Ended::new(&run, &exit, &traces);
            ended_unwatched(fleet, &name, &ended, moment, &mut decision.effects);
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
            autopsy,
        } => {
            let refused = Refused {
                run,
                failure,
                message,
                autopsy,
            };
            launch_failed(fleet, &name, refused, moment, &mut decision.effects);
        }
        Input::Reattached { name, run } => reattached(fleet, &name, &run, &mut decision.effects),
        Input::Exited {
            name,
            run,
            exit,
            traces,
        } => {
            let ended = Ended::new(&run, &exit, &traces);
            exited(fleet, &name, &ended, moment, &mut decision.effects);
        }
        Input::Probed {
            name,
            run,
            sight,
            took,
        } => {
            probed(
                fleet,
                &name,
                &run,
                &sight,
                took,
                moment,
                &mut decision.effects,
            );
        }
        Input::Wedged {
            name,
            run,
            evidence,
        } => {
            wedged(fleet, &name, &run, evidence, moment, &mut decision.effects);
        }
        Input::Stalled { name, run, reason } => {
            stalled(fleet, &name, &run, reason, &mut decision.effects);
        }
        Input::Measured { runs, host } => measured(fleet, runs, host),
        Input::TimerFired { name, timer } => {
            timer_fired(fleet, &name, timer, moment, &mut decision.effects);
        }
    }
    admit(fleet, moment, &mut decision.effects);
    decision
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
        let Some(spec) = instance.config.spec() else {
            let reason = instance.config.problem().unwrap_or_default();
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

fn timer_fired(
    fleet: &mut Fleet,
    name: &InstanceName,
    timer: u64,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Some(instance) = fleet.instances.get_mut(name) else {
        return;
    };
    let spec = instance.config.spec().map(AsRef::as_ref);
    match &instance.phase {
        Phase::Backoff {
            timer: present,
            reason,
            waits,
            ..
        } if *present == timer => match due(&fleet.host, spec, waits, moment) {
            Due::Now => {
                instance.phase = Phase::Waiting {
                    origin: Origin::Automatic,
                };
            }
            Due::Later(delay, waits) => {
                let reason = reason.clone();
                back_off(instance, name, delay, reason, waits, moment, effects);
            }
        },
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
                Then::Fail {
                    cause: Cause::StartTimedOut,
                    reason,
                },
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
