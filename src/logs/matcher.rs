//! Finding lines: a regular expression over whole blocks, or a level line by line.

use regex::bytes::{Regex, RegexBuilder};

use super::block::Block;
use crate::domain::log::{Direction, Pattern, Sense};
use crate::domain::log_level::LogLevel;

/// A compiled pattern must not need more memory than this.
const REGEX_BYTES: usize = 4 << 20;

/// Which lines are meant.
#[derive(Debug)]
pub(super) enum Matcher {
    Pattern {
        regex: Regex,
        reach: Reach,
        sense: Sense,
    },
    Level(LogLevel),
}

/// What a pattern may be run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Many lines at once; what it finds in a line it also finds in that line alone.
    Block,
    /// One line at a time, because it asks for the beginning or the end of the text.
    Line,
}

/// Lines that match `wanted`, and `filter` as well.
#[derive(Debug)]
pub(super) struct Matchers {
    pub(super) wanted: Matcher,
    pub(super) filter: Option<Matcher>,
}

impl Matcher {
    pub(super) fn pattern(pattern: &Pattern) -> Result<Self, Box<regex::Error>> {
        let regex = RegexBuilder::new(&pattern.text)
            .multi_line(true)
            .case_insensitive(pattern.ignores_case())
            .size_limit(REGEX_BYTES)
            .build()?;
        let reach = match pattern.sense {
            Sense::Matching => reach_of(&pattern.text),
            // What is not matched has no place in a block.
            Sense::Others => Reach::Line,
        };
        Ok(Self::Pattern {
            regex,
            reach,
            sense: pattern.sense,
        })
    }

    pub(super) fn is_match(&self, line: &[u8]) -> bool {
        match self {
            Self::Pattern { regex, sense, .. } => {
                regex.is_match(line) == (*sense == Sense::Matching)
            }
            Self::Level(worst) => LogLevel::of(line).is_some_and(|level| level >= *worst),
        }
    }

    /// The first line from `line` on that matches.
    fn next(&self, block: &Block, mut line: usize) -> Option<usize> {
        if let Self::Pattern {
            regex,
            reach: Reach::Block,
            ..
        } = self
        {
            while line < block.lines() {
                let found = regex.find_at(&block.bytes, block.range(line).0)?;
                let at = block.line_at(found.start());
                let within = found.end() < block.range(at).1;
                if within || self.is_match(block.line(at)) {
                    return Some(at);
                }
                // It reached over the end of its line, and without that it is no match.
                line = at + 1;
            }
            return None;
        }
        (line..block.lines()).find(|line| self.is_match(block.line(*line)))
    }
}

impl Matchers {
    /// The lines of a block that match, in order.
    pub(super) fn lines<'a>(&'a self, block: &'a Block) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        let passes = |line: &usize| {
            let filter = self.filter.as_ref();
            filter.is_none_or(|filter| filter.is_match(block.line(*line)))
        };
        std::iter::from_fn(move || {
            let line = self.wanted.next(block, from)?;
            from = line + 1;
            Some(line)
        })
        .filter(passes)
    }

    /// The match of a block that comes first in a direction.
    pub(super) fn first(&self, block: &Block, direction: Direction) -> Option<usize> {
        match direction {
            Direction::Forward => self.lines(block).next(),
            Direction::Backward => self.lines(block).last(),
        }
    }
}

/// What can match a newline, asks for the ends of the whole text, or changes what `^` and `$` mean
/// keeps a pattern to single lines.
const LINE_ONLY: [&str; 12] = [
    "[^", "[[:", "\\s", "\\W", "\\D", "\\P", "\\n", "\\r", "\\x", "\\u", "\\A", "\\z",
];

fn reach_of(pattern: &str) -> Reach {
    let flags = pattern
        .match_indices("(?")
        .map(|(at, _)| &pattern[at + 2..])
        .any(|rest| {
            let plain = [":", "i)", "i:", "P<", "<"];
            !plain.iter().any(|start| rest.starts_with(start))
        });
    if flags || LINE_ONLY.iter().any(|part| pattern.contains(part)) {
        Reach::Line
    } else {
        Reach::Block
    }
}
