//! Reading one page of lines.

use std::io;

use super::PAGE_LINES;
use super::chain::{Chain, Resolved, Spot, newline_after};
use super::matcher::Matcher;
use super::walk::{Merge, Met};
use super::{LINE_LIMIT, read_up_to};
use crate::domain::log::{At, Cursor, Direction, Ending, LogLine, Page, PageQuery};

/// The most text of one page; one line is always passed on.
const PAGE_BYTES: usize = 1 << 20;

/// The most bytes that one page looks through for lines that match its filter.
const SCAN_BYTES: u64 = 16 << 20;

/// Where reading begins in each chain, and whether lines are missing there.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) spots: Vec<Spot>,
    pub(super) lost: bool,
}

/// Finds where a question begins.
pub(super) fn begin(chains: &[Chain], at: At) -> io::Result<Begin> {
    let mut lost = false;
    let spot = |chain: &Chain| match at {
        At::Start => Ok(chain.start()),
        At::End => chain.end(),
        At::Time(millis) => chain.since(millis),
        At::Cursor(cursor) => Ok(match chain.resolve(cursor.of(chain.stream)) {
            Resolved::Kept(spot) => spot,
            Resolved::Lost(spot) => {
                lost = true;
                spot
            }
        }),
    };
    let spots = chains.iter().map(spot).collect::<io::Result<_>>()?;
    Ok(Begin { spots, lost })
}

pub(super) fn cursor_of(chains: &[Chain], spots: &[Spot]) -> Cursor {
    let mut cursor = Cursor::default();
    for (chain, spot) in chains.iter().zip(spots) {
        cursor.set(chain.stream, chain.place(*spot));
    }
    cursor
}

/// Reads a page; the filter has been compiled.
pub(super) fn page(
    chains: &[Chain],
    query: &PageQuery,
    filter: Option<&Matcher>,
) -> io::Result<Page> {
    let begin = begin(chains, query.at)?;
    let line_bytes = query.line_bytes.min(LINE_LIMIT);
    let limit = query.lines.min(PAGE_LINES);
    let mut lines: Vec<LogLine> = Vec::new();
    let mut text = 0;
    let mut walk = Merge::new(chains, &begin.spots, query.direction);
    while lines.len() < limit && text < PAGE_BYTES && walk.read() < SCAN_BYTES {
        let passes = |met: &Met<'_>| filter.is_none_or(|filter| filter.is_match(met.bytes));
        let step = walk.step(|met| {
            passes(&met)
                .then(|| met.to_line(line_bytes, Ending::Whole))
                .flatten()
        })?;
        let Some(met) = step else { break };
        if let Some(line) = met {
            text += line.bytes.len();
            lines.push(line);
        }
    }
    let begun = cursor_of(chains, &begin.spots);
    let is_over = walk.is_over()?;
    let mut page = match query.direction {
        Direction::Forward => Page {
            start: begun,
            end: walk.cursor(),
            lines,
            at_start: begin.spots.iter().all(|spot| is_first(*spot)),
            at_end: is_over,
            lost: begin.lost,
        },
        Direction::Backward => {
            lines.reverse();
            let at_end = chains.iter().zip(&begin.spots);
            Page {
                start: walk.cursor(),
                end: begun,
                lines,
                at_start: is_over,
                at_end: at_end
                    .map(|(chain, spot)| Ok(*spot >= chain.end()?))
                    .collect::<io::Result<Vec<bool>>>()?
                    .iter()
                    .all(|at_end| *at_end),
                lost: begin.lost,
            }
        }
    };
    if page.at_end {
        page.lines.extend(unfinished(chains, line_bytes, filter)?);
    }
    Ok(page)
}

fn is_first(spot: Spot) -> bool {
    spot == Spot { file: 0, offset: 0 }
}

/// The lines that have no end yet, at most one per stream.
fn unfinished(
    chains: &[Chain],
    line_bytes: usize,
    filter: Option<&Matcher>,
) -> io::Result<Vec<LogLine>> {
    let mut lines = Vec::new();
    for chain in chains {
        let spot = chain.end()?;
        let Some(live) = chain.files.get(spot.file) else {
            continue;
        };
        let length = live.length.saturating_sub(spot.offset);
        if length == 0 || newline_after(&live.file, spot.offset, live.length)?.is_some() {
            continue;
        }
        let mut bytes = vec![
            0;
            usize::try_from(length)
                .unwrap_or(LINE_LIMIT)
                .min(LINE_LIMIT)
        ];
        let read = read_up_to(&live.file, &mut bytes, spot.offset)?;
        bytes.truncate(read);
        let met = Met {
            chain,
            bytes: &bytes,
            length,
            spot,
            at: chain.at(spot),
        };
        if filter.is_none_or(|filter| filter.is_match(&bytes)) {
            lines.extend(met.to_line(line_bytes, Ending::Unfinished));
        }
    }
    lines.sort_by_key(|line| (line.at, line.stream));
    Ok(lines)
}
