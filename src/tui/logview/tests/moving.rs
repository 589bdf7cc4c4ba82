//! Following, searching, filtering, and going to a place.

use super::*;

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
