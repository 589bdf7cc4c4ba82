//! When another try makes sense after a crash.
//!
//! | the autopsy's class | what follows, while it is wanted |
//! |---------------------|----------------------------------|
//! | never               | failed at once: nothing changes by itself |
//! | after port frees    | looks at the port every few seconds; a look that finds it held counts for nothing |
//! | after VRAM frees    | waits until a device has more free memory, or as long as the longest delay |
//! | backoff             | waits the usual growing delay |
//!
//! Without a delay (`initial_delay = 0`) nothing is waited for: the next run is launched in the same
//! decision, so that one commit covers the end of the last and the start of the next.
//!
//! Every start after a crash counts; `max_retries` of them in a row end in failed.

use std::time::Duration;

use super::super::decision::{Effect, Moment};
use super::super::state::{Instance, Origin, Phase, Waits};
use super::event;
use super::runs::PORT_RETRY;
use crate::domain::autopsy::{Autopsy, RetryClass};
use crate::domain::device;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::{Desired, Failure};
use crate::domain::readings::{DeviceReading, HostReadings};
use crate::domain::restart::{RestartPolicy, next_delay};

/// Between looks at the memory of the devices, which is measured about as often.
const VRAM_LOOK: Duration = Duration::from_secs(10);

/// More free memory than this means that somebody gave some back; less is noise.
const VRAM_STEP: u64 = 256 << 20;

/// The shortest wait for memory of a device that cannot be measured.
const BLIND_VRAM_WAIT: Duration = Duration::from_secs(60);

/// Decides after a crash: another try, now or later, or giving up.
pub(super) fn try_again(
    instance: &mut Instance,
    name: &InstanceName,
    autopsy: &Autopsy,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    if instance.desired == Desired::Stopped {
        return;
    }
    let reason = autopsy.summary.clone();
    let failed = |reason: String| Phase::Failed {
        failure: Failure::Crashed,
        reason,
    };
    let Some(policy) = instance.config.spec().map(|spec| spec.restart_policy) else {
        instance.phase = failed(reason);
        return;
    };
    if autopsy.class == RetryClass::Never {
        let remedy = autopsy.remedy.as_deref().unwrap_or("something must change");
        let message = format!("not started again, it would end the same: {remedy}");
        effects.push(event(name, Level::Error, EventType::GaveUp, message));
        instance.phase = failed(reason);
        return;
    }
    if !policy.enabled || policy.max_retries == 0 {
        instance.phase = failed(reason);
        return;
    }
    if instance.restarts >= policy.max_retries {
        let reason = format!("gave up after {} restarts: {reason}", instance.restarts);
        effects.push(event(name, Level::Error, EventType::GaveUp, reason.clone()));
        instance.phase = failed(reason);
        return;
    }
    instance.restarts += 1;
    let (delay, waits, what) = next_try(policy, instance.restarts, autopsy.class, moment);
    let message = format!(
        "restart {} of {} {what}",
        instance.restarts, policy.max_retries
    );
    effects.push(event(
        name,
        Level::Info,
        EventType::RestartScheduled,
        message,
    ));
    back_off(instance, name, delay, reason, waits, moment, effects);
}

/// Returns when to look again, what for, and how that is said.
fn next_try(
    policy: RestartPolicy,
    attempt: u32,
    class: RetryClass,
    moment: &Moment,
) -> (Duration, Waits, String) {
    let usual = next_delay(policy, attempt, moment.chance());
    match class {
        RetryClass::Never | RetryClass::Backoff => {
            let what = if usual.is_zero() {
                "at once".to_owned()
            } else {
                format!("in {:.1} s", usual.as_secs_f64())
            };
            (usual, Waits::Delay, what)
        }
        RetryClass::AfterPortFrees => {
            let delay = usual.min(PORT_RETRY);
            (delay, Waits::Delay, "when the port is free".to_owned())
        }
        RetryClass::AfterVramFrees => {
            let longest = policy.max_delay.max(usual);
            let waits = Waits::Vram {
                free: None,
                at_latest: moment.elapsed + longest,
            };
            let what = format!(
                "when the device has memory again, in {:.0} s at the latest",
                longest.as_secs_f64()
            );
            (VRAM_LOOK.min(longest), waits, what)
        }
    }
}

/// Puts an instance into backoff, or, without a delay, straight in the line of those that may load.
pub(super) fn back_off(
    instance: &mut Instance,
    name: &InstanceName,
    delay: Duration,
    reason: String,
    waits: Waits,
    moment: &Moment,
    effects: &mut Vec<Effect>,
) {
    if delay.is_zero() && waits == Waits::Delay {
        instance.phase = Phase::Waiting {
            origin: Origin::Automatic,
        };
        return;
    }
    let timer = moment.new_timer();
    // What is shown is when it is tried at the latest.
    let longest = match &waits {
        Waits::Delay => delay,
        Waits::Vram { at_latest, .. } => at_latest.saturating_sub(moment.elapsed),
    };
    instance.phase = Phase::Backoff {
        timer,
        until: moment.wall + longest.as_secs_f64(),
        reason,
        waits,
    };
    effects.push(Effect::SetTimer {
        name: name.clone(),
        timer,
        after: delay,
    });
}

/// What a backoff comes to when its timer fires.
pub(super) enum Due {
    Now,
    /// What it waits for has not come; it is looked at again after this.
    Later(Duration, Waits),
}

/// Looks whether what a backoff waits for has come.
pub(super) fn due(
    host: &HostReadings,
    spec: Option<&InstanceSpec>,
    waits: &Waits,
    moment: &Moment,
) -> Due {
    let Waits::Vram { free, at_latest } = waits else {
        return Due::Now;
    };
    let left = at_latest.saturating_sub(moment.elapsed);
    if left.is_zero() {
        return Due::Now;
    }
    let now = free_memory(host, spec);
    if now.is_empty() {
        // Nothing can be measured, so time has to do.
        let waited = BLIND_VRAM_WAIT.saturating_sub(VRAM_LOOK);
        let at_latest = (*at_latest).min(moment.elapsed + waited);
        let free = None;
        let left = at_latest.saturating_sub(moment.elapsed);
        return Due::Later(left, Waits::Vram { free, at_latest });
    }
    let before = free.clone().filter(|before| before.len() == now.len());
    if let Some(before) = &before
        && now
            .iter()
            .zip(before)
            .any(|(now, before)| *now >= before.saturating_add(VRAM_STEP))
    {
        return Due::Now;
    }
    let waits = Waits::Vram {
        free: Some(before.unwrap_or(now)),
        at_latest: *at_latest,
    };
    Due::Later(VRAM_LOOK.min(left), waits)
}

/// Bytes free on each of its devices that can be measured.
fn free_memory(host: &HostReadings, spec: Option<&InstanceSpec>) -> Vec<u64> {
    let free =
        |device: &DeviceReading| Some(device.memory_total?.saturating_sub(device.memory_used?));
    let devices = match spec {
        Some(spec) => device::used_by(&spec.args, &spec.device_label(), &host.devices),
        None => host.devices.iter().collect(),
    };
    devices.into_iter().filter_map(free).collect()
}
