//! Going to lines: matches of a search with their count, and errors.

use regex::{Regex, RegexBuilder};

use super::ask::{Part, Question};
use super::{Follow, LogEffect, LogView};
use crate::domain::log::{
    At, Case, Count, CountQuery, Cursor, Direction, Pattern, Place, Search, SearchQuery, Sense,
    Wanted,
};
use crate::tui::format;

/// What is searched for.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Find {
    pub(super) pattern: Pattern,
    /// For the matches on the screen.
    pub(in crate::tui) regex: Regex,
    pub(super) count: Option<Count>,
    /// Which of the matches the present line is, from 1 on.
    pub(super) number: Option<u64>,
    /// Matches before it are being counted too.
    mark: Option<Cursor>,
}

/// A search that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hunt {
    wanted: Wanted,
    direction: Direction,
    from: At,
    begun: Begun,
    turn: Turn,
}

/// Where a search began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// At a match: the next one has the next number.
    AtMatch,
    Elsewhere,
}

/// Whether the other direction is tried when nothing is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Allowed,
    No,
}

impl Find {
    /// Compiles what a person typed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pattern = smart(text);
        let regex = RegexBuilder::new(text)
            .case_insensitive(pattern.ignores_case())
            .build()
            .map_err(|error| reason(&error))?;
        Ok(Self {
            pattern,
            regex,
            count: None,
            number: None,
            mark: None,
        })
    }

    /// The present line is no match that was counted to.
    pub(super) fn forget_number(&mut self) {
        self.number = None;
    }

    /// `3 of 128 matches`
    pub(super) fn words(&self) -> String {
        let Some(count) = self.count else {
            return format!("searching {:?}", self.pattern.text);
        };
        let more = if count.done { "" } else { "+" };
        let word = if count.matches == 1 {
            "match"
        } else {
            "matches"
        };
        let total = format!("{}{more} {word}", format::count(count.matches));
        match self.number.filter(|_| count.done) {
            Some(number) => format!("{} of {total}", format::count(number)),
            None => total,
        }
    }
}

pub(super) fn smart(text: &str) -> Pattern {
    Pattern::new(text, Case::Smart)
}

/// Reads a filter: an exclamation mark before the pattern keeps the lines that do not match.
pub(super) fn filter(text: &str) -> Result<Pattern, String> {
    let (text, sense) = match text.strip_prefix('!') {
        Some(rest) => (rest, Sense::Others),
        None => (text, Sense::Matching),
    };
    let find = Find::parse(text)?;
    Ok(Pattern {
        sense,
        ..find.pattern
    })
}

/// Writes a filter as it was typed.
pub(super) fn typed(filter: &Pattern) -> String {
    match filter.sense {
        Sense::Matching => filter.text.clone(),
        Sense::Others => format!("!{}", filter.text),
    }
}

