//! The instances: only the visible lines are built.

use std::fmt::Write as _;

use ratatui::layout::Rect;

use super::super::format::{self, UNKNOWN};
use super::super::model::fleet::{Tone, tone};
use super::super::model::sort::Direction;
use super::super::model::table::{Column, Line};
use super::super::model::{Hit, Model, Now, Pane};
use super::super::theme::{Look, Role};
use super::pen::Pen;
use super::{Hits, spark};
use crate::domain::autopsy::Cause;
use crate::domain::fleet::InstanceRow;
use crate::domain::lifecycle::Status;

/// Columns that are given up first when it is narrow; what is not here stays.
const DROPPED: [Column; 10] = [
    Column::Backend,
    Column::Spark,
    Column::Restarts,
    Column::Pid,
    Column::Slots,
    Column::Device,
    Column::Vram,
    Column::Model,
    Column::Uptime,
    Column::Tokens,
];

/// CPU and RSS have columns of their own from this width on.
const WIDE: u16 = 140;

/// Columns that a model's name keeps while others are still shown whole.
const SHORT_MODEL: u16 = 18;

/// The same on a line of less than 100 columns.
const SHORTEST_MODEL: u16 = 12;

/// Columns before the first: cursor and mark.
const GUTTER: u16 = 3;

/// A column with its place on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    column: Column,
    x: u16,
    width: u16,
}

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let (left, right) = titles(model);
    let inner = pen.pane(model, area, Pane::Table, &left, &right);
    hits.add(area, Hit::Pane(Pane::Table));
    if inner.height == 0 || inner.width <= GUTTER {
        return;
    }
    let body = Rect {
        y: inner.y + 1,
        height: inner.height - 1,
        ..inner
    };
    if model.table.lines.is_empty() {
        empty(model, inner, pen);
        return;
    }
    let cells = columns(model, inner.width);
    heading(model, inner, &cells, pen, hits);
    let rows = model.fleet.rows();
    let cursor = model.table.cursor_line(rows);
    let visible = model
        .table
        .lines
        .iter()
        .enumerate()
        .skip(model.table.offset);
    for (y, (place, line)) in (body.y..body.bottom()).zip(visible) {
        match line {
            Line::Group(tag, count) => {
                let text = format!("{} {tag} ({count})", pen.look.sign("▾", "v"));
                pen.cut(inner.x, y, inner.width, &text, Role::Accent);
            }
            Line::Row(row) => {
                let Some(row) = rows.get(*row) else { continue };
                draw_row(
                    model,
                    row,
                    Rect {
                        y,
                        height: 1,
                        ..inner
                    },
                    &cells,
                    cursor == Some(place),
                    pen,
                );
                hits.add(
                    Rect {
                        y,
                        height: 1,
                        ..inner
                    },
                    Hit::Row(place),
                );
            }
        }
    }
    scrollbar(model, area, body.height, pen);
}

fn titles(model: &Model) -> (String, String) {
    let table = &model.table;
    let shown = table.shown();
    let all = model.fleet.rows().len();
    let mut left = format!("Instances {}", format::count(all as u64));
    left.push_str("  ");
    if shown != all {
        write!(left, "{} shown ", format::count(shown as u64)).ok(); // a String never refuses
    }
    if let Some(column) = table.sort.column {
        write!(left, "{}{} ", arrow(model), column.title()).ok(); // a String never refuses
    }
    if !table.filter.is_empty() {
        write!(left, "/{} ", table.filter.text()).ok(); // a String never refuses
    }
    if table.hide_stopped {
        left.push_str("stopped hidden ");
    }
    let mut right = String::new();
    if !table.marks.is_empty() {
        right = format!("{} marked · ", table.marks.len());
    }
    if let Some(line) = table.cursor_line(model.fleet.rows()) {
        write!(right, "{}/{}", line + 1, table.lines.len()).ok(); // a String never refuses
    }
    (left.trim_end().to_owned(), right)
}

fn arrow(model: &Model) -> &'static str {
    match model.table.sort.direction {
        Direction::Rising => model.look.sign("↑", "^"),
        Direction::Falling => model.look.sign("↓", "v"),
    }
}

