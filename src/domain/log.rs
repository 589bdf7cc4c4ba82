//! What is asked of a log and what is answered: places, pages, searches, counts.

use std::fmt;
use std::str::FromStr;

use super::instance::InstanceName;
use super::log_level::LogLevel;
use super::work::Chunk;

/// Whose output a log holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    Instance(InstanceName),
    /// The commands of a work unit.
    Unit(Chunk),
}

/// Which of a server's two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Which outputs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Merged by time.
    #[default]
    Both,
    Stdout,
    Stderr,
}

/// One log file, wherever rotation has moved it: names change, this does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub inode: u64,
    /// Nanoseconds of the file's birth, because a deleted file's inode is soon used again; 0 where
    /// the file system does not tell.
    pub born: u64,
}

/// A byte of one log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: FileId,
    pub offset: u64,
}

/// A place between two lines of a log: in each stream the next line that follows. Survives
/// rotation and restarts. A stream without a place begins with its oldest line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub stdout: Option<Place>,
    pub stderr: Option<Place>,
}

/// The text is not a place in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place in a log; pass on what an earlier answer gave, or name start or end")]
pub struct InvalidPlace {
    pub text: String,
}

/// One line of output, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub stream: Stream,
    pub place: Place,
    /// Unix milliseconds, to a tenth of a second; `None` without a time index.
    pub at: Option<u64>,
    /// Bytes of the whole line; more than [`LogLine::bytes`] holds when it was cut.
    pub length: u64,
    pub bytes: Vec<u8>,
    pub ending: Ending,
}

/// Whether the end of a line has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Whole,
    /// More of it may come; the next page begins with it again.
    Unfinished,
}

/// Where a page begins (or, read backward, ends).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Start,
    End,
    Cursor(Cursor),
    /// The first line written then or later; unix milliseconds.
    Time(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// A regular expression over single lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub text: String,
    pub case: Case,
    pub sense: Sense,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    #[default]
    Sensitive,
    /// Upper and lower case are one unless the pattern holds an upper-case letter.
    Smart,
}

/// Which lines a pattern means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sense {
    /// Those it matches.
    #[default]
    Matching,
    /// All the others.
    Others,
}

/// Which lines are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Pattern(Pattern),
    /// Lines of this level or a worse one.
    Level(LogLevel),
}

/// A stretch of lines to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    pub streams: Streams,
    pub at: At,
    pub direction: Direction,
    /// The most lines in the answer.
    pub lines: usize,
    /// The most bytes of one line; the rest is cut off.
    pub line_bytes: usize,
    /// Only lines that match.
    pub filter: Option<Pattern>,
}

/// A stretch of lines, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Before the first line; reading backward goes on from here.
    pub start: Cursor,
    /// Behind the last whole line; reading forward goes on from here.
    pub end: Cursor,
    pub lines: Vec<LogLine>,
    /// Nothing older than `start` is kept.
    pub at_start: bool,
    /// Nothing was written behind `end` when this was read.
    pub at_end: bool,
    /// What the cursor named has been rotated away; the page begins with the oldest line kept.
    pub lost: bool,
}

/// The next line that matches, seen from a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    pub streams: Streams,
    pub at: At,
    pub direction: Direction,
    pub wanted: Wanted,
    /// Only lines that match this as well.
    pub filter: Option<Pattern>,
}

/// How a search ended, or where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// The line that follows this cursor matches.
    Found {
        cursor: Cursor,
        line: Place,
    },
    /// Much was read without a match; ask again from here.
    Unfinished {
        cursor: Cursor,
    },
    NotFound,
}

/// The number of lines that match, from a cursor on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountQuery {
    pub streams: Streams,
    pub at: At,
    pub wanted: Wanted,
    pub filter: Option<Pattern>,
    /// Matches before this cursor are also counted apart.
    pub mark: Option<Cursor>,
}

/// A count, or a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub matches: u64,
    /// Of these, the ones before the mark.
    pub before: u64,
    /// Counted up to here; add what is counted from here on.
    pub cursor: Cursor,
    /// Everything that was written has been looked at.
    pub done: bool,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub bytes: u64,
    /// Lines counted so far.
    pub lines: u64,
    /// Lines before the cursor that was asked about, when they have been counted.
    pub before: Option<u64>,
    /// All lines have been counted; if not, asking again counts on.
    pub counted: bool,
    /// Something was written behind the cursor that was asked about.
    pub grown: bool,
    /// Behind the last whole line.
    pub end: Cursor,
}

