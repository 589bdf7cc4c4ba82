//! Whole lines of one file in memory, read forward or backward.

use std::io;

use super::chain::{Chain, ChainFile, Spot, newline_after, newline_before};
use super::{LINE_LIMIT, read_up_to};

/// Lines of one file that stand next to each other.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) file: usize,
    /// Where in the file the first line begins.
    base: u64,
    /// Where in the file the last line is over, newline included.
    end: u64,
    pub(super) bytes: Vec<u8>,
    /// Where each line begins in `bytes`.
    starts: Vec<usize>,
    /// The bytes of the only line, when it is longer than what is passed on.
    long: Option<u64>,
}

impl Block {
    fn new(file: usize, base: u64, bytes: Vec<u8>) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', &bytes).map(|newline| newline + 1));
        if starts.last() == Some(&bytes.len()) {
            starts.pop();
        }
        Self {
            file,
            base,
            end: base + bytes.len() as u64,
            bytes,
            starts,
            long: None,
        }
    }

    pub(super) fn lines(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of a line, without its newline.
    pub(super) fn line(&self, number: usize) -> &[u8] {
        let (start, end) = self.range(number);
        let line = &self.bytes[start..end];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// Bytes of a line, without its newline, however many of them are here.
    pub(super) fn length(&self, number: usize) -> u64 {
        self.long.unwrap_or(self.line(number).len() as u64)
    }

    pub(super) fn start(&self, number: usize) -> Spot {
        Spot {
            file: self.file,
            offset: self.base + self.starts[number] as u64,
        }
    }

    /// Behind a line and its newline.
    pub(super) fn end(&self, number: usize) -> Spot {
        let offset = match self.starts.get(number + 1) {
            Some(next) => self.base + *next as u64,
            None => self.end,
        };
        Spot {
            file: self.file,
            offset,
        }
    }

    /// Where a line and its newline stand in `bytes`.
    pub(super) fn range(&self, number: usize) -> (usize, usize) {
        let end = self.starts.get(number + 1).copied();
        (self.starts[number], end.unwrap_or(self.bytes.len()))
    }

    /// The line that a position in `bytes` belongs to.
    pub(super) fn line_at(&self, position: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= position)
            .saturating_sub(1)
    }

    /// Bytes of the file that the block covers.
    pub(super) fn span(&self) -> u64 {
        self.end - self.base
    }
}

impl Chain {
    /// Reads about `size` bytes of whole lines that begin at a spot; `None` at the end.
    pub(super) fn block_after(&self, mut spot: Spot, size: usize) -> io::Result<Option<Block>> {
        while let Some(file) = self.files.get(spot.file) {
            let is_live = spot.file + 1 == self.files.len();
            if let Some(block) = file.block_after(spot, size, is_live)? {
                return Ok(Some(block));
            }
            spot = Spot {
                file: spot.file + 1,
                offset: 0,
            };
        }
        Ok(None)
    }

    /// Reads about `size` bytes of whole lines that end at a spot; `None` at the start.
    pub(super) fn block_before(&self, mut spot: Spot, size: usize) -> io::Result<Option<Block>> {
        loop {
            let Some(file) = self.files.get(spot.file) else {
                return Ok(None);
            };
            if let Some(block) = file.block_before(spot, size)? {
                return Ok(Some(block));
            }
            let Some(older) = spot.file.checked_sub(1) else {
                return Ok(None);
            };
            spot = Spot {
                file: older,
                offset: self.files[older].length,
            };
        }
    }
}

impl ChainFile {
    fn block_after(&self, spot: Spot, size: usize, is_live: bool) -> io::Result<Option<Block>> {
        let left = self.length.saturating_sub(spot.offset);
        let mut wanted = size;
        if left == 0 {
            return Ok(None);
        }
        loop {
            let amount = usize::try_from(left).unwrap_or(wanted).min(wanted);
            let mut bytes = vec![0; amount];
            let read = read_up_to(&self.file, &mut bytes, spot.offset)?;
            bytes.truncate(read);
            let is_rest = read < amount || read as u64 == left;
            if is_rest && !is_live && read > 0 {
                return Ok(Some(Block::new(spot.file, spot.offset, bytes)));
            }
            if let Some(newline) = memchr::memrchr(b'\n', &bytes) {
                bytes.truncate(newline + 1);
                return Ok(Some(Block::new(spot.file, spot.offset, bytes)));
            }
            if is_rest {
                return Ok(None);
            }
            if amount > LINE_LIMIT {
                let from = spot.offset + read as u64;
                let end = match newline_after(&self.file, from, self.length)? {
                    Some(newline) => newline + 1,
                    None if is_live => return Ok(None),
                    None => self.length,
                };
                return self.long_line(spot.file, spot.offset, end, bytes).map(Some);
            }
            wanted = (wanted * 4).min(LINE_LIMIT + 1);
        }
    }

    fn block_before(&self, spot: Spot, size: usize) -> io::Result<Option<Block>> {
        let end = spot.offset.min(self.length);
        let mut wanted = size as u64;
        if end == 0 {
            return Ok(None);
        }
        loop {
            let begin = end - wanted.min(end);
            let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or(LINE_LIMIT)];
            let read = read_up_to(&self.file, &mut bytes, begin)?;
            bytes.truncate(read);
            if read == 0 {
                return Ok(None);
            }
            if begin == 0 {
                return Ok(Some(Block::new(spot.file, 0, bytes)));
            }
            // The newline that ends the last line begins no further one.
            let inner = bytes.len() - 1;
            if let Some(newline) = memchr::memchr(b'\n', &bytes[..inner]) {
                let first = newline + 1;
                bytes.drain(..first);
                return Ok(Some(Block::new(spot.file, begin + first as u64, bytes)));
            }
            if wanted > LINE_LIMIT as u64 {
                let start = newline_before(&self.file, 0, begin)?.map_or(0, |newline| newline + 1);
                let mut bytes = vec![0; LINE_LIMIT];
                let read = read_up_to(&self.file, &mut bytes, start)?;
                bytes.truncate(read);
                return self.long_line(spot.file, start, end, bytes).map(Some);
            }
            wanted = (wanted * 4).min(LINE_LIMIT as u64 + 1);
        }
    }

    /// A block of one line of which only the beginning is kept.
    fn long_line(&self, file: usize, start: u64, end: u64, bytes: Vec<u8>) -> io::Result<Block> {
        let mut last = [0];
        let read = read_up_to(&self.file, &mut last, end - 1)?;
        let newline = u64::from(read == 1 && last[0] == b'\n');
        let mut bytes = bytes;
        bytes.truncate(LINE_LIMIT);
        Ok(Block {
            file,
            base: start,
            end,
            bytes,
            starts: vec![0],
            long: Some(end - start - newline),
        })
    }
}
