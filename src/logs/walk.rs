//! Walking over lines in either direction, one stream or both merged by time.

use std::io;

use super::block::Block;
use super::chain::{Chain, Spot};
use crate::domain::log::{Cursor, Direction, Ending, LogLine, Stream};

/// Read for a page in pieces of this size.
const PAGE_BLOCK: usize = 64 << 10;

/// A walk over the lines of one stream.
#[derive(Debug)]
struct Walk<'a> {
    chain: &'a Chain,
    direction: Direction,
    /// What has not been walked over begins (or, backward, ends) here.
    spot: Spot,
    block: Option<Block>,
    /// The line of the block that comes next.
    line: usize,
    /// When that line was written.
    at: Option<u64>,
    read: u64,
}

/// A walk over one or two streams; the earlier line comes first, or backward the later one.
#[derive(Debug)]
pub(super) struct Merge<'a> {
    walks: Vec<Walk<'a>>,
    direction: Direction,
}

/// A line as it stands in a block.
#[derive(Debug)]
pub(super) struct Met<'a> {
    pub(super) chain: &'a Chain,
    pub(super) bytes: &'a [u8],
    pub(super) length: u64,
    pub(super) spot: Spot,
    pub(super) at: Option<u64>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(chains: &'a [Chain], spots: &[Spot], direction: Direction) -> Self {
        let walks = chains.iter().zip(spots).map(|(chain, spot)| Walk {
            chain,
            direction,
            spot: *spot,
            block: None,
            line: 0,
            at: None,
            read: 0,
        });
        Self {
            walks: walks.collect(),
            direction,
        }
    }

    /// Shows the next line to `look` and steps over it; `None` when there is no more.
    pub(super) fn step<T>(&mut self, look: impl FnOnce(Met<'_>) -> T) -> io::Result<Option<T>> {
        let mut chosen: Option<(usize, (u64, Stream))> = None;
        for (number, walk) in self.walks.iter_mut().enumerate() {
            if !walk.fill()? {
                continue;
            }
            // What has no time comes before what has one.
            let key = (walk.at.unwrap_or(0), walk.chain.stream);
            let is_next = chosen.is_none_or(|(_, best)| match self.direction {
                Direction::Forward => key < best,
                Direction::Backward => key > best,
            });
            if is_next {
                chosen = Some((number, key));
            }
        }
        let Some((number, _)) = chosen else {
            return Ok(None);
        };
        Ok(self.walks.get_mut(number).and_then(|walk| walk.take(look)))
    }

    /// Returns whether nothing is left to walk over.
    pub(super) fn is_over(&mut self) -> io::Result<bool> {
        for walk in &mut self.walks {
            if walk.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Between what has been walked over and what has not.
    pub(super) fn cursor(&self) -> Cursor {
        let mut cursor = Cursor::default();
        for walk in &self.walks {
            cursor.set(walk.chain.stream, walk.chain.place(walk.spot));
        }
        cursor
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.walks.iter().map(|walk| walk.read).sum()
    }
}

impl Walk<'_> {
    /// Makes sure that there is a next line; returns whether there is.
    fn fill(&mut self) -> io::Result<bool> {
        if self.block.is_some() {
            return Ok(true);
        }
        self.block = match self.direction {
            Direction::Forward => self.chain.block_after(self.spot, PAGE_BLOCK)?,
            Direction::Backward => self.chain.block_before(self.spot, PAGE_BLOCK)?,
        };
        let Some(block) = &self.block else {
            self.spot = match self.direction {
                // A newer file may have been begun that holds no whole line yet.
                Direction::Forward => self.chain.skip_read_files(self.spot),
                Direction::Backward => self.spot,
            };
            return Ok(false);
        };
        self.read += block.span();
        self.line = match self.direction {
            Direction::Forward => 0,
            Direction::Backward => block.lines() - 1,
        };
        self.at = self.chain.at(block.start(self.line));
        Ok(true)
    }

    fn take<T>(&mut self, look: impl FnOnce(Met<'_>) -> T) -> Option<T> {
        let block = self.block.as_ref()?;
        let (start, end) = (block.start(self.line), block.end(self.line));
        let looked = look(Met {
            chain: self.chain,
            bytes: block.line(self.line),
            length: block.length(self.line),
            spot: start,
            at: self.at,
        });
        let next = match self.direction {
            Direction::Forward => {
                self.spot = end;
                Some(self.line + 1).filter(|next| *next < block.lines())
            }
            Direction::Backward => {
                self.spot = start;
                self.line.checked_sub(1)
            }
        };
        match next {
            Some(next) => {
                self.at = self.chain.at(block.start(next));
                self.line = next;
            }
            None => self.block = None,
        }
        Some(looked)
    }
}

impl Met<'_> {
    /// The line as it is passed on, at most `limit` bytes of it.
    pub(super) fn to_line(&self, limit: usize, ending: Ending) -> Option<LogLine> {
        Some(LogLine {
            stream: self.chain.stream,
            place: self.chain.place(self.spot)?,
            at: self.at,
            length: self.length,
            bytes: self.bytes[..self.bytes.len().min(limit)].to_vec(),
            ending,
        })
    }
}
