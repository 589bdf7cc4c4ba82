//! The questions about a log: what each route reads of the query, and how it is written and read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::allowed;
use crate::domain::log::{
    At, Case, CountQuery, Cursor, Direction, PageQuery, Pattern, SearchQuery, Sense, Streams,
    Wanted,
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
    #[param(schema_with = allowed::place_in_log)]
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
    #[param(schema_with = allowed::pattern)]
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
    /// A regular expression: what is searched or counted; every line when nothing is said.
    #[param(schema_with = allowed::pattern)]
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
    #[param(schema_with = allowed::cursor)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Waits until there is something behind the cursor, at most this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
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
            // Every line holds nothing.
            (None, None) => Ok(Wanted::Pattern(Pattern::new("", Case::Sensitive))),
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
