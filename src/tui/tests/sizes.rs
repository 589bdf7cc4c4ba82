//! No size and no keys may break the screen.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_oneof, proptest};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::{event, fleet};
use super::typing::{model, press, send};
use crate::domain::event::Level;
use crate::tui::effect::Effect;
use crate::tui::keymap::{Keymap, ROWS};
use crate::tui::model::{Model, Msg};
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
        // The plain screen at all of them; the others at enough to meet every border.
        let step = if opening.is_empty() { 1 } else { 13 };
        for (width, height) in sizes().skip(number).step_by(step) {
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
