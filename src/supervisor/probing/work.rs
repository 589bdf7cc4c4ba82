//! Tokens per second, from two scrapes of a server's counters. Pure.
//!
//! llama-server counts the tokens of a request when the request ends, so over a long answer the
//! counter stands still and then jumps. The calls of its decoder are counted at once and give about
//! a token per busy slot: they are shown as they come, and what the counter adds beyond them
//! (several tokens in one call) is made up for when it jumps.

use std::time::Duration;

use crate::probes::metrics::Counters;

/// The work between scrapes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Work {
    last: Option<Counters>,
    /// Tokens that were shown and not counted yet.
    ahead: f64,
}

/// The pace since the scrape before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    pub(super) tokens_per_second: f32,
    pub(super) prompt_tokens_per_second: f32,
}

impl Work {
    /// Takes a scrape in, `since` the one before; no pace is known from the first one, nor across a
    /// restart of the counters.
    pub(super) fn take(&mut self, counters: Counters, since: Duration) -> Option<Pace> {
        let before = self.last.replace(counters)?;
        let predicted = counters.predicted_tokens - before.predicted_tokens;
        let prompt = counters.prompt_tokens - before.prompt_tokens;
        let steps = (counters.slot_steps - before.slot_steps).max(0.0);
        if predicted < 0.0 || prompt < 0.0 || since.is_zero() {
            self.ahead = 0.0;
            return None;
        }
        self.ahead += steps;
        let missing = (predicted - self.ahead).max(0.0);
        self.ahead = (self.ahead - predicted).max(0.0);
        if counters.processing == 0 {
            self.ahead = 0.0;
        }
        let per_second = |tokens: f64| (tokens / since.as_secs_f64()) as f32;
        Some(Pace {
            tokens_per_second: per_second(steps + missing),
            prompt_tokens_per_second: per_second(prompt),
        })
    }

    /// Returns what the last scrape said.
    pub(super) fn last(&self) -> Option<&Counters> {
        self.last.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_seen_while_it_grows_and_not_counted_twice() {
        // predicted, slot steps, prompt, processing; generated and prompt tokens a second
        let rows = [
            (100.0, 500.0, 10.0, 0, None),
            (100.0, 540.0, 30.0, 1, Some((20.0, 10.0))),
            (100.0, 600.0, 30.0, 1, Some((30.0, 0.0))),
            // The request ends: its hundred tokens were shown already.
            (200.0, 600.0, 30.0, 0, Some((0.0, 0.0))),
            // Two slots, and a draft model that gives two tokens in each call.
            (400.0, 700.0, 30.0, 0, Some((100.0, 0.0))),
            // The server was restarted behind our back.
            (0.0, 0.0, 0.0, 0, None),
            (4.0, 4.0, 2.0, 0, Some((2.0, 1.0))),
        ];
        let mut work = Work::default();
        for (predicted_tokens, slot_steps, prompt_tokens, processing, expected) in rows {
            let counters = Counters {
                prompt_tokens,
                predicted_tokens,
                slot_steps,
                processing,
                ..Counters::default()
            };
            let pace = work.take(counters, Duration::from_secs(2));
            let found = pace.map(|pace| (pace.tokens_per_second, pace.prompt_tokens_per_second));
            assert_eq!(found, expected, "{predicted_tokens} {slot_steps}");
        }
    }
}
