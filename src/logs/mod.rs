//! The read side of instance logs, beside the owner: files that a shim writes, rotates and indexes.

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

/// Returns the files of one stream that exist, oldest first; the live one is last.
#[must_use]
pub fn files_of(log: &Path) -> Vec<PathBuf> {
    let numbered = |number: u32| {
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut files: Vec<PathBuf> = (1..)
        .map(numbered)
        .take_while(|path| path.exists())
        .collect();
    files.reverse();
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}
