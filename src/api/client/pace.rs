//! How long one who asks again and again rests after each answer.
//!
//! The owner answers a waiting client the moment there is news. So the first news after a quiet
//! time is there at once, and what a burst costs is the client's to limit.

use std::time::Duration;

/// For those who show what they see: nobody sees more than ten pictures a second.
pub const WATCHING: Duration = Duration::from_millis(100);

/// A row of a picture costs both sides some microseconds; with this rest per row, one who waits
/// takes a small share of the owner's time.
const WAITING_PER_ROW: Duration = Duration::from_micros(100);

/// For those who wait until something has become of `rows` instances.
#[must_use]
pub fn waiting(rows: usize) -> Duration {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    WAITING_PER_ROW.saturating_mul(rows).min(WATCHING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_few_asks_often_and_nobody_rests_longer_than_a_watcher() {
        for (rows, millis) in [(0, 0), (20, 2), (100, 10), (1000, 100), (100_000, 100)] {
            assert_eq!(waiting(rows), Duration::from_millis(millis), "{rows}");
        }
        assert_eq!(waiting(usize::MAX), WATCHING);
    }
}
