//! The log pane: only the lines that are on the screen, each at most a few kilobytes.

use ansi_to_tui::IntoText as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthChar as _;

use super::super::format;
use super::super::logview::{GUTTER, LogView, Row, TIME_WIDTH, wrapped};
use super::super::model::{Hit, Model, Pane};
use super::super::theme::{Depth, Look, Role};
use super::Hits;
use super::pen::Pen;
use crate::domain::log::{Place, Streams};
use crate::domain::log_level::LogLevel;
use crate::domain::units;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let (left, right) = model.log.title(pen.look);
    let inner = pen.pane(model, area, Pane::Log, &left, &right);
    hits.add(area, Hit::Pane(Pane::Log));
    for (place, area) in lines(&model.log, inner, pen, &model.zone) {
        hits.add(area, Hit::LogLine(place));
    }
}

/// Draws the lines and what is typed or told below them; returns where each line is.
pub(in crate::tui) fn lines(
    log: &LogView,
    area: Rect,
    pen: &mut Pen<'_>,
    zone: &TimeZone,
) -> Vec<(Place, Rect)> {
    let mut places = Vec::new();
    if area.is_empty() {
        return places;
    }
    if log.window.len() == 0 {
        pen.text(area.x + 1, area.y, area.width, &emptiness(log), Role::Dim);
    }
    let last = area.y + u16::try_from(log.text_height()).unwrap_or(area.height);
    let mut y = area.y;
    let selected = log.selected();
    let mut number = log.top.line;
    let mut skip = log.top.row;
    while y < last.min(area.bottom()) {
        let Some(row) = log.window.get(number) else {
            break;
        };
        let place = Rect {
            y,
            height: last.min(area.bottom()) - y,
            ..area
        };
        let rows = line(log, row, skip, place, pen, zone);
        let place = Rect {
            height: rows,
            ..place
        };
        if selected
            .as_ref()
            .is_some_and(|range| range.contains(&number))
        {
            let style = pen.look.style(Role::Selected);
            pen.fill(place, style);
        }
        places.push((row.place, place));
        y += rows;
        skip = 0;
        number += 1;
    }
    if let Some(prompt) = &log.prompt {
        let y = area.bottom() - 1;
        let x = pen.text(area.x, y, area.width, prompt.kind.label(), Role::Accent);
        let room = area.right().saturating_sub(x);
        let end = pen.line(x, y, room / 2, &prompt.input);
        let (text, role) = match &prompt.complaint {
            Some(complaint) => (complaint.as_str(), Role::Bad),
            None => (prompt.kind.help(), Role::Dim),
        };
        let room = area.right().saturating_sub(end + 2);
        pen.cut(end + 2, y, room, text, role);
    } else if let Some(told) = &log.told {
        pen.cut(area.x, area.bottom() - 1, area.width, told, Role::Accent);
    }
    places
}

fn emptiness(log: &LogView) -> String {
    match (log.whose(), &log.trouble, &log.log_size) {
        (None, _, _) => "no instance is selected".to_owned(),
        (Some(_), Some(trouble), _) => trouble.clone(),
        (Some(whose), None, Some(size)) if size.bytes == 0 => match log.streams() {
            Streams::Both => format!("{whose} has not logged anything yet"),
            Streams::Stdout => format!("{whose} has written nothing on stdout"),
            Streams::Stderr => format!("{whose} has written nothing on stderr"),
        },
        (Some(_), None, Some(_)) if log.window.is_whole() => "no lines to show".to_owned(),
        (Some(_), None, _) => "reading …".to_owned(),
    }
}

/// Draws one line from a row of it on; returns the rows it took.
fn line(
    log: &LogView,
    row: &Row,
    skip: usize,
    area: Rect,
    pen: &mut Pen<'_>,
    zone: &TimeZone,
) -> u16 {
    let is_current = log.current == Some(row.place);
    let is_marked = log.marks.iter().any(|mark| mark.place == row.place);
    if skip == 0 {
        let sign = match (is_marked, is_current) {
            (true, _) => pen.look.sign("◆", "#"),
            (false, true) => pen.look.sign("▶", ">"),
            (false, false) => " ",
        };
        pen.text(area.x, area.y, 1, sign, Role::Accent);
    }
    let mut x = area.x + GUTTER;
    if log.timestamps {
        if skip == 0 {
            pen.text(x, area.y, TIME_WIDTH, &time(row.at, zone), Role::Dim);
        }
        x += TIME_WIDTH;
    }
    let width = area.right().saturating_sub(x);
    let styles = styles_of(log, row, pen.look, is_current);
    let note = (row.hidden > 0).then(|| format!("… +{}", units::short_size(row.hidden)));
    let text = Rect { x, width, ..area };
    if !log.wrap {
        let fit = one_row(&row.text.plain, &styles, log.pan, text, pen.buffer);
        let more = (fit == Fit::GoesOn).then(|| pen.look.sign("…", ">").to_owned());
        if let Some(note) = note.or(more) {
            let columns = u16::try_from(format::width(&note)).unwrap_or(width);
            let at = text.right().saturating_sub(columns);
            pen.text(at, area.y, columns, &note, Role::Dim);
        }
        return 1;
    }
    let starts = wrapped(&row.text.plain, usize::from(width.max(1)));
    let mut rows = 0;
    for (number, start) in starts.iter().enumerate().skip(skip) {
        if rows >= area.height {
            break;
        }
        let end = starts.get(number + 1).copied();
        let end = end.unwrap_or(row.text.plain.len());
        let place = Rect {
            y: area.y + rows,
            ..text
        };
        one_row(
            &row.text.plain[*start..end],
            &styles[*start..end],
            0,
            place,
            pen.buffer,
        );
        rows += 1;
    }
    rows.max(1)
}