/// What to do when there is nothing to show.
fn empty(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let new = model.keymap.first(super::super::keymap::Action::New);
    let import = model.keymap.first(super::super::keymap::Action::Import);
    let back = model.keymap.first(super::super::keymap::Action::Back);
    let lines: Vec<(String, Role)> = if !model.fleet.known {
        vec![("looking for the fleet…".to_owned(), Role::Dim)]
    } else if model.fleet.rows().is_empty() {
        vec![
            ("No instances yet.".to_owned(), Role::Strong),
            (String::new(), Role::Text),
            (
                format!("{new}  makes one: choose a template, give it a name, edit it"),
                Role::Text,
            ),
            (
                format!("{import}  takes them over: from llama-swap, presets or a command"),
                Role::Text,
            ),
            ("or write one by hand:".to_owned(), Role::Dim),
            (
                format!("{}/instances/NAME/config.toml", model.home),
                Role::Dim,
            ),
            (
                "or look at one first: leave and run  llama-orch demo".to_owned(),
                Role::Dim,
            ),
        ]
    } else {
        vec![
            (
                format!("None of {} instances is shown.", model.fleet.rows().len()),
                Role::Strong,
            ),
            (
                format!("{back} clears the filter; H shows the stopped"),
                Role::Dim,
            ),
        ]
    };
    let top = area.y + area.height.saturating_sub(lines.len() as u16) / 2;
    for (y, (text, role)) in (top..area.bottom()).zip(lines) {
        let width = format::width(&text).min(area.width.into()) as u16;
        pen.cut(
            area.x + (area.width - width) / 2,
            y,
            area.width,
            &text,
            role,
        );
    }
}

/// Chooses the columns that fit and their places.
fn columns(model: &Model, width: u16) -> Vec<Cell> {
    let rows = model.fleet.rows();
    let longest = |text: &dyn Fn(&InstanceRow) -> usize, least: usize, most: usize| {
        let visible = model.table.lines.iter().skip(model.table.offset).take(200);
        let widths = visible.filter_map(|line| match line {
            Line::Row(place) => rows.get(*place).map(text),
            Line::Group(..) => None,
        });
        widths.max().unwrap_or(least).clamp(least, most) as u16
    };
    let roomy = width >= 100;
    let name_most = if roomy { 28 } else { 18 };
    let name = longest(
        &|row| format::width(row.name.as_str()) + 2 * usize::from(row.drift),
        8,
        name_most,
    );
    let state_most = if width >= WIDE {
        36
    } else if roomy {
        22
    } else {
        13
    };
    let state = longest(
        &|row| format::width(&state_text(row, model.now, &model.look).1),
        9,
        state_most,
    );
    let model_width = longest(
        &|row| format::width(&row.model),
        8,
        if roomy { 30 } else { 20 },
    );
    let mut wanted: Vec<(Column, u16)> = Column::ALL
        .iter()
        .map(|(column, _)| {
            let width = match column {
                Column::Name => name,
                Column::State => state,
                Column::Pid => 7,
                Column::Port => 5,
                Column::Backend => 7,
                Column::Device => 6,
                Column::Model => model_width,
                Column::Slots => 5,
                Column::Tokens => 6,
                Column::Spark => 6,
                Column::Cpu => 5,
                Column::Rss | Column::Vram => 6,
                Column::Uptime => 6,
                Column::Restarts => 4,
            };
            (*column, width)
        })
        .filter(|(column, _)| {
            let chosen = &model.table.columns;
            match column {
                Column::Name | Column::State => true,
                column if !chosen.is_empty() => chosen.contains(column),
                column => width >= WIDE || !matches!(column, Column::Cpu | Column::Rss),
            }
        })
        .collect();
    let first = model.table.first_column.min(wanted.len().saturating_sub(3));
    // Name and state stay however far the others are scrolled.
    wanted.drain(2..(2 + first).min(wanted.len()));
    let room = width - GUTTER;
    let total =
        |wanted: &[(Column, u16)]| wanted.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
    shorten_models(&mut wanted, room);
    for column in DROPPED {
        if total(&wanted) <= room {
            break;
        }
        // The model's name is cut before it is given up.
        if column == Column::Model
            && let Some(place) = wanted.iter().position(|(known, _)| *known == Column::Model)
        {
            let over = total(&wanted) - room;
            if wanted[place].1 >= over + 8 {
                wanted[place].1 -= over;
                break;
            }
        }
        wanted.retain(|(known, _)| *known != column);
    }
    spread(&mut wanted, room);
    let mut x = GUTTER;
    wanted
        .into_iter()
        .map(|(column, width)| {
            let cell = Cell { column, x, width };
            x += width + 1;
            cell
        })
        .collect()
}

