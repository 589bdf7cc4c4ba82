//! A file as a tree of values that know where they stand: the same for TOML and JSON.

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Excerpt, Finding, Severity};
use super::json;

/// Bytes; far above any real configuration, far below what would hurt.
const SIZE_LIMIT: u64 = 256 * 1024;

/// Levels of nesting; no field is deeper than three.
pub(super) const DEPTH_LIMIT: usize = 64;

/// Dots and brackets of a text that cannot nest too deeply for any thread's stack, whatever they
/// mean; well above what a configuration has.
const SHALLOW: usize = 300;

/// Bytes of stack for the deepest nesting that the TOML parser lets through, 80 times 80 levels.
/// Only what is used of it is ever allocated.
const DEEP_STACK: usize = 128 << 20;

/// Syntax errors told of one file; more are usually echoes of the first.
const SYNTAX_ERROR_LIMIT: usize = 5;

/// Words that mark a line as holding a secret; such a line is never shown.
const SECRET_WORDS: [&str; 6] = [
    "api-key", "api_key", "apikey", "token", "secret", "password",
];

/// The language of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    /// The predecessor's JSON.
    LegacyJson,
}

impl Format {
    /// Returns the format that a file's name stands for.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|ending| ending == "json") {
            Self::LegacyJson
        } else {
            Self::Toml
        }
    }
}

/// A file's path and text.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) format: Format,
}

/// Where something stands: which source and which bytes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index into the sources of the check.
    pub(super) source: usize,
    pub(super) span: Range<usize>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A TOML date or time, or a number too large to hold, as written.
    Other(&'static str, String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Place {
    /// The start of the first source.
    pub(super) fn start() -> Self {
        Self {
            source: 0,
            span: 0..0,
        }
    }
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Returns a finding when it cannot be read as text.
    pub(super) fn read(path: &Path, format: Format) -> Result<Self, Box<Finding>> {
        let broken = |message: String| {
            Box::new(Finding::about_file(
                Severity::Error,
                path.to_owned(),
                message,
            ))
        };
        let unreadable = |error: std::io::Error| broken(format!("cannot be read: {error}"));
        // A pipe or a device would keep the reader waiting for ever.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(broken("is not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > SIZE_LIMIT {
            return Err(broken(format!("is larger than {SIZE_LIMIT} bytes")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path.to_owned(), &text, format)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let source = Self::new(path.to_owned(), &text, format);
                let message = "is not UTF-8 text".to_owned();
                Err(Box::new(source.finding(
                    Severity::Error,
                    &(valid..valid),
                    String::new(),
                    message,
                )))
            }
        }
    }

    /// Wraps text; a byte order mark is no part of it.
    pub(super) fn new(path: PathBuf, text: &str, format: Format) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Self { path, text, format }
    }

    /// Parses the text; `index` is this source's number in the places.
    ///
    /// # Errors
    ///
    /// Returns the syntax errors.
    pub(super) fn parse(&self, index: usize) -> Result<Node, Vec<Finding>> {
        match self.format {
            Format::Toml => self.parse_toml(index),
            Format::LegacyJson => json::parse(&self.text, index).map_err(|error| {
                vec![self.finding(
                    Severity::Error,
                    &(error.offset..error.offset),
                    String::new(),
                    format!("is not JSON: {}", error.message),
                )]
            }),
        }
    }

    /// Parses where the stack suffices: the parser bounds the brackets around a value and the dots
    /// of a key, but not both together, and it recurses into what they open.
    fn parse_toml(&self, index: usize) -> Result<Node, Vec<Finding>> {
        let opens = |byte: &u8| matches!(byte, b'.' | b'[' | b'{');
        if self.text.bytes().filter(opens).count() <= SHALLOW {
            return self.parse_toml_here(index);
        }
        let parsed = thread::scope(|scope| {
            thread::Builder::new()
                .stack_size(DEEP_STACK)
                .spawn_scoped(scope, || self.parse_toml_here(index))
                .ok()
                .and_then(|parser| parser.join().ok())
        });
        parsed.unwrap_or_else(|| {
            let message = "cannot be parsed: no thread could be started".to_owned();
            let path = self.path.clone();
            Err(vec![Finding::about_file(Severity::Error, path, message)])
        })
    }

    fn parse_toml_here(&self, index: usize) -> Result<Node, Vec<Finding>> {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        if !errors.is_empty() {
            let findings = errors.iter().take(SYNTAX_ERROR_LIMIT).map(|error| {
                let span = error.span().unwrap_or(0..0);
                let message = format!("is not TOML: {}", error.message().replace('\n', ", "));
                self.finding(Severity::Error, &span, String::new(), message)
            });
            return Err(findings.collect());
        }
        let span = document.span();
        let table = from_toml_table(document.get_ref(), index, DEPTH_LIMIT).ok_or_else(|| {
            vec![Finding::about_file(
                Severity::Error,
                self.path.clone(),
                "is nested too deeply".to_owned(),
            )]
        })?;
        Ok(Node {
            value: table,
            place: Place {
                source: index,
                span,
            },
        })
    }

    /// Makes a finding that points at `span`.
    pub(super) fn finding(
        &self,
        severity: Severity,
        span: &Range<usize>,
        field: String,
        message: String,
    ) -> Finding {
        let (line, column) = self.position(span.start);
        Finding {
            severity,
            file: self.path.clone(),
            line,
            column,
            field,
            message,
            help: None,
            excerpt: self.excerpt(span),
        }
    }

    /// Returns line and column in characters, 1 for the first.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let start = self.line_start(offset);
        let before = self.text.get(..start).unwrap_or_default();
        let within = self.text.get(start..self.floor(offset)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, within.chars().count() + 1)
    }

    /// Returns the nearest character boundary at or before the offset.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }

    fn line_start(&self, offset: usize) -> usize {
        let before = self.text.get(..self.floor(offset)).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn excerpt(&self, span: &Range<usize>) -> Option<Excerpt> {
        let start = self.line_start(span.start);
        let line = self.text.get(start..)?.lines().next()?;
        let line_before = self
            .text
            .get(..start)?
            .lines()
            .next_back()
            .unwrap_or_default();
        let revealing = |line: &str| {
            let line = line.to_ascii_lowercase();
            let (value, comment) = line.split_once('#').unwrap_or((&line, ""));
            // In a comment, tokens are what a model counts in.
            let comment = comment.replace("tokens", "");
            let holds = |text: &str| SECRET_WORDS.iter().any(|word| text.contains(word));
            holds(value) || holds(&comment)
        };
        // A list item may stand on the line after the flag it belongs to.
        if line.trim().is_empty() || revealing(line) || revealing(line_before) {
            return None;
        }
        let end = span.end.min(start + line.len());
        let marked = self.text.get(self.floor(span.start)..self.floor(end));
        Some(Excerpt {
            text: line.to_owned(),
            width: marked.unwrap_or_default().chars().count().max(1),
        })
    }
}

