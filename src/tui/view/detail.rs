//! Everything known of the selected instance.

use ratatui::layout::{Margin, Rect};

use super::super::format::{self, UNKNOWN};
use super::super::keymap::Action;
use super::super::model::details::PastRun;
use super::super::model::fleet::Series;
use super::super::model::{Hit, Model, Pane};
use super::super::theme::Role;
use super::pen::Pen;
use super::{Hits, events, spark, state_text};
use crate::domain::autopsy::Cause;
use crate::domain::event::EventType;
use crate::domain::fleet::InstanceRow;
use crate::domain::memory::fit::{Fit, Verdict};
use crate::domain::units;

/// Columns for the name of a line.
const LABEL: u16 = 8;

/// Changes of health that are listed.
const HISTORY: usize = 5;

/// From this height on every line is told whole.
const ROOMY: u16 = 14;

/// How much of each thing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// What matters most, one row each.
    Narrow,
    Wide,
}

/// A line of the pane: its name, its text and what it means.
struct Line {
    label: &'static str,
    text: String,
    role: Role,
}

impl Line {
    /// Rows that it may take in the small pane: what a person must know is not cut off.
    fn rows(&self) -> usize {
        match self.label {
            "why" => 3,
            "do" => 2,
            _ => 1,
        }
    }
}

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let selected = model.selected();
    let title = selected.map_or_else(|| "Detail".to_owned(), |row| row.name.to_string());
    let right = selected.map_or_else(String::new, |row| row.tags.join(" "));
    let inner = pen.pane(model, area, Pane::Detail, &title, &right);
    hits.add(area, Hit::Pane(Pane::Detail));
    let Some(row) = selected else {
        pen.cut(
            inner.x + 1,
            inner.y,
            inner.width.saturating_sub(1),
            "no instance is selected",
            Role::Dim,
        );
        return;
    };
    let shown = rows(model, row, inner);
    let height = usize::from(inner.height);
    let skip = if model.focus == Pane::Detail {
        model.detail_scroll.min(shown.len().saturating_sub(height))
    } else {
        0
    };
    let text_width = inner.width.saturating_sub(LABEL).max(1);
    for (y, (label, text, role)) in (inner.y..inner.bottom()).zip(shown.into_iter().skip(skip)) {
        pen.text(inner.x, y, LABEL, label, Role::Dim);
        pen.text(inner.x + LABEL, y, text_width, &text, role);
    }
}

/// Returns how far the pane can be scrolled when it is here.
pub(super) fn end(model: &Model, area: Rect) -> usize {
    // The frame takes a row and a column on each side.
    let inner = area.inner(Margin::new(1, 1));
    let rows = model
        .selected()
        .map_or(0, |row| rows(model, row, inner).len());
    rows.saturating_sub(inner.height.into())
}

/// Every row of the pane as it is wrapped: the name of its line, its text and what it means.
fn rows(model: &Model, row: &InstanceRow, inner: Rect) -> Vec<(&'static str, String, Role)> {
    let text_width = usize::from(inner.width.saturating_sub(LABEL)).max(1);
    let room = if inner.height >= ROOMY {
        Room::Wide
    } else {
        Room::Narrow
    };
    let lines = lines(model, row, text_width, room);
    let mut shown: Vec<(&str, String, Role)> = Vec::new();
    for line in &lines {
        let mut label = line.label;
        // In the small pane most lines are cut; with room they are told whole.
        let texts = match line.rows() {
            _ if room == Room::Wide => format::wrap(&line.text, text_width),
            1 => vec![format::cut(&line.text, text_width)],
            rows => format::wrap_to(&line.text, text_width, rows),
        };
        for text in texts {
            shown.push((label, text, line.role));
            label = "";
        }
    }
    shown
}

