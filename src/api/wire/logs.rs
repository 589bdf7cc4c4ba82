//! Questions about a log and their answers on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::error::{ErrorBody, ErrorCode};
use crate::domain::log::{
    At, Case, Count, CountQuery, Cursor, Direction, Ending, LogLine, Page, PageQuery, Pattern,
    Place, Search, SearchQuery, Sense, Size, Stream, Streams, Wanted,
};
use crate::domain::log_level::LogLevel;

/// Lines of a page when nothing is said.
const DEFAULT_LINES: usize = 100;

/// Bytes of a line when nothing is said.
const DEFAULT_LINE_BYTES: usize = 64 << 10;

/// The query of `GET /instances/{name}/logs` and what is below it. Each route reads the keys that
/// it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// `both` (default), `stdout` or `stderr`.
    #[param(pattern = "^(both|stdout|stderr)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// `start`, `end`, a cursor of an earlier answer, or a time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// `forward` or `backward`.
    #[param(pattern = "^(forward|backward)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_bytes: Option<usize>,
    /// A regular expression: only lines that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `sensitive` (default) or `smart`.
    #[param(pattern = "^(sensitive|smart)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_case: Option<String>,
    /// `matching` (default) or `others`: which lines the filter lets through.
    #[param(pattern = "^(matching|others)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_sense: Option<String>,
    /// A regular expression: what is searched or counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// `sensitive` (default) or `smart`.
    #[param(pattern = "^(sensitive|smart)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Instead of a pattern: lines of this level or a worse one.
    #[param(pattern = "^(debug|info|warning|error)$")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// A cursor: matches before it are also counted apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Waits until there is something behind the cursor, at most this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

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

/// The words of a query, each with what it means.
const STREAMS: [(&str, Streams); 3] = [
    ("both", Streams::Both),
    ("stdout", Streams::Stdout),
    ("stderr", Streams::Stderr),
];
const DIRECTIONS: [(&str, Direction); 2] = [
    ("forward", Direction::Forward),
    ("backward", Direction::Backward),
];
const CASES: [(&str, Case); 2] = [("sensitive", Case::Sensitive), ("smart", Case::Smart)];
const SENSES: [(&str, Sense); 2] = [("matching", Sense::Matching), ("others", Sense::Others)];

impl LogQuery {
    /// Writes the question for a page.
    #[must_use]
    pub fn of_page(query: &PageQuery, wait_ms: Option<u64>) -> Self {
        let mut body = Self {
            direction: Some(word(&DIRECTIONS, query.direction)),
            lines: Some(query.lines),
            line_bytes: Some(query.line_bytes),
            wait_ms,
            ..Self::of(query.streams, query.at)
        };
        body.set_filter(query.filter.as_ref());
        body
    }

    #[must_use]
    pub fn of_search(query: &SearchQuery) -> Self {
        let mut body = Self {
            direction: Some(word(&DIRECTIONS, query.direction)),
            ..Self::of(query.streams, query.at)
        };
        body.set_filter(query.filter.as_ref());
        body.set_wanted(&query.wanted);
        body
    }

    #[must_use]
    pub fn of_count(query: &CountQuery) -> Self {
        let mut body = Self {
            mark: query.mark.map(|mark| mark.to_string()),
            ..Self::of(query.streams, query.at)
        };
        body.set_filter(query.filter.as_ref());
        body.set_wanted(&query.wanted);
        body
    }

    #[must_use]
    pub fn of_size(streams: Streams, after: Option<Cursor>, wait_ms: Option<u64>) -> Self {
        Self {
            stream: Some(word(&STREAMS, streams)),
            at: after.map(|cursor| cursor.to_string()),
            wait_ms,
            ..Self::default()
        }
    }

    /// Reads the question for a page; without a direction, backward from the end and forward from
    /// anywhere else.
    ///
    /// # Errors
    ///
    /// Returns which word is not understood, and what is allowed.
    pub fn to_page(&self) -> Result<PageQuery, ErrorBody> {
        self.check_words()?;
        let at = self.at(At::End)?;
        let usual = match at {
            At::End => Direction::Backward,
            At::Start | At::Cursor(_) | At::Time(_) => Direction::Forward,
        };
        Ok(PageQuery {
            streams: self.streams()?,
            at,
            direction: self.direction(usual)?,
            lines: self.lines.unwrap_or(DEFAULT_LINES),
            line_bytes: self.line_bytes.unwrap_or(DEFAULT_LINE_BYTES),
            filter: self.filter()?,
        })
    }