/// Returns the table, or `None` when it is nested too deeply.
fn from_toml_table(table: &DeTable<'_>, source: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut entries = Vec::new();
    for (key, value) in table {
        entries.push(Entry {
            key: key.get_ref().clone().into_owned(),
            key_place: Place {
                source,
                span: key.span(),
            },
            node: from_toml(value, source, depth)?,
        });
    }
    entries.sort_by_key(|entry| entry.key_place.span.start);
    Some(Value::Table(entries))
}

fn from_toml(spanned: &Spanned<DeValue<'_>>, source: usize, depth: usize) -> Option<Node> {
    let depth = depth.checked_sub(1)?;
    let value = match spanned.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(
                |_too_large| Value::Other("number", number.to_string()),
                Value::Integer,
            ),
        DeValue::Float(number) => number.as_str().parse().map_or_else(
            |_not_a_float| Value::Other("number", number.to_string()),
            Value::Float,
        ),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(moment) => Value::Other("date", moment.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| from_toml(item, source, depth))
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => from_toml_table(table, source, depth)?,
    };
    Some(Node {
        value,
        place: Place {
            source,
            span: spanned.span(),
        },
    })
}

impl Node {
    /// Returns the kind of value in a word with its article.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Flag(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a fraction",
            Value::Text(_) => "a string",
            Value::Other("date", _) => "a date",
            Value::Other(_, _) => "a number",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, Value::Table(_))
    }

    /// Returns the keys of a table; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            Value::Null
            | Value::Flag(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Other(_, _)
            | Value::List(_) => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Puts another table under this one: its keys count where this table has none.
    pub(super) fn merge_under(&mut self, under: &Self) {
        let Value::Table(entries) = &mut self.value else {
            return;
        };
        for other in under.entries() {
            match entries.iter_mut().find(|entry| entry.key == other.key) {
                // In the predecessor's files null means "not set".
                Some(entry) if matches!(entry.node.value, Value::Null) => *entry = other.clone(),
                Some(entry) => entry.node.merge_under(&other.node),
                None => entries.push(other.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Source {
        Source::new(PathBuf::from("config.toml"), text, Format::Toml)
    }

    #[test]
    fn positions_count_characters_from_one() {
        let source = toml("a = 1\nü = 'ä'\r\nb = 2");
        let rows = [
            (0, (1, 1)),
            (4, (1, 5)),
            (6, (2, 1)),
            (8, (2, 2)),
            (999, (3, 6)),
        ];
        for (offset, expected) in rows {
            assert_eq!(source.position(offset), expected, "offset {offset}");
        }
    }

    #[test]
    fn the_line_of_a_secret_is_not_shown() {
        for text in [
            "args = ['--api-key', 's3cret', 5]",
            "args = [\n'--api-key',\n's3cret', 5]",
            "API_KEY = s3cret",
        ] {
            let at = text.find("s3cret").expect("the row holds a secret");
            assert_eq!(toml(text).excerpt(&(at..at + 1)), None, "{text}");
        }
    }

    #[test]
    fn a_comment_about_tokens_hides_no_line() {
        let text = "size = 4096   # Tokens; 0 takes the model's own\nthreads = 0";
        let shown = toml(text).excerpt(&(text.len() - 1..text.len()));
        assert_eq!(
            shown.map(|excerpt| excerpt.text),
            Some("threads = 0".to_owned())
        );
    }

    #[test]
    fn merging_fills_gaps_and_replaces_nothing() {
        let mut node = toml("a = 1\n[t]\nx = 1").parse(0).expect("parse");
        let under = toml("a = 2\nb = 2\n[t]\nx = 2\ny = 2")
            .parse(1)
            .expect("parse");
        node.merge_under(&under);
        let source_of =
            |node: &Node, key: &str| node.entry(key).map(|entry| entry.node.place.source);
        assert_eq!(source_of(&node, "a"), Some(0));
        assert_eq!(source_of(&node, "b"), Some(1));
        let table = &node.entry("t").expect("the table is there").node;
        assert_eq!(source_of(table, "x"), Some(0));
        assert_eq!(source_of(table, "y"), Some(1));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let arrays = format!("a = {}", "[".repeat(200_000));
        let keys = format!("{}a = 1", "a.".repeat(200_000));
        let step = format!("{}a = {{ ", "a.".repeat(75));
        let both = step.repeat(75) + &" }".repeat(75);
        for text in [arrays, keys, both] {
            assert!(toml(&text).parse(0).is_err());
        }
    }
}
