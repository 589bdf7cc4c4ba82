//! The end of a log, read backwards across rotated files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::times::Times;
use super::{LINE_LIMIT, Line, Stream, files_of};

/// Read backwards in blocks of this size.
const BLOCK: usize = 64 << 10;

/// A stream's last lines and where a follower goes on.
#[derive(Debug)]
pub struct Tail {
    pub lines: Vec<Line>,
    /// The live file and the offset up to which it was read; `None` when there is no file yet.
    pub position: Option<Position>,
}

/// A place in an open log file.
#[derive(Debug)]
pub struct Position {
    pub file: File,
    pub offset: u64,
}

/// Returns the last `count` lines of a stream. An unfinished last line is included.
///
/// # Errors
///
/// Returns an error when a file that exists cannot be read.
pub fn tail(log: &Path, stream: Stream, count: usize) -> io::Result<Tail> {
    let mut lines: Vec<Line> = Vec::new();
    let mut position = None;
    for path in files_of(log).iter().rev() {
        // It may have been rotated away since it was listed.
        let Ok(file) = File::open(path) else { continue };
        let length = file.metadata()?.len();
        let wanted = count - lines.len();
        if wanted > 0 {
            let mut earlier = last_lines_of(&file, path, stream, length, wanted)?;
            earlier.append(&mut lines);
            lines = earlier;
        }
        if position.is_none() {
            position = Some(Position {
                file,
                offset: length,
            });
        }
        if lines.len() >= count {
            break;
        }
    }
    Ok(Tail { lines, position })
}

/// Returns all lines of a stream written at or after a time (unix milliseconds).
///
/// # Errors
///
/// Returns an error when a file that exists cannot be read.
pub fn since(log: &Path, stream: Stream, millis: u64) -> io::Result<Tail> {
    let mut lines = Vec::new();
    let mut position = None;
    for path in files_of(log) {
        let Ok(file) = File::open(&path) else {
            continue;
        };
        let length = file.metadata()?.len();
        if let Some(start) = Times::read(&path).since(millis) {
            lines.extend(lines_between(&file, &path, stream, start, length)?);
        }
        position = Some(Position {
            file,
            offset: length,
        });
    }
    Ok(Tail { lines, position })
}

/// Merges two streams by time; what has no time keeps its place behind what came before it.
#[must_use]
pub fn merge(first: Vec<Line>, second: Vec<Line>) -> Vec<Line> {
    let mut merged = first;
    merged.extend(second);
    // Stable: lines of one stream keep their order within a tenth of a second.
    merged.sort_by_key(|line| line.at.unwrap_or(0));
    merged
}

/// Returns the last lines of one file as text, for an explanation of how a server ended.
///
/// # Errors
///
/// Returns an error when the file exists and cannot be read.
pub fn last_texts(log: &Path, count: usize) -> io::Result<Vec<String>> {
    let tail = tail(log, Stream::Stderr, count)?;
    Ok(tail
        .lines
        .iter()
        .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
        .collect())
}

fn last_lines_of(
    file: &File,
    path: &Path,
    stream: Stream,
    length: u64,
    count: usize,
) -> io::Result<Vec<Line>> {
    let mut start = length;
    let mut newlines = 0;
    let mut block = vec![0; BLOCK];
    'blocks: while start > 0 {
        let size = usize::try_from(start).unwrap_or(BLOCK).min(BLOCK);
        let from = start - size as u64;
        file.read_exact_at(&mut block[..size], from)?;
        for (index, byte) in block[..size].iter().enumerate().rev() {
            let offset = from + index as u64;
            // The newline that ends the last line begins no further one.
            if *byte == b'\n' && offset + 1 != length {
                newlines += 1;
                if newlines == count {
                    start = offset + 1;
                    break 'blocks;
                }
            }
        }
        start = from;
    }
    lines_between(file, path, stream, start, length)
}

fn lines_between(
    file: &File,
    path: &Path,
    stream: Stream,
    start: u64,
    end: u64,
) -> io::Result<Vec<Line>> {
    let times = Times::read(path);
    let mut lines = Vec::new();
    let mut splitter = Splitter::new(stream, start);
    let mut offset = start;
    let mut block = vec![0; BLOCK];
    while offset < end {
        let size = usize::try_from(end - offset).unwrap_or(BLOCK).min(BLOCK);
        let read = file.read_at(&mut block[..size], offset)?;
        if read == 0 {
            break;
        }
        splitter.feed(&block[..read], &times, &mut lines);
        offset += read as u64;
    }
    lines.extend(splitter.rest(&times));
    Ok(lines)
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
pub(super) struct Splitter {
    stream: Stream,
    /// Where the unfinished line began.
    begin: u64,
    next: u64,
    partial: Vec<u8>,
    cut: bool,
}

impl Splitter {
    pub(super) fn new(stream: Stream, offset: u64) -> Self {
        Self {
            stream,
            begin: offset,
            next: offset,
            partial: Vec::new(),
            cut: false,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], times: &Times, lines: &mut Vec<Line>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LINE_LIMIT - self.partial.len();
            self.cut |= text.len() > room;
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            self.next += piece.len() as u64;
            if ended {
                lines.extend(self.finish(times));
            }
        }
    }

    /// Returns the line that has no end yet, if there is one.
    pub(super) fn rest(&mut self, times: &Times) -> Option<Line> {
        if self.begin == self.next {
            None
        } else {
            self.finish(times)
        }
    }

    fn finish(&mut self, times: &Times) -> Option<Line> {
        let at = times.at(self.begin);
        self.begin = self.next;
        let bytes = std::mem::take(&mut self.partial);
        Some(Line {
            stream: self.stream,
            at,
            bytes,
            cut: std::mem::take(&mut self.cut),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<String> {
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .collect()
    }

    #[test]
    fn the_tail_reaches_back_into_rotated_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("stdout.log");
        std::fs::write(folder.path().join("stdout.log.2"), "1\n2\n").expect("write");
        std::fs::write(folder.path().join("stdout.log.1"), "3\n\n").expect("write");
        std::fs::write(&log, "5\n6").expect("write");
        let rows = [
            (0, vec![]),
            (1, vec!["6"]),
            (3, vec!["", "5", "6"]),
            (99, vec!["1", "2", "3", "", "5", "6"]),
        ];
        for (count, expected) in rows {
            let tail = tail(&log, Stream::Stdout, count).expect("tail");
            assert_eq!(texts(&tail.lines), expected, "{count}");
            assert_eq!(tail.position.expect("a file").offset, 3);
        }
    }

    #[test]
    fn a_huge_line_is_cut_and_says_so() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("stdout.log");
        std::fs::write(&log, format!("a\n{}\nb\n", "x".repeat(LINE_LIMIT + 5))).expect("write");
        let tail = tail(&log, Stream::Stdout, 2).expect("tail");
        assert_eq!(tail.lines[0].bytes.len(), LINE_LIMIT);
        assert!(tail.lines[0].cut && !tail.lines[1].cut);
    }
}
