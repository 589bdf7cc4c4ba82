//! What this program says about itself; never an instance's log.

use ratatui::layout::Rect;
use ratatui::widgets::Widget as _;
use tui_logger::{TuiLoggerLevelOutput, TuiLoggerWidget};

use super::super::model::{Hit, Model, Pane};
use super::super::theme::Role;
use super::Hits;
use super::pen::Pen;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    // Without tui-logger's own thread, which would wake a hundred times a second, what was logged
    // is taken over frame by frame.
    tui_logger::move_events();
    if area.is_empty() {
        return;
    }
    let right = format!("llama-orch {}", model.version);
    let title = "Diagnostics  this program, not the instances";
    let inner = pen.pane(model, area, Pane::Diagnostics, title, &right);
    hits.add(area, Hit::Pane(Pane::Diagnostics));
    TuiLoggerWidget::default()
        .style_error(pen.look.style(Role::Bad))
        .style_warn(pen.look.style(Role::Busy))
        .style_info(pen.look.style(Role::Text))
        .style_debug(pen.look.style(Role::Dim))
        .style_trace(pen.look.style(Role::Dim))
        .output_timestamp(Some("%H:%M:%S".to_owned()))
        .output_level(Some(TuiLoggerLevelOutput::Long))
        .output_target(false)
        .output_file(false)
        .output_line(false)
        .output_separator(' ')
        .render(inner, pen.buffer);
}
