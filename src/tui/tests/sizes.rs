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

#[test]
fn every_size_can_be_drawn_with_anything_open() {
    let openings = [
        "", "z", "2", "3", "4", "5", "?", ":", "x", "q", "enter", "y", "/", "n", "T",
    ];
    for opening in openings {
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
        // The plain screen at every size; the others at enough of them to meet all classes.
        let (across, down) = if opening.is_empty() { (1, 1) } else { (11, 7) };
        for width in (0..=200).step_by(across) {
            for height in (0..=70).step_by(down) {
                send(&mut model, Msg::Resize(width, height));
                draw(&model);
            }
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
