//! The view against a log in memory: keys in, questions answered, pictures out.

mod moving;
mod taking;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::ask::Until;
use super::*;
use crate::domain::instance::InstanceName;
use crate::domain::log::{Count, Ending, FileId, LogLine, Page, Search, SearchQuery, Stream};
use crate::tui::theme::{Depth, Glyphs, Ground, ThemeName};
use crate::tui::view;

/// 2026-11-27 12:00:00 UTC; the lines come a second apart.
const BEGUN: u64 = 1_795_780_800_000;

/// A log of one file, answered from memory as the owner would.
struct Log {
    lines: Vec<String>,
    starts: Vec<u64>,
    unfinished: String,
    /// The most lines that one search looks at.
    budget: usize,
}

impl Log {
    fn new(lines: impl IntoIterator<Item = String>) -> Self {
        let mut log = Self {
            lines: Vec::new(),
            starts: vec![0],
            unfinished: String::new(),
            budget: usize::MAX,
        };
        lines.into_iter().for_each(|line| log.push(line));
        log
    }

    fn numbered(count: usize) -> Self {
        Self::new((0..count).map(|line| {
            let level = if line % 100 == 50 { 'E' } else { 'I' };
            format!("0.00.{:03}.000 {level} line {line}", line % 1000)
        }))
    }

    fn push(&mut self, line: String) {
        let start = self.starts[self.lines.len()];
        self.starts.push(start + line.len() as u64 + 1);
        self.lines.push(line);
    }

    fn place(&self, number: usize) -> Place {
        Place {
            file: FileId { inode: 1, born: 2 },
            offset: self.starts[number],
        }
    }

    fn cursor(&self, number: usize) -> Cursor {
        Cursor {
            stdout: None,
            stderr: Some(self.place(number)),
        }
    }

    fn number(&self, at: At) -> usize {
        match at {
            At::Start => 0,
            At::End => self.lines.len(),
            At::Time(millis) => {
                let seconds = millis.saturating_sub(BEGUN).div_ceil(1000);
                usize::try_from(seconds)
                    .expect("small")
                    .min(self.lines.len())
            }
            At::Cursor(cursor) => {
                let offset = cursor.stderr.map_or(0, |place| place.offset);
                self.starts
                    .binary_search(&offset)
                    .expect("a line begins there")
            }
        }
    }

    fn line(&self, number: usize, limit: usize) -> LogLine {
        let bytes = self.lines[number].as_bytes();
        LogLine {
            stream: Stream::Stderr,
            place: self.place(number),
            at: Some(BEGUN + number as u64 * 1000),
            length: bytes.len() as u64,
            bytes: bytes[..bytes.len().min(limit)].to_vec(),
            ending: Ending::Whole,
        }
    }

    fn passes(&self, number: usize, filter: Option<&Matcher>) -> bool {
        filter.is_none_or(|filter| filter(&self.lines[number]))
    }

    fn page(&self, query: &PageQuery) -> Page {
        let begin = self.number(query.at);
        let filter = query
            .filter
            .clone()
            .map(|filter| matcher(&Wanted::Pattern(filter)));
        let filter = filter.as_ref();
        let (mut from, mut to) = (begin, begin);
        let mut lines = Vec::new();
        match query.direction {
            Direction::Forward => {
                while to < self.lines.len() && lines.len() < query.lines {
                    if self.passes(to, filter) {
                        lines.push(self.line(to, query.line_bytes));
                    }
                    to += 1;
                }
            }
            Direction::Backward => {
                while from > 0 && lines.len() < query.lines {
                    from -= 1;
                    if self.passes(from, filter) {
                        lines.insert(0, self.line(from, query.line_bytes));
                    }
                }
            }
        }
        let at_end = to == self.lines.len();
        if at_end && !self.unfinished.is_empty() {
            lines.push(LogLine {
                bytes: self.unfinished.clone().into_bytes(),
                length: self.unfinished.len() as u64,
                place: self.place(to),
                stream: Stream::Stderr,
                at: None,
                ending: Ending::Unfinished,
            });
        }
        Page {
            start: self.cursor(from),
            end: self.cursor(to),
            lines,
            at_start: from == 0,
            at_end,
            lost: false,
        }
    }

