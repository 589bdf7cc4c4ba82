//! Questions about the log as data, and their answers.

use std::path::PathBuf;

use crate::domain::log::{
    Count, CountQuery, Cursor, Page, PageQuery, Pattern, Place, Search, SearchQuery, Size, Streams,
    Whose,
};

/// What the view wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum LogEffect {
    Ask(Ask),
    /// Read lines whole and give their text back, to be copied.
    Collect(Collect),
    /// Write the log to a file.
    Save(Save),
    /// Put a text on the clipboard.
    Copy(String),
}

/// A question to whoever owns the home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Ask {
    pub(in crate::tui) whose: Whose,
    /// Comes back with the answer; one that is no longer waited for is dropped.
    pub(in crate::tui) ticket: u64,
    pub(in crate::tui) question: Question,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Question {
    Page(Part, PageQuery),
    Search(SearchQuery),
    Count(CountQuery),
    /// The size, as soon as something was written behind the cursor.
    Watch(Streams, Option<Cursor>),
}

/// Where a page belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It takes the place of what is in memory, with its last line at the bottom.
    End,
    /// As above, with its first line at the top.
    Start,
    /// As above, with the first line at or after these unix milliseconds shown.
    Moment(u64),
    /// As above, with this line shown.
    Around(Place),
    Older,
    Newer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Collect {
    pub(in crate::tui) whose: Whose,
    pub(in crate::tui) streams: Streams,
    pub(in crate::tui) filter: Option<Pattern>,
    pub(in crate::tui) from: Cursor,
    pub(in crate::tui) until: Until,
}

/// The last line of what is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Until {
    Line(Place),
    Lines(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Save {
    pub(in crate::tui) whose: Whose,
    pub(in crate::tui) streams: Streams,
    pub(in crate::tui) filter: Option<Pattern>,
    pub(in crate::tui) from: Option<Cursor>,
    pub(in crate::tui) path: PathBuf,
}

/// An answer to a [`LogEffect`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogMsg {
    Page(u64, Part, Box<Page>),
    Search(u64, Search),
    Count(u64, Count),
    Size(u64, Size),
    /// There is no answer, and why.
    Failed(u64, String),
    /// The text of so many lines.
    Collected(String, usize),
    /// Something that was wanted is done, or could not be.
    Told(String),
}
