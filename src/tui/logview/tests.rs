//! The view against a log in memory: keys in, questions answered, pictures out.

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
fn following_shows_the_newest_line_until_somebody_scrolls_up_and_says_so() {
    let mut rig = Rig::new(Log::numbered(5000));
    rig.shows(&range(4990, 5000));
    assert_eq!(rig.title(), "Log coder  ● FOLLOW | 5,000 lines");
    rig.grow(["I line 5000".to_owned()]);
    rig.shows(&range(4991, 5001));
    rig.act(LogAction::Up);
    rig.shows(&range(4990, 5000));
    rig.grow((5001..5004).map(|line| format!("I line {line}")));
    rig.shows(&range(4990, 5000));
    assert_eq!(
        rig.title(),
        "Log coder  scrolled, 3 newer, f follows | 5,004 lines"
    );
    rig.act(LogAction::PageDown);
    rig.shows(&range(4994, 5004));
    rig.act(LogAction::Follow);
    rig.shows(&range(4994, 5004));
    rig.grow(["I line 5004".to_owned()]);
    rig.shows(&range(4995, 5005));
    rig.log.unfinished = "loading ...".to_owned();
    rig.grow(["I line 5005".to_owned()]);
    assert_eq!(rig.rows()[9], "  loading ...");
}

#[test]
fn a_million_lines_are_walked_from_end_to_start_with_few_in_memory() {
    let mut rig = Rig::new(Log::numbered(1_000_000));
    rig.shows(&range(999_990, 1_000_000));
    for page in 1..=1000 {
        rig.act(LogAction::PageUp);
        let first = 999_990 - page * 9;
        rig.shows(&range(first, first + 10));
        assert!(rig.view.window.len() <= window::KEPT);
    }
    rig.act(LogAction::Top);
    rig.shows(&range(0, 10));
    for page in 1..=1000 {
        rig.act(LogAction::PageDown);
        rig.shows(&range(page * 9, page * 9 + 10));
    }
    rig.act(LogAction::Bottom);
    rig.shows(&range(999_990, 1_000_000));
}

#[test]
fn more_lines_than_can_be_read_do_not_fill_the_memory() {
    let mut rig = Rig::new(Log::numbered(10));
    for round in 1..=20 {
        let begun = 10 + (round - 1) * 2000;
        rig.grow((begun..begun + 2000).map(|line| format!("I line {line}")));
        rig.shows(&range(begun + 1990, begun + 2000));
        assert!(rig.view.window.len() <= window::KEPT);
    }
}

#[test]
fn a_search_goes_to_matches_in_both_directions_and_counts_them() {
    let mut rig = Rig::new(Log::numbered(5000));
    rig.log.budget = 700;
    rig.type_in(LogAction::Search, "LINE .*77$");
    assert!(
        rig.title().ends_with("0 matches · 5,000 lines"),
        "{}",
        rig.title()
    );
    assert_eq!(rig.view.told.as_deref(), Some("no older match"));
    rig.type_in(LogAction::Search, "line .*77$");
    assert!(
        rig.title().ends_with("50 of 50 matches · 5,000 lines"),
        "{}",
        rig.title()
    );
    assert!(
        rig.rows()
            .iter()
            .any(|row| row.starts_with('▶') && row.ends_with("line 4977"))
    );
    rig.act(LogAction::Next);
    assert_eq!(rig.view.told.as_deref(), Some("no newer match"));
    rig.act(LogAction::Previous);
    rig.act(LogAction::Previous);
    assert!(rig.title().contains("48 of 50"), "{}", rig.title());
    rig.shows(&range(4774, 4784));
    rig.act(LogAction::Next);
    assert!(rig.title().contains("49 of 50"), "{}", rig.title());
    rig.grow(["I line 77".to_owned()]);
    assert!(rig.title().contains("49 of 51"), "{}", rig.title());
    rig.act(LogAction::Top);
    rig.act(LogAction::Next);
    assert!(rig.title().contains("1 of 51"), "{}", rig.title());
    rig.type_in(LogAction::Search, "(");
    assert!(rig.view.wants_text() && rig.rows()[9].contains("unclosed group"));
    rig.carry_key(KeyCode::Esc);
    assert!(rig.view.back().is_some() && rig.view.find.is_none());
}