/// The last line of the regex crate's drawing says what is wrong.
pub(super) fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl LogView {
    /// Begins a search: at the end towards older lines, elsewhere towards newer ones.
    pub(super) fn begin_find(&mut self, find: Find) -> Vec<LogEffect> {
        let wanted = Wanted::Pattern(find.pattern.clone());
        self.find = Some(find);
        self.current = None;
        let mut effects = match self.follow {
            Follow::On => self.hunt(
                wanted,
                Direction::Backward,
                At::End,
                Begun::Elsewhere,
                Turn::No,
            ),
            Follow::Off { .. } => self.hunt(
                wanted,
                Direction::Forward,
                self.seen_from(),
                Begun::Elsewhere,
                Turn::Allowed,
            ),
        };
        effects.extend(self.count_anew());
        effects
    }

    pub(super) fn find_again(&mut self, direction: Direction) -> Vec<LogEffect> {
        let Some(find) = &self.find else {
            self.told = Some("nothing was searched for yet; / begins".to_owned());
            return Vec::new();
        };
        let wanted = Wanted::Pattern(find.pattern.clone());
        self.hunt_for(wanted, direction)
    }

    /// Looks for the next such line from the one that was jumped to, or from the screen.
    pub(super) fn hunt_for(&mut self, wanted: Wanted, direction: Direction) -> Vec<LogEffect> {
        let jumped = self.current.and_then(|place| self.window.position(place));
        let seen = jumped
            .filter(|number| (self.top.line..self.bottom()).contains(number))
            .filter(|_| self.asked.whole.is_none());
        let (from, begun) = match (seen, self.follow) {
            (Some(number), _) => {
                let behind = usize::from(direction == Direction::Forward);
                let from = At::Cursor(self.window.cursor_at(number + behind));
                (from, Begun::AtMatch)
            }
            (None, Follow::On) => (At::End, Begun::Elsewhere),
            (None, Follow::Off { .. }) => (self.seen_from(), Begun::Elsewhere),
        };
        self.hunt(wanted, direction, from, begun, Turn::No)
    }

    /// Where the screen begins, or will as soon as the lines are there that were gone to.
    fn seen_from(&self) -> At {
        let cursor = || At::Cursor(self.window.cursor_at(self.top.line));
        self.asked.whole.unwrap_or_else(cursor)
    }

    fn hunt(
        &mut self,
        wanted: Wanted,
        direction: Direction,
        from: At,
        begun: Begun,
        turn: Turn,
    ) -> Vec<LogEffect> {
        self.hunt = Some(Hunt {
            wanted,
            direction,
            from,
            begun,
            turn,
        });
        self.tickets.last += 1;
        self.tickets.search = self.tickets.last;
        self.ask_search(from).into_iter().collect()
    }

    fn ask_search(&self, at: At) -> Option<LogEffect> {
        let hunt = self.hunt.as_ref()?;
        let query = SearchQuery {
            streams: self.streams,
            at,
            direction: hunt.direction,
            wanted: hunt.wanted.clone(),
            filter: self.filter.clone(),
        };
        self.question(self.tickets.search, Question::Search(query))
    }

    pub(super) fn searched(&mut self, search: Search) -> Vec<LogEffect> {
        match search {
            Search::Unfinished { cursor } => {
                self.ask_search(At::Cursor(cursor)).into_iter().collect()
            }
            Search::NotFound => self.not_found(),
            Search::Found { cursor, line } => self.found(cursor, line),
        }
    }

    fn not_found(&mut self) -> Vec<LogEffect> {
        let Some(hunt) = self.hunt.take() else {
            return Vec::new();
        };
        if hunt.turn == Turn::Allowed {
            let other = match hunt.direction {
                Direction::Forward => Direction::Backward,
                Direction::Backward => Direction::Forward,
            };
            return self.hunt(hunt.wanted, other, hunt.from, hunt.begun, Turn::No);
        }
        let what = match (&hunt.wanted, hunt.direction) {
            (Wanted::Level(_), Direction::Forward) => "no newer error",
            (Wanted::Level(_), Direction::Backward) => "no older error",
            (Wanted::Pattern(_), Direction::Forward) => "no newer match",
            (Wanted::Pattern(_), Direction::Backward) => "no older match",
        };
        self.told = Some(what.to_owned());
        Vec::new()
    }

    fn found(&mut self, cursor: Cursor, line: Place) -> Vec<LogEffect> {
        let Some(hunt) = self.hunt.take() else {
            return Vec::new();
        };
        self.stop_following();
        self.current = Some(line);
        let mut effects = match self.window.position(line) {
            Some(number) => {
                self.reveal(number);
                self.more()
            }
            None => {
                self.floor = None;
                self.reveal = Some(line);
                self.load(At::Cursor(cursor), Direction::Forward, Part::Around(line))
            }
        };
        if let (Wanted::Pattern(_), Some(find)) = (&hunt.wanted, &mut self.find) {
            match (hunt.begun, find.number, hunt.direction) {
                (Begun::AtMatch, Some(number), Direction::Forward) => {
                    find.number = Some(number + 1);
                }
                (Begun::AtMatch, Some(number), Direction::Backward) => {
                    find.number = number.checked_sub(1);
                }
                (_, _, _) => effects.extend(self.count_from(At::Start, Some(cursor))),
            }
        } else if let Some(find) = &mut self.find {
            find.forget_number();
        }
        effects
    }

    /// Counts all matches again, when there is something searched for.
    pub(super) fn count_anew(&mut self) -> Option<LogEffect> {
        self.count_from(At::Start, None)
    }

    /// Counts matches; those before `mark` give the number of the present one.
    fn count_from(&mut self, at: At, mark: Option<Cursor>) -> Option<LogEffect> {
        let find = self.find.as_mut()?;
        if at == At::Start {
            find.count = None;
            find.number = mark.map(|_| 1);
            find.mark = mark;
            self.tickets.last += 1;
            self.tickets.count = self.tickets.last;
        }
        let query = CountQuery {
            streams: self.streams,
            at,
            wanted: Wanted::Pattern(find.pattern.clone()),
            filter: self.filter.clone(),
            mark,
        };
        self.question(self.tickets.count, Question::Count(query))
    }

    pub(super) fn counted(&mut self, part: Count) -> Option<LogEffect> {
        let find = self.find.as_mut()?;
        let sum = find.count.unwrap_or_default();
        find.count = Some(Count {
            matches: sum.matches + part.matches,
            before: 0,
            ..part
        });
        find.number = find.number.map(|number| number + part.before);
        if part.done {
            find.mark = None;
            return None;
        }
        let mark = find.mark;
        self.count_from(At::Cursor(part.cursor), mark)
    }

    /// Counts what was added since.
    pub(super) fn count_growth(&mut self) -> Option<LogEffect> {
        let count = self.find.as_ref()?.count.filter(|count| count.done)?;
        self.count_from(At::Cursor(count.cursor), None)
    }
}