/// Long names of models are cut before a column is given up for them.
fn shorten_models(wanted: &mut [(Column, u16)], room: u16) {
    let used = wanted
        .iter()
        .map(|(_, width)| width + 1)
        .sum::<u16>()
        .saturating_sub(1);
    let over = used.saturating_sub(room);
    if let Some(model) = wanted
        .iter_mut()
        .find(|(column, _)| *column == Column::Model)
    {
        let least = if room < 100 {
            SHORTEST_MODEL
        } else {
            SHORT_MODEL
        };
        model.1 -= over.min(model.1.saturating_sub(least));
    }
}

/// Gives what is left over to the texts that may be longer, so that the line is full.
fn spread(wanted: &mut [(Column, u16)], room: u16) {
    let used = wanted
        .iter()
        .map(|(_, width)| width + 1)
        .sum::<u16>()
        .saturating_sub(1);
    let mut over = room.saturating_sub(used);
    for (column, most) in [
        (Column::Name, 3),
        (Column::Spark, 14),
        (Column::State, 4),
        (Column::Model, u16::MAX),
    ] {
        if let Some(cell) = wanted.iter_mut().find(|(known, _)| *known == column) {
            let more = over.min(most);
            cell.1 += more;
            over -= more;
        }
    }
}

fn is_right(column: Column) -> bool {
    match column {
        Column::Pid
        | Column::Port
        | Column::Slots
        | Column::Tokens
        | Column::Cpu
        | Column::Rss
        | Column::Vram
        | Column::Uptime
        | Column::Restarts => true,
        Column::Name
        | Column::State
        | Column::Backend
        | Column::Device
        | Column::Model
        | Column::Spark => false,
    }
}

fn heading(model: &Model, area: Rect, cells: &[Cell], pen: &mut Pen<'_>, hits: &mut Hits) {
    for cell in cells {
        let sorted = model.table.sort.column == Some(cell.column);
        let mut title = cell.column.title().to_owned();
        if sorted {
            title.push_str(arrow(model));
        }
        let role = if sorted { Role::Accent } else { Role::Dim };
        let x = area.x + cell.x;
        if is_right(cell.column) {
            pen.right(x + cell.width, area.y, cell.width, &title, role);
        } else {
            pen.cut(x, area.y, cell.width, &title, role);
        }
        hits.add(
            Rect::new(x, area.y, cell.width, 1),
            Hit::Column(cell.column),
        );
    }
}

fn draw_row(
    model: &Model,
    row: &InstanceRow,
    area: Rect,
    cells: &[Cell],
    selected: bool,
    pen: &mut Pen<'_>,
) {
    let marked = model.table.marks.contains(&row.name);
    if selected {
        let sign = pen.look.sign("▶", ">");
        let role = if model.focus == Pane::Table {
            Role::Accent
        } else {
            Role::Dim
        };
        pen.text(area.x, area.y, 1, sign, role);
    }
    if marked {
        let sign = pen.look.sign("✓", "x");
        pen.text(area.x + 1, area.y, 1, sign, Role::Marked);
    }
    for cell in cells {
        let x = area.x + cell.x;
        let (text, role) = content(model, row, *cell, pen.look);
        if is_right(cell.column) {
            pen.right(x + cell.width, area.y, cell.width, &text, role);
        } else {
            pen.cut(x, area.y, cell.width, &text, role);
        }
    }
    if selected {
        let style = pen.look.style(Role::Selected);
        pen.fill(area, style);
    } else if marked {
        let style = pen.look.style(Role::Strong);
        pen.fill(area, style);
    }
}

