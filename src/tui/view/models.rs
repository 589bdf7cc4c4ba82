//! The models of this machine, to choose one.

use ratatui::layout::Rect;
use tui_input::Input;

use super::super::format;
use super::super::host::{OfferedModel, OfferedModels};
use super::super::model::Hit;
use super::super::theme::Role;
use super::Hits;
use super::dialogs::{fit, open};
use super::pen::Pen;

/// Wider than any name with all columns beside it needs.
const WIDEST: u16 = 116;

/// Lines that are not models: what is typed, the headings, where the chosen one is.
const OTHER_LINES: u16 = 4;

/// Names are given as much as this before columns are left out.
const NAMES: std::ops::RangeInclusive<u16> = 24..=44;

/// The widest that other columns grow; the last one may be cut down to half of it.
const COLUMN: u16 = 24;

/// The columns beside the name, the most important first: those that do not fit are left out.
type Cell = fn(&OfferedModel) -> &str;
const COLUMNS: [(&str, Cell); 6] = [
    ("SIZE", |model| &model.size),
    ("FITS", |model| &model.fits),
    ("QUANT", |model| &model.quantisation),
    ("TRAINED", |model| &model.trained),
    ("USED BY", |model| &model.used_by),
    ("FROM", |model| &model.from),
];

pub(super) fn draw(
    found: &OfferedModels,
    search: &Input,
    cursor: usize,
    screen: Rect,
    pen: &mut Pen<'_>,
    hits: &mut Hits,
) {
    let width = screen.width.saturating_sub(4).min(WIDEST);
    let wanted = fit(found.models.len()).saturating_add(OTHER_LINES + 2);
    let height = screen.height.saturating_sub(4).min(wanted);
    let inner = open("Make an instance of", width, height, screen, pen);
    let x = pen.text(inner.x, inner.y, inner.width, "find: ", Role::Accent);
    pen.line(x, inner.y, inner.right().saturating_sub(x), search);
    let models = found.matching(search.value());
    let columns = columns(&found.models, inner.width);
    let taken: u16 = columns.iter().map(|(_, _, width)| width + 2).sum();
    let name_width = inner.width.saturating_sub(taken);
    let line = |pen: &mut Pen<'_>, y: u16, name: &str, cells: &[&str], roles: [Role; 2]| {
        pen.cut(inner.x, y, name_width, name, roles[0]);
        let mut x = inner.x + name_width;
        for ((_, _, width), cell) in columns.iter().zip(cells) {
            pen.cut(x + 2, y, *width, cell, roles[1]);
            x += width + 2;
        }
    };
    let headings: Vec<&str> = columns.iter().map(|(heading, _, _)| *heading).collect();
    line(pen, inner.y + 1, "NAME", &headings, [Role::Dim; 2]);
    let last = inner.bottom().saturating_sub(2);
    let room = usize::from(last.saturating_sub(inner.y + 2));
    let skip = (cursor + 1).saturating_sub(room);
    for (y, (place, model)) in (inner.y + 2..last).zip(models.iter().enumerate().skip(skip)) {
        let cells: Vec<&str> = columns.iter().map(|(_, cell, _)| cell(model)).collect();
        let role = match model.trouble {
            Some(_) => Role::Bad,
            None => Role::Strong,
        };
        line(pen, y, &model.name, &cells, [role, Role::Text]);
        let area = Rect::new(inner.x, y, inner.width, 1);
        if place == cursor {
            let style = pen.look.style(Role::Selected);
            pen.fill(area, style);
        }
        hits.add(area, Hit::Choice(place));
    }
    let (text, role) = match models.get(cursor) {
        Some(model) => match &model.trouble {
            Some(why) => (why.clone(), Role::Bad),
            None => (model.path.display().to_string(), Role::Dim),
        },
        None => ("no model has this in its name".to_owned(), Role::Dim),
    };
    if inner.height > OTHER_LINES {
        pen.cut(inner.x, last, inner.width, &text, role);
        let help = "type to find, Enter names it, Esc closes; FITS: context that fits now";
        pen.cut(inner.x, last + 1, inner.width, help, Role::Dim);
    }
}

/// Returns the columns that fit beside the names, with their widths.
fn columns(models: &[OfferedModel], width: u16) -> Vec<(&'static str, Cell, u16)> {
    let names = models.iter().map(|model| format::width(&model.name));
    let widest_name = fit(names.max().unwrap_or(0));
    let mut left = width.saturating_sub(widest_name.clamp(*NAMES.start(), *NAMES.end()));
    let mut chosen = Vec::new();
    for (heading, cell) in COLUMNS {
        let cells = models.iter().map(|model| format::width(cell(model)));
        let widest = cells.chain([heading.len()]).max().unwrap_or(0);
        let room = left.saturating_sub(2);
        let widest = match fit(widest).min(COLUMN) {
            widest if widest > room && room >= COLUMN / 2 => room,
            widest => widest,
        };
        if widest > room {
            break;
        }
        left = room - widest;
        chosen.push((heading, cell, widest));
    }
    chosen
}