fn lines(model: &Model, row: &InstanceRow, width: usize, room: Room) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add =
        |label: &'static str, text: String, role: Role| lines.push(Line { label, text, role });
    let details = model.details.get(&row.name);
    let (role, state) = state_text(row, model.now, &model.look);
    add("state", format!("{state}, wanted {}", row.desired), role);
    // What a person must know comes first.
    // A file that cannot be used stands in the way now; how the last run ended does not.
    let end = row.autopsy.as_ref().filter(|_| !row.broken);
    if let Some(stop) = end.filter(|end| end.cause == Cause::Stopped) {
        // Somebody wanted it: that is told, and nothing was kept to be looked at.
        add("why", stop.summary.clone(), Role::Text);
    } else if let Some(earlier) = end.filter(|_| row.is_at_rest()) {
        add("before", earlier.summary.clone(), Role::Dim);
    } else if let Some(autopsy) = end {
        add("why", autopsy.summary.clone(), Role::Bad);
        if let Some(remedy) = &autopsy.remedy {
            add("do", remedy.clone(), Role::Strong);
        }
        if let Some(evidence) = &autopsy.evidence {
            add("it said", evidence.clone(), Role::Dim);
        }
        let crash = model.keymap.first(super::super::keymap::Action::Crash);
        add("", format!("{crash} shows what was kept of it"), Role::Dim);
    } else if let Some(reason) = &row.reason {
        add("why", model.local(reason), Role::Busy);
    }
    if row.broken && row.status.is_live() {
        let edit = model.keymap.first(Action::Edit);
        add(
            "file",
            format!("cannot be used; what runs goes on as it was; {edit} edits it"),
            Role::Bad,
        );
    }
    if let Some(url) = row.url() {
        let role = if row.status.is_live() {
            Role::Accent
        } else {
            Role::Dim
        };
        add("url", url, role);
    }
    rates(model, row, width, room, &mut add);
    if row.drift {
        let restart = model.keymap.first(Action::Restart);
        add(
            "drift",
            format!("the file differs from what runs; {restart} restarts with it"),
            Role::Busy,
        );
    }
    if let Some(details) = details {
        for change in &details.changes {
            add(
                "",
                format!("{}: {} → {}", change.field, change.was, change.now),
                Role::Text,
            );
        }
        // What the reason says already is not said again.
        let reason = row.reason.as_deref().map(|reason| model.local(reason));
        let news = |finding: &&String| reason.as_ref() != Some(*finding);
        for finding in details.findings.iter().filter(news) {
            add("config", model.local(finding), Role::Busy);
        }
        for note in &details.notes {
            add("note", model.local(note), Role::Busy);
        }
        if let Some(model_path) = &details.model_path {
            add("model", model.local(model_path), Role::Text);
        }
        if let Some(fit) = &details.memory {
            memory(fit, &mut add);
        }
        if !details.command.is_empty() {
            add("command", details.command.join(" "), Role::Text);
        }
        if let Some(config) = &details.config {
            add("config", model.local(config), Role::Dim);
        }
        for log in &details.logs {
            add("log", model.local(&log.display().to_string()), Role::Dim);
        }
    }
    if let Some(why) = model.details.trouble(&row.name) {
        add("more", format!("is not told: {why}"), Role::Bad);
    }
    let run = row
        .run
        .as_ref()
        .map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
    let pid = row
        .pid
        .map_or_else(|| UNKNOWN.to_owned(), |pid| pid.to_string());
    add(
        "run",
        format!("{run}, pid {pid}, {} restarts", row.restarts),
        Role::Dim,
    );
    let past = details.map_or(&[][..], |details| &details.past);
    match (past, row.exit) {
        ([], Some(exit)) => add("before", format!("the run before {exit}"), Role::Dim),
        ([], None) => {}
        (runs, _) => {
            for (place, run) in runs.iter().enumerate() {
                let label = if place == 0 { "before" } else { "" };
                add(label, past_run(model, run), Role::Dim);
            }
        }
    }
    let changes = model.feed.events.iter().rev().filter(|event| {
        event.kind == EventType::HealthChanged && event.instance.as_ref() == Some(&row.name)
    });
    for (place, event) in changes.take(HISTORY).enumerate() {
        let label = if place == 0 { "health" } else { "" };
        add(
            label,
            format!("{} {}", events::clock(model, event.at), event.message),
            Role::Dim,
        );
    }
    lines
}

