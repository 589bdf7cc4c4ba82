//! Where each pane is: decided by the size of the terminal and nothing else.

use ratatui::layout::Rect;

use super::model::Pane;

/// How much a terminal of a size can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Smaller than 40x10: one sentence.
    TooSmall,
    /// One pane at a time, with a line of tabs.
    Single,
    /// Table, alert line and log; events and detail take the log's place.
    Compact,
    /// Everything at once.
    Full,
}

impl Class {
    pub(super) const MINIMUM: (u16, u16) = (40, 10);

    /// The one rule of the size classes.
    pub(super) fn pick(width: u16, height: u16) -> Self {
        match (width, height) {
            (110.., 30..) => Self::Full,
            (80.., 20..) => Self::Compact,
            (40.., 10..) => Self::Single,
            (_, _) => Self::TooSmall,
        }
    }
}

/// The places of a frame; what is absent has no area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Areas {
    pub(super) header: Rect,
    pub(super) banner: Rect,
    pub(super) tabs: Rect,
    pub(super) table: Rect,
    pub(super) alert: Rect,
    pub(super) events: Rect,
    pub(super) detail: Rect,
    pub(super) log: Rect,
    pub(super) diagnostics: Rect,
    pub(super) work: Rect,
    pub(super) footer: Rect,
}

/// Shares of the height and width, in percent, as a person left them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Splits {
    /// The table's share of the height between header and footer.
    pub(super) table: u16,
    /// The middle row's share (events and detail).
    pub(super) middle: u16,
    /// The events' share of the width.
    pub(super) events: u16,
}

impl Default for Splits {
    fn default() -> Self {
        Self {
            table: 36,
            middle: 25,
            events: 58,
        }
    }
}

/// What decides a layout besides the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) focus: Pane,
    /// What shares the screen with the table when there is only room for one more.
    pub(super) second: Pane,
    pub(super) zoom: bool,
    pub(super) banner: bool,
    pub(super) alert: bool,
    pub(super) splits: Splits,
}

/// No pane with a frame is lower than this.
const LOWEST: u16 = 4;

/// Arranges the panes in a terminal of this size.
pub(super) fn arrange(width: u16, height: u16, wishes: &Wishes) -> Areas {
    let class = Class::pick(width, height);
    let mut areas = Areas::default();
    if class == Class::TooSmall {
        return areas;
    }
    let mut rest = Rect::new(0, 0, width, height);
    areas.header = take_top(&mut rest, 1);
    areas.footer = take_bottom(&mut rest, 1);
    if wishes.banner {
        areas.banner = take_top(&mut rest, 1);
    }
    if class == Class::Single {
        areas.tabs = take_top(&mut rest, 1);
        if wishes.alert {
            areas.alert = take_bottom(&mut rest, 1);
        }
        *areas.of(wishes.focus) = rest;
        return areas;
    }
    if wishes.zoom || wishes.focus.is_alone() {
        *areas.of(wishes.focus) = rest;
        return areas;
    }
    let whole = rest.height;
    let share = |percent: u16| {
        let rows = u32::from(whole) * u32::from(percent) / 100;
        u16::try_from(rows).unwrap_or(whole)
    };
    if class == Class::Compact {
        let most = rest.height.saturating_sub(LOWEST + 2).max(LOWEST);
        let table = share(wishes.splits.table + 6).clamp(LOWEST, most);
        areas.table = take_top(&mut rest, table);
        if wishes.alert {
            areas.alert = take_top(&mut rest, 1);
        }
        *areas.of(wishes.second) = rest;
        return areas;
    }
    let most = rest.height.saturating_sub(2 * LOWEST + 2).max(LOWEST);
    let table = share(wishes.splits.table).clamp(LOWEST, most);
    let middle = share(wishes.splits.middle);
    areas.table = take_top(&mut rest, table);
    if wishes.alert {
        areas.alert = take_top(&mut rest, 1);
    }
    let most = rest.height.saturating_sub(LOWEST).max(LOWEST);
    let mut row = take_top(&mut rest, middle.clamp(LOWEST, most));
    let events = u32::from(row.width) * u32::from(wishes.splits.events) / 100;
    let events = u16::try_from(events).unwrap_or(row.width);
    let most = row.width.saturating_sub(20);
    areas.events = take_left(&mut row, events.clamp(20, most));
    areas.detail = row;
    areas.log = rest;
    areas
}

impl Areas {
    pub(super) fn of(&mut self, pane: Pane) -> &mut Rect {
        match pane {
            Pane::Table => &mut self.table,
            Pane::Events => &mut self.events,
            Pane::Log => &mut self.log,
            Pane::Detail => &mut self.detail,
            Pane::Diagnostics => &mut self.diagnostics,
            Pane::Work => &mut self.work,
        }
    }
}

fn take_top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let top = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    top
}

fn take_bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect {
        y: rest.y + rest.height,
        height,
        ..*rest
    }
}

fn take_left(rest: &mut Rect, width: u16) -> Rect {
    let width = width.min(rest.width);
    let left = Rect { width, ..*rest };
    rest.x += width;
    rest.width -= width;
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes() -> Wishes {
        Wishes {
            focus: Pane::Table,
            second: Pane::Log,
            zoom: false,
            banner: false,
            alert: true,
            splits: Splits::default(),
        }
    }

    #[test]
    fn the_size_decides_the_class() {
        let rows = [
            (120, 36, Class::Full),
            (110, 30, Class::Full),
            (109, 30, Class::Compact),
            (110, 29, Class::Compact),
            (80, 24, Class::Compact),
            (80, 19, Class::Single),
            (60, 16, Class::Single),
            (40, 10, Class::Single),
            (39, 10, Class::TooSmall),
            (0, 0, Class::TooSmall),
        ];
        for (width, height, class) in rows {
            assert_eq!(Class::pick(width, height), class, "{width}x{height}");
        }
    }

    #[test]
    fn every_size_is_filled_without_overlap() {
        for width in 0..=200 {
            for height in 0..=70 {
                for zoom in [false, true] {
                    let areas = arrange(width, height, &Wishes { zoom, ..wishes() });
                    let all = [
                        areas.header,
                        areas.banner,
                        areas.tabs,
                        areas.table,
                        areas.alert,
                        areas.events,
                        areas.detail,
                        areas.log,
                        areas.footer,
                    ];
                    let cells: u32 = all.iter().map(|area| area.area()).sum();
                    let whole = match Class::pick(width, height) {
                        Class::TooSmall => 0,
                        Class::Single | Class::Compact | Class::Full => {
                            u32::from(width) * u32::from(height)
                        }
                    };
                    assert_eq!(cells, whole, "{width}x{height}");
                    let screen = Rect::new(0, 0, width, height);
                    assert!(
                        all.iter()
                            .all(|area| area.is_empty() || screen.union(*area) == screen)
                    );
                }
            }
        }
    }
}