    fn search(&self, query: &SearchQuery) -> Search {
        let begin = self.number(query.at);
        assert_eq!(query.filter, None, "the tests search unfiltered");
        let wanted = matcher(&query.wanted);
        let wanted = |number: &usize| wanted(&self.lines[*number]);
        let (found, stopped) = match query.direction {
            Direction::Forward => {
                let end = begin.saturating_add(self.budget).min(self.lines.len());
                ((begin..end).find(wanted), end)
            }
            Direction::Backward => {
                let end = begin.saturating_sub(self.budget);
                ((end..begin).rev().find(wanted), end)
            }
        };
        match found {
            Some(number) => Search::Found {
                cursor: self.cursor(number),
                line: self.place(number),
            },
            None if stopped == 0 || stopped == self.lines.len() => Search::NotFound,
            None => Search::Unfinished {
                cursor: self.cursor(stopped),
            },
        }
    }

    fn size(&self, after: Option<Cursor>) -> Size {
        let end = self.lines.len();
        Size {
            bytes: self.starts[end] + self.unfinished.len() as u64,
            lines: end as u64,
            before: None,
            counted: true,
            grown: after.is_some_and(|after| after != self.cursor(end)),
            end: self.cursor(end),
        }
    }
}

type Matcher = Box<dyn Fn(&str) -> bool>;

fn matcher(wanted: &Wanted) -> Matcher {
    match wanted {
        Wanted::Level(worst) => {
            let worst = *worst;
            Box::new(move |line| LogLevel::of(line.as_bytes()).is_some_and(|level| level >= worst))
        }
        Wanted::Pattern(pattern) => {
            let regex = Find::parse(&pattern.text).expect("a pattern").regex;
            let matching = pattern.sense == Sense::Matching;
            Box::new(move |line| regex.is_match(line) == matching)
        }
    }
}

/// A view with its log: every question is answered at once, but growth only when told so.
struct Rig {
    log: Log,
    view: LogView,
    watch: Option<Ask>,
    copied: Vec<String>,
    others: Vec<LogEffect>,
}

impl Rig {
    fn new(log: Log) -> Self {
        let mut rig = Self {
            log,
            view: LogView::default(),
            watch: None,
            copied: Vec::new(),
            others: Vec::new(),
        };
        rig.view.resize(60, 10);
        let effects = rig.view.show(whose("coder"));
        rig.carry(effects);
        rig
    }

    fn carry(&mut self, effects: Vec<LogEffect>) {
        let mut left = effects;
        while !left.is_empty() {
            let effect = left.remove(0);
            let msg = match effect {
                LogEffect::Ask(ask) => match &ask.question {
                    Question::Page(part, query) => {
                        LogMsg::Page(ask.ticket, *part, Box::new(self.log.page(query)))
                    }
                    Question::Search(query) => LogMsg::Search(ask.ticket, self.log.search(query)),
                    Question::Count(query) => LogMsg::Count(ask.ticket, self.count(query)),
                    Question::Watch(_, None) => LogMsg::Size(ask.ticket, self.log.size(None)),
                    Question::Watch(_, Some(_)) => {
                        self.watch = Some(ask);
                        continue;
                    }
                },
                LogEffect::Copy(text) => {
                    self.copied.push(text);
                    continue;
                }
                other => {
                    self.others.push(other);
                    continue;
                }
            };
            left.extend(self.view.update(msg));
        }
    }

    fn count(&self, query: &crate::domain::log::CountQuery) -> Count {
        let begin = self.log.number(query.at);
        let mark = query
            .mark
            .map_or(0, |mark| self.log.number(At::Cursor(mark)));
        let wanted = matcher(&query.wanted);
        let found: Vec<usize> = (begin..self.log.lines.len())
            .filter(|number| wanted(&self.log.lines[*number]))
            .collect();
        Count {
            matches: found.len() as u64,
            before: found.iter().filter(|number| **number < mark).count() as u64,
            cursor: self.log.cursor(self.log.lines.len()),
            done: true,
        }
    }

