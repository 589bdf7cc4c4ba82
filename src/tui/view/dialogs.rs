//! Questions, menus and texts over the panes.

use ratatui::layout::Rect;

use super::super::format;
use super::super::model::dialog::{Button, Dialog, Menu, Question, Quit};
use super::super::model::{Hit, Model};
use super::super::theme::Role;
use super::pen::Pen;
use super::{Hits, help, models, sheet};

pub(super) fn draw(model: &Model, screen: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    for dialog in &model.dialogs {
        hits.add(screen, Hit::Outside);
        match dialog {
            Dialog::Help { search, scroll } => help::help(model, search, *scroll, screen, pen),
            Dialog::Palette { search, cursor } => {
                help::palette(model, search, *cursor, screen, pen, hits);
            }
            Dialog::Models {
                found,
                search,
                cursor,
            } => models::draw(found, search, *cursor, screen, pen, hits),
            Dialog::Menu(menu) => draw_menu(menu, screen, pen, hits),
            Dialog::Question(question) => draw_question(question, screen, pen, hits),
            Dialog::Quit(question) => draw_quit(question, screen, pen, hits),
            Dialog::Sheet(paper) => sheet::draw(paper, screen, pen, hits),
            Dialog::Text {
                title,
                lines,
                scroll,
            } => draw_text(title, lines, *scroll, screen, pen),
        }
    }
}

/// Opens a box in the middle of the screen; returns what is inside.
pub(super) fn open(title: &str, width: u16, height: u16, screen: Rect, pen: &mut Pen<'_>) -> Rect {
    let width = width.min(screen.width);
    let height = height.min(screen.height);
    let area = Rect::new(
        screen.x + (screen.width - width) / 2,
        screen.y + (screen.height - height) / 2,
        width,
        height,
    );
    pen.clear(area);
    let inner = pen.frame(area, true);
    pen.cut(
        area.x + 2,
        area.y,
        width.saturating_sub(4),
        &format!(" {title} "),
        Role::Accent,
    );
    Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    }
}

fn draw_menu(menu: &Menu, screen: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let keys = widest(menu.choices.iter().map(|choice| choice.key.as_str()));
    let labels = widest(menu.choices.iter().map(|choice| choice.label.as_str()));
    let notes = widest(menu.choices.iter().map(|choice| choice.note.as_str()));
    let width = (keys + labels + notes + 10)
        .max(format::width(&menu.title) + 6)
        .max(30);
    let inner = open(
        &menu.title,
        fit(width),
        fit(menu.choices.len() + 2),
        screen,
        pen,
    );
    if menu.choices.is_empty() {
        pen.cut(
            inner.x,
            inner.y,
            inner.width,
            "nothing to choose",
            Role::Dim,
        );
    }
    let skip = (menu.cursor + 1).saturating_sub(inner.height.into());
    for (y, (place, choice)) in
        (inner.y..inner.bottom()).zip(menu.choices.iter().enumerate().skip(skip))
    {
        let x = inner.x;
        pen.text(x, y, inner.width, &choice.key, Role::Accent);
        let x = x + fit(keys) + 2;
        pen.cut(
            x,
            y,
            inner.right().saturating_sub(x),
            &choice.label,
            Role::Text,
        );
        let x = x + fit(labels) + 2;
        pen.cut(
            x,
            y,
            inner.right().saturating_sub(x),
            &choice.note,
            Role::Dim,
        );
        let line = Rect::new(inner.x, y, inner.width, 1);
        if place == menu.cursor {
            let style = pen.look.style(Role::Selected);
            pen.fill(line, style);
        }
        hits.add(line, Hit::Choice(place));
    }
}

fn draw_question(question: &Question, screen: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let width = dialog_width(&question.title, &question.lines, screen);
    let lines = wrapped(&question.lines, width);
    let inner = open(
        &question.title,
        fit(width),
        fit(lines.len() + 4),
        screen,
        pen,
    );
    let last = inner.bottom().saturating_sub(1);
    for (y, line) in (inner.y..last.saturating_sub(1)).zip(&lines) {
        pen.cut(inner.x, y, inner.width, line, Role::Text);
    }
    let buttons = [
        (Button::Cancel, " Cancel ".to_owned()),
        (Button::Yes, format!(" {} ", question.yes)),
    ];
    let mut x = inner.x;
    for (place, (button, text)) in buttons.into_iter().enumerate() {
        let role = if question.chosen == button {
            Role::ButtonChosen
        } else {
            Role::Button
        };
        let begin = x;
        x = pen.text(x, last, inner.right().saturating_sub(x), &text, role);
        hits.add(Rect::new(begin, last, x - begin, 1), Hit::Choice(place));
        x += 2;
    }
    let keys = "←→ Enter, y/n";
    pen.right(
        inner.right(),
        last,
        inner.right().saturating_sub(x),
        pen.look.sign(keys, "Tab Enter, y/n"),
        Role::Dim,
    );
}

