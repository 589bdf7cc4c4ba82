//! When a line was written: the 16-byte records (offset, unix milliseconds) beside a log.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of one record.
const RECORD: usize = 16;

/// The index of one log file, in memory: ten records a second at most.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Rising offsets with their times.
    records: Vec<(u64, u64)>,
}

impl Times {
    /// Reads the index beside a log; a missing or damaged one is as good as empty.
    #[must_use]
    pub fn read(log: &Path) -> Self {
        let mut name = log.as_os_str().to_owned();
        name.push(".idx");
        let bytes = fs::read(PathBuf::from(name)).unwrap_or_default();
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        let (chunks, _) = bytes.as_chunks::<RECORD>();
        let records = chunks
            .iter()
            .map(|record| (number(&record[..8]), number(&record[8..])))
            .collect();
        Self { records }
    }

    /// Returns when the byte at `offset` was written, in unix milliseconds.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<u64> {
        let after = self.records.partition_point(|(start, _)| *start <= offset);
        after.checked_sub(1).map(|index| self.records[index].1)
    }

    /// Returns where output written at or after a time begins; `None` when there is none.
    #[must_use]
    pub fn since(&self, millis: u64) -> Option<u64> {
        self.records
            .iter()
            .find(|(_, at)| *at >= millis)
            .map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_times_find_each_other() {
        let times = Times {
            records: vec![(0, 1000), (50, 1100), (90, 1900)],
        };
        for (offset, expected) in [(0, 1000), (49, 1000), (50, 1100), (5000, 1900)] {
            assert_eq!(times.at(offset), Some(expected));
        }
        for (millis, expected) in [
            (0, Some(0)),
            (1001, Some(50)),
            (1900, Some(90)),
            (1901, None),
        ] {
            assert_eq!(times.since(millis), expected);
        }
        assert_eq!(Times::default().at(3), None);
    }
}
