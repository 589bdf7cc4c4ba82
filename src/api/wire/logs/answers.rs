//! The answers to questions about a log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::log::{Count, Cursor, Ending, LogLine, Page, Place, Search, Size, Stream};
use crate::domain::log_level::LogLevel;

/// `GET /instances/{name}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPageBody {
    /// Reading backward goes on from here.
    pub start: String,
    /// Reading forward goes on from here.
    pub end: String,
    pub lines: Vec<LogLineBody>,
    pub at_start: bool,
    pub at_end: bool,
    /// What the cursor named has been rotated away.
    pub lost: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLineBody {
    pub stream: StreamBody,
    /// Names the line as long as it is kept.
    pub place: String,
    /// Unix milliseconds, to a tenth of a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Bytes of the whole line; more than the text has when it was cut.
    pub length: u64,
    pub text: TextBody,
    /// `debug`, `info`, `warning` or `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// More of the line may come; the next page begins with it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamBody {
    Stdout,
    Stderr,
}

/// A line's text; what is not UTF-8 travels as its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum TextBody {
    Text(String),
    Bytes(Vec<u8>),
}

/// `GET /instances/{name}/logs/search`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogSearchBody {
    pub outcome: SearchOutcome,
    /// Found: before the line. Unfinished: where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchOutcome {
    Found,
    Unfinished,
    NotFound,
}

/// `GET /instances/{name}/logs/count`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogCountBody {
    pub matches: u64,
    pub before: u64,
    pub cursor: String,
    pub done: bool,
}

/// `GET /instances/{name}/logs/size`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogSizeBody {
    pub bytes: u64,
    pub lines: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    pub counted: bool,
    pub grown: bool,
    /// Behind the last whole line.
    pub end: String,
}

impl From<&Page> for LogPageBody {
    fn from(page: &Page) -> Self {
        Self {
            start: page.start.to_string(),
            end: page.end.to_string(),
            lines: page.lines.iter().map(LogLineBody::from).collect(),
            at_start: page.at_start,
            at_end: page.at_end,
            lost: page.lost,
        }
    }
}

impl From<&LogLine> for LogLineBody {
    fn from(line: &LogLine) -> Self {
        Self {
            stream: match line.stream {
                Stream::Stdout => StreamBody::Stdout,
                Stream::Stderr => StreamBody::Stderr,
            },
            place: line.place.to_string(),
            at_ms: line.at,
            length: line.length,
            level: LogLevel::of(&line.bytes).map(|level| level.word().to_owned()),
            text: match std::str::from_utf8(&line.bytes) {
                Ok(text) => TextBody::Text(text.to_owned()),
                Err(_) => TextBody::Bytes(line.bytes.clone()),
            },
            unfinished: line.ending == Ending::Unfinished,
        }
    }
}

impl LogPageBody {
    /// Converts back; `None` when places are not ours.
    #[must_use]
    pub fn into_page(self) -> Option<Page> {
        Some(Page {
            start: self.start.parse().ok()?,
            end: self.end.parse().ok()?,
            lines: self
                .lines
                .into_iter()
                .map(LogLineBody::into_line)
                .collect::<Option<_>>()?,
            at_start: self.at_start,
            at_end: self.at_end,
            lost: self.lost,
        })
    }
}

impl LogLineBody {
    fn into_line(self) -> Option<LogLine> {
        Some(LogLine {
            stream: match self.stream {
                StreamBody::Stdout => Stream::Stdout,
                StreamBody::Stderr => Stream::Stderr,
            },
            place: self.place.parse().ok()?,
            at: self.at_ms,
            length: self.length,
            bytes: match self.text {
                TextBody::Text(text) => text.into_bytes(),
                TextBody::Bytes(bytes) => bytes,
            },
            ending: if self.unfinished {
                Ending::Unfinished
            } else {
                Ending::Whole
            },
        })
    }
}

impl From<Search> for LogSearchBody {
    fn from(search: Search) -> Self {
        let (outcome, cursor, place) = match search {
            Search::Found { cursor, line } => (SearchOutcome::Found, Some(cursor), Some(line)),
            Search::Unfinished { cursor } => (SearchOutcome::Unfinished, Some(cursor), None),
            Search::NotFound => (SearchOutcome::NotFound, None, None),
        };
        Self {
            outcome,
            cursor: cursor.map(|cursor| cursor.to_string()),
            place: place.map(|place| place.to_string()),
        }
    }
}

impl LogSearchBody {
    /// Converts back; `None` when places are not ours or missing.
    #[must_use]
    pub fn to_search(&self) -> Option<Search> {
        let cursor = || self.cursor.as_deref()?.parse::<Cursor>().ok();
        Some(match self.outcome {
            SearchOutcome::Found => Search::Found {
                cursor: cursor()?,
                line: self.place.as_deref()?.parse::<Place>().ok()?,
            },
            SearchOutcome::Unfinished => Search::Unfinished { cursor: cursor()? },
            SearchOutcome::NotFound => Search::NotFound,
        })
    }
}

impl From<Count> for LogCountBody {
    fn from(count: Count) -> Self {
        Self {
            matches: count.matches,
            before: count.before,
            cursor: count.cursor.to_string(),
            done: count.done,
        }
    }
}

impl LogCountBody {
    /// Converts back; `None` when the cursor is not ours.
    #[must_use]
    pub fn to_count(&self) -> Option<Count> {
        Some(Count {
            matches: self.matches,
            before: self.before,
            cursor: self.cursor.parse().ok()?,
            done: self.done,
        })
    }
}

impl From<Size> for LogSizeBody {
    fn from(size: Size) -> Self {
        Self {
            bytes: size.bytes,
            lines: size.lines,
            before: size.before,
            counted: size.counted,
            grown: size.grown,
            end: size.end.to_string(),
        }
    }
}

impl LogSizeBody {
    /// Converts back; `None` when the cursor is not ours.
    #[must_use]
    pub fn to_size(&self) -> Option<Size> {
        Some(Size {
            bytes: self.bytes,
            lines: self.lines,
            before: self.before,
            counted: self.counted,
            grown: self.grown,
            end: self.end.parse().ok()?,
        })
    }
}