impl Rig {
    fn carry_key(&mut self, code: KeyCode) {
        let effects = self.view.text(KeyEvent::from(code), &TimeZone::UTC);
        self.carry(effects);
    }
}

#[test]
fn errors_are_gone_to_from_the_end_backward_and_from_a_line_in_both_directions() {
    let mut rig = Rig::new(Log::numbered(1000));
    rig.act(LogAction::NextError);
    assert!(
        rig.rows()
            .iter()
            .any(|row| row.starts_with("▶ ") && row.ends_with("E line 950"))
    );
    rig.act(LogAction::NextError);
    assert_eq!(rig.view.told.as_deref(), Some("no newer error"));
    rig.act(LogAction::PreviousError);
    rig.act(LogAction::PreviousError);
    assert!(
        rig.rows()
            .iter()
            .any(|row| row.starts_with("▶ ") && row.ends_with("E line 750"))
    );
    rig.act(LogAction::NextError);
    assert!(
        rig.rows()
            .iter()
            .any(|row| row.starts_with("▶ ") && row.ends_with("E line 850"))
    );
}

#[test]
fn a_filter_shows_only_lines_that_match_and_follows_them() {
    let mut rig = Rig::new(Log::numbered(5000));
    rig.type_in(LogAction::Filter, "00$");
    let hundreds: Vec<usize> = (40..50).map(|hundred| hundred * 100).collect();
    rig.shows(&hundreds);
    assert!(rig.title().contains("only \"00$\""), "{}", rig.title());
    rig.grow(["I line 5000".to_owned(), "I line 5001".to_owned()]);
    rig.shows(&[&hundreds[1..], &[5000]].concat());
    rig.act(LogAction::PageUp);
    rig.shows(&(32..42).map(|hundred| hundred * 100).collect::<Vec<_>>());
    let effects = rig.view.back().expect("the filter goes");
    rig.carry(effects);
    assert!(!rig.title().contains("only"));
    rig.shows(&range(3200, 3210));
}

#[test]
fn a_time_is_gone_to_and_what_is_no_time_is_said() {
    let mut rig = Rig::new(Log::numbered(3000));
    rig.act(LogAction::Timestamps);
    rig.type_in(LogAction::GoToTime, "12:10");
    rig.shows(&range(597, 607));
    assert!(
        rig.rows()[3].starts_with("▶ 12:10:00.0 "),
        "{:?}",
        rig.rows()
    );
    rig.type_in(LogAction::GoToTime, "soon");
    assert!(rig.rows()[9].contains("no time"), "{:?}", rig.rows());
    rig.carry_key(KeyCode::Esc);
    rig.type_in(LogAction::GoToTime, "12:59");
    rig.shows(&range(2991, 3000));
    assert!(rig.rows()[9].contains("the end"), "{:?}", rig.rows());
    rig.type_in(LogAction::GoToTime, "12:49:59");
    rig.shows(&range(2990, 3000));
    assert!(rig.rows()[9].starts_with("▶ "), "{:?}", rig.rows());
    rig.type_in(LogAction::GoToTime, "11:00");
    rig.shows(&range(0, 9));
    assert!(rig.rows()[9].contains("begins"), "{:?}", rig.rows());
}

#[test]
fn a_log_that_is_jumped_into_before_it_was_counted_has_nothing_newer() {
    let mut rig = Rig::new(Log::numbered(100));
    let mut effects = rig.view.show(whose("other"));
    effects.extend(rig.view.go_to(BEGUN + 50_000));
    rig.carry(effects);
    rig.shows(&range(47, 57));
    assert_eq!(rig.title(), "Log other  scrolled, f follows | 100 lines");
    rig.grow(["I line 100".to_owned()]);
    assert!(rig.title().contains("1 newer"), "{}", rig.title());
}

