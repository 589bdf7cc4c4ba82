//! Something to read, with what can be done about it: findings, a crash, an import, doubts.
//!
//! How it is laid out is decided here, so that keys scroll exactly as far as the picture does.

use super::super::effect::Effect;
use super::super::format;
use super::super::theme::Role;
use crate::domain::instance::InstanceName;

/// Columns between a label and its text.
const GAP: usize = 2;

/// No sheet is narrower or wider than this; beyond it lines are hard to read.
const WIDTHS: (usize, usize) = (44, 100);

/// Borders and the columns inside of them.
const FRAME: usize = 4;

/// Borders, the empty line and the buttons.
const FURNITURE: usize = 4;

/// Lines of the screen that stay free, so that one sees where one is.
const MARGIN: usize = 2;

/// What a sheet is about; a newer answer about the same takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Subject {
    Doctor,
    Crash(InstanceName),
    Import,
    Memory,
}

/// A paragraph with the word before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct Entry {
    pub(in crate::tui) label: String,
    pub(in crate::tui) text: String,
    pub(in crate::tui) role: Role,
}

/// What can be done; the first one of a sheet only closes it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Button {
    pub(in crate::tui) key: char,
    pub(in crate::tui) label: String,
    pub(in crate::tui) effects: Vec<Effect>,
    pub(in crate::tui) after: After,
}

/// What becomes of the sheet when a button was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum After {
    Close,
    Stay,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) struct Sheet {
    pub(in crate::tui) subject: Subject,
    pub(in crate::tui) title: String,
    pub(in crate::tui) entries: Vec<Entry>,
    /// The line at the top.
    scroll: usize,
    pub(in crate::tui) buttons: Vec<Button>,
    pub(in crate::tui) chosen: usize,
    /// What became of the last button that left it open.
    pub(in crate::tui) note: Option<String>,
}

/// A line as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) struct SheetLine {
    pub(in crate::tui) label: String,
    pub(in crate::tui) text: String,
    pub(in crate::tui) role: Role,
}

/// A sheet on a screen of some size.
pub(in crate::tui) struct Laid {
    pub(in crate::tui) width: usize,
    pub(in crate::tui) height: usize,
    /// Columns before the texts.
    pub(in crate::tui) indent: usize,
    pub(in crate::tui) lines: Vec<SheetLine>,
    /// Lines that are seen at once.
    pub(in crate::tui) room: usize,
    /// The first line that is seen.
    pub(in crate::tui) top: usize,
}

impl Entry {
    pub(in crate::tui) fn new(
        label: impl Into<String>,
        text: impl Into<String>,
        role: Role,
    ) -> Self {
        Self {
            label: label.into(),
            text: text.into(),
            role,
        }
    }

    /// An empty line.
    pub(in crate::tui) fn gap() -> Self {
        Self::new("", "", Role::Text)
    }
}

impl Button {
    /// A button that does these and closes the sheet.
    pub(in crate::tui) fn closing(key: char, label: &str, effects: Vec<Effect>) -> Self {
        Self {
            key,
            label: label.to_owned(),
            effects,
            after: After::Close,
        }
    }

    /// A button that does these and leaves the sheet open.
    pub(in crate::tui) fn staying(key: char, label: &str, effects: Vec<Effect>) -> Self {
        Self {
            after: After::Stay,
            ..Self::closing(key, label, effects)
        }
    }
}

impl Sheet {
    /// A sheet whose first button, `close`, does nothing.
    pub(in crate::tui) fn new(subject: Subject, title: String, entries: Vec<Entry>) -> Self {
        Self {
            subject,
            title,
            entries,
            scroll: 0,
            buttons: vec![Button::closing('c', "close", Vec::new())],
            chosen: 0,
            note: None,
        }
    }

    /// The same for a question: the first button says that nothing is done.
    pub(in crate::tui) fn question(subject: Subject, title: String, entries: Vec<Entry>) -> Self {
        let mut sheet = Self::new(subject, title, entries);
        sheet.buttons = vec![Button::closing('c', "cancel", Vec::new())];
        sheet
    }

    /// Lays it out on a screen of this size.
    pub(in crate::tui) fn lay(&self, (columns, rows): (u16, u16)) -> Laid {
        let labels = self.entries.iter().map(|entry| format::width(&entry.label));
        let indent = match labels.max().unwrap_or(0) {
            0 => 0,
            widest => widest + GAP,
        };
        let texts = self
            .entries
            .iter()
            .flat_map(|entry| entry.text.lines())
            .map(|text| indent + format::width(text));
        let widest = texts
            .chain([self.buttons_width(), format::width(&self.title) + 2])
            .max()
            .unwrap_or(0);
        let width = (widest + FRAME)
            .clamp(WIDTHS.0, WIDTHS.1)
            .min(usize::from(columns));
        let limit = width.saturating_sub(FRAME + indent).max(1);
        let mut lines = Vec::new();
        for entry in &self.entries {
            let mut label = entry.label.as_str();
            for text in format::wrap(&entry.text, limit) {
                lines.push(SheetLine {
                    label: std::mem::take(&mut label).to_owned(),
                    text,
                    role: entry.role,
                });
            }
        }
        let height = (lines.len() + FURNITURE).min(usize::from(rows).saturating_sub(MARGIN));
        let room = height.saturating_sub(FURNITURE);
        Laid {
            width,
            height,
            indent,
            top: self.scroll.min(lines.len().saturating_sub(room)),
            room,
            lines,
        }
    }

    fn buttons_width(&self) -> usize {
        let labels = self.buttons.iter().map(|button| button.text());
        labels.map(|text| format::width(&text) + 1).sum()
    }

    /// Scrolls by so many lines on a screen of this size, and no further than there are lines.
    pub(in crate::tui) fn scroll_by(&mut self, step: isize, size: (u16, u16)) {
        let laid = self.lay(size);
        let last = laid.lines.len().saturating_sub(laid.room);
        self.scroll = laid.top.saturating_add_signed(step).min(last);
    }

    pub(in crate::tui) fn choose(&mut self, step: isize) {
        let count = self.buttons.len().cast_signed();
        let place = self.chosen.cast_signed() + step;
        self.chosen = place.rem_euclid(count.max(1)).cast_unsigned();
    }

    /// Takes the place where an older sheet of the same subject was read.
    pub(in crate::tui) fn continues(&mut self, older: &Self) {
        self.chosen = older.chosen.min(self.buttons.len().saturating_sub(1));
    }
}

impl Button {
    /// The text on the button.
    pub(in crate::tui) fn text(&self) -> String {
        format!(" {} {} ", self.key, self.label)
    }
}
