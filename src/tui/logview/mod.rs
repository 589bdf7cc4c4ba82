//! The window on the log of an instance or a work unit: one stretch of lines in memory, paged through the client.
//!
//! Nothing here reads a file or a clock: what is wanted goes out as [`LogEffect`]s ([`fetch`]
//! carries them out) and comes back as [`LogMsg`]s ([`answers`]). A new way to look at the log
//! needs an action here and a row in `keymap.rs`; a new question a variant in [`ask`].

mod answers;
mod ask;
mod fetch;
mod find;
mod marks;
mod prompt;
mod scroll;
mod select;
#[cfg(test)]
mod tests;
mod text;
mod window;

use jiff::tz::TimeZone;

use self::ask::{Ask, Part, Question};
use self::find::{Find, Hunt};
use self::marks::Mark;
use self::prompt::{Kind, Prompt};
use self::select::{Selection, steps};
use self::window::Window;
use super::format;
use super::model::Now;
use super::theme::Look;
use crate::domain::log::{
    At, Cursor, Direction, PageQuery, Pattern, Place, Sense, Size, Streams, Wanted, Whose,
};
use crate::domain::log_level::LogLevel;

pub(in crate::tui) use self::ask::LogEffect;
pub(in crate::tui) use self::ask::LogMsg;
pub(in crate::tui) use self::fetch::carry;
pub(in crate::tui) use self::scroll::{GUTTER, TIME_WIDTH, Top, wrapped};
pub(in crate::tui) use self::select::Drag;
pub(in crate::tui) use self::window::Row;

/// The most bytes of one line that are shown.
pub(in crate::tui) const SHOWN_BYTES: usize = 4096;

/// Lines that one question asks for.
const PAGE: usize = 300;

/// When fewer lines than this are left in a direction, more are asked for.
const MARGIN: usize = 200;

/// Columns that one step to the side goes.
const PAN: usize = 8;

/// What can be done in the log pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogAction {
    Follow,
    Search,
    Next,
    Previous,
    Filter,
    NextError,
    PreviousError,
    GoToTime,
    Wrap,
    Left,
    Right,
    Timestamps,
    Stream,
    Select,
    Mark,
    Clear,
    Copy,
    Save,
    Open,
    Up,
    Down,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
}

/// Whether new lines move the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Follow {
    /// The newest line is at the bottom.
    On,
    /// The view stays where it is. So many lines had been counted then.
    Off { lines: u64 },
}

/// Which answers are waited for; all others are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tickets {
    last: u64,
    /// Pages of the present window.
    page: u64,
    search: u64,
    count: u64,
    watch: u64,
}

/// One stretch of a log, and how it is looked at.
#[derive(Debug)]
pub(in crate::tui) struct LogView {
    whose: Option<Whose>,
    streams: Streams,
    filter: Option<Pattern>,
    pub(in crate::tui) window: Window,
    pub(in crate::tui) top: Top,
    /// Columns and rows.
    size: (u16, u16),
    pub(in crate::tui) follow: Follow,
    pub(in crate::tui) wrap: bool,
    pub(in crate::tui) timestamps: bool,
    /// Columns that are left of the screen.
    pub(in crate::tui) pan: usize,
    pub(in crate::tui) find: Option<Find>,
    hunt: Option<Hunt>,
    /// The line that was jumped to.
    pub(in crate::tui) current: Option<Place>,
    /// It is shown in its place once there are lines around it.
    reveal: Option<Place>,
    pub(in crate::tui) marks: Vec<Mark>,
    selection: Option<Selection>,
    /// The line the mouse was pressed on.
    pressed: Option<Place>,
    /// Lines before it were cleared from the view.
    floor: Option<Cursor>,
    pub(in crate::tui) prompt: Option<Prompt>,
    /// What is told in the last row until the next key.
    pub(in crate::tui) told: Option<String>,
    pub(in crate::tui) log_size: Option<Size>,
    /// Why the log cannot be read, as long as it cannot.
    pub(in crate::tui) trouble: Option<String>,
    tickets: Tickets,
    asked: Asked,
}

/// Questions whose answers are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Where the page begins that the whole window is replaced by.
    whole: Option<At>,
    older: bool,
    newer: bool,
}

