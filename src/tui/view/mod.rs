//! The model as a picture: reads, draws, and says what is where for the mouse.

mod columns;
mod detail;
mod diagnostics;
mod dialogs;
mod events;
mod footer;
mod header;
mod help;
mod log;
mod models;
mod pen;
mod sheet;
mod spark;
mod table;
mod toasts;
mod work;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::pen::Pen;
use super::layout::{Areas, Class};
use super::model::{Hit, Model, Pane, Split};
use super::theme::Role;

pub(super) use self::table::state_text;

/// What is where on the screen; later entries lie over earlier ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Hits {
    places: Vec<(Rect, Hit)>,
}

impl Hits {
    fn add(&mut self, area: Rect, hit: Hit) {
        if !area.is_empty() {
            self.places.push((area, hit));
        }
    }

    /// Returns what a person points at.
    pub(super) fn at(&self, column: u16, row: u16) -> Hit {
        let place = ratatui::layout::Position::new(column, row);
        self.places
            .iter()
            .rev()
            .find(|(area, _)| area.contains(place))
            .map_or(Hit::Outside, |(_, hit)| *hit)
    }

    /// Returns the pane under the mouse, whatever is drawn in it.
    pub(super) fn pane(&self, column: u16, row: u16) -> Option<Pane> {
        let place = ratatui::layout::Position::new(column, row);
        self.places.iter().rev().find_map(|(area, hit)| match hit {
            Hit::Pane(pane) if area.contains(place) => Some(*pane),
            _ => None,
        })
    }
}

/// Draws everything.
pub(super) fn view(model: &Model, buffer: &mut Buffer) -> Hits {
    let mut hits = Hits::default();
    let whole = buffer.area;
    if whole.is_empty() {
        return hits;
    }
    let (width, height) = model.size;
    let mut pen = Pen::new(buffer, &model.look);
    if model.class() == Class::TooSmall {
        let (least_width, least_height) = Class::MINIMUM;
        let text = format!("need {least_width}x{least_height}, have {width}x{height}");
        pen.text(whole.x, whole.y, whole.width, &text, Role::Text);
        return hits;
    }
    let areas = model.areas();
    header::draw(model, areas.header, &mut pen);
    banner(model, areas.banner, &mut pen);
    tabs(model, areas.tabs, &mut pen, &mut hits);
    table::draw(model, areas.table, &mut pen, &mut hits);
    events::alert(model, areas.alert, &mut pen, &mut hits);
    events::draw(model, areas.events, &mut pen, &mut hits);
    detail::draw(model, areas.detail, &mut pen, &mut hits);
    log::draw(model, areas.log, &mut pen, &mut hits);
    diagnostics::draw(model, areas.diagnostics, &mut pen, &mut hits);
    work::draw(model, areas.work, &mut pen, &mut hits);
    footer::draw(model, areas.footer, &mut pen, &mut hits);
    splits(model, &areas, &mut hits);
    toasts::draw(model, &areas, &mut pen, &mut hits);
    dialogs::draw(model, whole, &mut pen, &mut hits);
    pen.spell_out();
    hits
}

/// Returns how far the dialog on top can be scrolled, if it does not know that itself.
pub(super) fn dialog_end(model: &Model) -> Option<usize> {
    let screen = Rect::new(0, 0, model.size.0, model.size.1);
    dialogs::end(model, model.dialogs.last()?, screen)
}

/// Returns how far the detail of the selected instance can be scrolled.
pub(super) fn detail_end(model: &Model) -> usize {
    detail::end(model, model.areas().detail)
}

fn banner(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    if let Some(text) = model.banner().filter(|_| !area.is_empty()) {
        let sign = pen.look.sign("⚠", "!");
        let style = pen
            .look
            .style(Role::Bad)
            .patch(pen.look.style(Role::ButtonChosen));
        let style = ratatui::style::Style {
            fg: pen.look.style(Role::Bad).fg,
            ..style
        };
        pen.fill(area, style);
        pen.styled(
            area.x + 1,
            area.y,
            area.width - 1,
            &format!("{sign} {text}"),
            style,
        );
    }
}

/// The line of tabs when one pane has the whole screen.
fn tabs(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let mut x = area.x + 1;
    for (number, (pane, title)) in (1..).zip(Pane::ALL) {
        let chosen = model.focus == pane;
        let text = if area.width < 66 {
            format!(" {number} {}", pane.short())
        } else {
            format!(" {number} {title} ")
        };
        let role = if chosen {
            Role::ButtonChosen
        } else {
            Role::Dim
        };
        let begin = x;
        x = pen.text(x, area.y, area.right().saturating_sub(x), &text, role);
        hits.add(
            Rect::new(begin, area.y, x - begin, 1),
            Hit::Action(super::keymap::Action::Show(pane)),
        );
    }
}

/// Draws only the lines of a log, without a frame.
#[cfg(test)]
pub(super) fn log_lines(
    log: &super::logview::LogView,
    area: Rect,
    buffer: &mut Buffer,
    look: &super::theme::Look,
    zone: &jiff::tz::TimeZone,
) {
    let mut pen = Pen::new(buffer, look);
    drop(log::lines(log, area, &mut pen, zone));
}

/// The borders that can be dragged; they lie over the panes' own areas.
fn splits(model: &Model, areas: &Areas, hits: &mut Hits) {
    if model.zoom {
        return;
    }
    let bottom = |area: Rect| Rect {
        y: area.bottom().saturating_sub(1),
        height: 1,
        ..area
    };
    match model.class() {
        Class::Full => {
            hits.add(bottom(areas.table), Hit::Split(Split::TableBottom));
            hits.add(bottom(areas.events), Hit::Split(Split::MiddleBottom));
            hits.add(bottom(areas.detail), Hit::Split(Split::MiddleBottom));
            let edge = Rect {
                x: areas.events.right().saturating_sub(1),
                width: if areas.events.is_empty() { 0 } else { 2 },
                height: areas.events.height.saturating_sub(1),
                ..areas.events
            };
            hits.add(edge, Hit::Split(Split::EventsRight));
        }
        Class::Compact => hits.add(bottom(areas.table), Hit::Split(Split::TableBottom)),
        Class::Single | Class::TooSmall => {}
    }
}
