//! The time index beside a log: 16-byte records (offset, unix milliseconds), little-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of one record.
const RECORD: u64 = 16;

/// At most ten records a second: one per slot of this many milliseconds.
const SLOT_MS: u64 = 100;

/// Writes when which offset of the log was reached.
#[derive(Debug)]
pub(super) struct Index {
    file: Option<File>,
    last_ms: u64,
}

/// Returns the path of the index that belongs to a log file.
pub(super) fn path_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".idx");
    PathBuf::from(name)
}

impl Index {
    /// Opens the index of a log. Without one the log is still written, only its times are missing.
    pub(super) fn open(log: &Path) -> Self {
        Self {
            file: open_aligned(&path_of(log)).ok(),
            last_ms: 0,
        }
    }

    /// Notes that the next byte of the log goes to `offset` now.
    pub(super) fn note(&mut self, offset: u64) {
        let Some(file) = &mut self.file else { return };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if now_ms < self.last_ms.saturating_add(SLOT_MS) && now_ms >= self.last_ms {
            return;
        }
        self.last_ms = now_ms;
        let mut record = [0; RECORD as usize];
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..].copy_from_slice(&now_ms.to_le_bytes());
        file.write_all(&record).ok(); // on a full disk times are missing, lines matter more
    }
}

/// A writer that was killed may have left part of a record.
fn open_aligned(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let length = file.metadata()?.len();
    if !length.is_multiple_of(RECORD) {
        file.set_len(length - length % RECORD)?;
    }
    Ok(file)
}
