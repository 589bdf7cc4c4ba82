//! Rows of numbers, and the time that things take.

use std::time::{Duration, Instant};

/// Nothing that is waited for here takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a number has to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    /// So much more than the floor.
    Above(f64),
    /// At most this many times the floor.
    Times(f64),
    /// Only shown.
    None,
}

/// The cheapest way to do the same, measured in the same run.
pub(crate) struct Floor<'a> {
    pub(crate) what: &'a str,
    pub(crate) value: f64,
}

pub(crate) fn heading() {
    println!(
        "{:<50} {:>10} {:>10} {:>6}  {:<16} {:<4}  floor",
        "what", "ours", "floor", "ratio", "target", ""
    );
}

/// Prints one row; all values are of the same unit.
pub(crate) fn row(what: &str, ours: f64, unit: &str, floor: &Floor<'_>, target: Target) {
    let ratio = ours / floor.value;
    let (target, met) = match target {
        Target::AtMost(limit) => (format!("<= {limit} {unit}"), Some(ours <= limit)),
        Target::Above(more) => (
            format!("floor + {more} {unit}"),
            Some(ours <= floor.value + more),
        ),
        Target::Times(times) => (format!("<= {times:.2} x floor"), Some(ratio <= times)),
        Target::None => (String::new(), None),
    };
    let met = match met {
        Some(true) => "ok",
        Some(false) => "OVER",
        None => "",
    };
    println!(
        "{what:<50} {:>10} {:>10} {ratio:>6.2}  {target:<16} {met:<4}  {}",
        format!("{ours:.2} {unit}"),
        format!("{:.2} {unit}", floor.value),
        floor.what
    );
}

pub(crate) fn skipped(what: &str, why: &str) {
    println!("{what:<50} SKIPPED: {why}");
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The time that one call takes, in milliseconds.
pub(crate) fn once(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    milliseconds(begun.elapsed())
}

/// The median of several calls after a first one that does not count.
pub(crate) fn timed(runs: usize, mut work: impl FnMut()) -> f64 {
    work();
    median((0..runs).map(|_| once(&mut work)).collect())
}

pub(crate) fn median(times: Vec<f64>) -> f64 {
    percentile(times, 50)
}

pub(crate) fn percentile(mut times: Vec<f64>, percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting");
        // Short enough not to be seen in a number of milliseconds.
        std::thread::park_timeout(Duration::from_micros(50));
    }
}
