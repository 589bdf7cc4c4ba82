//! Help and palette: both made from the key table.

use ratatui::layout::Rect;
use tui_input::Input;

use super::super::format;
use super::super::keymap::{Context, Row};
use super::super::model::{Hit, Model};
use super::super::theme::Role;
use super::super::update::matching;
use super::Hits;
use super::dialogs::open;
use super::pen::Pen;

/// Columns for the keys of an action.
const KEYS: u16 = 14;

pub(super) fn help(model: &Model, search: &Input, scroll: usize, screen: Rect, pen: &mut Pen<'_>) {
    let height = screen.height.saturating_sub(2);
    let inner = open("Keys", 76, height, screen, pen);
    let x = pen.text(inner.x, inner.y, inner.width, "search: ", Role::Accent);
    pen.line(x, inner.y, inner.right().saturating_sub(x + 12), search);
    pen.right(inner.right(), inner.y, 12, "Esc closes", Role::Dim);
    let rows = matching(search.value());
    let mut lines: Vec<Result<&Row, Context>> = Vec::new();
    for context in [
        Context::Table,
        Context::Log,
        Context::Events,
        Context::Global,
    ] {
        let mut of = rows.iter().filter(|row| row.context == context).peekable();
        if of.peek().is_some() {
            lines.push(Err(context));
            lines.extend(of.map(|row| Ok(*row)));
        }
    }
    let room = usize::from(inner.height.saturating_sub(2));
    let skip = scroll.min(lines.len().saturating_sub(room));
    for (y, line) in (inner.y + 2..inner.bottom()).zip(lines.iter().skip(skip)) {
        match line {
            Err(context) => {
                pen.text(inner.x, y, inner.width, context.title(), Role::Strong);
            }
            Ok(row) => {
                let keys = model.keymap.label(row);
                pen.cut(inner.x + 1, y, KEYS, &keys, Role::Accent);
                let x = inner.x + 1 + KEYS + 1;
                pen.cut(x, y, inner.right().saturating_sub(x), row.help, Role::Text);
            }
        }
    }
}

pub(super) fn palette(
    model: &Model,
    search: &Input,
    cursor: usize,
    screen: Rect,
    pen: &mut Pen<'_>,
    hits: &mut Hits,
) {
    let height = screen.height.saturating_sub(4).min(22);
    let inner = open("Palette", 76, height, screen, pen);
    let x = pen.text(inner.x, inner.y, inner.width, ": ", Role::Accent);
    pen.line(x, inner.y, inner.right().saturating_sub(x), search);
    let rows = matching(search.value());
    let room = usize::from(inner.height.saturating_sub(2));
    let skip = (cursor + 1).saturating_sub(room);
    for (y, (place, row)) in (inner.y + 2..inner.bottom()).zip(rows.iter().enumerate().skip(skip)) {
        pen.cut(inner.x, y, 20, row.name, Role::Text);
        let keys = model.keymap.first(row.action);
        let keys_width = format::width(&keys) as u16;
        let limit = inner.width.saturating_sub(22 + keys_width);
        pen.cut(inner.x + 21, y, limit, row.help, Role::Dim);
        pen.right(inner.right(), y, keys_width, &keys, Role::Accent);
        let line = Rect::new(inner.x, y, inner.width, 1);
        if place == cursor {
            let style = pen.look.style(Role::Selected);
            pen.fill(line, style);
        }
        hits.add(line, Hit::Choice(place));
    }
    if rows.is_empty() {
        pen.cut(
            inner.x,
            inner.y + 2,
            inner.width,
            "no action has this in its name or meaning",
            Role::Dim,
        );
    }
}
