//! What this program says about itself.

use ratatui::layout::Rect;

use super::super::format;
use super::super::model::{Hit, Model, Pane};
use super::super::theme::Role;
use super::pen::Pen;
use super::{Hits, events};

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let right = format!("llama-orch {}", model.version);
    let inner = pen.pane(
        model,
        area,
        Pane::Diagnostics,
        "Diagnostics  this program, not the instances",
        &right,
    );
    hits.add(area, Hit::Pane(Pane::Diagnostics));
    if model.diagnostics.is_empty() {
        pen.cut(
            inner.x + 1,
            inner.y,
            inner.width.saturating_sub(1),
            "nothing to report",
            Role::Dim,
        );
        return;
    }
    let mut lines = Vec::new();
    for entry in model.diagnostics.iter().rev().take(inner.height.into()) {
        let role = match entry.level.as_str() {
            "ERROR" => Role::Bad,
            "WARN" => Role::Busy,
            _ => Role::Text,
        };
        let text = format!(
            "{} {:<5} {}",
            events::clock(model, entry.at),
            entry.level,
            entry.text
        );
        let mut wrapped = format::wrap(&text, inner.width.into());
        wrapped.reverse();
        lines.extend(wrapped.into_iter().map(|line| (line, role)));
    }
    for (y, (line, role)) in (inner.y..inner.bottom()).rev().zip(lines) {
        pen.text(inner.x, y, inner.width, &line, role);
    }
}
