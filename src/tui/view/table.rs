//! The instances: only the visible lines are built.

use std::fmt::Write as _;

use ratatui::layout::Rect;

use super::super::format::{self, UNKNOWN};
use super::super::keymap::Action;
use super::super::model::fleet::{Tone, tone};
use super::super::model::sort::Direction;
use super::super::model::table::{Column, Line};
use super::super::model::{Hit, Model, Now, Pane};
use super::super::theme::{Look, Role};
use super::columns::{Cell, GUTTER, columns, config_sign, is_right};
use super::pen::Pen;
use super::{Hits, spark};
use crate::domain::autopsy::Cause;
use crate::domain::fleet::InstanceRow;
use crate::domain::lifecycle::Status;
use crate::domain::units;

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
    let key = |action| model.keymap.first(action);
    let (models, new, import) = (key(Action::Models), key(Action::New), key(Action::Import));
    let mut lines: Vec<(String, Role)> = if !model.fleet.known {
        vec![("looking for the fleet…".to_owned(), Role::Dim)]
    } else if let (true, Some(elsewhere)) = (model.fleet.rows().is_empty(), &model.elsewhere) {
        vec![
            ("No instances yet.".to_owned(), Role::Strong),
            (String::new(), Role::Text),
            (format!("to make one: {elsewhere}"), Role::Text),
        ]
    } else if model.fleet.rows().is_empty() {
        vec![
            ("No instances yet.".to_owned(), Role::Strong),
            (String::new(), Role::Text),
            (
                format!("{models}  makes one of a model that is on this machine"),
                Role::Text,
            ),
            (
                format!("{new}  makes one from a template: give it a name, edit it"),
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
            (hidden_by(model), Role::Dim),
        ]
    };
    // Where there is little room, what is said matters more than how it is spaced.
    if lines.len() > usize::from(area.height) {
        lines.retain(|(text, _)| !text.is_empty());
    }
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
        if cell.column == Column::Name
            && let Some((sign, sign_role)) = config_sign(row, pen.look)
        {
            let end = pen.cut(x, area.y, cell.width.saturating_sub(2), &text, role);
            pen.text(end + 1, area.y, 1, sign, sign_role);
        } else if is_right(cell.column) {
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

/// Says what hides the instances and which key brings them back.
fn hidden_by(model: &Model) -> String {
    let mut reasons = Vec::new();
    if !model.table.filter.is_empty() {
        let back = model.keymap.first(Action::Back);
        reasons.push(format!(
            "{back} clears the filter {:?}",
            model.table.filter.text()
        ));
    }
    if model.table.hide_stopped {
        let hide = model.keymap.first(Action::HideStopped);
        reasons.push(format!("{hide} shows the stopped"));
    }
    reasons.join("; ")
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
            (row.name.to_string(), role)
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
        Column::Rss => known(readings.rss_bytes.map(units::short_size), Role::Text),
        Column::Vram => known(readings.vram_bytes.map(units::short_size), Role::Text),
        Column::Uptime => {
            let since = row.started_at.filter(|_| row.status.is_live());
            known(
                since.map(|start| units::duration(model.now.wall - start)),
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
