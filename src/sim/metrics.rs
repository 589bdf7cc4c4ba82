//! The text of `/metrics`, in the Prometheus form and with llama-server's names.

use std::fmt::{Display, Write as _};

use super::state::Reading;

/// Returns the text.
pub(super) fn text(reading: &Reading) -> String {
    let totals = &reading.totals;
    let mut text = String::new();
    let mut counter =
        |name, help, value: &dyn Display| add(&mut text, "counter", name, help, value);
    counter(
        "prompt_tokens_total",
        "Prompt tokens processed.",
        &totals.prompt_tokens,
    );
    counter(
        "prompt_tokens_cached_total",
        "Prompt tokens taken from the cache.",
        &0,
    );
    counter(
        "prompt_seconds_total",
        "Time spent on prompts.",
        &totals.prompt_seconds,
    );
    counter(
        "tokens_predicted_total",
        "Tokens generated.",
        &totals.predicted_tokens,
    );
    counter(
        "tokens_predicted_seconds_total",
        "Time spent generating.",
        &totals.predicted_seconds,
    );
    counter("n_decode_total", "Calls of the decoder.", &totals.decodes);
    counter(
        "n_tokens_max",
        "Longest sequence, prompt and generation.",
        &totals.longest_sequence,
    );
    let mut gauge = |name, help, value: &dyn Display| add(&mut text, "gauge", name, help, value);
    gauge(
        "prompt_tokens_seconds",
        "Prompt tokens per second.",
        &reading.prompt_rate,
    );
    gauge(
        "predicted_tokens_seconds",
        "Generated tokens per second.",
        &reading.predicted_rate,
    );
    gauge(
        "requests_processing",
        "Requests in work.",
        &reading.processing,
    );
    gauge(
        "requests_deferred",
        "Requests that wait for a slot.",
        &reading.deferred,
    );
    let busy = totals.slots_decoded as f64 / totals.decodes.max(1) as f64;
    gauge(
        "n_busy_slots_per_decode",
        "Busy slots per call of the decoder.",
        &busy,
    );
    text
}

fn add(text: &mut String, kind: &str, name: &str, help: &str, value: &dyn Display) {
    let name = format!("llamacpp:{name}");
    // A String never refuses.
    write!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::state::Totals;

    #[test]
    fn metrics_are_prometheus_text_with_the_names_of_llama_server() {
        let reading = Reading {
            totals: Totals {
                prompt_tokens: 21,
                prompt_seconds: 0.021,
                predicted_tokens: 8,
                predicted_seconds: 0.5,
                decodes: 8,
                slots_decoded: 12,
                longest_sequence: 29,
            },
            prompt_rate: 1000.0,
            predicted_rate: 16.0,
            processing: 1,
            deferred: 2,
        };
        let text = text(&reading);
        for line in [
            "# TYPE llamacpp:prompt_tokens_total counter",
            "llamacpp:prompt_tokens_total 21",
            "llamacpp:tokens_predicted_total 8",
            "llamacpp:tokens_predicted_seconds_total 0.5",
            "# TYPE llamacpp:requests_processing gauge",
            "llamacpp:requests_processing 1",
            "llamacpp:requests_deferred 2",
            "llamacpp:n_busy_slots_per_decode 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }
}
