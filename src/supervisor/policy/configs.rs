//! What a new reading of the configuration files changes.
//!
//! | file            | stopped                        | with a run, or wanted                           |
//! |-----------------|--------------------------------|-------------------------------------------------|
//! | changed         | used at the next start         | dynamic fields apply now, static ones are drift |
//! | broken          | cannot be started, row says why | goes on with the last good one, row says why   |
//! | gone            | its row goes                   | goes on with the last good one, row says why    |
//! | new             | stopped, or started when it asks for that and was never seen before |            |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::decision::{Configs, Effect, Moment, Newcomers};
use super::super::state::{Config, Fleet, Instance, Origin, Phase, Up};
use super::commands::set_desired;
use super::event;
use super::runs::start_probing;
use crate::config::drift::{self, FieldChange};
use crate::config::dynamic::dynamic_fields;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::Desired;

pub(super) fn configs_loaded(
    fleet: &mut Fleet,
    configs: Configs,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    home_problems(fleet, configs.problems, effects);
    lose(fleet, &configs.instances, effects);
    for (name, config) in configs.instances {
        match fleet.instances.get_mut(&name) {
            Some(instance) => change(instance, &name, config, moment, effects),
            None => appear(fleet, &name, config, configs.newcomers, effects),
        }
    }
}

/// Tells what is wrong with files that belong to no instance, each thing once.
fn home_problems(fleet: &mut Fleet, problems: BTreeSet<String>, effects: &mut Vec<Effect>) {
    for problem in problems.difference(&fleet.problems) {
        effects.push(Effect::Announce {
            name: None,
            level: Level::Error,
            kind: EventType::ConfigBroken,
            message: problem.clone(),
        });
    }
    fleet.problems = problems;
}

/// Follows the files that are gone: a run goes on, a row without one would only be a ghost.
fn lose(fleet: &mut Fleet, present: &BTreeMap<InstanceName, Config>, effects: &mut Vec<Effect>) {
    let Fleet {
        instances, wishes, ..
    } = fleet;
    instances.retain(|name, instance| {
        if present.contains_key(name) {
            return true;
        }
        let known = matches!(instance.config, Config::Gone { .. });
        if !known {
            let then = aftermath(instance);
            let message = format!("its configuration file is gone{then}");
            effects.push(event(
                name,
                Level::Warning,
                EventType::ConfigBroken,
                message,
            ));
            instance.config = Config::Gone {
                last: instance.config.spec().cloned(),
            };
        }
        let stays = !matches!(instance.phase, Phase::Stopped);
        if !stays {
            wishes.insert(name.clone(), instance.desired);
        }
        stays
    });
}

fn appear(
    fleet: &mut Fleet,
    name: &InstanceName,
    config: Config,
    newcomers: Newcomers,
    effects: &mut Vec<Effect>,
) {
    let wish = fleet.wishes.remove(name);
    let mut instance = Instance {
        desired: wish.unwrap_or(Desired::Stopped),
        ..Instance::default()
    };
    match &config {
        Config::Ready(spec) => {
            effects.push(event(
                name,
                Level::Info,
                EventType::ConfigChanged,
                "a new instance".to_owned(),
            ));
            if newcomers == Newcomers::Start && spec.autostart && wish.is_none() {
                set_desired(&mut instance, name, Desired::Running, effects);
                instance.phase = Phase::Waiting {
                    origin: Origin::Automatic,
                };
            }
        }
        Config::Broken { reason, .. } => effects.push(event(
            name,
            Level::Error,
            EventType::ConfigBroken,
            reason.clone(),
        )),
        Config::Gone { .. } => {}
    }
    instance.config = config;
    fleet.instances.insert(name.clone(), instance);
}

fn change(
    instance: &mut Instance,
    name: &InstanceName,
    config: Config,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let last = instance.config.spec().cloned();
    match config {
        Config::Ready(spec) => {
            if let Some(problem) = instance.config.problem() {
                let message = format!("its configuration can be used again (it was: {problem})");
                effects.push(event(name, Level::Info, EventType::ConfigChanged, message));
            }
            // One that says the same is dropped again: a fleet must not hold two of each.
            if let Some(same) = last.as_ref().filter(|last| **last == spec) {
                instance.config = Config::Ready(Arc::clone(same));
                return;
            }
            instance.config = Config::Ready(Arc::clone(&spec));
            if let Some(last) = last {
                apply(instance, name, &last, &spec, moment, effects);
            }
        }
        Config::Broken { reason, .. } => {
            let known =
                matches!(&instance.config, Config::Broken { reason: told, .. } if *told == reason);
            if !known {
                let message = format!("{reason}{}", aftermath(instance));
                effects.push(event(name, Level::Error, EventType::ConfigBroken, message));
            }
            instance.config = Config::Broken { reason, last };
        }
        Config::Gone { .. } => instance.config = Config::Gone { last },
    }
}

/// Applies what applies to a run at once, and tells what does not.
fn apply(
    instance: &mut Instance,
    name: &InstanceName,
    before: &InstanceSpec,
    after: &InstanceSpec,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let live = drift::drift(&dynamic_fields(before), &dynamic_fields(after));
    let fixed = drift::drift(&drift::static_fields(before), &drift::static_fields(after));
    let mut tell = |level, what: &str, changes: &[FieldChange]| {
        if !changes.is_empty() {
            let message = format!("{what}: {}", list(changes));
            effects.push(event(name, level, EventType::ConfigChanged, message));
        }
    };
    if instance.phase.run().is_none() {
        let all: Vec<FieldChange> = live.into_iter().chain(fixed).collect();
        tell(Level::Info, "changed for the next start", &all);
        return;
    }
    tell(Level::Info, "applied to the running instance", &live);
    tell(Level::Warning, "changed, needs a restart", &fixed);
    let touches = |part: &str| live.iter().any(|change| change.field.starts_with(part));
    if touches("stop_grace")
        && let Some(run) = instance.phase.run()
    {
        effects.push(Effect::SetGrace {
            name: name.clone(),
            run: run.clone(),
            grace: after.stop_grace,
        });
    }
    if touches("healthcheck.") {
        probe_anew(instance, name, moment, effects);
    }
}

/// Probes as the file says now, with what is known of the run; a start that is under way gets its
/// new time from now on.
fn probe_anew(
    instance: &mut Instance,
    name: &InstanceName,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    let Phase::Up(up) = &mut instance.phase else {
        return; // the probing of a launch begins when it is up
    };
    effects.push(Effect::CancelTimer {
        name: name.clone(),
        timer: up.timer,
    });
    up.timer = moment.new_timer();
    let up = up.clone();
    start_probing(instance, name, &up, effects);
}

/// Returns the spec that a run is probed by: how to look is the file's, where is the run's.
pub(in crate::supervisor) fn probed(spec: &Arc<InstanceSpec>, up: &Up) -> Arc<InstanceSpec> {
    match up.started_with.get("server.host") {
        Some(host) if *host != spec.server.host => {
            let mut spec = InstanceSpec::clone(spec);
            spec.server.host.clone_from(host);
            Arc::new(spec)
        }
        Some(_) | None => Arc::clone(spec),
    }
}

/// What becomes of an instance whose file cannot be used.
fn aftermath(instance: &Instance) -> &'static str {
    if instance.phase.run().is_some() && instance.config.spec().is_some() {
        "; it goes on with the last good configuration"
    } else {
        ""
    }
}

fn list(changes: &[FieldChange]) -> String {
    let texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