/// Whether a text ends where its row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Whole,
    GoesOn,
}

/// Writes a text whose every byte has a style, from a column on.
fn one_row(text: &str, styles: &[Style], pan: usize, area: Rect, buffer: &mut Buffer) -> Fit {
    let mut column: usize = 0;
    let mut bytes = [0; 4];
    for (at, character) in text.char_indices() {
        let wide = character.width().unwrap_or(0);
        let Some(x) = column.checked_sub(pan) else {
            column += wide;
            continue;
        };
        if x + wide > usize::from(area.width) {
            return Fit::GoesOn;
        }
        let x = area.x + u16::try_from(x).unwrap_or(area.width);
        let style = styles.get(at).copied().unwrap_or_default();
        if wide > 0 {
            buffer.set_stringn(x, area.y, character.encode_utf8(&mut bytes), wide, style);
        }
        column += wide;
    }
    Fit::Whole
}

/// The style of each byte of a line: by its level, its own colours, and what was searched for.
fn styles_of(log: &LogView, row: &Row, look: &Look, is_current: bool) -> Vec<Style> {
    let plain = &row.text.plain;
    let base = match row.level {
        Some(LogLevel::Error) => look.style(Role::Bad),
        Some(LogLevel::Warning) => look.style(Role::Busy),
        Some(LogLevel::Debug) => look.style(Role::Dim),
        Some(LogLevel::Info) | None => look.style(Role::Text),
    };
    let mut styles = match own_colors(row, look) {
        Some(styles) => styles,
        None => {
            let mut styles = vec![base; plain.len()];
            let prefix = time_prefix(plain);
            styles[..prefix].fill(look.style(Role::Dim));
            styles
        }
    };
    if is_current {
        let chosen = look.style(Role::Selected);
        styles
            .iter_mut()
            .for_each(|style| *style = style.patch(chosen));
    }
    if let Some(find) = &log.find {
        for found in find.regex.find_iter(plain) {
            styles[found.range()]
                .iter_mut()
                .for_each(|style| *style = style.add_modifier(Modifier::REVERSED));
        }
    }
    styles
}

/// The colours that the server wrote; none on a terminal without colours.
fn own_colors(row: &Row, look: &Look) -> Option<Vec<Style>> {
    let colored = row.text.colored.as_ref()?;
    if look.depth == Depth::None {
        return None;
    }
    let text = colored.into_text().ok()?;
    let mut styles = Vec::with_capacity(row.text.plain.len());
    for span in text.lines.iter().flat_map(|line| &line.spans) {
        styles.extend(std::iter::repeat_n(span.style, span.content.len()));
    }
    // Should the two ever read a sequence differently, the text is shown without colours.
    (styles.len() == row.text.plain.len()).then_some(styles)
}

/// Bytes of llama-server's own time (`0.00.020.486 `), which says little beside the real one.
fn time_prefix(text: &str) -> usize {
    let end = text.find(|next: char| !next.is_ascii_digit() && next != '.');
    let end = end.unwrap_or(0);
    let dots = text[..end].bytes().filter(|byte| *byte == b'.').count();
    if dots == 3 { end } else { 0 }
}

/// `12:04:30.1`
fn time(at: Option<u64>, zone: &TimeZone) -> String {
    let moment = at
        .and_then(|at| i64::try_from(at).ok())
        .and_then(|at| Timestamp::from_millisecond(at).ok());
    match moment {
        Some(moment) => {
            let time = moment.to_zoned(zone.clone());
            let tenth = time.subsec_nanosecond() / 100_000_000;
            format!("{}.{tenth}", time.strftime("%H:%M:%S"))
        }
        None => "-".to_owned(),
    }
}
