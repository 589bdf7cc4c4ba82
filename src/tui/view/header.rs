//! The first line: the whole fleet, the machine, the home and who supervises it.

use ratatui::layout::Rect;

use super::super::format;
use super::super::model::{Model, Supervisor};
use super::super::theme::Role;
use super::pen::Pen;
use super::spark;
use crate::api::wire::Role as OwnerRole;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let style = pen.look.style(Role::Header);
    pen.fill(area, style);
    let right = right_side(model, area.width);
    let right_width = u16::try_from(format::width(&right)).unwrap_or(area.width);
    let end = area.right().saturating_sub(right_width + 1);
    let mut x = pen.text(area.x + 1, area.y, area.width, "llama-orch", Role::Accent);
    x += 1;
    for (text, role) in left_side(model, pen, area.width) {
        let width = u16::try_from(format::width(&text)).unwrap_or(u16::MAX);
        // A part that does not fit is left out whole.
        if x.saturating_add(width) >= end {
            break;
        }
        x = pen.text(x, area.y, width, &text, role);
    }
    pen.text(end, area.y, right_width, &right, Role::Dim);
    // `text` set only what it wrote; the bar's ground lies under all of it.
    pen.fill(area, style);
}

fn left_side(model: &Model, pen: &Pen<'_>, width: u16) -> Vec<(String, Role)> {
    let look = pen.look;
    let counts = model.fleet.counts();
    let mut parts: Vec<(String, Role)> = Vec::new();
    let states = [
        (look.sign("●", "*"), counts.ready, Role::Good),
        (look.sign("◐", "~"), counts.busy, Role::Busy),
        (look.sign("✗", "!"), counts.bad, Role::Bad),
        (look.sign("○", "-"), counts.stopped, Role::Dim),
    ];
    for (sign, count, role) in states {
        let role = if count == 0 { Role::Dim } else { role };
        parts.push((format!("{sign}{count} "), role));
    }
    if width >= 100 {
        parts.push((format!("of {} ", model.fleet.rows().len()), Role::Dim));
    }
    let mut section = |texts: Vec<(String, Role)>| {
        if !texts.is_empty() {
            parts.push((look.sign("│ ", "| ").to_owned(), Role::Border));
            parts.extend(texts);
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
            machine.push((
                format!("RAM {}/{} ", format::bytes(used), format::bytes(total)),
                Role::Text,
            ));
        }
    }
    section(machine);
    for device in &host.devices {
        let mut gpu = vec![(format!("{} ", device.label), Role::Text)];
        if let (Some(used), Some(total)) = (device.memory_used, device.memory_total) {
            gpu.push((
                format!("{}/{} ", format::bytes(used), format::bytes(total)),
                Role::Text,
            ));
            if width >= 100 {
                let share = used as f32 / total.max(1) as f32;
                gpu.push((format!("{} ", spark::bar(share, 5, look)), Role::Measure));
            }
        }
        if let Some(busy) = device.busy_percent {
            gpu.push((format!("{} ", format::percent(busy)), Role::Text));
        }
        if let Some(degrees) = device.temperature.filter(|_| width >= 110) {
            let role = if degrees >= 85.0 {
                Role::Bad
            } else {
                Role::Dim
            };
            gpu.push((format!("{degrees:.0}°C "), role));
        }
        section(gpu);
    }
    parts
}

fn right_side(model: &Model, width: u16) -> String {
    let mut parts = Vec::new();
    if model.frozen.is_some() {
        parts.push("FROZEN (p goes on)".to_owned());
    }
    if width >= 100 {
        let limit = usize::from(width) / 4;
        parts.push(shorten(&model.home, limit));
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
