//! The last line: the keys that matter now, or the line that is typed.

use ratatui::layout::Rect;

use super::super::format;
use super::super::host::ImportFrom;
use super::super::keymap::{Action, Context, ROWS};
use super::super::model::dialog::{Prompt, Purpose};
use super::super::model::{Hit, Leaving, Model, Pane};
use super::super::theme::Role;
use super::Hits;
use super::pen::Pen;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    if let Some(prompt) = &model.prompt {
        typed(prompt, area, pen);
        return;
    }
    if let Some(leaving) = model.leaving {
        let text = match leaving {
            Leaving::HandingOver => "handing over to a daemon…  Ctrl-C leaves without",
            Leaving::StoppingAll => "stopping all instances…  Ctrl-C hands over instead",
        };
        pen.cut(area.x + 1, area.y, area.width - 1, text, Role::Busy);
        return;
    }
    keys(model, area, pen, hits);
}

fn keys(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let here = Context::of(model.focus);
    let also = (model.focus == Pane::Detail).then_some(Context::Table);
    let first = [Context::Global];
    let rows = ROWS.iter().filter(|row| !row.short.is_empty());
    // Help and quit are always there; what the pane can do comes between them.
    let general: Vec<_> = rows
        .clone()
        .filter(|row| first.contains(&row.context))
        .collect();
    let nothing = model.fleet.known && model.fleet.rows().is_empty();
    let local = rows
        .filter(|row| row.context == here || Some(row.context) == also)
        // Without an instance there is nothing to do with one.
        .filter(|row| !nothing || row.context != Context::Table || row.action == Action::New);
    let split = general.len().min(3);
    let order = general[..split]
        .iter()
        .copied()
        .chain(local)
        .chain(general[split..].iter().copied());
    let quit = format!("{} quit ", model.keymap.first(Action::Quit));
    let end = area.right().saturating_sub(format::width(&quit) as u16 + 1);
    let mut x = area.x + 1;
    for row in order {
        if row.action == Action::Quit {
            continue;
        }
        let key = model.keymap.first(row.action);
        let width = (format::width(&key) + 1 + format::width(row.short)) as u16;
        // What is too long gives way to what follows it.
        if x + width + 2 > end {
            continue;
        }
        let begin = x;
        x = pen.text(x, area.y, width, &key, Role::Accent);
        x = pen.text(x + 1, area.y, width, row.short, Role::Dim);
        hits.add(
            Rect::new(begin, area.y, x - begin, 1),
            Hit::Action(row.action),
        );
        x += 2;
    }
    let key = model.keymap.first(Action::Quit);
    let begin = end;
    let x = pen.text(begin, area.y, 8, &key, Role::Accent);
    let x = pen.text(x + 1, area.y, 5, "quit", Role::Dim);
    hits.add(
        Rect::new(begin, area.y, x.saturating_sub(begin), 1),
        Hit::Action(Action::Quit),
    );
}

fn typed(prompt: &Prompt, area: Rect, pen: &mut Pen<'_>) {
    let attention;
    let (label, hint) = match &prompt.purpose {
        Purpose::FilterTable => (
            "filter: ",
            "words, regex, key:value (state tag model port is …), ! for not",
        ),
        Purpose::FilterEvents => ("filter events: ", "words or regex, ! for not"),
        Purpose::NameInstance(_) => ("name of the new instance: ", "a-z 0-9 _ -"),
        Purpose::NameModel { .. } => ("name of its instance: ", "a-z 0-9 _ -"),
        Purpose::ImportFrom(ImportFrom::LlamaSwap) => ("llama-swap's file: ", "a path; ~ is home"),
        Purpose::ImportFrom(ImportFrom::Presets) => ("presets file: ", "a path; ~ is home"),
        Purpose::ImportFrom(ImportFrom::Command) => {
            ("command: ", "VARIABLE=value llama-server -m …")
        }
        Purpose::NameUnit => ("name of the new work unit: ", "a-z 0-9 _ . -"),
        Purpose::Attention(chunk) => {
            attention = format!("why {chunk} needs attention: ");
            (attention.as_str(), "a few words, or none")
        }
    };
    let mut x = pen.text(area.x + 1, area.y, area.width, label, Role::Accent);
    x = pen.line(x, area.y, area.right().saturating_sub(x + 1), &prompt.input);
    let keys = "Enter keeps, Esc cancels";
    let room = area.right().saturating_sub(x + 3);
    if usize::from(room) > format::width(hint) + format::width(keys) + 3 {
        pen.right(
            area.right() - 1,
            area.y,
            room,
            &format!("{hint}   {keys}"),
            Role::Dim,
        );
    } else if usize::from(room) > format::width(keys) {
        pen.right(area.right() - 1, area.y, room, keys, Role::Dim);
    }
}