/// Whether it fits.
fn memory(fit: &Fit, add: &mut impl FnMut(&'static str, String, Role)) {
    if fit.verdict == Verdict::Fits && fit.places.is_empty() {
        // It takes next to nothing.
        return;
    }
    let role = match fit.verdict {
        Verdict::Fits | Verdict::Unknown => Role::Dim,
        Verdict::Tight => Role::Busy,
        Verdict::WillNotFit => Role::Bad,
    };
    add("memory", fit.summary.clone(), role);
    if let Some(remedy) = &fit.remedy {
        add("", remedy.clone(), Role::Strong);
    }
}

fn past_run(model: &Model, run: &PastRun) -> String {
    let end = run
        .exit
        .map_or_else(|| "ended somehow".to_owned(), |exit| exit.to_string());
    let wanted = match run.requested {
        true => ", as wanted",
        false => "",
    };
    let lasted = units::duration(run.ended_at - run.started_at);
    let age = units::duration(model.now.wall - run.ended_at);
    format!("{end} after {lasted}{wanted}, {age} ago")
}

/// The measured lines, each with its minute.
fn rates(
    model: &Model,
    row: &InstanceRow,
    width: usize,
    room: Room,
    add: &mut impl FnMut(&'static str, String, Role),
) {
    let history = model.fleet.history(&row.name);
    let graph = |series: Option<&Series>, full: Option<f32>, text: &str| {
        let room = width.saturating_sub(format::width(text) + 1).min(40);
        let values = series
            .map(|series| series.buckets(room, model.now.wall))
            .unwrap_or_default();
        format!("{} {text}", spark::line(&values, full, &model.look))
    };
    let readings = &row.readings;
    if let Some(rate) = readings.tokens_per_second {
        let peak = history.map_or(rate, |history| history.peak);
        let text = format!("{} max {}", format::rate(rate), format::rate(peak));
        add(
            "tok/s",
            graph(history.map(|history| &history.tokens), None, &text),
            Role::Measure,
        );
    }
    if let Some(rate) = readings.prompt_tokens_per_second.filter(|rate| *rate > 0.0) {
        add(
            "prompt",
            format!("{} tok/s", format::rate(rate)),
            Role::Measure,
        );
    }
    if readings.cpu_percent.is_some() || readings.rss_bytes.is_some() {
        let series = history.map(|history| (&history.cpu, &history.rss));
        let cpu = readings
            .cpu_percent
            .map_or_else(|| UNKNOWN.to_owned(), format::percent);
        let rss = readings
            .rss_bytes
            .map_or_else(|| UNKNOWN.to_owned(), units::short_size);
        let mut add = |label, series: Option<&Series>, text: &str| {
            add(label, graph(series, None, text), Role::Measure);
        };
        match room {
            Room::Narrow => add(
                "CPU",
                series.map(|both| both.0),
                &format!("{cpu}  RSS {rss}"),
            ),
            Room::Wide => {
                add("CPU", series.map(|both| both.0), &cpu);
                add("RSS", series.map(|both| both.1), &rss);
            }
        }
    }
    if let Some(vram) = readings.vram_bytes {
        let device = model
            .fleet
            .snapshot
            .host
            .devices
            .iter()
            .find(|device| device.label == row.device);
        let text = match device.and_then(|device| device.memory_total) {
            Some(total) => {
                let share = vram as f32 / total.max(1) as f32;
                let note = format::share(vram, total);
                let room = width.saturating_sub(format::width(&note) + 1).min(40);
                format!("{} {note}", spark::bar(share, room, &model.look))
            }
            None => units::short_size(vram),
        };
        add("VRAM", text, Role::Measure);
    }
}
