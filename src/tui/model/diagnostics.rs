//! Where this program's own log is scrolled to.

use std::fmt;

use tui_logger::{TuiWidgetEvent, TuiWidgetState};

/// A place in the log, which tui-logger keeps: it alone knows how its records became lines. It
/// notes where a page begins when it draws one, so a page is gone back from what was seen.
#[derive(Default)]
pub(in crate::tui) struct Place(TuiWidgetState);

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Way {
    /// To what is older.
    Back,
    Forth,
    /// To the newest, and on with whatever comes.
    Newest,
}

impl Place {
    pub(in crate::tui) fn go(&self, way: Way) {
        self.0.transition(match way {
            Way::Back => TuiWidgetEvent::PrevPageKey,
            Way::Forth => TuiWidgetEvent::NextPageKey,
            Way::Newest => TuiWidgetEvent::EscapeKey,
        });
    }

    pub(in crate::tui) fn state(&self) -> &TuiWidgetState {
        &self.0
    }
}

impl Way {
    /// The way of a step of so many lines.
    pub(in crate::tui) fn of(step: isize) -> Self {
        if step < 0 { Self::Back } else { Self::Forth }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}
