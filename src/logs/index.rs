//! Where lines begin: the start of every 256th, so that lines are counted once and any line is
//! found by reading at most 255 others. A million lines need 32 kB.

use std::io;

use super::chain::ChainFile;
use super::read_up_to;

/// Every such line's start is kept.
const SPACING: u64 = 256;

/// Counted in pieces of this size.
const PIECE: usize = 256 << 10;

/// The counted lines of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct LineIndex {
    /// Bytes looked at.
    scanned: u64,
    /// Newlines in them.
    newlines: u64,
    /// Where line 256, 512, … begin.
    starts: Vec<u64>,
}

/// Whether a file has been counted to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Whole,
    Partly,
}

impl LineIndex {
    /// Counts on, at most `budget` bytes, which are taken off it.
    pub(super) fn extend(&mut self, file: &ChainFile, budget: &mut u64) -> io::Result<Counted> {
        if self.scanned > file.length {
            // Somebody truncated it.
            *self = Self::default();
        }
        let mut buffer = vec![0; PIECE];
        while self.scanned < file.length {
            if *budget == 0 {
                return Ok(Counted::Partly);
            }
            let left = (file.length - self.scanned).min(*budget);
            let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = read_up_to(&file.file, &mut buffer[..size], self.scanned)?;
            if read == 0 {
                break;
            }
            for newline in memchr::memchr_iter(b'\n', &buffer[..read]) {
                self.newlines += 1;
                if self.newlines.is_multiple_of(SPACING) {
                    self.starts.push(self.scanned + newline as u64 + 1);
                }
            }
            self.scanned += read as u64;
            *budget -= read as u64;
        }
        Ok(Counted::Whole)
    }

    /// Lines of a file that has been counted; an unfinished last one counts when the file is not
    /// written any more.
    pub(super) fn lines(&self, file: &ChainFile, is_live: bool) -> io::Result<u64> {
        let mut last = [b'\n'];
        if !is_live && file.length > 0 {
            read_up_to(&file.file, &mut last, file.length - 1)?;
        }
        Ok(self.newlines + u64::from(last[0] != b'\n'))
    }

    /// Lines that begin before an offset at which a line begins; `None` if it was not counted yet.
    pub(super) fn before(&self, file: &ChainFile, offset: u64) -> io::Result<Option<u64>> {
        if offset > self.scanned {
            return Ok(None);
        }
        let known = self.starts.partition_point(|start| *start <= offset);
        let mut at = known.checked_sub(1).map_or(0, |last| self.starts[last]);
        let mut lines = known as u64 * SPACING;
        let mut buffer = vec![0; PIECE];
        while at < offset {
            let size = usize::try_from(offset - at).unwrap_or(PIECE).min(PIECE);
            let read = read_up_to(&file.file, &mut buffer[..size], at)?;
            if read == 0 {
                break;
            }
            lines += memchr::memchr_iter(b'\n', &buffer[..read]).count() as u64;
            at += read as u64;
        }
        Ok(Some(lines))
    }
}
