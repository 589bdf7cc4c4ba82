//! Durations as the simulation's flags take them.

use std::time::Duration;

/// Parses `250`, `250ms`, `1.5s`, `2m` or `1h`; a bare number is milliseconds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_per_unit = match unit {
        "" | "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let number: f64 = number.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * seconds_per_unit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_a_bare_number_is_milliseconds() {
        for (text, millis) in [
            ("0", Some(0)),
            ("250", Some(250)),
            ("250ms", Some(250)),
            ("1.5s", Some(1500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("5 days", None),
            ("inf", None),
        ] {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}