#[test]
fn a_search_typed_before_the_lines_are_there_begins_where_was_gone_to() {
    let mut rig = Rig::new(Log::numbered(5000));
    rig.act(LogAction::Up);
    let now = Now::default();
    let mut effects = rig.view.act(LogAction::Top, now, &TimeZone::UTC);
    effects.extend(rig.view.act(LogAction::Search, now, &TimeZone::UTC));
    for code in "00$".chars().map(KeyCode::Char).chain([KeyCode::Enter]) {
        effects.extend(rig.view.text(KeyEvent::from(code), &TimeZone::UTC));
    }
    rig.carry(effects);
    assert!(rig.title().contains("1 of 49 matches"), "{}", rig.title());
}

#[test]
fn a_jump_between_matches_makes_the_next_match_count_anew() {
    let mut rig = Rig::new(Log::numbered(3000));
    rig.type_in(LogAction::Search, "00$");
    assert!(rig.title().contains("29 of 29 matches"), "{}", rig.title());
    rig.type_in(LogAction::GoToTime, "12:10");
    assert!(rig.title().contains("| 29 matches"), "{}", rig.title());
    rig.act(LogAction::Next);
    assert!(rig.title().contains("7 of 29 matches"), "{}", rig.title());
    rig.act(LogAction::NextError);
    rig.act(LogAction::Next);
    assert!(rig.title().contains("8 of 29 matches"), "{}", rig.title());
}

