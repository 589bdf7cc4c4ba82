//! Following a log as it grows, across rotation, truncation and restarts.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::tail::{Position, Splitter};
use super::times::Times;
use super::{Line, Stream, files_of, numbered, rotated};

/// Bytes read in one turn, so that a flood does not starve the other stream.
const TURN: usize = 256 << 10;

/// A reader that stays at the end of one stream.
#[derive(Debug)]
pub struct Follower {
    log: PathBuf,
    stream: Stream,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    offset: u64,
    splitter: Splitter,
}

impl Follower {
    /// Follows from a position, or from the very beginning.
    ///
    /// # Errors
    ///
    /// Returns an error when the open file cannot be asked for its number.
    pub fn new(log: &Path, stream: Stream, position: Option<Position>) -> io::Result<Self> {
        let open = match position {
            Some(Position { file, offset }) => {
                let inode = file.metadata()?.ino();
                Some(Open {
                    file,
                    inode,
                    offset,
                    splitter: Splitter::new(stream, offset),
                })
            }
            None => None,
        };
        Ok(Self {
            log: log.to_owned(),
            stream,
            open,
        })
    }

    /// Returns the whole lines that were added, at most some hundred kilobytes of them; an empty
    /// answer means that there is nothing new.
    ///
    /// # Errors
    ///
    /// Returns an error when a file cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        loop {
            let Some(open) = &mut self.open else {
                // The oldest: a young log may have been rotated before it was first looked at.
                let Some(oldest) = files_of(&self.log).into_iter().next() else {
                    return Ok(lines);
                };
                let open = open_at_start(&oldest, self.stream)?;
                let still = files_of(&self.log).into_iter().next();
                // Opened in the middle of a rotation, the name may have changed hands.
                if still
                    .and_then(|path| fs::metadata(path).ok())
                    .map(|data| data.ino())
                    != open.as_ref().map(|open| open.inode)
                {
                    return Ok(lines);
                }
                self.open = open;
                continue;
            };
            // The name is looked up before reading: what is read after a rotation was seen is all.
            let present = fs::metadata(&self.log).ok().map(|metadata| metadata.ino());
            let length = open.file.metadata()?.len();
            if length < open.offset {
                // Somebody truncated it; the writer goes on at its new end.
                open.offset = length;
                open.splitter = Splitter::new(self.stream, length);
            }
            let mut block = vec![0; TURN];
            let read = open.file.read_at(&mut block, open.offset)?;
            if read > 0 {
                let times = Times::read(&self.name_of_open());
                let Some(open) = &mut self.open else { continue };
                open.splitter.feed(&block[..read], &times, &mut lines);
                open.offset += read as u64;
                return Ok(lines);
            }
            if present == Some(open.inode) || present.is_none() {
                return Ok(lines);
            }
            let inode = open.inode;
            // In the middle of a rotation the next file cannot be told yet; the next poll can.
            let Some(next) = self.next_after(inode)? else {
                return Ok(lines);
            };
            let times = Times::default();
            lines.extend(
                self.open
                    .as_mut()
                    .and_then(|open| open.splitter.rest(&times)),
            );
            self.open = Some(next);
        }
    }

    /// The name that the open file has now.
    fn name_of_open(&self) -> PathBuf {
        let inode = self.open.as_ref().map(|open| open.inode);
        files_of(&self.log)
            .into_iter()
            .find(|path| fs::metadata(path).ok().map(|metadata| metadata.ino()) == inode)
            .unwrap_or_else(|| self.log.clone())
    }

    /// The file that was begun after the one with this number; the oldest if that one is gone.
    /// `None` while files are being renamed.
    fn next_after(&self, inode: u64) -> io::Result<Option<Open>> {
        let Some(number) = self.number_of(inode) else {
            // A listing can miss a file that is being renamed; only an unlinked one is gone.
            let gone = match &self.open {
                Some(open) => open.file.metadata()?.nlink() == 0,
                None => true,
            };
            return match files_of(&self.log).first().filter(|_| gone) {
                Some(oldest) => open_at_start(oldest, self.stream),
                None => Ok(None),
            };
        };
        let Some(newer) = number.checked_sub(1) else {
            return Ok(None);
        };
        let next = open_at_start(&numbered(&self.log, newer), self.stream)?;
        // Every rotation renames every file: if ours kept its number, none happened meanwhile.
        Ok(next.filter(|_| self.number_of(inode) == Some(number)))
    }

    fn number_of(&self, inode: u64) -> Option<u32> {
        let has = |path: &Path| fs::metadata(path).is_ok_and(|data| data.ino() == inode);
        if has(&self.log) {
            return Some(0);
        }
        rotated(&self.log)
            .into_iter()
            .find(|(_, path)| has(path))
            .map(|(number, _)| number)
    }
}

fn open_at_start(path: &Path, stream: Stream) -> io::Result<Option<Open>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some(Open {
                file,
                inode,
                offset: 0,
                splitter: Splitter::new(stream, 0),
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    const LINES: u64 = 20_000;

    /// Writes numbered lines and rotates as a shim does: rename, then open anew.
    fn write_and_rotate(folder: &Path) {
        let log = folder.join("stdout.log");
        let numbered = |number: u32| folder.join(format!("stdout.log.{number}"));
        let mut file = File::create(&log).expect("create");
        for line in 0..LINES {
            if line % 500 == 499 {
                for number in (1..60).rev() {
                    fs::rename(numbered(number), numbered(number + 1)).ok(); // not that many yet
                }
                fs::rename(&log, numbered(1)).expect("rename");
                file = File::create(&log).expect("create");
            }
            let text = format!("line {line:010}\n");
            // In two parts, so that a reader meets unfinished lines.
            file.write_all(&text.as_bytes()[..7]).expect("write");
            file.write_all(&text.as_bytes()[7..]).expect("write");
        }
    }

    #[test]
    fn a_follower_loses_and_doubles_nothing_across_rotation() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("stdout.log");
        let ended = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                write_and_rotate(folder.path());
                ended.store(true, Ordering::SeqCst);
            });
            let mut follower = Follower::new(&log, Stream::Stdout, None).expect("follow");
            let mut expected = 0;
            loop {
                let was_ended = ended.load(Ordering::SeqCst);
                let lines = follower.poll().expect("poll");
                for line in &lines {
                    let text = String::from_utf8_lossy(&line.bytes);
                    assert_eq!(text, format!("line {expected:010}"));
                    expected += 1;
                }
                if lines.is_empty() && was_ended {
                    break;
                }
            }
            assert_eq!(expected, LINES);
        });
    }
}
