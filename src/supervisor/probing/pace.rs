//! When a run is probed next. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use super::super::decision::Sight;
use crate::domain::instance::{Healthcheck, InstanceName};

/// The first look at a server that was just started, and the shortest pause before it is ready.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause before the first healthy answer.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// Doublings after which every backoff has reached any limit.
const DOUBLINGS: u32 = 30;

/// Returns the pause after `pause` while a server is not ready yet.
pub(super) fn next_while_loading(pause: Duration) -> Duration {
    (pause * 3 / 2).min(LOADING_PAUSE)
}

/// Returns the pause after a probe of a server that was ready before.
///
/// `failures` are those in a row, the last one included; `chance` is uniform in 0 to 1.
pub(super) fn after(check: &Healthcheck, sight: &Sight, failures: u32, chance: f64) -> Duration {
    if failures == 0 {
        return check.interval;
    }
    if failures < check.retries {
        return check.retry_delay.min(check.interval);
    }
    let backoff = check.backoff;
    match sight {
        Sight::Unreachable(_) if backoff.enabled => {
            let doublings = (failures - check.retries).min(DOUBLINGS);
            let spread = 1.0 + backoff.jitter * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
            let seconds = backoff.base * f64::from(1u32 << doublings) * spread;
            // Never faster than the retries that led here.
            let seconds = seconds
                .min(backoff.max)
                .max(check.retry_delay.as_secs_f64());
            Duration::from_secs_f64(seconds)
        }
        Sight::Healthy
        | Sight::Loading(_)
        | Sight::Wrong(_)
        | Sight::Unreachable(_)
        | Sight::Stranger(_) => check.interval,
    }
}

/// Returns where in the interval an instance has its place, so that a fleet is not probed in step.
pub(super) fn phase(name: &InstanceName, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    interval.mul_f64((hasher.finish() % 1000) as f64 / 1000.0)
}

/// Returns the first place in the interval after now, however long a probe took, and even when it
/// was made between two places.
pub(super) fn next(place: Instant, interval: Duration, now: Instant) -> Instant {
    let mut next = place;
    while next <= now {
        next += interval.max(FIRST_PAUSE);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::tests::spec;

    #[test]
    fn a_failed_probe_is_repeated_soon_and_an_unreachable_server_ever_more_seldom() {
        let mut check = spec("a").healthcheck;
        check.interval = Duration::from_secs(10);
        check.retry_delay = Duration::from_secs(2);
        check.retries = 3;
        check.backoff.base = 1.5;
        check.backoff.max = 60.0;
        check.backoff.jitter = 0.5;
        let gone = Sight::Unreachable(String::new());
        let wrong = Sight::Wrong(String::new());
        let rows = [
            (&Sight::Healthy, 0, 0.5, 10.0),
            (&wrong, 1, 0.5, 2.0),
            (&gone, 2, 0.5, 2.0),
            (&wrong, 3, 0.5, 10.0),
            (&gone, 3, 0.5, 2.0),
            (&gone, 4, 0.5, 3.0),
            (&gone, 5, 0.5, 6.0),
            (&gone, 5, 0.0, 3.0),
            (&gone, 5, 1.0, 9.0),
            (&gone, 99, 0.5, 60.0),
            (&gone, u32::MAX, 1.0, 60.0),
        ];
        for (sight, failures, chance, seconds) in rows {
            let pause = after(&check, sight, failures, chance);
            assert_eq!(
                pause,
                Duration::from_secs_f64(seconds),
                "{sight:?} {failures}"
            );
        }
        check.backoff.enabled = false;
        assert_eq!(after(&check, &gone, 9, 0.5), check.interval);
    }

    #[test]
    fn the_first_looks_come_quickly_and_then_less_often() {
        let mut pauses = vec![FIRST_PAUSE];
        while pauses.len() < 12 {
            pauses.push(next_while_loading(pauses[pauses.len() - 1]));
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LOADING_PAUSE));
    }

    #[test]
    fn every_instance_has_a_place_of_its_own_in_the_interval() {
        let interval = Duration::from_secs(10);
        let phases: Vec<Duration> = (0..20)
            .map(|number| {
                let name = InstanceName::parse(&format!("i{number}")).expect("a name");
                phase(&name, interval)
            })
            .collect();
        assert!(phases.iter().all(|phase| *phase < interval));
        let early = phases.iter().filter(|phase| **phase < interval / 2).count();
        assert!((4..=16).contains(&early), "{phases:?}");
    }
}