impl Stream {
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];
}

impl From<InstanceName> for Whose {
    fn from(name: InstanceName) -> Self {
        Self::Instance(name)
    }
}

impl From<Chunk> for Whose {
    fn from(chunk: Chunk) -> Self {
        Self::Unit(chunk)
    }
}

impl From<&InstanceName> for Whose {
    fn from(name: &InstanceName) -> Self {
        Self::Instance(name.clone())
    }
}

impl From<&Self> for Whose {
    fn from(whose: &Self) -> Self {
        whose.clone()
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(name) => write!(f, "{name}"),
            Self::Unit(chunk) => write!(f, "work unit {chunk}"),
        }
    }
}

impl Streams {
    #[must_use]
    pub fn has(self, stream: Stream) -> bool {
        match self {
            Self::Both => true,
            Self::Stdout => stream == Stream::Stdout,
            Self::Stderr => stream == Stream::Stderr,
        }
    }
}

impl Pattern {
    /// A pattern that means the lines it matches.
    #[must_use]
    pub fn new(text: &str, case: Case) -> Self {
        Self {
            text: text.to_owned(),
            case,
            sense: Sense::Matching,
        }
    }

    /// Returns whether upper and lower case are one.
    #[must_use]
    pub fn ignores_case(&self) -> bool {
        match self.case {
            Case::Sensitive => false,
            Case::Smart => {
                let mut escaped = false;
                !self.text.chars().any(|next| {
                    // A class such as \W or \S is not a capital letter.
                    let is_class = escaped;
                    escaped = !is_class && next == '\\';
                    !is_class && next.is_uppercase()
                })
            }
        }
    }
}

impl Cursor {
    #[must_use]
    pub fn of(self, stream: Stream) -> Option<Place> {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }

    /// Returns the place behind a line that was reached with this cursor.
    #[must_use]
    pub fn behind(mut self, line: &LogLine) -> Self {
        self.set(
            line.stream,
            Some(Place {
                offset: line.place.offset + line.length + 1,
                ..line.place
            }),
        );
        self
    }

    pub fn set(&mut self, stream: Stream, place: Option<Place>) {
        match stream {
            Stream::Stdout => self.stdout = place,
            Stream::Stderr => self.stderr = place,
        }
    }
}

impl LogLine {
    /// Returns whether a part of the line was left out.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        (self.bytes.len() as u64) < self.length
    }
}

/// `INODE.BORN.OFFSET` in hexadecimal.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileId { inode, born } = self.file;
        write!(formatter, "{inode:x}.{born:x}.{:x}", self.offset)
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let numbers = text.split('.').map(|part| u64::from_str_radix(part, 16));
        let numbers: Result<Vec<u64>, _> = numbers.collect();
        match numbers.as_deref() {
            Ok([inode, born, offset]) => Ok(Self {
                file: FileId {
                    inode: *inode,
                    born: *born,
                },
                offset: *offset,
            }),
            Ok(_) | Err(_) => Err(InvalidPlace {
                text: text.to_owned(),
            }),
        }
    }
}

/// The places in stdout and in stderr, `-` for none, joined by `_`.
impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |place: Option<Place>| place.map_or_else(|| "-".to_owned(), |p| p.to_string());
        write!(formatter, "{}_{}", text(self.stdout), text(self.stderr))
    }
}

impl FromStr for Cursor {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let invalid = || InvalidPlace {
            text: text.to_owned(),
        };
        let (stdout, stderr) = text.split_once('_').ok_or_else(invalid)?;
        let place = |part: &str| match part {
            "-" => Ok(None),
            part => part.parse().map(Some).map_err(|_| invalid()),
        };
        Ok(Self {
            stdout: place(stdout)?,
            stderr: place(stderr)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_from_its_text_and_nothing_else_is_one() {
        let place = Place {
            file: FileId {
                inode: 4711,
                born: u64::MAX,
            },
            offset: 0,
        };
        for cursor in [
            Cursor::default(),
            Cursor {
                stdout: Some(place),
                stderr: None,
            },
            Cursor {
                stdout: None,
                stderr: Some(place),
            },
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in [
            "",
            "-",
            "end",
            "1.2_-",
            "1.2.3_",
            "1.2.x_-",
            "-_-_-",
            "1.2.3.4_-",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
