//! Following a log as it grows, across rotation, truncation and restarts.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::tail::{Position, Splitter};
use super::times::Times;
use super::{Line, Stream, files_of};

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
    /// Follows from a position, or from the beginning of the next file if there is none yet.
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
                match open_at_start(&self.log, self.stream)? {
                    Some(open) => self.open = Some(open),
                    None => return Ok(lines),
                }
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
            let (inode, times) = (open.inode, Times::default());
            lines.extend(open.splitter.rest(&times));
            self.open = self.next_after(inode)?;
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
    fn next_after(&self, inode: u64) -> io::Result<Option<Open>> {
        let files = files_of(&self.log);
        let is_it = |path: &PathBuf| fs::metadata(path).is_ok_and(|data| data.ino() == inode);
        let next = match files.iter().position(is_it) {
            Some(index) => files.get(index + 1),
            None => files.first(),
        };
        match next {
            Some(path) => open_at_start(path, self.stream),
            None => Ok(None),
        }
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
