//! The first line: the whole fleet, the machine, the home and who supervises it.

use ratatui::layout::Rect;

use super::super::format;
use super::super::model::{Model, Supervisor};
use super::super::theme::Role;
use super::pen::Pen;
use super::spark;
use crate::api::wire::Role as OwnerRole;

/// Texts that belong together: shown all or not at all.
type Section = Vec<(String, Role)>;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let style = pen.look.style(Role::Header);
    pen.fill(area, style);
    let mut x = pen.text(area.x + 1, area.y, area.width, "llama-orch", Role::Accent) + 1;
    let sections = left_side(model, pen, area.width);
    let left: usize = sections.iter().map(length).sum();
    // What is measured tells more than where the home is.
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(left + 1);
    let right = [Home::Shown, Home::Hidden]
        .into_iter()
        .map(|home| right_side(model, area.width, home))
        .find(|right| format::width(right) < room)
        .unwrap_or_else(|| right_side(model, area.width, Home::Hidden));
    let right_width = u16::try_from(format::width(&right)).unwrap_or(area.width);
    let end = area.right().saturating_sub(right_width + 1);
    for section in sections {
        if usize::from(x) + length(&section) >= usize::from(end) {
            break;
        }
        for (text, role) in section {
            x = pen.text(x, area.y, end.saturating_sub(x), &text, role);
        }
    }
    pen.text(end, area.y, right_width, &right, Role::Dim);
    // `text` set only what it wrote; the bar's ground lies under all of it.
    pen.fill(area, style);
}

fn length(section: &Section) -> usize {
    section.iter().map(|(text, _)| format::width(text)).sum()
}

/// Whether the home is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Shown,
    Hidden,
}

fn left_side(model: &Model, pen: &Pen<'_>, width: u16) -> Vec<Section> {
    let look = pen.look;
    let counts = model.fleet.counts();
    let mut first: Section = Vec::new();
    let states = [
        (look.sign("●", "*"), counts.ready, Role::Good),
        (look.sign("◐", "~"), counts.busy, Role::Busy),
        (look.sign("✗", "!"), counts.bad, Role::Bad),
        (look.sign("○", "-"), counts.stopped, Role::Dim),
    ];
    for (sign, count, role) in states {
        let role = if count == 0 { Role::Dim } else { role };
        first.push((format!("{sign}{count} "), role));
    }
    if width >= 100 {
        first.push((format!("of {} ", model.fleet.rows().len()), Role::Dim));
    }
    let mut sections = vec![first];
    let mut section = |texts: Section| {
        if !texts.is_empty() {
            let border = (look.sign("│ ", "| ").to_owned(), Role::Border);
            sections.push(std::iter::once(border).chain(texts).collect());
        }
    };
    let mut work = Vec::new();
    if let Some(busy) = model.fleet.busy_slots().filter(|_| width >= 100) {
        work.push((format!("req {busy} "), Role::Text));
    }
    if let Some(rate) = model.fleet.tokens_per_second() {
        work.push((format!("{} tok/s ", format::rate(rate)), Role::Measure));
    }
    section(work);
    let host = &model.fleet.snapshot.host;
    let mut machine = Vec::new();
    if width >= 100 {
        if let Some(cpu) = host.cpu_percent {
            machine.push((format!("CPU {} ", format::percent(cpu)), Role::Text));
        }
        if let (Some(used), Some(total)) = (host.memory_used, host.memory_total) {
            machine.push((format!("RAM {} ", format::share(used, total)), Role::Text));
        }
    }
    section(machine);
    for device in &host.devices {
        let mut gpu = vec![(format!("{} ", device.label), Role::Text)];
        if let (Some(used), Some(total)) = (device.memory_used, device.memory_total) {
            gpu.push((format!("{} ", format::share(used, total)), Role::Text));
            if width >= 100 {
                let share = used as f32 / total.max(1) as f32;
                gpu.push((format!("{} ", spark::bar(share, 5, look)), Role::Measure));
            }
        }
        if let Some(busy) = device.busy_percent {
            gpu.push((format!("{} ", format::percent(busy)), Role::Text));
        }
        if let Some(degrees) = device.temperature.filter(|_| width >= 130) {
            let role = if degrees >= 85.0 {
                Role::Bad
            } else {
                Role::Dim
            };
            gpu.push((format!("{degrees:.0}°C "), role));
        }
        section(gpu);
    }
    sections
}

fn right_side(model: &Model, width: u16, home: Home) -> String {
    let mut parts = Vec::new();
    if model.frozen.is_some() {
        parts.push("FROZEN (p goes on)".to_owned());
    }
    if width >= 100 && home == Home::Shown {
        let limit = usize::from(width) / 4;
        let place = model.place.iter().map(|place| format!("{place} "));
        let home: String = place.chain([model.home.clone()]).collect();
        parts.push(shorten(&home, limit));
    }
    if width >= 60 {
        parts.push(match &model.supervisor {
            Supervisor::Unknown => "connecting".to_owned(),
            Supervisor::InProcess => "in-process".to_owned(),
            Supervisor::Other { role, pid } => match role {
                OwnerRole::Daemon => format!("daemon {pid}"),
                OwnerRole::Dashboard => format!("dashboard {pid}"),
                OwnerRole::Command => format!("command {pid}"),
            },
            Supervisor::Gone { .. } => "no supervisor".to_owned(),
        });
    }
    parts.push(clock(model));
    parts.join(model.look.sign(" │ ", " | "))
}

/// Keeps the end of a path, which tells more than its beginning.
fn shorten(path: &str, limit: usize) -> String {
    let count = path.chars().count();
    if count <= limit {
        return path.to_owned();
    }
    let tail: String = path.chars().skip(count + 1 - limit.max(1)).collect();
    format!("…{tail}")
}

/// The time of day, in minutes: seconds would redraw the line for nothing.
fn clock(model: &Model) -> String {
    let millis = (model.now.wall * 1000.0) as i64;
    jiff::Timestamp::from_millisecond(millis).map_or_else(
        |_| String::new(),
        |time| {
            time.to_zoned(model.zone.clone())
                .strftime("%H:%M")
                .to_string()
        },
    )
}
