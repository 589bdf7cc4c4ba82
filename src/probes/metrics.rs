//! What a llama-server says of its work: the counters of `/metrics` and the facts of `/props`.
//!
//! Only counters are used for rates: each scrape empties the server's own averages, and another
//! reader may have emptied them before. Neither path wakes a server that sleeps in a current
//! build; `/metrics` did in older ones, so [`Facts::sleeping`] is asked for first where it matters.

use serde::Deserialize;

/// The prefix of every name llama-server gives.
const PREFIX: &str = "llamacpp:";

/// The counters of one scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    pub prompt_tokens: f64,
    /// Generated tokens of requests that have ended.
    pub predicted_tokens: f64,
    /// Calls of the decoder.
    pub decodes: f64,
    /// Slots that were busy, summed over all calls of the decoder: about one token each.
    pub slot_steps: f64,
    /// Requests that have a slot now.
    pub processing: u32,
    /// Requests that wait for a slot.
    pub deferred: u32,
}

/// What `/props` says, as far as it is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Facts {
    #[serde(rename = "total_slots")]
    pub slots: Option<u32>,
    #[serde(rename = "is_sleeping")]
    pub sleeping: Option<bool>,
}

/// Reads the text of `/metrics`; `None` when it is not llama-server's.
#[must_use]
pub fn parse(text: &str) -> Option<Counters> {
    let mut counters = Counters::default();
    let mut per_decode = 0.0;
    let mut known = 0;
    for line in text.lines() {
        let Some((name, value)) = line
            .strip_prefix(PREFIX)
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let Ok(value) = value.trim().parse::<f64>() else {
            continue;
        };
        match name {
            "prompt_tokens_total" => counters.prompt_tokens = value,
            "tokens_predicted_total" => counters.predicted_tokens = value,
            "n_decode_total" => counters.decodes = value,
            "n_busy_slots_per_decode" => per_decode = value,
            "requests_processing" => counters.processing = value as u32,
            "requests_deferred" => counters.deferred = value as u32,
            _ => continue,
        }
        known += 1;
    }
    counters.slot_steps = counters.decodes * per_decode;
    (known > 0).then_some(counters)
}

/// Reads the answer of `/props`.
#[must_use]
pub fn facts(json: &str) -> Option<Facts> {
    serde_json::from_str(json).ok()
}

impl Counters {
    /// Returns whether the server did anything between two scrapes.
    #[must_use]
    pub fn moved_since(&self, earlier: &Self) -> bool {
        self.prompt_tokens > earlier.prompt_tokens
            || self.predicted_tokens > earlier.predicted_tokens
            || self.decodes > earlier.decodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_among_everything_else() {
        let text = "# HELP llamacpp:prompt_tokens_total Prompt tokens.\n\
                    # TYPE llamacpp:prompt_tokens_total counter\n\
                    llamacpp:prompt_tokens_total 1.5e+06\n\
                    llamacpp:tokens_predicted_total 80\n\
                    llamacpp:n_decode_total 100\n\
                    llamacpp:n_busy_slots_per_decode 1.5\n\
                    llamacpp:requests_processing 2\n\
                    llamacpp:requests_deferred 1\n\
                    llamacpp:something_new nan\n";
        let counters = Counters {
            prompt_tokens: 1_500_000.0,
            predicted_tokens: 80.0,
            decodes: 100.0,
            slot_steps: 150.0,
            processing: 2,
            deferred: 1,
        };
        assert_eq!(parse(text), Some(counters));
        assert_eq!(parse("go_goroutines 7\n"), None);
    }

    #[test]
    fn facts_are_optional() {
        let rows = [
            (
                r#"{"total_slots": 4, "is_sleeping": true, "chat_template": ""}"#,
                Some((Some(4), Some(true))),
            ),
            (r#"{"total_slots": 1}"#, Some((Some(1), None))),
            ("{}", Some((None, None))),
            ("no", None),
        ];
        for (json, expected) in rows {
            let found = facts(json).map(|facts| (facts.slots, facts.sleeping));
            assert_eq!(found, expected, "{json}");
        }
    }
}
