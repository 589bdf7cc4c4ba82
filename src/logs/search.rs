//! Searching and counting, each stream on its own, a bounded amount per question.

use std::io;

use super::block::Block;
use super::chain::{Chain, Resolved, Spot};
use super::matcher::Matchers;
use super::page::{begin, cursor_of};
use crate::domain::log::{At, Count, Cursor, Direction, Search, Stream};

/// Looked through in pieces of this size.
const BLOCK: usize = 256 << 10;

/// The most bytes of each stream that one question looks through.
pub(super) const BUDGET: u64 = 32 << 20;

/// How the search of one stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Match(Spot),
    Nothing,
    /// The budget is used up.
    Unfinished(Spot),
}

/// Finds the next match in a direction.
pub(super) fn search(
    chains: &[Chain],
    at: At,
    direction: Direction,
    matchers: &Matchers,
    budget: u64,
) -> io::Result<Search> {
    let begin = begin(chains, at)?;
    let mut parts = Vec::new();
    for (chain, spot) in chains.iter().zip(&begin.spots) {
        parts.push(search_stream(chain, *spot, direction, matchers, budget)?);
    }
    if parts.iter().any(|part| matches!(part, Part::Unfinished(_))) {
        // A match found in the other stream is found again at once.
        let spots = chains.iter().zip(&parts).map(|(chain, part)| match part {
            Part::Match(spot) => Ok(match direction {
                Direction::Forward => *spot,
                Direction::Backward => end_of_line(chain, *spot)?,
            }),
            Part::Unfinished(spot) => Ok(*spot),
            Part::Nothing => match direction {
                Direction::Forward => chain.end(),
                Direction::Backward => Ok(chain.start()),
            },
        });
        let spots: Vec<Spot> = spots.collect::<io::Result<_>>()?;
        return Ok(Search::Unfinished {
            cursor: cursor_of(chains, &spots),
        });
    }
    let found = chains.iter().zip(&parts).filter_map(|(chain, part)| {
        let Part::Match(spot) = part else { return None };
        Some((chain.at(*spot).unwrap_or(0), chain.stream, *spot))
    });
    let best = match direction {
        Direction::Forward => found.min_by_key(|(at, stream, _)| (*at, *stream)),
        Direction::Backward => found.max_by_key(|(at, stream, _)| (*at, *stream)),
    };
    match best {
        Some((at, stream, spot)) => found_at(chains, at, stream, spot),
        None => Ok(Search::NotFound),
    }
}

/// The place of a match in the merged view: in the other stream, what was written before it.
fn found_at(chains: &[Chain], at: u64, stream: Stream, spot: Spot) -> io::Result<Search> {
    let mut cursor = Cursor::default();
    let mut line = None;
    for chain in chains {
        let there = if chain.stream == stream {
            line = chain.place(spot);
            spot
        } else {
            // Of lines of the same moment those of stdout come first.
            chain.since(at + u64::from(chain.stream < stream))?
        };
        cursor.set(chain.stream, chain.place(there));
    }
    Ok(match line {
        Some(line) => Search::Found { cursor, line },
        None => Search::NotFound,
    })
}

fn search_stream(
    chain: &Chain,
    mut spot: Spot,
    direction: Direction,
    matchers: &Matchers,
    budget: u64,
) -> io::Result<Part> {
    let mut left = budget;
    while let Some(block) = next_block(chain, spot, direction)? {
        if let Some(line) = matchers.first(&block, direction) {
            return Ok(Part::Match(block.start(line)));
        }
        spot = match direction {
            Direction::Forward => block.end(block.lines() - 1),
            Direction::Backward => block.start(0),
        };
        left = left.saturating_sub(block.span());
        if left == 0 {
            return Ok(Part::Unfinished(spot));
        }
    }
    Ok(Part::Nothing)
}

fn next_block(chain: &Chain, spot: Spot, direction: Direction) -> io::Result<Option<Block>> {
    match direction {
        Direction::Forward => chain.block_after(spot, BLOCK),
        Direction::Backward => chain.block_before(spot, BLOCK),
    }
}

fn end_of_line(chain: &Chain, spot: Spot) -> io::Result<Spot> {
    let block = chain.block_after(spot, 1)?;
    Ok(block.map_or(spot, |block| block.end(0)))
}

/// Counts matches from a cursor on; those before `mark` also apart.
pub(super) fn count(
    chains: &[Chain],
    at: At,
    mark: Option<Cursor>,
    matchers: &Matchers,
    budget: u64,
) -> io::Result<Count> {
    let begin = begin(chains, at)?;
    let mut count = Count {
        done: true,
        ..Count::default()
    };
    for (chain, spot) in chains.iter().zip(begin.spots) {
        let mark = mark.map(|mark| match chain.resolve(mark.of(chain.stream)) {
            Resolved::Kept(spot) | Resolved::Lost(spot) => spot,
        });
        let mut spot = spot;
        let mut left = budget;
        while let Some(block) = chain.block_after(spot, BLOCK)? {
            if left == 0 {
                count.done = false;
                break;
            }
            for line in matchers.lines(&block) {
                count.matches += 1;
                count.before += u64::from(mark.is_some_and(|mark| block.start(line) < mark));
            }
            spot = block.end(block.lines() - 1);
            left = left.saturating_sub(block.span());
        }
        count.cursor.set(chain.stream, chain.place(spot));
    }
    Ok(count)
}