impl Default for LogView {
    fn default() -> Self {
        Self {
            whose: None,
            streams: Streams::Both,
            filter: None,
            window: Window::default(),
            top: Top::default(),
            size: (0, 0),
            follow: Follow::On,
            wrap: false,
            timestamps: false,
            pan: 0,
            find: None,
            hunt: None,
            current: None,
            reveal: None,
            marks: Vec::new(),
            selection: None,
            pressed: None,
            floor: None,
            prompt: None,
            told: None,
            log_size: None,
            trouble: None,
            tickets: Tickets::default(),
            asked: Asked::default(),
        }
    }
}

impl LogView {
    /// Shows another log; nothing happens when it is shown already.
    pub(in crate::tui) fn show(&mut self, whose: Option<Whose>) -> Vec<LogEffect> {
        if self.whose == whose {
            return Vec::new();
        }
        // How lines are looked at stays; what was found in the other log does not.
        *self = Self {
            whose,
            streams: self.streams,
            size: self.size,
            wrap: self.wrap,
            timestamps: self.timestamps,
            tickets: self.tickets,
            ..Self::default()
        };
        let mut effects = self.load(At::End, Direction::Backward, Part::End);
        effects.extend(self.watch(None));
        effects
    }

    pub(in crate::tui) fn resize(&mut self, width: u16, height: u16) -> Vec<LogEffect> {
        if self.size == (width, height) {
            return Vec::new();
        }
        self.size = (width, height);
        self.settle()
    }

    /// Scrolls; steps up are negative.
    pub(in crate::tui) fn wheel(&mut self, lines: i32) -> Vec<LogEffect> {
        let rows = usize::try_from(lines.unsigned_abs()).unwrap_or(0);
        if lines < 0 {
            self.scroll_up(rows)
        } else {
            self.scroll_down(rows)
        }
    }

    /// Shows the lines around a moment (unix milliseconds): the first one at or after it has the
    /// sign of a jump, and what led to it stands above.
    pub(in crate::tui) fn go_to(&mut self, millis: u64) -> Vec<LogEffect> {
        self.stop_following();
        self.floor = None;
        self.load(At::Time(millis), Direction::Forward, Part::Moment(millis))
    }

    /// Which of an instance's two log files is looked at.
    pub(in crate::tui) fn streams(&self) -> Streams {
        self.streams
    }

    pub(in crate::tui) fn whose(&self) -> Option<&Whose> {
        self.whose.as_ref()
    }

    pub(in crate::tui) fn wants_text(&self) -> bool {
        self.prompt.is_some()
    }

    /// Does what a key of the log pane means.
    pub(in crate::tui) fn act(
        &mut self,
        action: LogAction,
        now: Now,
        zone: &TimeZone,
    ) -> Vec<LogEffect> {
        self.told = None;
        if self.whose.is_none() {
            return Vec::new();
        }
        let effects = self.acted(action, now, zone);
        self.keep_end();
        effects
    }

    fn acted(&mut self, action: LogAction, now: Now, zone: &TimeZone) -> Vec<LogEffect> {
        let page = self.text_height().saturating_sub(1).max(1);
        if self.selection.is_some()
            && let Some(step) = steps(action, page)
        {
            return self.extend(step);
        }
        match action {
            LogAction::Follow => match self.follow {
                Follow::On => {
                    self.stop_following();
                    Vec::new()
                }
                Follow::Off { .. } => self.go_to_end(),
            },
            LogAction::Bottom => self.go_to_end(),
            LogAction::Top => self.go_to_start(),
            LogAction::Up => self.scroll_up(1),
            LogAction::Down => self.scroll_down(1),
            LogAction::PageUp => self.scroll_up(page),
            LogAction::PageDown => self.scroll_down(page),
            LogAction::HalfUp => self.scroll_up(page.div_ceil(2)),
            LogAction::HalfDown => self.scroll_down(page.div_ceil(2)),
            LogAction::Left => {
                self.pan = self.pan.saturating_sub(PAN);
                Vec::new()
            }
            LogAction::Right => {
                if !self.wrap {
                    self.pan = (self.pan + PAN).min(SHOWN_BYTES);
                }
                Vec::new()
            }
            LogAction::Wrap => {
                self.wrap = !self.wrap;
                self.pan = 0;
                self.top.row = 0;
                self.settle()
            }
            LogAction::Timestamps => {
                self.timestamps = !self.timestamps;
                self.settle()
            }
            LogAction::Stream => self.next_stream(),
            LogAction::Select => {
                self.select();
                Vec::new()
            }
            LogAction::Mark => {
                self.mark();
                Vec::new()
            }
            LogAction::Clear => self.clear(),
            LogAction::Copy => self.copy(),
            LogAction::Search => self.ask_for(Kind::Search, now, zone),
            LogAction::Filter => self.ask_for(Kind::Filter, now, zone),
            LogAction::GoToTime => self.ask_for(Kind::Time, now, zone),
            LogAction::Save => self.ask_for(Kind::Save, now, zone),
            LogAction::Next => self.find_again(Direction::Forward),
            LogAction::Previous => self.find_again(Direction::Backward),
            LogAction::NextError => self.find_error(Direction::Forward),
            LogAction::PreviousError => self.find_error(Direction::Backward),
            // The dashboard opens the file; the view has nothing to do with it.
            LogAction::Open => Vec::new(),
        }
    }

