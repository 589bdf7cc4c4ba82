//! How much the runs of an instance have logged, whatever became of their files.
//!
//! The length of a log says what is in it, not what was rotated away. So the shim keeps, for each
//! stream, the number that the length of its live file is added to. It is written when a run begins
//! and ends and around a rotation, never for a line: bytes that reach the file are counted by being
//! there, also when everybody was killed meanwhile. What a full disk does not take is in no file and
//! is noted while it happens.
//!
//! Both streams have a slot of fixed length in one file that outlives its runs. A slot is overwritten
//! in place, which needs no space on a disk that is full; one number at its beginning and its end
//! shows a reader that it met a writer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Bytes of a slot, enough for its longest numbers.
const SLOT: usize = 256;

/// Slots: that of stdout, then that of stderr.
const STREAMS: usize = 2;

/// A reader that met a writer looks again this often.
const TRIES: usize = 16;

/// What is known of one stream beside the length of its live file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCount {
    /// Rises with every change.
    pub turn: u64,
    /// What the length of the live file is added to. Below zero where that file is older than the
    /// counting.
    pub base: i64,
    /// The length of a file that is being rotated away, else 0.
    pub moving: u64,
    /// What was written at the last change, at least.
    pub seen: u64,
    pub dropped: u64,
    pub stage: Stage,
}

/// Whether there may be more in the live file than was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    Open,
    /// The run is over and all of it was seen.
    #[default]
    Over,
}

/// How much was logged until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logged {
    /// Tells a count that was begun anew: then it is lower than it was.
    pub turn: u64,
    pub written: u64,
    /// Bytes that the disk did not take.
    pub dropped: u64,
}

/// A slot as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct SlotFile {
    turn: u64,
    base: i64,
    moving: u64,
    seen: u64,
    dropped: u64,
    over: bool,
    turn_again: u64,
}

impl LogCount {
    /// Returns the bytes written until now; `length` is that of the live file.
    #[must_use]
    pub fn written(&self, length: u64) -> u64 {
        // The new live file is not written to while the old one is being rotated away.
        let length = match (self.stage, length) {
            (Stage::Over, _) => return self.seen,
            (Stage::Open, 0) => self.moving,
            (Stage::Open, length) => length,
        };
        self.base
            .saturating_add_unsigned(length)
            .max(0)
            .cast_unsigned()
            .max(self.seen)
    }

    /// Overwrites the slot of a stream.
    ///
    /// # Errors
    ///
    /// Returns an error when the file cannot be written; it is written with the next change then.
    pub fn write(&self, file: &File, stream: usize) -> io::Result<()> {
        let slot = SlotFile {
            turn: self.turn,
            base: self.base,
            moving: self.moving,
            seen: self.seen,
            dropped: self.dropped,
            over: self.stage == Stage::Over,
            turn_again: self.turn,
        };
        let mut bytes = serde_json::to_vec(&slot).map_err(io::Error::other)?;
        bytes.resize(SLOT - 1, b' ');
        bytes.push(b'\n');
        file.write_all_at(&bytes, (stream * SLOT) as u64)
    }

    /// Reads the slot of a stream; `None` when it is blank, or somebody is writing it.
    #[must_use]
    pub fn read(file: &File, stream: usize) -> Option<Self> {
        let mut bytes = [0; SLOT];
        file.read_exact_at(&mut bytes, (stream * SLOT) as u64)
            .ok()?;
        let slot: SlotFile = serde_json::from_slice(&bytes).ok()?;
        (slot.turn == slot.turn_again).then_some(Self {
            turn: slot.turn,
            base: slot.base,
            moving: slot.moving,
            seen: slot.seen,
            dropped: slot.dropped,
            stage: if slot.over { Stage::Over } else { Stage::Open },
        })
    }
}

/// Returns whether nothing was ever written to the slot of a stream.
fn is_blank(file: &File, stream: usize) -> bool {
    let mut first = [0];
    let read = file.read_at(&mut first, (stream * SLOT) as u64);
    read.is_ok_and(|read| read == 0 || first == [0])
}

