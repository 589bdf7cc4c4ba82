//! Traffic that comes and goes in waves, so that a fleet without clients looks alive.
//!
//! Nothing runs for it: what has been generated is a function of the time, worked out when asked.

use std::f64::consts::TAU;
use std::time::Duration;

/// From one crest to the next, in seconds; short enough to watch.
const PERIOD: f64 = 24.0;

/// Prompt tokens for each generated one, as in a chat with some history.
const PROMPT_SHARE: f64 = 3.0;

/// Waves of a given height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Traffic {
    /// Tokens per second at the crest; 0 means no traffic.
    rate: f64,
    /// Seconds into the wave at the start, so that servers do not swing together.
    offset: f64,
}

/// What the traffic has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Swell {
    pub(super) prompt_tokens: u64,
    pub(super) predicted_tokens: u64,
    pub(super) busy_seconds: f64,
    pub(super) busy_slots: usize,
}

impl Traffic {
    /// `start` is where in the wave to begin, from 0 to 1.
    pub(super) fn new(rate: f64, start: f64) -> Self {
        Self {
            rate,
            offset: start * PERIOD,
        }
    }

    /// Waves of which one is at its crest so long after the start.
    pub(super) fn cresting(rate: f64, after: Duration) -> Self {
        let start = 0.5 - after.as_secs_f64() / PERIOD;
        Self::new(rate, start.rem_euclid(1.0))
    }

    /// Returns what has happened until now.
    pub(super) fn at(&self, since_ready: Duration, slots: usize) -> Swell {
        if self.rate <= 0.0 {
            return Swell::default();
        }
        let seconds = since_ready.as_secs_f64();
        let angle = |seconds: f64| TAU * (seconds + self.offset) / PERIOD;
        // The integral of the load below, from 0 to now.
        let waves = (angle(seconds).sin() - angle(0.0).sin()) * PERIOD / TAU;
        let loaded_seconds = (seconds - waves) / 2.0;
        let load = (1.0 - angle(seconds).cos()) / 2.0;
        let tokens = self.rate * loaded_seconds;
        Swell {
            prompt_tokens: whole(tokens * PROMPT_SHARE),
            predicted_tokens: whole(tokens),
            busy_seconds: loaded_seconds,
            busy_slots: (0..slots)
                .filter(|slot| (*slot as f64 + 0.5) < load * slots as f64)
                .count(),
        }
    }

    /// Returns how long until a slot gets busy or free; none without traffic.
    pub(super) fn next_change(&self, since_ready: Duration, slots: usize) -> Option<Duration> {
        if self.rate <= 0.0 {
            return None;
        }
        let into = since_ready.as_secs_f64() + self.offset;
        let waits = |slot: usize| {
            // Where the load passes the middle of the slot's share, on its way up and down.
            let share = (slot as f64 + 0.5) / slots as f64;
            let up = (1.0 - 2.0 * share).acos() * PERIOD / TAU;
            [up, PERIOD - up].map(|at| (at - into).rem_euclid(PERIOD))
        };
        let wait = (0..slots).flat_map(waits).min_by(f64::total_cmp);
        wait.map(Duration::from_secs_f64)
    }
}

/// Rounds down what is not negative.
fn whole(number: f64) -> u64 {
    Duration::try_from_secs_f64(number).map_or(0, |seconds| seconds.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_grow_and_slots_get_busy_and_free() {
        let traffic = Traffic::new(40.0, 0.3);
        let swells: Vec<Swell> = (0..480)
            .map(|tick| traffic.at(Duration::from_millis(tick * 100), 4))
            .collect();
        let grows = |pair: &[Swell]| {
            pair[1].predicted_tokens >= pair[0].predicted_tokens
                && pair[1].prompt_tokens >= pair[0].prompt_tokens
                && pair[1].busy_seconds >= pair[0].busy_seconds
        };
        assert!(swells.windows(2).all(grows));
        assert!(swells.iter().any(|swell| swell.busy_slots == 4));
        assert!(swells.iter().any(|swell| swell.busy_slots == 0));
        // Two whole waves at half the rate on average.
        let all = traffic.at(Duration::from_secs(48), 4).predicted_tokens;
        assert_eq!(all, 960);
    }

    #[test]
    fn a_crest_can_be_had_at_a_moment() {
        for seconds in [0, 6, 12, 100] {
            let after = Duration::from_secs(seconds);
            let traffic = Traffic::cresting(40.0, after);
            assert_eq!(traffic.at(after, 4).busy_slots, 4, "after {seconds} s");
        }
    }

    #[test]
    fn no_rate_means_no_traffic() {
        let traffic = Traffic::new(0.0, 0.5);
        assert_eq!(traffic.at(Duration::from_secs(9), 4), Swell::default());
        assert_eq!(traffic.next_change(Duration::from_secs(9), 4), None);
    }

    #[test]
    fn every_change_of_the_slots_is_found_at_its_moment() {
        let (traffic, slots) = (Traffic::new(1.0, 0.3), 4);
        let margin = Duration::from_millis(1);
        let mut now = Duration::ZERO;
        for _ in 0..3 * 2 * slots {
            let wait = traffic.next_change(now, slots).expect("there is traffic");
            let [before, after] = [now + wait - margin.min(wait), now + wait + margin]
                .map(|at| traffic.at(at, slots).busy_slots);
            assert_eq!(before.abs_diff(after), 1, "after {now:?}");
            assert_eq!(before, traffic.at(now, slots).busy_slots, "none was missed");
            now += wait + margin;
        }
        // Three waves, in each of which every slot gets busy once and free once.
        assert!((71.0..73.0).contains(&now.as_secs_f64()), "{now:?}");
    }
}
