//! No size and no keys may break the screen.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_oneof, proptest};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::{event, fleet, row};
use super::typing::{model, press, screen, send};
use crate::domain::event::Level;
use crate::domain::lifecycle::{Health, Status};
use crate::tui::effect::Effect;
use crate::tui::keymap::{Keymap, ROWS};
use crate::tui::model::{Model, Msg, Pane};
use crate::tui::view::view;

pub(super) fn draw(model: &Model) {
    let (width, height) = model.size;
    view(model, &mut Buffer::empty(Rect::new(0, 0, width, height)));
}

/// Widths at which something is laid out otherwise than one column before.
const WIDTHS: [u16; 12] = [0, 1, 39, 40, 61, 62, 79, 80, 99, 100, 110, 140];

/// Heights at which something is laid out otherwise than one row before.
const HEIGHTS: [u16; 9] = [0, 1, 9, 10, 19, 20, 29, 30, 36];

/// Every width up to 200 and every height up to 70, each together with every border of the other:
/// columns and rows are shared out independently of each other between the borders.
fn sizes() -> impl Iterator<Item = (u16, u16)> {
    let wide = (0..=200).flat_map(|width| HEIGHTS.map(|height| (width, height)));
    let high = (0..=70).flat_map(|height| WIDTHS.map(|width| (width, height)));
    wide.chain(high)
}

#[test]
fn every_size_can_be_drawn_with_anything_open() {
    let openings = [
        "", "z", "2", "3", "4", "5", "?", ":", "x", "q", "enter", "y", "/", "n", "T",
    ];
    for (number, opening) in openings.iter().enumerate() {
        let mut model = model(&fleet());
        send(
            &mut model,
            Msg::Events(vec![event(1, 5.0, "coder-30b", Level::Info, "health ok")]),
        );
        send(
            &mut model,
            Msg::Events(vec![event(2, 1.0, "chat-8b", Level::Error, "crashed")]),
        );
        send(
            &mut model,
            Msg::Failed("something went wrong and needs more words than fit".to_owned()),
        );
        if !opening.is_empty() {
            press(&mut model, opening);
        }
        // The plain screen at all there are; the others at enough to meet every border.
        let all = (0..=70).flat_map(|height| (0..=200).map(move |width| (width, height)));
        let wanted: Vec<(u16, u16)> = if opening.is_empty() {
            all.collect()
        } else {
            sizes().skip(number).step_by(13).collect()
        };
        for (width, height) in wanted {
            send(&mut model, Msg::Resize(width, height));
            draw(&model);
        }
    }
}

#[test]
fn every_action_has_an_arm_that_does_not_break_an_empty_fleet() {
    for row in ROWS {
        let mut model = model(&[]);
        send(&mut model, Msg::Act(row.action));
        draw(&model);
    }
}

/// Presses a key until the screen stays as it is; returns how often that was.
fn press_to_the_end(model: &mut Model, key: &str) -> usize {
    let mut times = 0;
    loop {
        let before = screen(model).0;
        press(model, key);
        if screen(model).0 == before {
            return times;
        }
        times += 1;
    }
}

#[test]
fn nothing_is_scrolled_past_its_end() {
    for opening in ["?", "4"] {
        let mut model = model(&fleet());
        send(&mut model, Msg::Resize(40, 10));
        // A failed instance has most to tell.
        press(&mut model, "down down down down");
        press(&mut model, opening);
        let down = press_to_the_end(&mut model, "down");
        assert!(down > 0, "{opening} scrolls");
        for _ in 0..50 {
            press(&mut model, "down");
        }
        assert_eq!(press_to_the_end(&mut model, "up"), down, "{opening}");
    }
    // A larger screen needs less scrolling.
    let mut model = model(&fleet());
    send(&mut model, Msg::Resize(80, 20));
    press(&mut model, "?");
    let before = press_to_the_end(&mut model, "down");
    send(&mut model, Msg::Resize(80, 70));
    send(&mut model, Msg::Resize(80, 20));
    let after = press_to_the_end(&mut model, "up");
    assert!(after < before, "{after} of {before}");
}

#[test]
fn name_state_port_and_rate_are_shown_however_narrow_it_is() {
    let mut rows = fleet();
    rows[0].port = Some(65_535);
    rows[0].readings.tokens_per_second = Some(12_345.0);
    rows.push(row(
        "a-name-that-is-longer-than-any-column",
        Status::Starting,
        Health::Loading,
    ));
    for height in [10, 24, 36] {
        for width in 40..=200 {
            let mut model = model(&rows);
            send(&mut model, Msg::Resize(width, height));
            let (text, _) = screen(&model);
            let heading = text.lines().find(|line| line.contains("NAME"));
            let heading = heading.expect("the table has a heading");
            for title in ["STATE", "PORT", "T/S"] {
                assert!(heading.contains(title), "{width}x{height}:\n{text}");
            }
            let line = text.lines().find(|line| line.contains("ready"));
            let line = line.expect("the first instance is shown");
            for part in ["65535", "12.3k"] {
                assert!(line.contains(part), "{width}x{height}:\n{text}");
            }
        }
    }
}

#[test]
fn tab_goes_round_the_panes_that_can_be_seen() {
    let sharing = [Pane::Events, Pane::Detail, Pane::Log, Pane::Table];
    let tabs = [
        Pane::Events,
        Pane::Log,
        Pane::Detail,
        Pane::Diagnostics,
        Pane::Work,
        Pane::Table,
    ];
    let rows: [((u16, u16), &[Pane]); 3] = [
        ((120, 36), &sharing),
        ((80, 24), &sharing),
        ((40, 10), &tabs),
    ];
    for ((width, height), round) in rows {
        let mut model = model(&fleet());
        send(&mut model, Msg::Resize(width, height));
        for pane in round {
            press(&mut model, "tab");
            assert_eq!(model.focus, *pane, "{width}x{height}");
        }
        for pane in round.iter().rev().skip(1).chain(&[Pane::Table]) {
            press(&mut model, "shift-tab");
            assert_eq!(model.focus, *pane, "{width}x{height}");
        }
    }
    // What stands alone leads back to the others, in both directions.
    let mut model = model(&fleet());
    press(&mut model, "6 tab");
    assert_eq!(model.focus, Pane::Table);
    press(&mut model, "6 shift-tab");
    assert_eq!(model.focus, Pane::Log);
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let (map, _) = Keymap::new(&BTreeMap::new());
    let bound: Vec<KeyEvent> = map.events();
    let letter = prop::char::range(' ', '~');
    prop_oneof![
        4 => prop::sample::select(bound),
        1 => letter.prop_map(|letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_keys_break_the_screen(keys in prop::collection::vec(any_key(), 0..60), size in (0_u16..200, 0_u16..70)) {
        let mut model = model(&fleet());
        send(&mut model, Msg::Resize(size.0, size.1));
        for key in keys {
            let ended = send(&mut model, Msg::Key(key))
                .iter()
                .any(|effect| matches!(effect, Effect::End(_)));
            if ended {
                break;
            }
        }
        draw(&model);
    }
}