    /// Reads the question for the next match.
    ///
    /// # Errors
    ///
    /// As [`LogQuery::to_page`].
    pub fn to_search(&self) -> Result<SearchQuery, ErrorBody> {
        self.check_words()?;
        Ok(SearchQuery {
            streams: self.streams()?,
            at: self.at(At::Start)?,
            direction: self.direction(Direction::Forward)?,
            wanted: self.wanted()?,
            filter: self.filter()?,
        })
    }

    /// Reads the question for a count.
    ///
    /// # Errors
    ///
    /// As [`LogQuery::to_page`].
    pub fn to_count(&self) -> Result<CountQuery, ErrorBody> {
        self.check_words()?;
        Ok(CountQuery {
            streams: self.streams()?,
            at: self.at(At::Start)?,
            wanted: self.wanted()?,
            filter: self.filter()?,
            mark: self.mark.as_deref().map(cursor).transpose()?,
        })
    }

    /// Reads the question for the size.
    ///
    /// # Errors
    ///
    /// As [`LogQuery::to_page`].
    pub fn to_size(&self) -> Result<(Streams, Option<Cursor>), ErrorBody> {
        self.check_words()?;
        let after = self.at.as_deref().map(cursor).transpose()?;
        Ok((self.streams()?, after))
    }

    /// A word that means nothing is refused also where it is not needed.
    fn check_words(&self) -> Result<(), ErrorBody> {
        self.streams()?;
        self.direction(Direction::Forward)?;
        self.filter()?;
        meaning("case", &CASES, self.case.as_deref(), Case::Sensitive)?;
        match self.level.as_deref().map(level) {
            Some(Err(unknown)) => Err(unknown),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn of(streams: Streams, at: At) -> Self {
        let at = match at {
            At::Start => "start".to_owned(),
            At::End => "end".to_owned(),
            At::Cursor(cursor) => cursor.to_string(),
            At::Time(millis) => i64::try_from(millis)
                .ok()
                .and_then(|millis| Timestamp::from_millisecond(millis).ok())
                .unwrap_or(Timestamp::MAX)
                .to_string(),
        };
        Self {
            stream: Some(word(&STREAMS, streams)),
            at: Some(at),
            ..Self::default()
        }
    }

    fn set_filter(&mut self, filter: Option<&Pattern>) {
        self.filter = filter.map(|filter| filter.text.clone());
        self.filter_case = filter.map(|filter| word(&CASES, filter.case));
        self.filter_sense = filter.map(|filter| word(&SENSES, filter.sense));
    }

    fn set_wanted(&mut self, wanted: &Wanted) {
        match wanted {
            Wanted::Pattern(pattern) => {
                self.pattern = Some(pattern.text.clone());
                self.case = Some(word(&CASES, pattern.case));
            }
            Wanted::Level(level) => self.level = Some(level.word().to_owned()),
        }
    }

    fn streams(&self) -> Result<Streams, ErrorBody> {
        meaning("stream", &STREAMS, self.stream.as_deref(), Streams::Both)
    }

    fn direction(&self, usual: Direction) -> Result<Direction, ErrorBody> {
        meaning("direction", &DIRECTIONS, self.direction.as_deref(), usual)
    }

    fn at(&self, usual: At) -> Result<At, ErrorBody> {
        match self.at.as_deref() {
            None => Ok(usual),
            Some("start") => Ok(At::Start),
            Some("end") => Ok(At::End),
            Some(text) => match text.parse::<Timestamp>() {
                Ok(time) => Ok(At::Time(u64::try_from(time.as_millisecond()).unwrap_or(0))),
                Err(_) => cursor(text).map(At::Cursor),
            },
        }
    }

    fn filter(&self) -> Result<Option<Pattern>, ErrorBody> {
        let case = self.filter_case.as_deref();
        let case = meaning("filter_case", &CASES, case, Case::Sensitive)?;
        let sense = self.filter_sense.as_deref();
        let sense = meaning("filter_sense", &SENSES, sense, Sense::Matching)?;
        let pattern = |text: &String| Pattern {
            text: text.clone(),
            case,
            sense,
        };
        Ok(self.filter.as_ref().map(pattern))
    }

    fn wanted(&self) -> Result<Wanted, ErrorBody> {
        match (&self.pattern, &self.level) {
            (Some(text), None) => {
                let case = meaning("case", &CASES, self.case.as_deref(), Case::Sensitive)?;
                Ok(Wanted::Pattern(Pattern::new(text, case)))
            }
            (None, Some(word)) => level(word).map(Wanted::Level),
            (Some(_), Some(_)) => Err(invalid("pattern and level exclude each other")),
            (None, None) => Err(invalid("one of pattern and level is needed")),
        }
    }
}

fn word<T: Copy + PartialEq>(words: &[(&str, T)], value: T) -> String {
    let found = words.iter().find(|(_, meaning)| *meaning == value);
    found.map_or_else(String::new, |(word, _)| (*word).to_owned())
}

fn meaning<T: Copy>(
    key: &str,
    words: &[(&str, T)],
    text: Option<&str>,
    usual: T,
) -> Result<T, ErrorBody> {
    let Some(text) = text else { return Ok(usual) };
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        invalid(format!(
            "{key}={text:?} is not one of {}",
            allowed.join(", ")
        ))
    })
}

