//! What this program says about itself; never an instance's log.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;
use tui_logger::{ExtLogRecord, LevelFilter, LogFormatter, TuiLoggerWidget};

use super::super::format;
use super::super::model::{Hit, Model, Pane};
use super::super::theme::{Look, Role};
use super::Hits;
use super::pen::Pen;

/// Columns before the words of a record: its time and its level.
const HEAD: usize = 15;

/// A pane that is narrower shows nothing.
const NARROWEST: u16 = 24;

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
        .formatter(Box::new(Records::new(pen.look)))
        .state(model.diagnostics.state())
        .render(inner, pen.buffer);
}

/// Makes lines of a record: its words are broken at spaces and stand below each other.
struct Records {
    error: Style,
    warning: Style,
    info: Style,
    rest: Style,
}

impl Records {
    fn new(look: &Look) -> Self {
        Self {
            error: look.style(Role::Bad),
            warning: look.style(Role::Busy),
            info: look.style(Role::Text),
            rest: look.style(Role::Dim),
        }
    }
}

impl LogFormatter for Records {
    fn min_width(&self) -> u16 {
        NARROWEST
    }

    fn format(&self, width: usize, record: &ExtLogRecord) -> Vec<Line<'_>> {
        let style = match record.level.to_level_filter() {
            LevelFilter::Error => self.error,
            LevelFilter::Warn => self.warning,
            LevelFilter::Info => self.info,
            LevelFilter::Debug | LevelFilter::Trace | LevelFilter::Off => self.rest,
        };
        let time = record.timestamp.strftime("%H:%M:%S");
        let head = format!("{time} {:<6}", record.level.as_str());
        let words = format::wrap(record.msg().trim(), width.saturating_sub(HEAD));
        let heads = std::iter::once(head).chain(std::iter::repeat(String::new()));
        words
            .into_iter()
            .zip(heads)
            .map(|(words, head)| Line::from(Span::styled(format!("{head:<HEAD$}{words}"), style)))
            .collect()
    }
}
