//! Short notices in the lower right corner.

use ratatui::layout::Rect;

use super::super::format;
use super::super::layout::Areas;
use super::super::model::notice::Kind;
use super::super::model::{Hit, Model};
use super::super::theme::Role;
use super::Hits;
use super::pen::Pen;

/// Wider ones are wrapped.
const WIDTH: usize = 64;

/// Lines of one notice.
const LINES: usize = 3;

pub(super) fn draw(model: &Model, areas: &Areas, pen: &mut Pen<'_>, hits: &mut Hits) {
    let screen = Rect::new(0, 0, model.size.0, areas.footer.y);
    let mut bottom = screen.bottom().saturating_sub(1);
    for toast in model.notices.toasts.iter().rev() {
        let limit = WIDTH
            .min(usize::from(screen.width).saturating_sub(6))
            .max(10);
        let lines = format::wrap_to(&toast.text, limit, LINES);
        let width = lines
            .iter()
            .map(|line| format::width(line))
            .max()
            .unwrap_or(0) as u16
            + 4;
        let height = lines.len() as u16;
        if bottom < height + 2 {
            return;
        }
        let area = Rect::new(
            screen.width.saturating_sub(width + 1),
            bottom - height,
            width,
            height,
        );
        bottom -= height + 1;
        pen.clear(area);
        let (sign, role) = match toast.kind {
            Kind::Info => (pen.look.sign("▌", "|"), Role::Accent),
            Kind::Good => (pen.look.sign("▌", "|"), Role::Good),
            Kind::Bad => (pen.look.sign("▌", "!"), Role::Bad),
        };
        let ground = pen.look.style(Role::Header);
        for (y, line) in (area.y..).zip(&lines) {
            pen.text(area.x, y, 1, sign, role);
            pen.text(area.x + 2, y, width - 2, line, Role::Strong);
        }
        pen.fill(area, ground);
        hits.add(area, Hit::Toast);
    }
}
