//! Answers questions about one instance's logs, each from the files as they are at that moment.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chain::{Chain, Resolved, id_of, newline_after};
use super::index::{Counted, LineIndex};
use super::matcher::{Matcher, Matchers};
use super::{page, search};
use crate::domain::log::{
    Count, CountQuery, Cursor, FileId, Page, PageQuery, Pattern, Search, SearchQuery, Size, Stream,
    Streams, Wanted,
};

/// The most bytes that one question about the size counts lines in.
const COUNT_BYTES: u64 = 128 << 20;

/// Where an instance's output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

/// Why a question about a log has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{text:?} is not a regular expression: {}", reason(.source))]
    Pattern {
        text: String,
        source: Box<regex::Error>,
    },
    #[error("read the log: {0}")]
    Io(#[from] io::Error),
}

/// Reads the logs of one instance.
#[derive(Debug)]
pub struct Reader {
    files: LogFiles,
    indexes: Mutex<HashMap<FileId, LineIndex>>,
}

impl LogFiles {
    #[must_use]
    pub fn of(&self, stream: Stream) -> &Path {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

impl LogError {
    /// Returns the failure to read; a pattern that was wrong becomes invalid input.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            Self::Pattern { .. } => io::Error::new(io::ErrorKind::InvalidInput, self.to_string()),
        }
    }
}

/// The last line of the regex crate's drawing says what is wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl Reader {
    #[must_use]
    pub fn new(files: LogFiles) -> Self {
        Self {
            files,
            indexes: Mutex::default(),
        }
    }

    #[must_use]
    pub fn files(&self) -> &LogFiles {
        &self.files
    }

    /// Reads a page of lines.
    ///
    /// # Errors
    ///
    /// Returns an error when the filter is wrong or a file cannot be read.
    pub fn page(&self, query: &PageQuery) -> Result<Page, LogError> {
        let filter = query.filter.as_ref().map(compiled).transpose()?;
        let chains = self.open(query.streams)?;
        Ok(page::page(&chains, query, filter.as_ref())?)
    }

    /// Finds the next line that matches.
    ///
    /// # Errors
    ///
    /// Returns an error when a pattern is wrong or a file cannot be read.
    pub fn search(&self, query: &SearchQuery) -> Result<Search, LogError> {
        self.search_within(query, search::BUDGET)
    }

    pub(super) fn search_within(
        &self,
        query: &SearchQuery,
        budget: u64,
    ) -> Result<Search, LogError> {
        let matchers = matchers(&query.wanted, query.filter.as_ref())?;
        let chains = self.open(query.streams)?;
        Ok(search::search(
            &chains,
            query.at,
            query.direction,
            &matchers,
            budget,
        )?)
    }

    /// Counts lines that match.
    ///
    /// # Errors
    ///
    /// Returns an error when a pattern is wrong or a file cannot be read.
    pub fn count(&self, query: &CountQuery) -> Result<Count, LogError> {
        self.count_within(query, search::BUDGET)
    }

    pub(super) fn count_within(&self, query: &CountQuery, budget: u64) -> Result<Count, LogError> {
        let matchers = matchers(&query.wanted, query.filter.as_ref())?;
        let chains = self.open(query.streams)?;
        Ok(search::count(
            &chains, query.at, query.mark, &matchers, budget,
        )?)
    }

    /// Tells how much there is; lines are counted on from where the last answer stopped.
    ///
    /// # Errors
    ///
    /// Returns an error when a file cannot be read.
    pub fn size(&self, streams: Streams, after: Option<Cursor>) -> Result<Size, LogError> {
        let chains = self.open(streams)?;
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.retain(|id, _| {
            // What was rotated away is forgotten; a stream that was not asked for is not known.
            streams != Streams::Both || chains.iter().any(|chain| chain.has(*id))
        });
        let mut size = Size {
            counted: true,
            before: after.map(|_| 0),
            ..Size::default()
        };
        let mut budget = COUNT_BYTES;
        for chain in &chains {
            size.bytes += chain.bytes();
            size.end.set(chain.stream, chain.place(chain.end()?));
            let spot = after.map(|cursor| match chain.resolve(cursor.of(chain.stream)) {
                Resolved::Kept(spot) | Resolved::Lost(spot) => spot,
            });
            for (number, file) in chain.files.iter().enumerate() {
                let is_live = number + 1 == chain.files.len();
                let index = indexes.entry(file.id).or_default();
                let counted = index.extend(file, &mut budget)? == Counted::Whole;
                let lines = index.lines(file, is_live)?;
                size.counted &= counted;
                size.lines += lines;
                let Some(spot) = spot else { continue };
                let before = match number.cmp(&spot.file) {
                    std::cmp::Ordering::Less if counted => Some(lines),
                    std::cmp::Ordering::Less => None,
                    std::cmp::Ordering::Equal => index.before(file, spot.offset)?,
                    std::cmp::Ordering::Greater => Some(0),
                };
                size.before = size.before.zip(before).map(|(sum, lines)| sum + lines);
            }
        }
        size.grown = after
            .map(|cursor| self.grown(streams, &cursor))
            .transpose()?
            .unwrap_or(false);
        Ok(size)
    }

    /// Tells whether a whole line was written behind a cursor; costs next to nothing.
    ///
    /// # Errors
    ///
    /// Returns an error when a file cannot be read.
    pub fn grown(&self, streams: Streams, after: &Cursor) -> Result<bool, LogError> {
        for stream in Stream::ALL
            .into_iter()
            .filter(|stream| streams.has(*stream))
        {
            // In the middle of a rotation there is no live file; the next look sees it.
            let Ok(file) = fs::File::open(self.files.of(stream)) else {
                continue;
            };
            let metadata = file.metadata()?;
            let from = match after.of(stream) {
                Some(place) if place.file != id_of(&metadata) => return Ok(true),
                Some(place) if place.offset > metadata.len() => 0,
                Some(place) => place.offset,
                None => 0,
            };
            if newline_after(&file, from, metadata.len())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn open(&self, streams: Streams) -> io::Result<Vec<Chain>> {
        Stream::ALL
            .into_iter()
            .filter(|stream| streams.has(*stream))
            .map(|stream| Chain::open(self.files.of(stream), stream))
            .collect()
    }
}

fn compiled(pattern: &Pattern) -> Result<Matcher, LogError> {
    Matcher::pattern(pattern).map_err(|source| LogError::Pattern {
        text: pattern.text.clone(),
        source,
    })
}

fn matchers(wanted: &Wanted, filter: Option<&Pattern>) -> Result<Matchers, LogError> {
    let wanted = match wanted {
        Wanted::Pattern(pattern) => compiled(pattern)?,
        Wanted::Level(level) => Matcher::Level(*level),
    };
    let filter = filter.map(compiled).transpose()?;
    Ok(Matchers { wanted, filter })
}
