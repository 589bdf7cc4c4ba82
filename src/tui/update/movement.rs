//! Cursor, order and marks, by keys.

use super::super::effect::Effect;
use super::super::logview::LogAction;
use super::super::model::diagnostics::Way;
use super::super::model::sort::Sort;
use super::super::model::table::Line;
use super::super::model::{Model, Pane};
use super::{log_effects, remembered};
use crate::domain::log::Whose;

/// Goes one line up or down in the pane that has the keys.
pub(super) fn step(model: &mut Model, step: isize) -> Vec<Effect> {
    go(
        model,
        step,
        if step < 0 {
            LogAction::Up
        } else {
            LogAction::Down
        },
    )
}

/// Goes a page, or a part of one.
pub(super) fn page(model: &mut Model, direction: isize, part: u16) -> Vec<Effect> {
    let mut areas = model.areas();
    let height = areas.of(model.focus).height.saturating_sub(3) / part;
    let action = match (direction < 0, part) {
        (true, 1) => LogAction::PageUp,
        (false, 1) => LogAction::PageDown,
        (true, _) => LogAction::HalfUp,
        (false, _) => LogAction::HalfDown,
    };
    go(model, direction * isize::from(height.max(1) as i16), action)
}

fn go(model: &mut Model, step: isize, action: LogAction) -> Vec<Effect> {
    match model.focus {
        Pane::Table => {
            let rows = model.fleet.rows();
            let here = model.table.cursor_line(rows).unwrap_or(0);
            let line = here.saturating_add_signed(step);
            model.table.go_to(rows, line, step);
            Vec::new()
        }
        Pane::Events => {
            model.feed.go(-step);
            Vec::new()
        }
        Pane::Detail => {
            model.detail_scroll = model.detail_scroll.saturating_add_signed(step);
            Vec::new()
        }
        Pane::Diagnostics => {
            model.diagnostics.go(if action == LogAction::Bottom {
                Way::Newest
            } else {
                Way::of(step)
            });
            Vec::new()
        }
        Pane::Work => {
            model.work.go(step);
            Vec::new()
        }
        Pane::Log => log_effects(model.log.act(action, model.now, &model.zone)),
    }
}

/// Goes to the first or the last.
pub(super) fn end(model: &mut Model, action: LogAction) -> Vec<Effect> {
    let far = if action == LogAction::Top {
        -(isize::MAX / 4)
    } else {
        isize::MAX / 4
    };
    if model.focus == Pane::Table && far > 0 {
        let last = model.table.lines.len().saturating_sub(1);
        model.table.go_to(model.fleet.rows(), last, -1);
        return Vec::new();
    }
    go(model, far, action)
}

pub(super) fn sort(model: &mut Model, change: impl FnOnce(Sort) -> Sort) -> Vec<Effect> {
    model.table.sort = change(model.table.sort);
    arranged(model)
}

pub(super) fn arranged(model: &mut Model) -> Vec<Effect> {
    model.table.arrange(&model.fleet);
    remembered(model)
}

/// Marks the row under the cursor and goes down, so that a held key marks many.
pub(super) fn mark(model: &mut Model) -> Vec<Effect> {
    if let Some(name) = model.table.cursor.clone() {
        if !model.table.marks.remove(&name) {
            model.table.marks.insert(name);
        }
        return step(model, 1);
    }
    Vec::new()
}

pub(super) fn mark_all(model: &mut Model) -> Vec<Effect> {
    let rows = model.fleet.rows();
    let shown: Vec<_> = model
        .table
        .lines
        .iter()
        .filter_map(|line| match line {
            Line::Row(place) => rows.get(*place).map(|row| row.name.clone()),
            Line::Group(..) => None,
        })
        .collect();
    let marks = &mut model.table.marks;
    if shown.iter().all(|name| marks.contains(name)) {
        for name in &shown {
            marks.remove(name);
        }
    } else {
        marks.extend(shown);
    }
    Vec::new()
}

/// Goes from an event to its instance's log at that moment.
pub(super) fn jump(model: &mut Model) -> Vec<Effect> {
    let Some(event) = model.feed.selected() else {
        return Vec::new();
    };
    let Some(name) = event.instance.clone() else {
        return Vec::new();
    };
    if model.fleet.row(&name).is_some() {
        let millis = (event.at * 1000.0).max(0.0) as u64;
        model.table.cursor = Some(name.clone());
        model.table.arrange(&model.fleet);
        model.focus = Pane::Log;
        let mut effects = model.log.show(Some(Whose::Instance(name)));
        effects.extend(model.log.go_to(millis));
        return log_effects(effects);
    }
    Vec::new()
}
