//! Clicks, wheel and drags, resolved against what is drawn.

use super::rows::fleet;
use super::typing::{model, name, screen, send, shown};
use crate::tui::model::dialog::Dialog;
use crate::tui::model::table::Column;
use crate::tui::model::{Hit, Model, Msg, Pane, Split};

/// Clicks on the first place where a text is on the screen.
fn click(model: &mut Model, text: &str) -> Hit {
    let (picture, hits) = screen(model);
    let (row, line) = picture
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(text))
        .expect("the text is on the screen");
    // `TestBackend` puts a quotation mark around each line.
    let column = line[..line.find(text).expect("it is in this line")]
        .chars()
        .count()
        - 1;
    let hit = hits.at(column as u16, row as u16);
    send(model, Msg::Click(hit));
    hit
}

#[test]
fn a_click_selects_a_row_and_a_second_one_opens_its_menu() {
    let mut model = model(&fleet());
    click(&mut model, "vision-11b");
    assert_eq!(model.table.cursor, Some(name("vision-11b")));
    click(&mut model, "vision-11b");
    assert!(matches!(model.dialogs.last(), Some(Dialog::Menu(_))));
}

#[test]
fn a_click_on_a_heading_sorts_and_a_second_one_turns_the_order_round() {
    let mut model = model(&fleet());
    assert_eq!(click(&mut model, "T/S"), Hit::Column(Column::Tokens));
    assert_eq!(shown(&model)[0], "coder-30b");
    click(&mut model, "T/S↓");
    assert_ne!(shown(&model)[0], "coder-30b");
}

#[test]
fn a_click_on_a_pane_or_a_key_in_the_footer_does_what_it_says() {
    let mut model = model(&fleet());
    assert_eq!(click(&mut model, "2 Events"), Hit::Pane(Pane::Events));
    assert_eq!(model.focus, Pane::Events);
    click(&mut model, "? help");
    assert!(matches!(model.dialogs.last(), Some(Dialog::Help { .. })));
    send(&mut model, Msg::Click(Hit::Outside));
    assert!(model.dialogs.is_empty());
}

#[test]
fn the_wheel_scrolls_the_pane_it_is_over() {
    let mut model = model(&fleet());
    send(&mut model, Msg::Wheel(Pane::Table, 3));
    assert_eq!(model.table.cursor, Some(name("vision-11b")));
    assert_eq!(model.focus, Pane::Table);
}

#[test]
fn a_border_can_be_dragged() {
    let mut model = model(&fleet());
    let before = model.areas();
    let (_, hits) = screen(&model);
    let bottom = before.table.bottom() - 1;
    assert_eq!(hits.at(60, bottom), Hit::Split(Split::TableBottom));
    send(&mut model, Msg::Drag(Split::TableBottom, 60, bottom + 5));
    let after = model.areas();
    assert!(after.table.height >= before.table.height + 4, "{after:?}");
    let edge = before.events.right() - 1;
    assert_eq!(
        hits.at(edge, before.events.y + 2),
        Hit::Split(Split::EventsRight)
    );
    send(&mut model, Msg::Drag(Split::EventsRight, 40, 0));
    assert!((40..=42).contains(&model.areas().events.width));
}
