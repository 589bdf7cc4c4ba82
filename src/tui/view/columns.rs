//! Which columns of the table fit, and where each of them is.

use super::super::format;
use super::super::model::Model;
use super::super::model::table::{Column, Line};
use super::super::theme::{Look, Role};
use super::state_text;
use crate::domain::fleet::InstanceRow;

/// Columns that are given up first when it is narrow. What is not here stays: name, state, port and
/// tokens per second. Last come those that are there only because somebody chose them.
const DROPPED: [Column; 11] = [
    Column::Backend,
    Column::Spark,
    Column::Restarts,
    Column::Pid,
    Column::Slots,
    Column::Device,
    Column::Vram,
    Column::Model,
    Column::Uptime,
    Column::Cpu,
    Column::Rss,
];

/// CPU and RSS have columns of their own from this width on.
const WIDE: u16 = 140;

/// Columns that a model's name keeps while others are still shown whole.
const SHORT_MODEL: u16 = 18;

/// The same on a line of less than 100 columns.
const SHORTEST_MODEL: u16 = 12;

/// The heading of the ports, and that of the rates with the sign of an order.
const PORT_TITLE: usize = 4;
const RATE_TITLE: usize = 4;

/// Columns before the first: cursor and mark.
pub(super) const GUTTER: u16 = 3;

/// A column with its place on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) column: Column,
    pub(super) x: u16,
    pub(super) width: u16,
}

/// Chooses the columns that fit and their places.
pub(super) fn columns(model: &Model, width: u16) -> Vec<Cell> {
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
        &|row| {
            let sign = config_sign(row, &model.look).map_or(0, |_| 2);
            format::width(row.name.as_str()) + sign
        },
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
    let over = total(&wanted).saturating_sub(room);
    if over > 0 {
        squeeze(&mut wanted, over, model);
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

/// Takes columns from what stays: from empty ones first, then from the longest names and states.
fn squeeze(wanted: &mut [(Column, u16)], mut over: u16, model: &Model) {
    let rows = model.fleet.rows().iter();
    let longest = |texts: &mut dyn Iterator<Item = usize>, least: usize| {
        texts.max().unwrap_or(least).max(least) as u16
    };
    let ports = rows.clone().filter_map(|row| row.port);
    let port = longest(&mut ports.map(|port| port.to_string().len()), PORT_TITLE);
    let rates = rows.filter_map(|row| row.readings.tokens_per_second);
    let rate = longest(&mut rates.map(|rate| format::rate(rate).len()), RATE_TITLE);
    for (column, least) in [
        (Column::Port, port),
        (Column::Tokens, rate),
        (Column::Name, 8),
        (Column::State, 9),
    ] {
        if let Some(cell) = wanted.iter_mut().find(|(known, _)| *known == column) {
            let less = over.min(cell.1.saturating_sub(least));
            cell.1 -= less;
            over -= less;
        }
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

pub(super) fn is_right(column: Column) -> bool {
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

/// Returns what stands behind the name of an instance that runs otherwise than its file says.
pub(super) fn config_sign(row: &InstanceRow, look: &Look) -> Option<(&'static str, Role)> {
    // What does not run is called invalid in its state.
    if row.broken && row.status.is_live() {
        Some((look.sign("▲", "!"), Role::Bad))
    } else if row.drift {
        Some((look.sign("≠", "%"), Role::Busy))
    } else {
        None
    }
}
