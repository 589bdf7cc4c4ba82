//! The clocks and the chance that decisions are given.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::decision::Moment;

/// The owner's clocks: monotonic for decisions, wall for display.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    pub(super) next_timer: u64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            next_timer: 1,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::new(wall(), self.started.elapsed(), self.next_timer, random_bits)
    }
}

/// Unix seconds.
pub(super) fn wall() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

fn random_bits() -> u128 {
    fastrand::u128(..)
}
