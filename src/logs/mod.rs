//! The read side of instance logs, beside the owner: files that a shim writes, rotates and indexes.

pub mod ending;
pub mod follow;
pub mod tail;
pub mod times;

use std::path::{Path, PathBuf};

/// The longest line that is passed on whole; what is longer is cut and marked.
pub const LINE_LIMIT: usize = 1 << 20;

/// Which of a server's two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line of output, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub stream: Stream,
    /// Unix milliseconds, to a tenth of a second; `None` without an index.
    pub at: Option<u64>,
    pub bytes: Vec<u8>,
    /// The line was longer than [`LINE_LIMIT`] and is cut.
    pub cut: bool,
}

/// Returns the files of one stream that exist, oldest first; the live one is last. While a writer
/// rotates, a number may be missing for a moment.
#[must_use]
pub fn files_of(log: &Path) -> Vec<PathBuf> {
    let mut files: Vec<(u32, PathBuf)> = rotated(log);
    files.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let mut files: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}

/// Returns the path that a log has after `number` rotations; 0 is the live file.
#[must_use]
pub fn numbered(log: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return log.to_owned();
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn rotated(log: &Path) -> Vec<(u32, PathBuf)> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else {
        return Vec::new();
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let number = entry
                .file_name()
                .to_str()?
                .strip_prefix(&prefix)?
                .parse()
                .ok()?;
            Some((number, entry.path()))
        })
        .collect()
}
