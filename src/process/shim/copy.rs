//! From the server's pipe into its log, without ever holding bytes that left the pipe.
//!
//! `splice` moves bytes from the pipe to the file inside the kernel: whenever we are killed, a
//! byte is in the one or in the other. Far from the size limit any amount is moved. Near it, the
//! pipe is looked into with `tee`, and exactly the whole lines that fit are moved before the file
//! is rotated; an unfinished line stays in the pipe until its end arrives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice, tee};

use super::logfile::{LogFile, Writable};

/// Lines up to this length are never split.
pub(super) const LINE_LIMIT: u64 = 64 << 10;

/// The most that one call moves.
const CHUNK: usize = 1 << 20;

/// Wanted for both log pipes; unprivileged users get less when they have many.
pub(super) const PIPE_SIZE: usize = 1 << 20;

/// What is left after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing, or something to be moved in another turn.
    Movable,
    /// An unfinished line, which stays until its end arrives.
    UnfinishedLine,
    /// Every writer is gone and everything is in the log.
    End,
}

/// Copies one stream.
#[derive(Debug)]
pub(super) struct Copier {
    pipe: OwnedFd,
    log: LogFile,
    scratch: (OwnedFd, File),
    null: File,
    how: How,
    ended: bool,
}

/// How bytes get into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Splice,
    /// The file system refused splice; being killed may now lose what was just read.
    ReadWrite,
}

