//! The mouse: clicks, wheel and dragged splits.

use super::super::effect::Effect;
use super::super::keymap::{Action, offered};
use super::super::layout::Class;
use super::super::model::diagnostics::Way;
use super::super::model::dialog::Dialog;
use super::super::model::sort::Sort;
use super::super::model::table::Line;
use super::super::model::work::WorkAction;
use super::super::model::{Dirty, Hit, Model, Pane, Split};
use super::sheet::{self, Outcome};
use super::{act, dialogs, go_to_pane, log_effects, models, movement, quit, remembered};

pub(super) fn click(model: &mut Model, hit: Hit) -> Vec<Effect> {
    model.soil(Dirty::Now);
    match hit {
        Hit::Choice(place) => choice(model, place),
        Hit::Toast => {
            model.notices.toasts.clear();
            Vec::new()
        }
        Hit::Action(action) => act(model, action),
        // A click beside a dialog closes what only shows something; a question stays.
        Hit::Outside
        | Hit::Pane(_)
        | Hit::Row(_)
        | Hit::Column(_)
        | Hit::Event(_)
        | Hit::Unit(_)
        | Hit::LogLine(_)
        | Hit::Split(_)
            if !model.dialogs.is_empty() =>
        {
            if !matches!(
                model.dialogs.last(),
                Some(Dialog::Question(_) | Dialog::Quit(_))
            ) {
                model.dialogs.pop();
            }
            Vec::new()
        }
        Hit::Pane(pane) => go_to_pane(model, pane),
        Hit::Row(line) => row(model, line),
        Hit::Column(column) => movement::sort(model, |sort| {
            if sort.column == Some(column) {
                sort.inverted()
            } else {
                Sort::by(column)
            }
        }),
        Hit::LogLine(place) => {
            model.log.press(place);
            go_to_pane(model, Pane::Log)
        }
        Hit::Unit(place) => {
            let again = model.focus == Pane::Work && model.work.place() == place;
            model.work.go_to(place);
            match again {
                true => act(model, Action::Work(WorkAction::Menu)),
                false => go_to_pane(model, Pane::Work),
            }
        }
        Hit::Event(back) => {
            go_to_pane(model, Pane::Events);
            model.feed.back = back;
            model.feed.keep();
            Vec::new()
        }
        Hit::Split(_) | Hit::Outside => Vec::new(),
    }
}

/// A click selects; a click on the selected opens its menu.
fn row(model: &mut Model, line: usize) -> Vec<Effect> {
    let was_here = model.focus == Pane::Table;
    go_to_pane(model, Pane::Table);
    let rows = model.fleet.rows();
    match model.table.lines.get(line) {
        Some(Line::Row(_)) if was_here && model.table.cursor_line(rows) == Some(line) => {
            act(model, Action::Menu)
        }
        Some(Line::Row(_)) => {
            model.table.go_to(rows, line, 1);
            Vec::new()
        }
        Some(Line::Group(..)) | None => Vec::new(),
    }
}

fn choice(model: &mut Model, place: usize) -> Vec<Effect> {
    match model.dialogs.pop() {
        Some(Dialog::Menu(menu)) => {
            let pick = menu.choices.get(place).map(|choice| choice.pick.clone());
            pick.map_or_else(Vec::new, |pick| dialogs::picked(model, pick))
        }
        Some(Dialog::Palette { search, .. }) => {
            let rows = offered(search.value());
            let action = rows.get(place).map(|row| row.action);
            action.map_or_else(Vec::new, |action| act(model, action))
        }
        Some(Dialog::Models { found, search, .. }) => {
            let clicked = Dialog::Models {
                found,
                search,
                cursor: place,
            };
            models::chosen(model, clicked)
        }
        Some(Dialog::Quit(question)) => {
            let choice = question.choices.get(place).and_then(|choice| choice.0);
            quit::chosen(model, choice, question.remember)
        }
        Some(Dialog::Question(question)) if place == 1 => {
            model.table.marks.clear();
            question.effects
        }
        Some(Dialog::Sheet(mut paper)) => match sheet::press(&mut paper, place) {
            Outcome::Closes(effects) => effects,
            Outcome::Stays(effects) => {
                model.dialogs.push(Dialog::Sheet(paper));
                effects
            }
        },
        Some(Dialog::Question(_) | Dialog::Help { .. } | Dialog::Text { .. }) | None => Vec::new(),
    }
}

pub(super) fn wheel(model: &mut Model, pane: Pane, lines: i32) -> Vec<Effect> {
    model.soil(Dirty::Now);
    let step = isize::try_from(lines).unwrap_or(0);
    if let Some(dialog) = model.dialogs.last_mut() {
        match dialog {
            Dialog::Help { scroll, .. } | Dialog::Text { scroll, .. } => {
                *scroll = scroll.saturating_add_signed(step);
            }
            Dialog::Sheet(sheet) => sheet.scroll_by(step, model.size),
            Dialog::Palette { .. }
            | Dialog::Models { .. }
            | Dialog::Menu(_)
            | Dialog::Question(_)
            | Dialog::Quit(_) => {}
        }
        return Vec::new();
    }
    match pane {
        Pane::Table => {
            let rows = model.fleet.rows();
            let here = model.table.cursor_line(rows).unwrap_or(0);
            model
                .table
                .go_to(rows, here.saturating_add_signed(step), step);
            Vec::new()
        }
        Pane::Events => {
            model.feed.go(-step);
            Vec::new()
        }
        Pane::Log => log_effects(model.log.wheel(lines)),
        Pane::Work => {
            model.work.go(step);
            Vec::new()
        }
        Pane::Detail => {
            model.detail_scroll = model.detail_scroll.saturating_add_signed(step);
            Vec::new()
        }
        Pane::Diagnostics => {
            model.diagnostics.go(Way::of(step));
            Vec::new()
        }
    }
}

/// Moves a border to where the mouse is.
pub(super) fn drag(model: &mut Model, split: Split, column: u16, row: u16) -> Vec<Effect> {
    model.soil(Dirty::Now);
    let areas = model.areas();
    let top = areas.table.y;
    let height = model
        .size
        .1
        .saturating_sub(top + areas.footer.height)
        .max(1);
    let percent = |part: u16, whole: u16| {
        let value = (u32::from(part) * 100).div_ceil(u32::from(whole.max(1)));
        u16::try_from(value).unwrap_or(100).clamp(10, 80)
    };
    match split {
        Split::TableBottom => {
            let share = percent(row.saturating_sub(top) + 1, height);
            // The compact layout gives the table a little more by itself.
            let extra = if model.class() == Class::Compact {
                6
            } else {
                0
            };
            model.splits.table = share.saturating_sub(extra).max(10);
        }
        Split::MiddleBottom => {
            let begin = areas.events.y;
            model.splits.middle = percent(row.saturating_sub(begin) + 1, height);
        }
        Split::EventsRight => {
            model.splits.events = percent(column + 1, model.size.0);
        }
    }
    remembered(model)
}