    /// Closes or clears the innermost thing; `None` when there is nothing.
    pub(in crate::tui) fn back(&mut self) -> Option<Vec<LogEffect>> {
        let dropped = self.selection.take().is_some();
        if self.told.take().is_some() || dropped {
            return Some(Vec::new());
        }
        if self.find.take().is_some() || self.hunt.take().is_some() {
            self.current = None;
            return Some(Vec::new());
        }
        if self.filter.is_some() {
            return Some(self.set_filter(None));
        }
        self.floor.is_some().then(|| self.clear())
    }

    /// The pane's titles: what is looked at, and how much there is.
    pub(in crate::tui) fn title(&self, look: &Look) -> (String, String) {
        let Some(whose) = &self.whose else {
            return ("Log".to_owned(), String::new());
        };
        let mut words = vec![match self.follow {
            Follow::On => look.sign("● FOLLOW", "* FOLLOW").to_owned(),
            Follow::Off { lines } => {
                let newer = self.lines().saturating_sub(lines);
                match newer {
                    0 => "scrolled, f follows".to_owned(),
                    newer => format!("scrolled, {} newer, f follows", format::count(newer)),
                }
            }
        }];
        match self.streams {
            Streams::Both => {}
            Streams::Stdout => words.push("stdout".to_owned()),
            Streams::Stderr => words.push("stderr".to_owned()),
        }
        if self.wrap {
            words.push("wrap".to_owned());
        }
        if self.pan > 0 {
            words.push(format!("column {}", self.pan + 1));
        }
        if self.floor.is_some() {
            words.push("cleared, c shows all".to_owned());
        }
        if let Some(filter) = &self.filter {
            let which = match filter.sense {
                Sense::Matching => "only",
                Sense::Others => "without",
            };
            words.push(format!("{which} {:?}", filter.text));
        }
        let mut right = Vec::new();
        if let Some(find) = &self.find {
            right.push(find.words());
        }
        if let Some(size) = &self.log_size {
            let more = if size.counted { "" } else { "+" };
            right.push(format!("{}{more} lines", format::count(size.lines)));
        }
        let dot = look.sign(" · ", " - ");
        (format!("Log {whose}  {}", words.join(dot)), right.join(dot))
    }

    fn lines(&self) -> u64 {
        self.log_size.map_or(0, |size| size.lines)
    }

    /// The last row may just have been given to or taken from what is told.
    fn keep_end(&mut self) {
        if self.follow == Follow::On {
            self.stick_to_end();
        }
    }

    fn stop_following(&mut self) {
        if self.follow == Follow::On {
            self.follow = Follow::Off {
                lines: self.lines(),
            };
        }
    }

    fn scroll_up(&mut self, rows: usize) -> Vec<LogEffect> {
        self.stop_following();
        self.up(rows);
        self.more()
    }

    fn scroll_down(&mut self, rows: usize) -> Vec<LogEffect> {
        self.down(rows);
        self.more()
    }

    fn go_to_end(&mut self) -> Vec<LogEffect> {
        self.follow = Follow::On;
        self.current = None;
        if self.window.at_end {
            self.stick_to_end();
            return self.more();
        }
        self.load(At::End, Direction::Backward, Part::End)
    }