impl Copier {
    /// Takes over the read end of a pipe, which must not block.
    pub(super) fn new(pipe: OwnedFd, log: LogFile) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(
            rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
        )?;
        // Smaller than the log pipe only means that less is seen at once.
        rustix::pipe::fcntl_setpipe_size(&write, PIPE_SIZE).ok();
        let null = OpenOptions::new().write(true).open("/dev/null")?;
        let scratch = (write, File::from(read));
        Ok(Self {
            pipe,
            log,
            scratch,
            null,
            how: How::Splice,
            ended: false,
        })
    }

    pub(super) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    pub(super) fn log(&self) -> &LogFile {
        &self.log
    }

    pub(super) fn without_splice(&self) -> bool {
        self.how == How::ReadWrite
    }

    pub(super) fn rotate_now(&mut self) {
        if self.log.size() > 0 {
            self.log.rotate().ok(); // what cannot be rotated is written on, as before
        }
    }

    /// Moves much of what can be moved now; never blocks. One step and no more, so that a server
    /// that writes without end keeps nobody from stopping it.
    pub(super) fn turn(&mut self) -> Left {
        let left = match self.step(Last::No) {
            Ok(Moved::Some | Moved::Nothing) => Left::Movable,
            Ok(Moved::Unfinished) => Left::UnfinishedLine,
            Ok(Moved::End) => {
                self.ended = true;
                Left::End
            }
            Err(error) => {
                self.full(&error);
                Left::Movable
            }
        };
        self.log.tell_drops();
        left
    }

    /// Moves what is left, unfinished lines too, when no more will come.
    pub(super) fn finish(&mut self) {
        while !self.ended {
            match self.step(Last::Yes) {
                Ok(Moved::Some) => {}
                Ok(Moved::Nothing | Moved::Unfinished | Moved::End) => break,
                Err(error) => self.full(&error),
            }
        }
        self.log.close();
    }

    fn step(&mut self, last: Last) -> io::Result<Moved> {
        if self.log.writable() == Writable::No {
            return self.drop_available(None);
        }
        self.log.prepare()?;
        let comfortable = self.log.comfortable_room(LINE_LIMIT);
        if comfortable > 0 {
            let amount = usize::try_from(comfortable).unwrap_or(CHUNK).min(CHUNK);
            return self.move_to_log(amount);
        }
        self.step_near_limit(last)
    }

    /// Moves whole lines only, and rotates when the next one does not fit.
    fn step_near_limit(&mut self, last: Last) -> io::Result<Moved> {
        let seen = match self.peek()? {
            Peeked::Bytes(bytes) => bytes,
            Peeked::Nothing => return Ok(Moved::Nothing),
            Peeked::End => return Ok(Moved::End),
        };
        let room = usize::try_from(self.log.room()).unwrap_or(usize::MAX);
        let fitting = &seen[..seen.len().min(room)];
        if let Some(newline) = fitting.iter().rposition(|byte| *byte == b'\n') {
            return self.move_to_log(newline + 1);
        }
        let fits = seen.len() <= room;
        if !fits && self.log.at_line_start() && self.log.size() > 0 {
            self.log.rotate()?;
            return Ok(Moved::Some);
        }
        if !fits {
            // A line longer than the file: it is split, as only such lines are.
            let moved = if room > 0 {
                self.move_to_log(room)?
            } else {
                Moved::Some
            };
            self.log.rotate()?;
            return Ok(moved);
        }
        let unusual = seen.len() as u64 >= LINE_LIMIT;
        if last == Last::Yes || unusual || self.pipe_is_full(seen.len()) {
            return self.move_to_log(seen.len());
        }
        Ok(Moved::Unfinished)
    }

    fn pipe_is_full(&self, seen: usize) -> bool {
        // Pages may be partly filled, so a pipe can refuse writes long before its size is reached;
        // half of it is taken for full.
        rustix::pipe::fcntl_getpipe_size(&self.pipe).is_ok_and(|size| seen * 2 >= size)
    }

    fn move_to_log(&mut self, amount: usize) -> io::Result<Moved> {
        if self.how == How::ReadWrite {
            return self.read_and_write(amount);
        }
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(&self.pipe, None, self.log.file(), None, amount, flags) {
            Ok(0) => Ok(Moved::End),
            Ok(moved) => {
                self.log.wrote(moved);
                Ok(Moved::Some)
            }
            Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Err(Errno::INTR) => Ok(Moved::Some),
            Err(Errno::INVAL) => {
                self.how = How::ReadWrite;
                Ok(Moved::Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read_and_write(&mut self, amount: usize) -> io::Result<Moved> {
        let mut buffer = vec![0; amount.min(64 << 10)];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Ok(0) => Ok(Moved::End),
            Ok(read) => {
                let written = self.log.file().write_all(&buffer[..read]);
                match written {
                    Ok(()) => self.log.wrote(read),
                    // They left the pipe already, so they are gone.
                    Err(error) => self.log.drop_bytes(read, &error),
                }
                Ok(Moved::Some)
            }
            Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Err(Errno::INTR) => Ok(Moved::Some),
            Err(error) => Err(error.into()),
        }
    }

    /// The disk is full or broken: make room once, then drop, so that the server never blocks.
    fn full(&mut self, error: &io::Error) {
        if self.log.make_room() {
            return;
        }
        // What is dropped here is counted; the next turns drop without asking the disk.
        self.drop_available(Some(error)).ok();
    }

    fn drop_available(&mut self, error: Option<&io::Error>) -> io::Result<Moved> {
        let unknown = io::Error::other("no space left");
        let error = error.unwrap_or(&unknown);
        self.log.drop_bytes(0, error);
        match splice(
            &self.pipe,
            None,
            &self.null,
            None,
            CHUNK,
            SpliceFlags::NONBLOCK,
        ) {
            Ok(0) => Ok(Moved::End),
            Ok(dropped) => {
                self.log.drop_bytes(dropped, error);
                Ok(Moved::Some)
            }
            Err(Errno::AGAIN) => Ok(Moved::Nothing),
            Err(Errno::INTR) => Ok(Moved::Some),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks at what the pipe holds without taking it out.
    fn peek(&mut self) -> io::Result<Peeked> {
        let seen = match tee(&self.pipe, &self.scratch.0, CHUNK, SpliceFlags::NONBLOCK) {
            Ok(0) => return Ok(Peeked::End),
            Ok(seen) => seen,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Peeked::Nothing),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = vec![0; seen];
        self.scratch.1.read_exact(&mut bytes)?;
        Ok(Peeked::Bytes(bytes))
    }
}

/// Whether more output may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

enum Moved {
    Some,
    Nothing,
    /// Nothing but an unfinished line is there.
    Unfinished,
    End,
}

enum Peeked {
    Bytes(Vec<u8>),
    Nothing,
    End,
}
