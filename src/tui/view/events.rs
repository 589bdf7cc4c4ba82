//! The event feed, and the one line that keeps the newest unread trouble in sight.

use std::fmt::Write as _;

use ratatui::layout::Rect;

use super::super::format;
use super::super::keymap::Action;
use super::super::model::{Hit, Model, Pane};
use super::super::theme::Role;
use super::Hits;
use super::pen::Pen;
use crate::domain::event::{Event, Level};
use crate::domain::instance::InstanceName;

/// Columns for an instance's name.
const NAME_WIDTH: u16 = 12;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let feed = &model.feed;
    let scope = match (&feed.only, feed.level) {
        (Some(name), _) => name.to_string(),
        (None, Level::Info) => "all".to_owned(),
        (None, Level::Warning) => "warnings and errors".to_owned(),
        (None, Level::Error) => "errors".to_owned(),
    };
    let mut left = format!("Events  {scope}");
    if !feed.filter.is_empty() {
        write!(left, " /{}", feed.filter.text()).ok(); // a String never refuses
    }
    let right = if feed.back > 0 {
        format!("{} newer below", feed.back)
    } else {
        String::new()
    };
    let inner = pen.pane(model, area, Pane::Events, &left, &right);
    hits.add(area, Hit::Pane(Pane::Events));
    let height = usize::from(inner.height);
    // The cursor's event is on the screen; without looking back the newest is the last line.
    let skip = feed.back.saturating_sub(height.saturating_sub(1) / 2);
    let shown: Vec<(usize, &Event)> = feed.shown().enumerate().skip(skip).take(height).collect();
    if shown.is_empty() {
        let text = if feed.events.is_empty() {
            "nothing has happened yet"
        } else {
            "no event is shown; Esc clears the filter"
        };
        pen.cut(
            inner.x + 1,
            inner.y,
            inner.width.saturating_sub(1),
            text,
            Role::Dim,
        );
        return;
    }
    for (y, (back, event)) in (inner.y..inner.bottom()).zip(shown.iter().rev()) {
        let line = Rect {
            y,
            height: 1,
            ..inner
        };
        draw_event(model, event, line, pen);
        if model.focus == Pane::Events && *back == feed.back {
            let style = pen.look.style(Role::Selected);
            pen.fill(line, style);
        }
        hits.add(line, Hit::Event(*back));
    }
}

fn draw_event(model: &Model, event: &Event, area: Rect, pen: &mut Pen<'_>) {
    let end = area.right();
    let room = |x: u16| end.saturating_sub(x);
    let time = clock(model, event.at);
    let mut x = pen.text(area.x, area.y, room(area.x), &format!("{time} "), Role::Dim);
    let (word, role) = match event.level {
        Level::Info => ("INFO  ", Role::Dim),
        Level::Warning => ("WARN  ", Role::Busy),
        Level::Error => ("ERROR ", Role::Bad),
    };
    x = pen.text(x, area.y, room(x), word, role);
    let name = event.instance.as_ref().map_or("", InstanceName::as_str);
    let begin = x;
    pen.cut(x, area.y, room(x).min(NAME_WIDTH), name, Role::Accent);
    x = begin + NAME_WIDTH + 1;
    let role = match event.level {
        Level::Info => Role::Text,
        Level::Warning | Level::Error => Role::Strong,
    };
    let message = model.local(event.message.lines().next().unwrap_or_default());
    pen.cut(x, area.y, room(x), &message, role);
}

/// The alert strip.
pub(super) fn alert(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let unseen = match model.feed.unseen {
        0 => String::new(),
        count => format!("2 Events ({} new)", format::count(count as u64)),
    };
    let width = u16::try_from(format::width(&unseen)).unwrap_or(0);
    if let Some(event) = &model.notices.alert {
        let (sign, role) = match event.level {
            Level::Error => (pen.look.sign("✗", "!"), Role::Bad),
            Level::Warning | Level::Info => (pen.look.sign("▲", "!"), Role::Busy),
        };
        let name = event.instance.as_ref().map_or("", InstanceName::as_str);
        let message = model.local(event.message.lines().next().unwrap_or_default());
        let text = format!(" {sign} {} {name} {message}", clock(model, event.at));
        let room = area.width.saturating_sub(width + 3);
        pen.cut(area.x, area.y, room, &text, role);
    }
    pen.right(
        area.right().saturating_sub(1),
        area.y,
        width,
        &unseen,
        Role::Dim,
    );
    hits.add(area, Hit::Action(Action::Show(Pane::Events)));
}

/// The time of day of an event.
pub(super) fn clock(model: &Model, at: f64) -> String {
    let millis = (at * 1000.0) as i64;
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| "--:--:--".to_owned(),
        |time| {
            time.to_zoned(model.zone.clone())
                .strftime("%H:%M:%S")
                .to_string()
        },
    )
}
