//! Numbered lines of one length: what is lost, doubled or torn can be counted.

/// Bytes of a line, its end included.
pub(crate) const LINE: usize = 40;

/// What a log of numbered lines holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) lines: u64,
    /// Lines that should be there, before the last one that is.
    pub(crate) missing: u64,
    /// Stretches in which they are missing.
    pub(crate) gaps: u64,
}

/// Counts the lines of a log that may hold several runs, one after the other.
///
/// A torn line, one that comes twice and one that comes late end the test at once: nothing that is
/// killed may cause them. Only gaps are counted, for the caller to judge.
pub(crate) fn count(bytes: &[u8], what: &str) -> Counted {
    let mut counted = Counted::default();
    let mut expected = 1;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let number = text
            .strip_prefix("flood ")
            .filter(|_| line.len() == LINE && line.ends_with(b".\n"))
            .and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        let Some(number) = number else {
            unreachable!("{what}: torn line {text:?} after {}", expected - 1);
        };
        // A new run of the same instance counts anew.
        let restarted = number == 1 && expected > 1;
        if !restarted {
            assert!(
                number >= expected,
                "{what}: line {number} again or late, after {}",
                expected - 1
            );
            counted.missing += number - expected;
            counted.gaps += u64::from(number > expected);
        }
        counted.lines += 1;
        expected = number + 1;
    }
    counted
}
