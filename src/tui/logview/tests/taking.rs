//! What is selected, copied, cleared and saved, and answers that come late.

use super::*;

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