#[test]
fn a_filter_with_an_exclamation_mark_leaves_out_what_matches() {
    let mut rig = Rig::new(Log::numbered(100));
    rig.type_in(LogAction::Filter, "!line .[1-9]$");
    rig.shows(&[9, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    assert!(rig.title().contains("without \"line"), "{}", rig.title());
    rig.act(LogAction::Filter);
    assert!(
        rig.rows()[9].starts_with("&!line .[1-9]$"),
        "{:?}",
        rig.rows()
    );
}

#[test]
fn selected_lines_grow_with_keys_and_are_what_is_copied() {
    let mut rig = Rig::new(Log::numbered(100));
    rig.act(LogAction::Select);
    assert!(
        rig.rows()[9].starts_with("1 line selected"),
        "{:?}",
        rig.rows()
    );
    for _ in 0..12 {
        rig.act(LogAction::Up);
    }
    assert!(
        rig.rows()[9].starts_with("13 lines selected"),
        "{:?}",
        rig.rows()
    );
    rig.shows(&range(87, 96));
    rig.act(LogAction::Copy);
    let (from, last) = rig.collected();
    assert_eq!((from, last), (rig.log.cursor(87), rig.log.place(99)));
    assert_eq!(rig.view.selected(), None);
    // Past its beginning it goes on at the other side.
    rig.act(LogAction::Top);
    rig.act(LogAction::Down);
    rig.act(LogAction::Select);
    rig.act(LogAction::Down);
    rig.act(LogAction::Up);
    rig.act(LogAction::Up);
    rig.act(LogAction::Copy);
    let (from, last) = rig.collected();
    assert_eq!((from, last), (rig.log.cursor(0), rig.log.place(1)));
    rig.act(LogAction::Select);
    assert!(rig.view.back().is_some_and(|effects| effects.is_empty()));
    assert_eq!(rig.view.selected(), None);
}

#[test]
fn a_selection_longer_than_what_is_in_memory_is_copied_whole() {
    let mut rig = Rig::new(Log::numbered(20_000));
    rig.act(LogAction::Select);
    for _ in 0..1500 {
        rig.act(LogAction::PageUp);
    }
    rig.act(LogAction::Copy);
    let (from, last) = rig.collected();
    assert_eq!(last, rig.log.place(19_999));
    assert_ne!(from, rig.log.cursor(19_999));
}

#[test]
fn the_mouse_selects_from_where_it_was_pressed_to_where_it_is() {
    let mut rig = Rig::new(Log::numbered(100));
    let (press, to) = (rig.log.place(92), rig.log.place(95));
    rig.view.press(press);
    let effects = rig.view.drag(Drag::Line(press));
    rig.carry(effects);
    assert_eq!(rig.view.selected(), None, "a click alone selects nothing");
    let effects = rig.view.drag(Drag::Line(to));
    rig.carry(effects);
    assert_eq!(rig.view.selected(), Some(92..=95));
    for _ in 0..4 {
        let effects = rig.view.drag(Drag::Above);
        rig.carry(effects);
    }
    assert_eq!(rig.view.selected(), Some(91..=92));
    rig.act(LogAction::Copy);
    let (from, last) = rig.collected();
    assert_eq!((from, last), (rig.log.cursor(91), press));
}

#[test]
fn a_cleared_view_shows_only_what_comes_and_clearing_again_shows_everything() {
    let mut rig = Rig::new(Log::numbered(100));
    rig.act(LogAction::Clear);
    rig.shows(&[]);
    rig.grow((100..103).map(|line| format!("I line {line}")));
    rig.shows(&range(100, 103));
    rig.act(LogAction::Top);
    rig.shows(&range(100, 103));
    rig.act(LogAction::Clear);
    rig.shows(&range(93, 103));
}

#[test]
fn marks_say_what_is_copied_and_without_two_it_is_what_is_seen() {
    let mut rig = Rig::new(Log::numbered(100));
    rig.act(LogAction::Copy);
    let Some(LogEffect::Collect(collect)) = rig.others.pop() else {
        unreachable!("the screen is collected");
    };
    assert_eq!(
        (collect.from, collect.until),
        (rig.log.cursor(90), Until::Lines(10))
    );
    rig.act(LogAction::Mark);
    assert!(rig.rows()[8].starts_with("◆") || rig.rows()[9].starts_with("◆"));
    rig.act(LogAction::Top);
    rig.act(LogAction::Mark);
    rig.act(LogAction::Copy);
    let Some(LogEffect::Collect(collect)) = rig.others.pop() else {
        unreachable!("the marked lines are collected");
    };
    let last = Until::Line(rig.log.place(99));
    assert_eq!((collect.from, collect.until), (rig.log.cursor(0), last));
    let effects = rig.view.update(LogMsg::Collected("a\nb\n".to_owned(), 2));
    rig.carry(effects);
    assert_eq!(
        (rig.copied.len(), rig.view.told.as_deref()),
        (1, Some("copied 2 lines"))
    );
    rig.act(LogAction::Mark);
    assert_eq!(rig.view.marks.len(), 1);
}

#[test]
fn a_log_is_saved_under_a_name_that_can_be_changed() {
    let mut rig = Rig::new(Log::numbered(10));
    rig.type_in(LogAction::Save, ".txt");
    let Some(LogEffect::Save(save)) = rig.others.pop() else {
        unreachable!("it is saved");
    };
    assert_eq!(save.path.to_string_lossy(), "coder-20261127-130000.log.txt");
}

#[test]
fn answers_to_questions_about_another_instance_change_nothing() {
    let mut rig = Rig::new(Log::numbered(10));
    let old = rig.view.load(At::End, Direction::Backward, ask::Part::End);
    let effects = rig.view.show(whose("other"));
    rig.log = Log::new(["I line 777".to_owned()]);
    rig.carry(old);
    rig.shows(&[]);
    rig.carry(effects);
    rig.shows(&[777]);
    let told = rig.view.update(LogMsg::Failed(1, "gone".to_owned()));
    assert!(told.is_empty() && rig.view.trouble.is_none());
}

#[test]
fn an_owner_that_is_gone_is_told_and_asked_again() {
    let mut rig = Rig::new(Log::new([]));
    assert_eq!(rig.rows()[0], " coder has not logged anything yet");
    let watch = rig.watch.take().expect("growth is watched");
    let effects = rig
        .view
        .update(LogMsg::Failed(watch.ticket, "nobody".to_owned()));
    assert_eq!(rig.rows()[0], " nobody");
    rig.log.push("I line 1".to_owned());
    rig.carry(effects);
    rig.shows(&[1]);
    assert!(rig.watch.is_some() && rig.view.trouble.is_none());
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
