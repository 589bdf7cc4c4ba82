//! When a line was written: the 16-byte records (offset, unix milliseconds) beside a log, looked
//! up in the file itself, because a log that is written slowly has a record per line.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of one record.
const RECORD: u64 = 16;

/// The index of one log file; a missing or damaged one is as good as empty.
#[derive(Debug, Default)]
pub(super) struct Times {
    file: Option<File>,
    records: u64,
    /// The stretch that was looked up last; the next line is mostly in it or in the next one.
    last: Cell<Option<Stretch>>,
}

/// From a record's offset up to the next record's.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    record: u64,
    from: u64,
    until: u64,
    millis: u64,
}

impl Times {
    /// Opens the index beside a log.
    pub(super) fn open(log: &Path) -> Self {
        let mut name = log.as_os_str().to_owned();
        name.push(".idx");
        let Ok(file) = File::open(PathBuf::from(name)) else {
            return Self::default();
        };
        let records = file.metadata().map_or(0, |data| data.len() / RECORD);
        Self {
            file: Some(file),
            records,
            last: Cell::new(None),
        }
    }

    /// Returns when the byte at `offset` was written, in unix milliseconds.
    pub(super) fn at(&self, offset: u64) -> Option<u64> {
        let holds = |stretch: &Stretch| (stretch.from..stretch.until).contains(&offset);
        if let Some(last) = self.last.get() {
            if holds(&last) {
                return Some(last.millis);
            }
            let next = self.stretch(last.record + 1).filter(holds);
            if next.is_some() {
                self.last.set(next);
                return next.map(|stretch| stretch.millis);
            }
        }
        let after = self.partition(|from, _| from <= offset);
        let found = self.stretch(after.checked_sub(1)?)?;
        self.last.set(Some(found));
        Some(found.millis)
    }

    /// Returns where output written at or after a time begins; `None` when there is none.
    pub(super) fn since(&self, millis: u64) -> Option<u64> {
        let first = self.partition(|_, at| at < millis);
        self.record(first).map(|(from, _)| from)
    }

    /// The number of records at the beginning for which the condition holds.
    fn partition(&self, condition: impl Fn(u64, u64) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.record(middle) {
                Some((from, at)) if condition(from, at) => low = middle + 1,
                Some(_) | None => high = middle,
            }
        }
        low
    }

    fn stretch(&self, record: u64) -> Option<Stretch> {
        let (from, millis) = self.record(record)?;
        let until = self.record(record + 1).map_or(u64::MAX, |(from, _)| from);
        Some(Stretch {
            record,
            from,
            until,
            millis,
        })
    }

    fn record(&self, number: u64) -> Option<(u64, u64)> {
        if number >= self.records {
            return None;
        }
        let mut bytes = [0; RECORD as usize];
        self.file
            .as_ref()?
            .read_exact_at(&mut bytes, number * RECORD)
            .ok()?;
        let (offset, millis) = bytes.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        Some((number(offset)?, number(millis)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_times_find_each_other() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("a.log");
        let mut bytes = Vec::new();
        for (offset, millis) in [(0_u64, 1000_u64), (50, 1100), (90, 1900)] {
            bytes.extend(offset.to_le_bytes());
            bytes.extend(millis.to_le_bytes());
        }
        // A writer that was killed left part of a record.
        bytes.extend([7; 5]);
        std::fs::write(folder.path().join("a.log.idx"), bytes).expect("write");
        let times = Times::open(&log);
        for (offset, expected) in [
            (0, 1000),
            (49, 1000),
            (50, 1100),
            (5000, 1900),
            (60, 1100),
            (0, 1000),
            (90, 1900),
        ] {
            assert_eq!(times.at(offset), Some(expected), "{offset}");
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
        assert_eq!(Times::default().since(0), None);
    }
}