    fn go_to_start(&mut self) -> Vec<LogEffect> {
        self.stop_following();
        let at = self.floor.map_or(At::Start, At::Cursor);
        self.load(at, Direction::Forward, Part::Start)
    }

    /// Reads the window anew, where it is now.
    fn reload(&mut self) -> Vec<LogEffect> {
        if let Some(floor) = self.floor {
            return self.load(At::Cursor(floor), Direction::Forward, Part::Start);
        }
        let at = self.window.get(self.top.line).and_then(|row| row.at);
        match (self.follow, at) {
            (Follow::Off { .. }, Some(at)) => {
                self.load(At::Time(at), Direction::Forward, Part::Start)
            }
            (Follow::On, _) | (Follow::Off { .. }, None) => {
                self.follow = Follow::On;
                self.load(At::End, Direction::Backward, Part::End)
            }
        }
    }

    fn next_stream(&mut self) -> Vec<LogEffect> {
        self.streams = match self.streams {
            Streams::Both => Streams::Stderr,
            Streams::Stderr => Streams::Stdout,
            Streams::Stdout => Streams::Both,
        };
        // Cursors of one stream say nothing of the other.
        self.selection = None;
        self.floor = None;
        self.log_size = None;
        let mut effects = self.reload();
        effects.extend(self.watch(None));
        effects.extend(self.count_anew());
        effects
    }

    fn set_filter(&mut self, filter: Option<Pattern>) -> Vec<LogEffect> {
        self.selection = None;
        self.filter = filter;
        let mut effects = self.reload();
        effects.extend(self.count_anew());
        effects
    }

    /// Keeps the view in order after its size or its lines changed, and asks for what is missing.
    fn settle(&mut self) -> Vec<LogEffect> {
        match self.follow {
            Follow::On => self.stick_to_end(),
            Follow::Off { .. } => {
                if self.top.line >= self.window.len() {
                    self.stick_to_end();
                }
            }
        }
        self.more()
    }

    /// Asks for lines in a direction in which few are left.
    fn more(&mut self) -> Vec<LogEffect> {
        let mut effects = Vec::new();
        if self.asked.whole.is_some() {
            return effects;
        }
        let before = self.top.line;
        if before < MARGIN && !self.window.at_start && self.floor.is_none() && !self.asked.older {
            self.asked.older = true;
            let at = At::Cursor(self.window.start());
            effects.extend(self.page(Part::Older, at, Direction::Backward));
        }
        let behind = self.window.len().saturating_sub(self.bottom());
        if behind < MARGIN && !self.window.at_end && !self.asked.newer {
            self.asked.newer = true;
            let at = At::Cursor(self.window.end());
            effects.extend(self.page(Part::Newer, at, Direction::Forward));
        }
        effects
    }

    /// Asks for a page that takes the place of what is in memory.
    fn load(&mut self, at: At, direction: Direction, part: Part) -> Vec<LogEffect> {
        self.tickets.last += 1;
        self.tickets.page = self.tickets.last;
        self.asked = Asked {
            whole: Some(at),
            ..Asked::default()
        };
        self.page(part, at, direction).into_iter().collect()
    }

    fn page(&self, part: Part, at: At, direction: Direction) -> Option<LogEffect> {
        let query = PageQuery {
            streams: self.streams,
            at,
            direction,
            lines: PAGE,
            line_bytes: SHOWN_BYTES,
            filter: self.filter.clone(),
        };
        self.question(self.tickets.page, Question::Page(part, query))
    }

    /// Asks to be told of growth.
    fn watch(&mut self, after: Option<Cursor>) -> Option<LogEffect> {
        self.tickets.last += 1;
        self.tickets.watch = self.tickets.last;
        self.question(self.tickets.watch, Question::Watch(self.streams, after))
    }

    fn question(&self, ticket: u64, question: Question) -> Option<LogEffect> {
        let whose = self.whose.clone()?;
        Some(LogEffect::Ask(Ask {
            whose,
            ticket,
            question,
        }))
    }

    fn find_error(&mut self, direction: Direction) -> Vec<LogEffect> {
        // At the end there is nothing newer: what is meant is the last one.
        let direction = match self.follow {
            Follow::On => Direction::Backward,
            Follow::Off { .. } => direction,
        };
        self.hunt_for(Wanted::Level(LogLevel::Error), direction)
    }
}
