//! What one process uses, read from one file in `/proc`.

use std::io;
use std::time::Duration;

use super::os;

/// What a process uses at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// With the pid it names the process for ever.
    pub start_ticks: u64,
    pub state: State,
    /// User and system time of all its threads since its start.
    pub cpu: Duration,
    pub resident_bytes: u64,
}

/// Whether a process can do anything at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    /// Stopped by a signal, or held by a debugger.
    Stopped,
    /// It has ended and is only remembered.
    Ended,
}

/// Reads what a process uses.
///
/// # Errors
///
/// Returns an error when the process is gone.
pub fn read(pid: i32) -> io::Result<Usage> {
    let bytes = os::read_record(&format!("/proc/{pid}/stat"))?;
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood")))
}

/// The command may hold spaces and parentheses; what counts comes after the last one.
fn parse(text: &str) -> Option<Usage> {
    let (_, rest) = text.rsplit_once(')')?;
    // The first word is field 3 of proc(5).
    let mut fields = rest.split_whitespace();
    let state = match fields.next()? {
        "T" | "t" => State::Stopped,
        "Z" | "X" => State::Ended,
        _ => State::Active,
    };
    let user: u64 = fields.nth(10)?.parse().ok()?; // field 14
    let system: u64 = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(6)?.parse().ok()?; // field 22
    let pages: u64 = fields.nth(1)?.parse().ok()?; // field 24
    Some(Usage {
        start_ticks,
        state,
        cpu: ticks(user + system),
        resident_bytes: pages * rustix::param::page_size() as u64,
    })
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_fields_are_found_behind_any_command() {
        let numbers: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let rows = [
            ("S", State::Active),
            ("T", State::Stopped),
            ("Z", State::Ended),
        ];
        for (letter, state) in rows {
            let text = format!("77 (a) b (c)) {letter} {}", numbers.join(" "));
            let usage = parse(&text).expect("a good line");
            let expected = Usage {
                start_ticks: 22,
                state,
                cpu: ticks(14 + 15),
                resident_bytes: 24 * rustix::param::page_size() as u64,
            };
            assert_eq!(usage, expected);
        }
        assert_eq!(parse("77 (x"), None);
    }

    #[test]
    fn our_own_work_is_seen() {
        let own = std::process::id().cast_signed();
        let before = read(own).expect("we live");
        let deadline = Instant::now() + Duration::from_secs(60);
        while read(own).expect("we live").cpu <= before.cpu {
            assert!(Instant::now() < deadline, "no time was ever counted");
        }
        assert!(before.resident_bytes > 4096);
    }
}
