//! Help and palette, made from the key table; help also explains filters and signs.

use ratatui::layout::Rect;
use tui_input::Input;

use super::super::format;
use super::super::keymap::{Context, matching, offered};
use super::super::model::{Hit, Model};
use super::super::theme::{Look, Role};
use super::Hits;
use super::dialogs::open;
use super::pen::Pen;

/// Columns of the help, with its frame.
const WIDTH: u16 = 76;

/// Columns of that for the frame.
const FRAME: u16 = 4;

/// Columns for the keys of an action.
const KEYS: u16 = 14;

pub(super) fn help(model: &Model, search: &Input, scroll: usize, screen: Rect, pen: &mut Pen<'_>) {
    let height = screen.height.saturating_sub(2);
    let inner = open("Keys", WIDTH, height, screen, pen);
    let x = pen.text(inner.x, inner.y, inner.width, "search: ", Role::Accent);
    pen.line(x, inner.y, inner.right().saturating_sub(x + 12), search);
    pen.right(inner.right(), inner.y, 12, "Esc closes", Role::Dim);
    let lines = lines(model, search.value(), pen.look, texts(screen));
    let last = lines.len().saturating_sub(room(screen));
    if lines.is_empty() {
        pen.cut(
            inner.x,
            inner.y + 2,
            inner.width,
            "nothing here has this in it",
            Role::Dim,
        );
    }
    let skip = scroll.min(last);
    for (y, line) in (inner.y + 2..inner.bottom()).zip(lines.iter().skip(skip)) {
        match line {
            Line::Heading(title) => {
                pen.text(inner.x, y, inner.width, title, Role::Strong);
            }
            Line::Entry { left, right } => {
                pen.cut(inner.x + 1, y, KEYS, left, Role::Accent);
                let x = inner.x + 1 + KEYS + 1;
                pen.cut(x, y, inner.right().saturating_sub(x), right, Role::Text);
            }
        }
    }
    let below = last - skip;
    if below > 0 {
        let text = format!(" {below} more below ");
        let width = format::width(&text) as u16;
        pen.right(inner.right(), inner.bottom(), width, &text, Role::Dim);
    }
}

/// Rows of the help on a screen: a margin, the frame, the search and an empty one are not.
fn room(screen: Rect) -> usize {
    usize::from(screen.height).saturating_sub(6)
}

/// Columns for what an action does.
fn texts(screen: Rect) -> usize {
    usize::from(WIDTH.min(screen.width).saturating_sub(FRAME + KEYS + 2))
}

/// Returns how far the help can be scrolled.
pub(super) fn help_end(model: &Model, search: &Input, screen: Rect) -> usize {
    lines(model, search.value(), &model.look, texts(screen))
        .len()
        .saturating_sub(room(screen))
}

/// A line of the help.
enum Line {
    Heading(&'static str),
    Entry { left: String, right: String },
}

/// What a filter of the instances may be made of.
const FILTER: [(&str, &str); 6] = [
    (
        "chat",
        "name, model, state or tag has this in it; capitals count if typed",
    ),
    ("^chat-\\d+b$", "any regular expression"),
    (
        "state:ready",
        "also name: model: tag: backend: device: port: pid: health:",
    ),
    ("is:drifted", "its file has changed since it was started"),
    ("is:busy", "also is:live is:broken"),
    (
        "!tag:test",
        "those that do not match; several words must all hold",
    ),
];

/// The signs of the table and the log.
const SIGNS: [(&str, &str, &str); 9] = [
    ("●", "*", "ready: it answers"),
    (
        "◐",
        "~",
        "on its way: starting, loading, stopping, or waiting for a restart",
    ),
    (
        "✗",
        "!",
        "a person must look: failed, unhealthy, wedged or invalid",
    ),
    ("○", "-", "stopped, as it was asked for"),
    (
        "≠",
        "%",
        "runs with an older configuration than its file holds",
    ),
    (
        "▲",
        "!",
        "runs on, but its configuration file cannot be used any more",
    ),
    (
        "▶",
        ">",
        "the selected instance; the line of a log that was jumped to",
    ),
    ("✓", "x", "marked: the next command is for all marked"),
    ("◆", "#", "a mark in a log"),
];

/// Everything there is to know, as far as it has the searched text in it.
fn lines(model: &Model, search: &str, look: &Look, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut section = |title: &'static str, entries: Vec<(String, &'static str)>| {
        if entries.is_empty() {
            return;
        }
        lines.push(Line::Heading(title));
        for (mut left, right) in entries {
            for right in format::wrap(right, width) {
                let left = std::mem::take(&mut left); // on the first line only
                lines.push(Line::Entry { left, right });
            }
        }
    };
    let rows = matching(search);
    // What the pane that has the keys understands is looked for first.
    let here = Context::of(model.focus);
    let mut contexts = vec![
        Context::Table,
        Context::Log,
        Context::Events,
        Context::Work,
        Context::Global,
    ];
    contexts.sort_by_key(|context| *context != here);
    for context in contexts {
        // What has no key is only in the palette.
        let of = rows
            .iter()
            .filter(|row| row.context == context && !model.keymap.label(row).is_empty());
        let entries = of.map(|row| (model.keymap.label(row), row.help));
        section(context.title(), entries.collect());
    }
    let search = search.trim().to_lowercase();
    let found = |(left, right): &(String, &'static str)| {
        left.contains(&search) || right.to_lowercase().contains(&search)
    };
    let filter = FILTER
        .iter()
        .map(|(left, right)| ((*left).to_owned(), *right));
    section("A filter of the instances", filter.filter(found).collect());
    let signs = SIGNS
        .iter()
        .map(|(sign, plain, meaning)| (look.sign(sign, plain).to_owned(), *meaning));
    section("Signs", signs.filter(found).collect());
    lines
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
    let rows = offered(search.value());
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