    /// Answers the watch, as the owner does when the log grew.
    fn grow(&mut self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.log.push(line));
        let Some(Ask {
            ticket,
            question: Question::Watch(_, after),
            ..
        }) = self.watch.take()
        else {
            unreachable!("growth is watched");
        };
        let effects = self.view.update(LogMsg::Size(ticket, self.log.size(after)));
        self.carry(effects);
    }

    fn act(&mut self, action: LogAction) {
        let now = Now {
            wall: BEGUN as f64 / 1000.0 + 3600.0,
            mono: 0.0,
        };
        let effects = self.view.act(action, now, &TimeZone::UTC);
        self.carry(effects);
    }

    /// The stretch that a copy asked for.
    fn collected(&mut self) -> (Cursor, Place) {
        let Some(LogEffect::Collect(collect)) = self.others.pop() else {
            unreachable!("lines are collected");
        };
        let Until::Line(last) = collect.until else {
            unreachable!("up to a line");
        };
        (collect.from, last)
    }

    fn type_in(&mut self, action: LogAction, text: &str) {
        self.act(action);
        let letters = text.chars().map(KeyCode::Char);
        for code in letters.chain([KeyCode::Enter]) {
            let effects = self.view.text(KeyEvent::from(code), &TimeZone::UTC);
            self.carry(effects);
        }
    }

    fn draw(&self, width: u16, height: u16, look: &Look) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        let area = buffer.area;
        view::log_lines(&self.view, area, &mut buffer, look, &TimeZone::UTC);
        buffer
    }

    /// The rows of the screen as text.
    fn rows(&self) -> Vec<String> {
        let (width, height) = self.view.size;
        let buffer = self.draw(width, height, &look());
        let row = |y| {
            let cells = (0..width).map(|x| buffer[(x, y)].symbol().to_owned());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..height).map(row).collect()
    }

    fn shows(&self, expected: &[usize]) {
        let rows = self.rows();
        let numbers: Vec<usize> = rows
            .iter()
            .filter_map(|row| row.split_once(" line ")?.1.split(' ').next()?.parse().ok())
            .collect();
        assert_eq!(numbers, expected, "{rows:#?}");
    }

    fn title(&self) -> String {
        let (left, right) = self.view.title(&look());
        format!("{left} | {right}")
    }
}

fn whose(name: &str) -> Option<Whose> {
    InstanceName::parse(name).ok().map(Whose::Instance)
}

fn look() -> Look {
    Look::new(ThemeName::Dark, Ground::Dark, Depth::True, Glyphs::Unicode)
}

fn range(from: usize, to: usize) -> Vec<usize> {
    (from..to).collect()
}

#[test]
fn a_line_of_90_000_characters_is_cut_panned_and_wrapped() {
    let long = format!("I line 1 {}", "abcdefghij".repeat(9000));
    let mut rig = Rig::new(Log::new([
        "I line 0".to_owned(),
        long,
        "I line 2".to_owned(),
    ]));
    rig.shows(&[0, 1, 2]);
    assert!(rig.rows()[1].ends_with("… +84K"), "{}", rig.rows()[1]);
    for _ in 0..2000 {
        rig.act(LogAction::Right);
    }
    assert!(rig.view.pan <= SHOWN_BYTES);
    rig.act(LogAction::Wrap);
    assert_eq!(rig.rows()[9], "  I line 2");
    rig.act(LogAction::Top);
    let rows = rig.rows();
    assert_eq!(rows[0], "  I line 0");
    assert_eq!(
        rows[1],
        format!("  I line 1 {}", "abcdefghij".repeat(5)[..49].to_owned())
    );
    for _ in 0..20 {
        rig.act(LogAction::PageDown);
    }
    assert_eq!(rig.rows()[9], "  I line 2");
    rig.act(LogAction::Up);
    assert!(!rig.rows()[9].contains("line 2"));
}

#[test]
fn colours_of_the_server_its_levels_and_matches_are_shown() {
    let lines = [
        "0.00.001.000 I plain",
        "0.00.002.000 W \x1b[2Jwarned\x07",
        "0.00.003.000 E failed: out of memory",
        "\x1b[32mgreen\x1b[0m and plain \x1b]0;title\x07end",
        "日本語 wide",
    ];
    let mut rig = Rig::new(Log::new(lines.map(str::to_owned)));
    rig.type_in(LogAction::Search, "plain");
    let buffer = rig.draw(40, 6, &look());
    insta::assert_snapshot!(format!("{buffer:?}"));
    let bare = Look::new(ThemeName::Dark, Ground::Dark, Depth::None, Glyphs::Ascii);
    let buffer = rig.draw(40, 6, &bare);
    assert!(
        buffer
            .content
            .iter()
            .all(|cell| cell.fg == ratatui::style::Color::Reset)
    );
    let reversed = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    assert!(buffer.content.iter().filter(reversed).count() >= 10);
}

#[test]
fn no_size_of_the_pane_is_too_small() {
    let mut rig = Rig::new(Log::numbered(40));
    rig.act(LogAction::Wrap);
    rig.act(LogAction::Timestamps);
    rig.act(LogAction::Search);
    for width in 0..30 {
        for height in 0..12 {
            let effects = rig.view.resize(width, height);
            rig.carry(effects);
            rig.draw(width, height, &look());
        }
    }
}