/// Returns what a cell shows; `-` for what is not known.
fn content(model: &Model, row: &InstanceRow, cell: Cell, look: &Look) -> (String, Role) {
    let known = |text: Option<String>, role: Role| match text {
        Some(text) => (text, role),
        None => (UNKNOWN.to_owned(), Role::Dim),
    };
    let readings = &row.readings;
    match cell.column {
        Column::Name => {
            let still = row.status == Status::Stopped && !row.broken;
            let role = if still { Role::Dim } else { Role::Strong };
            let drift = if row.drift {
                look.sign(" ≠", " %")
            } else {
                ""
            };
            (format!("{}{drift}", row.name), role)
        }
        Column::State => {
            let (role, text) = state_text(row, model.now, look);
            (text, role)
        }
        Column::Pid => known(row.pid.map(|pid| pid.to_string()), Role::Dim),
        Column::Port => known(row.port.map(|port| port.to_string()), Role::Text),
        Column::Backend => (row.backend.clone(), Role::Dim),
        Column::Device => (row.device.clone(), Role::Dim),
        Column::Model => (row.model.clone(), Role::Text),
        Column::Slots => {
            let text = readings.slots.map(|slots| match readings.busy_slots {
                Some(busy) => format!("{busy}/{slots}"),
                None => format!("-/{slots}"),
            });
            let busy = readings.busy_slots.is_some_and(|busy| busy > 0);
            known(text, if busy { Role::Measure } else { Role::Dim })
        }
        Column::Tokens => {
            let busy = readings.tokens_per_second.is_some_and(|rate| rate >= 0.05);
            known(
                readings.tokens_per_second.map(format::rate),
                if busy { Role::Strong } else { Role::Dim },
            )
        }
        Column::Spark => {
            let values = model
                .fleet
                .history(&row.name)
                .map(|history| history.tokens.buckets(cell.width.into(), model.now.wall))
                .unwrap_or_default();
            (spark::line(&values, None, look), Role::Measure)
        }
        Column::Cpu => known(readings.cpu_percent.map(format::percent), Role::Text),
        Column::Rss => known(readings.rss_bytes.map(format::bytes), Role::Text),
        Column::Vram => known(readings.vram_bytes.map(format::bytes), Role::Text),
        Column::Uptime => {
            let since = row.started_at.filter(|_| row.status.is_live());
            known(
                since.map(|start| format::duration(model.now.wall - start)),
                Role::Dim,
            )
        }
        Column::Restarts => {
            let role = if row.restarts > 0 {
                Role::Busy
            } else {
                Role::Dim
            };
            (row.restarts.to_string(), role)
        }
    }
}

/// Returns the state in one word with its sign, as the table shows it.
pub(in crate::tui) fn state_text(row: &InstanceRow, now: Now, look: &Look) -> (Role, String) {
    let tone = tone(row);
    let (sign, role) = match tone {
        Tone::Good => (look.sign("●", "*"), Role::Good),
        Tone::Busy => (look.sign("◐", "~"), Role::Busy),
        Tone::Bad => (look.sign("✗", "!"), Role::Bad),
        Tone::Still => (look.sign("○", "-"), Role::Dim),
    };
    let word = if row.broken && !row.status.is_live() && row.status != Status::Failed {
        "invalid".to_owned()
    } else if let Some(at) = row.restart_at {
        format!("backoff {:.0}s", (at - now.wall).max(0.0).ceil())
    } else if row.status == Status::Failed {
        match &row.autopsy {
            Some(autopsy) => format!("failed: {}", cause_words(autopsy.cause)),
            None => "failed".to_owned(),
        }
    } else {
        match row.progress.filter(|_| tone == Tone::Busy) {
            Some(percent) => format!("{} {percent}%", row.state_word()),
            None => row.state_word().to_owned(),
        }
    };
    (role, format!("{sign} {word}"))
}

fn cause_words(cause: Cause) -> String {
    cause
        .as_str()
        .replace('_', " ")
        .replace("vram", "VRAM")
        .replace("oom", "OOM")
}

/// Shows on the right border which part of the rows is visible.
fn scrollbar(model: &Model, area: Rect, height: u16, pen: &mut Pen<'_>) {
    let count = model.table.lines.len();
    let height = usize::from(height);
    if count <= height || height == 0 {
        return;
    }
    let length = (height * height / count).max(1);
    let most = count - height;
    let begin = (height - length) * model.table.offset.min(most) / most.max(1);
    let sign = pen.look.sign("┃", "#");
    for step in 0..length {
        let y = area.y + 2 + (begin + step) as u16;
        pen.text(area.right() - 1, y, 1, sign, Role::Accent);
    }
}