/// Reads how much was logged to stdout and stderr; `logs` are the live files. Nothing was where no
/// run has counted.
///
/// # Errors
///
/// Returns an error when the counts are there and cannot be read.
pub fn read(counts: &Path, logs: [&Path; STREAMS]) -> io::Result<[Logged; STREAMS]> {
    let file = match File::open(counts) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(error),
    };
    let mut logged = [Logged::default(); STREAMS];
    for (stream, logged) in logged.iter_mut().enumerate() {
        let length = || std::fs::metadata(logs[stream]).map_or(0, |file| file.len());
        *logged = read_stream(&file, stream, length)?;
    }
    Ok(logged)
}

fn read_stream(file: &File, stream: usize, length: impl Fn() -> u64) -> io::Result<Logged> {
    if is_blank(file, stream) {
        return Ok(Logged::default());
    }
    let mut last = None;
    for _ in 0..TRIES {
        let Some(count) = LogCount::read(file, stream) else {
            continue;
        };
        let written = count.written(length());
        // A rotation between the two looks would have changed the count.
        if LogCount::read(file, stream) == Some(count) {
            return Ok(Logged {
                turn: count.turn,
                written,
                dropped: count.dropped,
            });
        }
        last = Some(count);
    }
    // It rotates faster than we look: what was seen at its last rotation is sure.
    let count = last.ok_or_else(|| io::Error::other("the counts of its logs are damaged"))?;
    Ok(Logged {
        turn: count.turn,
        written: count.seen,
        dropped: count.dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: LogCount = LogCount {
        turn: 1,
        base: 1000,
        moving: 0,
        seen: 1000,
        dropped: 0,
        stage: Stage::Open,
    };

    #[test]
    fn the_live_file_is_added_to_what_is_known() {
        let rotating = LogCount {
            moving: 70,
            seen: 1070,
            ..OPEN
        };
        let over = LogCount {
            stage: Stage::Over,
            ..OPEN
        };
        let old = LogCount {
            base: -500,
            seen: 0,
            ..OPEN
        };
        let rows = [
            (OPEN, 0, 1000),
            (OPEN, 7, 1007),
            // Before and after the file went.
            (rotating, 70, 1070),
            (rotating, 0, 1070),
            // Somebody truncated it: what was seen was seen.
            (LogCount { seen: 1050, ..OPEN }, 7, 1050),
            (over, 7, 1000),
            (old, 500, 0),
            (old, 510, 10),
            (old, 0, 0),
        ];
        for (count, length, expected) in rows {
            assert_eq!(count.written(length), expected, "{count:?} {length}");
        }
    }

    #[test]
    fn a_slot_holds_its_longest_numbers_and_shows_a_half_written_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = file.expect("a file");
        let count = LogCount {
            turn: u64::MAX,
            base: i64::MIN,
            moving: u64::MAX,
            seen: u64::MAX,
            dropped: u64::MAX,
            stage: Stage::Over,
        };
        count.write(&file, 1).expect("written");
        OPEN.write(&file, 0).expect("written");
        assert_eq!(LogCount::read(&file, 0), Some(OPEN));
        assert_eq!(LogCount::read(&file, 1), Some(count));
        assert_eq!(
            file.metadata().expect("it is there").len(),
            (STREAMS * SLOT) as u64
        );
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes[8] = b'9'; // the first digit of the first turn
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(LogCount::read(&file, 0), None);
    }

    #[test]
    fn nothing_was_logged_where_nobody_counted_and_damage_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("counts");
        let log = Path::new("/nowhere/log");
        let logged = read(&path, [log, log]).expect("no file is no error");
        assert_eq!(logged, [Logged::default(); STREAMS]);
        let file = File::create(&path).expect("a file");
        OPEN.write(&file, 1).expect("written");
        let [stdout, stderr] = read(&path, [log, log]).expect("a blank slot is no error");
        assert_eq!((stdout.written, stderr.written), (0, 1000));
        std::fs::write(&path, "x").expect("written");
        assert!(read(&path, [log, log]).is_err());
    }
}
