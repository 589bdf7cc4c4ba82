//! The read side of instance logs, beside the owner: files that a shim writes, rotates and indexes.
//!
//! A [`Reader`] answers one bounded question at a time: a page of lines from a cursor, the next
//! match, a count, the size. It holds no file open between questions and no place in the log: who
//! reads keeps a cursor and asks again, so a slow reader costs nothing.
//!
//! Each question opens the files of a stream anew (`chain`), reads whole lines in blocks
//! (`block`), walks them in either direction (`walk`) and merges the two streams by the times
//! that the shim noted (`times`). Only the counts of lines (`index`) are kept.

mod block;
mod chain;
pub mod ending;
mod index;
mod matcher;
mod page;
mod reader;
mod search;
#[cfg(test)]
mod tests;
mod times;
mod walk;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub use self::reader::{LogError, LogFiles, Reader};

/// The longest line that is passed on whole; what is longer is cut.
pub const LINE_LIMIT: usize = 1 << 20;

/// The most lines of one page.
pub const PAGE_LINES: usize = 5000;

/// Returns the files of one stream that exist, oldest first; the live one is last. While a writer
/// rotates, a number may be missing for a moment.
#[must_use]
pub fn files_of(log: &Path) -> Vec<PathBuf> {
    let mut numbers = rotated(log);
    numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    let mut files: Vec<PathBuf> = numbers
        .into_iter()
        .map(|number| numbered(log, number))
        .collect();
    if log.exists() {
        files.push(log.to_owned());
    }
    files
}

/// The path that a log has after `number` rotations; 0 is the live file.
fn numbered(log: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return log.to_owned();
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The numbers of the rotated files that a listing shows.
fn rotated(log: &Path) -> Vec<u32> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else {
        return Vec::new();
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix(&prefix)?
                .parse()
                .ok()
        })
        .collect()
}

/// Fills the buffer from a file as far as there are bytes.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