fn level(word: &str) -> Result<LogLevel, ErrorBody> {
    LogLevel::parse(word).ok_or_else(|| {
        invalid(format!(
            "level={word:?} is not one of debug, info, warning, error"
        ))
    })
}

fn cursor(text: &str) -> Result<Cursor, ErrorBody> {
    text.parse()
        .map_err(|error: crate::domain::log::InvalidPlace| invalid(error.to_string()))
}

fn invalid(message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(ErrorCode::Invalid, message)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::FileId;

    fn cursor() -> Cursor {
        Cursor {
            stdout: None,
            stderr: Some(place()),
        }
    }

    fn place() -> Place {
        Place {
            file: FileId {
                inode: 12,
                born: 345,
            },
            offset: 6,
        }
    }

    #[test]
    fn questions_are_read_back_as_they_were_asked() {
        let filter = Some(Pattern {
            text: "a&b=c ü".to_owned(),
            case: Case::Smart,
            sense: Sense::Others,
        });
        for at in [
            At::Start,
            At::End,
            At::Cursor(cursor()),
            At::Time(1_700_000_000_123),
        ] {
            for direction in [Direction::Forward, Direction::Backward] {
                let page = PageQuery {
                    streams: Streams::Stderr,
                    at,
                    direction,
                    lines: 3,
                    line_bytes: 4096,
                    filter: filter.clone(),
                };
                let text = serde_urlencoded::to_string(LogQuery::of_page(&page, Some(7)));
                let body: LogQuery =
                    serde_urlencoded::from_str(&text.expect("a query")).expect("a query");
                assert_eq!((body.to_page(), body.wait_ms), (Ok(page), Some(7)));
            }
            for wanted in [
                Wanted::Level(LogLevel::Error),
                Wanted::Pattern(Pattern::new("[^x]", Case::Sensitive)),
            ] {
                let search = SearchQuery {
                    streams: Streams::Both,
                    at,
                    direction: Direction::Backward,
                    wanted: wanted.clone(),
                    filter: None,
                };
                assert_eq!(LogQuery::of_search(&search).to_search(), Ok(search));
                let count = CountQuery {
                    streams: Streams::Stdout,
                    at,
                    wanted,
                    filter: filter.clone(),
                    mark: Some(cursor()),
                };
                assert_eq!(LogQuery::of_count(&count).to_count(), Ok(count));
            }
        }
    }

    #[test]
    fn a_word_that_is_not_understood_is_named_with_what_is_allowed() {
        let rows: [(LogQuery, &str); 3] = [
            (
                LogQuery {
                    stream: Some("stdin".to_owned()),
                    ..LogQuery::default()
                },
                "stream=\"stdin\" is not one of both, stdout, stderr",
            ),
            (
                LogQuery {
                    at: Some("yesterday".to_owned()),
                    ..LogQuery::default()
                },
                "\"yesterday\" is no place in a log; pass on what an earlier answer gave, or name start or end",
            ),
            (LogQuery::default(), "one of pattern and level is needed"),
        ];
        for (query, message) in rows {
            let error = query.to_search().expect_err("it is wrong");
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn answers_are_read_back_as_they_were_given() {
        let line = |bytes: &[u8], ending| LogLine {
            stream: Stream::Stderr,
            place: place(),
            at: Some(99),
            length: 1000,
            bytes: bytes.to_vec(),
            ending,
        };
        let page = Page {
            start: Cursor::default(),
            end: cursor(),
            lines: vec![
                line(b"0.00.000.001 E text", Ending::Whole),
                line(b"no text \xff", Ending::Unfinished),
            ],
            at_start: true,
            at_end: false,
            lost: true,
        };
        let text = serde_json::to_string(&LogPageBody::from(&page)).expect("JSON");
        let body: LogPageBody = serde_json::from_str(&text).expect("JSON");
        assert_eq!(body.into_page(), Some(page));
        for search in [
            Search::NotFound,
            Search::Unfinished { cursor: cursor() },
            Search::Found {
                cursor: cursor(),
                line: place(),
            },
        ] {
            assert_eq!(LogSearchBody::from(search).to_search(), Some(search));
        }
    }
}