fn draw_quit(question: &Quit, screen: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let labels = widest(question.choices.iter().map(|choice| choice.1.as_str()));
    let notes = widest(question.choices.iter().map(|choice| choice.2.as_str()));
    let width = (labels + notes + 12)
        .max(dialog_width("", &question.lines, screen))
        .min(usize::from(screen.width));
    let lines = wrapped(&question.lines, width);
    let height = lines.len() + question.choices.len() + 5;
    let inner = open("Leave llama-orch", fit(width), fit(height), screen, pen);
    let mut y = inner.y;
    for line in &lines {
        pen.cut(inner.x, y, inner.width, line, Role::Text);
        y += 1;
    }
    y += 1;
    for (place, (_, label, note)) in question.choices.iter().enumerate() {
        if y >= inner.bottom() {
            return;
        }
        pen.text(inner.x, y, 2, &(place + 1).to_string(), Role::Accent);
        pen.text(
            inner.x + 3,
            y,
            inner.width.saturating_sub(3),
            label,
            Role::Strong,
        );
        let x = inner.x + 3 + fit(labels) + 2;
        pen.cut(x, y, inner.right().saturating_sub(x), note, Role::Dim);
        let line = Rect::new(inner.x, y, inner.width, 1);
        if place == question.cursor {
            let style = pen.look.style(Role::Selected);
            pen.fill(line, style);
        }
        hits.add(line, Hit::Choice(place));
        y += 1;
    }
    if y + 1 < inner.bottom() {
        let sign = if question.remember { "[x]" } else { "[ ]" };
        let text = format!("{sign} Space: remember this answer     Ctrl-C again: hand over now");
        pen.cut(inner.x, y + 1, inner.width, &text, Role::Dim);
    }
}

fn draw_text(title: &str, lines: &[String], scroll: usize, screen: Rect, pen: &mut Pen<'_>) {
    let width = dialog_width(title, lines, screen);
    let lines = wrapped(lines, width);
    let room = text_room(screen);
    let height = (lines.len() + 3).min(room + 3);
    let inner = open(title, fit(width), fit(height), screen, pen);
    let skip = scroll.min(lines.len().saturating_sub(room));
    for (y, line) in (inner.y..).zip(lines.iter().skip(skip).take(room)) {
        pen.cut(inner.x, y, inner.width, line, Role::Text);
    }
    pen.right(
        inner.right(),
        inner.bottom().saturating_sub(1),
        inner.width,
        "Esc closes",
        Role::Dim,
    );
}

/// Rows of a text on a screen: a margin, the frame and the line below it are not.
fn text_room(screen: Rect) -> usize {
    usize::from(screen.height).saturating_sub(5)
}

/// Returns how far a dialog can be scrolled, if it scrolls and does not know that itself.
pub(super) fn end(model: &Model, dialog: &Dialog, screen: Rect) -> Option<usize> {
    match dialog {
        Dialog::Help { search, .. } => Some(help::help_end(model, search, screen)),
        Dialog::Text { title, lines, .. } => {
            let lines = wrapped(lines, dialog_width(title, lines, screen));
            Some(lines.len().saturating_sub(text_room(screen)))
        }
        Dialog::Palette { .. }
        | Dialog::Models { .. }
        | Dialog::Menu(_)
        | Dialog::Question(_)
        | Dialog::Quit(_)
        | Dialog::Sheet(_) => None,
    }
}

fn dialog_width(title: &str, lines: &[String], screen: Rect) -> usize {
    let longest = widest(lines.iter().map(String::as_str)).max(format::width(title) + 2) + 4;
    longest.clamp(44, 84).min(usize::from(screen.width))
}

fn wrapped(lines: &[String], width: usize) -> Vec<String> {
    let limit = width.saturating_sub(4).max(1);
    lines
        .iter()
        .flat_map(|line| format::wrap(line, limit))
        .collect()
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(format::width).max().unwrap_or(0)
}

pub(super) fn fit(size: usize) -> u16 {
    u16::try_from(size).unwrap_or(u16::MAX)
}
