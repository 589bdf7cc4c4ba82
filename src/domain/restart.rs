//! When a crashed instance is started again.

use std::time::Duration;

/// The restart settings of one instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartPolicy {
    pub enabled: bool,
    /// Bad runs in a row before giving up; 0 means never restart.
    pub max_retries: u32,
    pub backoff_multiplier: f64,
    pub initial_delay: Duration,
    pub max_delay: Duration,
    /// Share of the delay that chance may add or take, 0 to 1.
    pub jitter: f64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            max_retries: 5,
            backoff_multiplier: 2.0,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(300),
            jitter: 0.1,
        }
    }
}

/// Returns how long to wait before restart number `attempt` (1 for the first).
///
/// `chance` is uniform in 0..=1 and spreads the delay by ± `jitter`; the result never exceeds
/// `max_delay`.
#[must_use]
pub fn next_delay(policy: RestartPolicy, attempt: u32, chance: f64) -> Duration {
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let spread = 1.0 + policy.jitter * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
    let seconds =
        policy.initial_delay.as_secs_f64() * policy.backoff_multiplier.powi(exponent) * spread;
    let limit = policy.max_delay.as_secs_f64();
    // A huge exponent overflows to infinity; `min` brings it back to the limit.
    Duration::from_secs_f64(seconds.min(limit).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    #[test]
    fn the_delay_grows_from_the_initial_one_to_the_limit() {
        let policy = RestartPolicy::default();
        let rows = [
            (1, 1),
            (2, 2),
            (3, 4),
            (9, 256),
            (10, 300),
            (4_000_000_000, 300),
        ];
        for (attempt, seconds) in rows {
            assert_eq!(
                next_delay(policy, attempt, 0.5),
                Duration::from_secs(seconds)
            );
        }
    }

    proptest! {
        #[test]
        fn the_delay_stays_within_its_bounds(attempt in 0u32.., chance in 0.0f64..=1.0) {
            let policy = RestartPolicy::default();
            let delay = next_delay(policy, attempt, chance);
            prop_assert!(delay <= policy.max_delay);
            prop_assert!(delay >= policy.initial_delay.mul_f64(1.0 - policy.jitter));
        }
    }
}
