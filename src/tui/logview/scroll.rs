//! Which lines are on the screen: the top line, and how many of its rows have gone by.

use unicode_width::UnicodeWidthChar as _;

use super::LogView;
use super::window::Row;

/// Columns before the text: the sign of a mark or of the line that was jumped to.
pub(in crate::tui) const GUTTER: u16 = 2;

/// Columns of a time and the blank behind it.
pub(in crate::tui) const TIME_WIDTH: u16 = 11;

/// The first row on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Top {
    pub(in crate::tui) line: usize,
    /// Rows of that line that are above the screen, when lines are wrapped.
    pub(in crate::tui) row: usize,
}

impl LogView {
    /// Columns that a line's text has.
    pub(in crate::tui) fn text_width(&self) -> u16 {
        let time = if self.timestamps { TIME_WIDTH } else { 0 };
        self.size.0.saturating_sub(GUTTER + time).max(1)
    }

    /// Rows that lines have; the last one is taken while something is typed or told.
    pub(in crate::tui) fn text_height(&self) -> usize {
        let taken = u16::from(self.prompt.is_some() || self.told.is_some());
        usize::from(self.size.1.saturating_sub(taken))
    }

    /// Rows that a line takes.
    fn rows_of(&self, row: &Row) -> usize {
        if !self.wrap {
            return 1;
        }
        wrapped(&row.text.plain, usize::from(self.text_width())).len()
    }

    fn rows_at(&self, line: usize) -> usize {
        self.window.get(line).map_or(1, |row| self.rows_of(row))
    }

    /// Puts the last line at the bottom.
    pub(super) fn stick_to_end(&mut self) {
        self.top = Top {
            line: self.window.len(),
            row: 0,
        };
        self.up(self.text_height());
    }

    /// Goes up that many rows, as far as there are lines.
    pub(super) fn up(&mut self, rows: usize) {
        let mut left = rows;
        while left > 0 {
            if self.top.row > 0 {
                let step = self.top.row.min(left);
                self.top.row -= step;
                left -= step;
            } else if let Some(line) = self.top.line.checked_sub(1) {
                self.top = Top {
                    line,
                    row: self.rows_at(line),
                };
            } else {
                break;
            }
        }
    }

    /// Goes down that many rows, until the last line is at the bottom.
    pub(super) fn down(&mut self, rows: usize) {
        for _ in 0..rows {
            if self.is_at_bottom() {
                break;
            }
            if self.top.row + 1 < self.rows_at(self.top.line) {
                self.top.row += 1;
            } else {
                self.top = Top {
                    line: self.top.line + 1,
                    row: 0,
                };
            }
        }
    }

    /// Returns whether nothing that is in memory lies below the screen.
    pub(super) fn is_at_bottom(&self) -> bool {
        let height = self.text_height();
        let mut rows = self.rows_at(self.top.line).saturating_sub(self.top.row);
        let mut line = self.top.line + 1;
        while line < self.window.len() {
            rows += self.rows_at(line);
            if rows > height {
                return false;
            }
            line += 1;
        }
        rows <= height
    }

    /// The line behind the last one that is on the screen.
    pub(super) fn bottom(&self) -> usize {
        let mut rows = 0;
        let mut line = self.top.line;
        while line < self.window.len() && rows < self.text_height() + self.top.row {
            rows += self.rows_at(line);
            line += 1;
        }
        line
    }

    /// Returns whether rows of a line lie below the screen.
    pub(super) fn is_cut_off(&self, line: usize) -> bool {
        let rows: usize = (self.top.line..=line).map(|line| self.rows_at(line)).sum();
        rows.saturating_sub(self.top.row) > self.text_height()
    }

    /// Brings a line on the screen, a third from the top, unless it is there.
    pub(super) fn reveal(&mut self, line: usize) {
        if (self.top.line..self.bottom()).contains(&line) && self.top.row == 0 {
            return;
        }
        self.settle_on(line);
    }

    /// Shows a line a third from the top, or lower where the log ends.
    pub(super) fn settle_on(&mut self, line: usize) {
        self.top = Top { line, row: 0 };
        self.up(self.text_height() / 3);
        if self.is_at_bottom() && self.window.at_end {
            self.stick_to_end();
        }
    }
}

/// Breaks a text into rows: where each begins, in bytes.
pub(in crate::tui) fn wrapped(text: &str, width: usize) -> Vec<usize> {
    let mut starts = vec![0];
    if text.len() <= width {
        return starts;
    }
    let mut used = 0;
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        if used + wide > width && used > 0 {
            starts.push(at);
            used = 0;
        }
        used += wide;
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_characters_by_their_width() {
        for (text, width, expected) in [
            ("", 4, vec![0]),
            ("abcd", 4, vec![0]),
            ("abcde", 4, vec![0, 4]),
            ("日本語", 4, vec![0, 6]),
            ("日本語", 1, vec![0, 3, 6]),
            ("aé日b", 3, vec![0, 3]),
        ] {
            assert_eq!(wrapped(text, width), expected, "{text} {width}");
        }
    }
}
