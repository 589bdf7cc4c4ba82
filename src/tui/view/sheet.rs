//! A sheet over the panes.

use ratatui::layout::Rect;

use super::super::format;
use super::super::model::Hit;
use super::super::model::sheet::Sheet;
use super::super::theme::Role;
use super::Hits;
use super::dialogs::{fit, open};
use super::pen::Pen;

pub(super) fn draw(sheet: &Sheet, screen: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let laid = sheet.lay((screen.width, screen.height));
    let inner = open(&sheet.title, fit(laid.width), fit(laid.height), screen, pen);
    let indent = fit(laid.indent);
    let shown = laid.lines.iter().skip(laid.top).take(laid.room);
    for (y, line) in (inner.y..inner.bottom()).zip(shown) {
        pen.cut(inner.x, y, indent, &line.label, Role::Dim);
        let x = inner.x + indent.min(inner.width);
        pen.cut(x, y, inner.right().saturating_sub(x), &line.text, line.role);
    }
    let last = inner.bottom().saturating_sub(1);
    if let Some(note) = &sheet.note {
        let y = last.saturating_sub(1);
        pen.cut(inner.x, y, inner.width, note, Role::Good);
    }
    let mut x = inner.x;
    for (place, button) in sheet.buttons.iter().enumerate() {
        let role = if sheet.chosen == place {
            Role::ButtonChosen
        } else {
            Role::Button
        };
        let begin = x;
        let room = inner.right().saturating_sub(x);
        x = pen.text(x, last, room, &button.text(), role);
        hits.add(Rect::new(begin, last, x - begin, 1), Hit::Choice(place));
        x += 1;
    }
    let count = laid.lines.len();
    if count > laid.room {
        let text = format!("{}–{} of {count}", laid.top + 1, laid.top + laid.room);
        let text = pen.look.sign("↑↓ ", "").to_owned() + &text;
        let text = text.replace('–', pen.look.sign("–", "-"));
        let room = inner.right().saturating_sub(x);
        if usize::from(room) > format::width(&text) {
            pen.right(inner.right(), last, room, &text, Role::Dim);
        }
    }
}
