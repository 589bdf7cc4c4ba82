//! Drawing with roles instead of styles, and the frame every pane has.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, Widget as _};

use super::super::format;
use super::super::model::{Model, Pane};
use super::super::theme::{Glyphs, Look, Role};

/// Signs within texts, with what stands for each of them in ASCII.
const SPELLED: [(&str, &str); 9] = [
    ("…", "~"),
    ("→", ">"),
    ("←", "<"),
    ("↑", "^"),
    ("↓", "v"),
    ("·", "-"),
    ("°", " "),
    ("—", "-"),
    ("×", "x"),
];

pub(in crate::tui) struct Pen<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) look: &'a Look,
}

impl<'a> Pen<'a> {
    pub(in crate::tui) fn new(buffer: &'a mut Buffer, look: &'a Look) -> Self {
        Self { buffer, look }
    }

    /// Writes a text of at most `limit` columns; returns the column after it.
    pub(super) fn text(&mut self, x: u16, y: u16, limit: u16, text: &str, role: Role) -> u16 {
        let style = self.look.style(role);
        self.styled(x, y, limit, text, style)
    }

    pub(super) fn styled(&mut self, x: u16, y: u16, limit: u16, text: &str, style: Style) -> u16 {
        if !self
            .buffer
            .area
            .contains(ratatui::layout::Position::new(x, y))
        {
            return x;
        }
        let (x, _) = self.buffer.set_stringn(x, y, text, limit.into(), style);
        x
    }

    /// Writes a text, cut with a sign when it does not fit.
    pub(super) fn cut(&mut self, x: u16, y: u16, limit: u16, text: &str, role: Role) -> u16 {
        self.text(x, y, limit, &format::cut(text, limit.into()), role)
    }

    /// Writes a text that ends at a column.
    pub(super) fn right(&mut self, end: u16, y: u16, limit: u16, text: &str, role: Role) {
        let text = format::cut(text, limit.into());
        let width = u16::try_from(format::width(&text)).unwrap_or(limit);
        self.text(end.saturating_sub(width), y, width, &text, role);
    }

    pub(super) fn fill(&mut self, area: Rect, style: Style) {
        self.buffer
            .set_style(area.intersection(self.buffer.area), style);
    }

    /// Empties an area before something is drawn over it.
    pub(super) fn clear(&mut self, area: Rect) {
        ratatui::widgets::Clear.render(area.intersection(self.buffer.area), self.buffer);
    }

    /// Draws a pane's frame with its number and titles; returns what is inside.
    pub(super) fn pane(
        &mut self,
        model: &Model,
        area: Rect,
        pane: Pane,
        left: &str,
        right: &str,
    ) -> Rect {
        let focused = model.focus == pane && model.dialogs.is_empty();
        let number = Pane::ALL
            .iter()
            .position(|(known, _)| *known == pane)
            .unwrap_or(0)
            + 1;
        let inner = self.frame(area, focused);
        let (title, rest) = left.split_once("  ").unwrap_or((left, ""));
        let limit = area.width.saturating_sub(4);
        let role = if focused { Role::Accent } else { Role::Strong };
        let mut x = self.text(area.x + 1, area.y, limit, &format!(" {number} "), Role::Dim);
        x = self.cut(x, area.y, (area.right()).saturating_sub(x + 2), title, role);
        if !rest.is_empty() {
            x = self.cut(
                x,
                area.y,
                (area.right()).saturating_sub(x + 2),
                &format!("  {rest}"),
                Role::Dim,
            );
        }
        x = self.text(x, area.y, 1, " ", Role::Text);
        if !right.is_empty() {
            let room = area.right().saturating_sub(x + 2);
            if usize::from(room) > format::width(right) + 1 {
                self.right(
                    area.right().saturating_sub(2),
                    area.y,
                    room,
                    &format!(" {right} "),
                    Role::Dim,
                );
            }
        }
        inner
    }

    /// Where only ASCII can be shown, replaces the signs that texts of ours have in them.
    pub(super) fn spell_out(&mut self) {
        if self.look.glyphs == Glyphs::Unicode {
            return;
        }
        for cell in &mut self.buffer.content {
            if let Some((_, plain)) = SPELLED.iter().find(|(sign, _)| *sign == cell.symbol()) {
                cell.set_symbol(plain);
            }
        }
    }

    /// Draws a frame; returns what is inside.
    pub(super) fn frame(&mut self, area: Rect, focused: bool) -> Rect {
        let role = if focused {
            Role::BorderFocused
        } else {
            Role::Border
        };
        let block = Block::bordered()
            .border_set(self.look.borders())
            .border_style(self.look.style(role));
        let inner = block.inner(area);
        block.render(area, self.buffer);
        inner
    }
}

impl Pen<'_> {
    /// Draws a line that is being typed, with its cursor; returns the column after it.
    pub(super) fn line(&mut self, x: u16, y: u16, limit: u16, input: &tui_input::Input) -> u16 {
        let limit = limit.max(1);
        let skip = input.visual_scroll(usize::from(limit) - 1);
        let mut passed = 0;
        let visible: String = input
            .value()
            .chars()
            .skip_while(|character| {
                passed += format::width(character.encode_utf8(&mut [0; 4]));
                passed <= skip
            })
            .collect();
        let end = self.text(x, y, limit, &visible, Role::Text);
        let cursor = x + (input.visual_cursor().saturating_sub(skip)) as u16;
        let style = self
            .look
            .style(Role::Text)
            .add_modifier(ratatui::style::Modifier::REVERSED);
        self.fill(Rect::new(cursor.min(x + limit - 1), y, 1, 1), style);
        end.max(cursor + 1)
    }
}
