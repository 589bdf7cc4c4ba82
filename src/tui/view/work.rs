//! The work units: a table of them, and below it what is known of the selected one.

use ratatui::layout::Rect;

use super::super::format;
use super::super::keymap::Action;
use super::super::model::work::WorkAction;
use super::super::model::{Hit, Model, Pane};
use super::super::theme::{Look, Role};
use super::Hits;
use super::pen::Pen;
use crate::api::wire::{WorkUnitBody, unix_seconds};
use crate::domain::units;
use crate::domain::work::{Phase, WorkStatus};

/// The widest and the narrowest column of names.
const NAMES: (usize, usize) = (12, 28);

/// Columns of the others: the longest word of each, and a space.
const PHASE: u16 = 10;
const STATUS: u16 = 18;
const SINCE: u16 = 7;
const INSTANCE: u16 = 13;

/// From this width on the instance has a column.
const WIDE: u16 = 100;

/// From this height on the selected unit is explained below the table.
const ROOMY: u16 = 14;

/// Columns for the name of a line about the selected unit.
const LABEL: u16 = 12;

pub(super) fn draw(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    if area.is_empty() {
        return;
    }
    let (mut table, mut below) = (area, Rect::default());
    if area.height >= ROOMY && model.work.selected().is_some() {
        let height = (area.height / 3).max(7);
        table.height -= height;
        below = Rect {
            y: area.y + table.height,
            height,
            ..area
        };
    }
    draw_table(model, table, pen, hits);
    draw_selected(model, below, pen);
}

fn draw_table(model: &Model, area: Rect, pen: &mut Pen<'_>, hits: &mut Hits) {
    let shown = model.work.shown();
    let hidden = model.work.count(WorkStatus::Done);
    let scope = match model.work.hide_done {
        true if hidden > 0 => format!("without {hidden} DONE"),
        true => "without DONE".to_owned(),
        false => "all".to_owned(),
    };
    let title = format!("Work units {}  {scope}", shown.len());
    let inner = pen.pane(model, area, Pane::Work, &title, &counts(model));
    hits.add(area, Hit::Pane(Pane::Work));
    if shown.is_empty() {
        nothing(model, inner, pen);
        return;
    }
    let longest = shown.iter().map(|unit| format::width(&unit.chunk)).max();
    let names = longest.unwrap_or(0).clamp(NAMES.0, NAMES.1) as u16 + 2;
    let columns = Columns { names, inner };
    columns.heading(pen);
    let height = usize::from(inner.height.saturating_sub(1)).max(1);
    let place = model.work.place();
    let skip = (place + 1).saturating_sub(height);
    for (row, (index, unit)) in shown.iter().enumerate().skip(skip).take(height).enumerate() {
        let line = Rect {
            y: inner.y + 1 + row as u16,
            height: 1,
            ..inner
        };
        if line.y >= inner.bottom() {
            break;
        }
        columns.unit(model, unit, line.y, pen);
        if index == place {
            let style = pen.look.style(Role::Selected);
            pen.fill(line, style);
            let sign = pen.look.sign("▶", ">");
            pen.text(line.x, line.y, 1, sign, Role::Accent);
        }
        hits.add(line, Hit::Unit(index));
    }
}

/// Says how many there are of each status that asks for something.
fn counts(model: &Model) -> String {
    let statuses = [
        WorkStatus::NeedsAttention,
        WorkStatus::Running,
        WorkStatus::Ready,
        WorkStatus::Blocked,
        WorkStatus::Done,
    ];
    let words: Vec<String> = statuses
        .into_iter()
        .map(|status| (model.work.count(status), status))
        .filter(|(count, _)| *count > 0)
        .map(|(count, status)| format!("{count} {status}"))
        .collect();
    words.join(" · ")
}

fn nothing(model: &Model, inner: Rect, pen: &mut Pen<'_>) {
    let lines = match &model.work.units {
        None => ["asking the owner for the work units…", ""],
        Some(units) if units.is_empty() => [
            "no work units: pieces of agent work, and what waits for what",
            "n makes one; llama-orch work-unit create --help tells the rest",
        ],
        Some(_) => ["every unit is DONE", "H shows them"],
    };
    for (y, text) in (inner.y..inner.bottom()).zip(lines) {
        pen.cut(
            inner.x + 1,
            y,
            inner.width.saturating_sub(1),
            text,
            Role::Dim,
        );
    }
}

/// Where the columns are.
struct Columns {
    names: u16,
    inner: Rect,
}

impl Columns {
    /// The cells of a line, with their places.
    fn cells(&self) -> [(u16, u16); 6] {
        let mut x = self.inner.x + 2;
        let instance = if self.inner.width >= WIDE {
            INSTANCE
        } else {
            0
        };
        [self.names, PHASE, STATUS, SINCE, instance, u16::MAX].map(|wanted| {
            let width = wanted.min(self.inner.right().saturating_sub(x));
            let begin = x;
            x += width;
            (begin, width)
        })
    }

    fn heading(&self, pen: &mut Pen<'_>) {
        let words = ["CHUNK", "PHASE", "STATUS", "SINCE", "INSTANCE", "NOTE"];
        for ((x, width), word) in self.cells().into_iter().zip(words) {
            pen.cut(x, self.inner.y, width.saturating_sub(1), word, Role::Dim);
        }
    }

    fn unit(&self, model: &Model, unit: &WorkUnitBody, y: u16, pen: &mut Pen<'_>) {
        let (sign, role) = sign(pen.look, &unit.status);
        let since = unix_seconds(&unit.since).map_or_else(
            || "-".to_owned(),
            |since| units::duration(model.now.wall - since),
        );
        let status = format!("{sign} {}", unit.status);
        let instance = unit.instance.as_deref().unwrap_or("-");
        let (note, weight) = note(unit);
        let cells = [
            (unit.chunk.as_str(), Role::Strong),
            (unit.phase.as_str(), Role::Text),
            (status.as_str(), role),
            (since.as_str(), Role::Dim),
            (instance, Role::Accent),
            (note.as_str(), weight),
        ];
        for ((x, width), (text, role)) in self.cells().into_iter().zip(cells) {
            pen.cut(x, y, width.saturating_sub(1), text, role);
        }
    }
}

/// The sign and the colour of a status.
fn sign(look: &Look, status: &str) -> (&'static str, Role) {
    match WorkStatus::parse(status) {
        Some(WorkStatus::Ready) => (look.sign("●", "*"), Role::Accent),
        Some(WorkStatus::Running) => (look.sign("◐", "~"), Role::Busy),
        Some(WorkStatus::NeedsAttention) => (look.sign("✗", "!"), Role::Bad),
        Some(WorkStatus::Done) => (look.sign("✓", "+"), Role::Good),
        Some(WorkStatus::Blocked) | None => (look.sign("○", "-"), Role::Dim),
    }
}

/// What there is to say besides the status, in a few words.
fn note(unit: &WorkUnitBody) -> (String, Role) {
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    match WorkStatus::parse(&unit.status) {
        Some(WorkStatus::Blocked) => (
            format!("waits for {}", unit.waits_for.join(", ")),
            Role::Dim,
        ),
        Some(WorkStatus::NeedsAttention) => {
            let reason = first(unit.reason.as_deref().unwrap_or_default());
            match unit.run_id {
                Some(_) => (format!("stopping: {reason}"), Role::Busy),
                None => (reason, Role::Text),
            }
        }
        Some(WorkStatus::Running) => match unit.run_id {
            Some(_) => ("the owner runs its command".to_owned(), Role::Dim),
            None => ("somebody works on it".to_owned(), Role::Dim),
        },
        Some(WorkStatus::Ready) => match (&unit.waiting, unit.commands.get(&unit.phase)) {
            (Some(waiting), Some(_)) => (format!("its command waits for {waiting}"), Role::Dim),
            (None, Some(_)) => ("has a command for this phase".to_owned(), Role::Dim),
            (_, None) => (String::new(), Role::Dim),
        },
        Some(WorkStatus::Done) | None => (String::new(), Role::Dim),
    }
}

fn draw_selected(model: &Model, area: Rect, pen: &mut Pen<'_>) {
    let Some(unit) = model.work.selected().filter(|_| !area.is_empty()) else {
        return;
    };
    let inner = pen.frame(area, false);
    let title = format!(" {} ", unit.chunk);
    pen.cut(
        area.x + 1,
        area.y,
        area.width.saturating_sub(2),
        &title,
        Role::Strong,
    );
    let width = usize::from(inner.width.saturating_sub(LABEL + 1)).max(1);
    let mut y = inner.y;
    for (label, text, role) in facts(model, unit) {
        let mut label = label;
        for line in format::wrap(&text, width) {
            if y >= inner.bottom() {
                return;
            }
            pen.text(inner.x + 1, y, LABEL, label, Role::Dim);
            pen.cut(
                inner.x + LABEL,
                y,
                inner.width.saturating_sub(LABEL),
                &line,
                role,
            );
            label = "";
            y += 1;
        }
    }
}

/// What is known of a unit: the name of each line, its text and what it means.
fn facts(model: &Model, unit: &WorkUnitBody) -> Vec<(&'static str, String, Role)> {
    let mut facts = Vec::new();
    let mut fact = |label, text: Option<String>, role| {
        // Line ends of a command's words are lines of their own here too.
        let text = text.filter(|text| !text.is_empty());
        for (place, line) in text.iter().flat_map(|text| text.lines()).enumerate() {
            facts.push((if place == 0 { label } else { "" }, line.to_owned(), role));
        }
    };
    fact("reason", unit.reason.clone(), Role::Strong);
    fact("do", unit.remedy.clone(), Role::Accent);
    fact("evidence", unit.evidence.clone(), Role::Text);
    let blockers = unit
        .blocked_by
        .iter()
        .map(|name| match unit.waits_for.contains(name) {
            true => name.clone(),
            false => format!("{name} (DONE)"),
        });
    fact(
        "blocked by",
        Some(blockers.collect::<Vec<_>>().join(", ")),
        Role::Text,
    );
    fact("run", unit.run_id.clone(), Role::Text);
    fact("waiting", unit.waiting.clone(), Role::Text);
    fact("instance", unit.instance.clone(), Role::Accent);
    fact("worktree", unit.worktree.clone(), Role::Text);
    for (_, phase) in Phase::NAMES {
        let argv = unit.commands.get(phase).map(|argv| argv.join(" "));
        fact(phase, argv, Role::Text);
    }
    let limit = unit.time_limit.map(|seconds| match seconds > 0.0 {
        true => units::duration(seconds),
        false => "none".to_owned(),
    });
    fact("time limit", limit, Role::Text);
    if !unit.commands.is_empty() {
        let key = model.keymap.first(Action::Work(WorkAction::Log));
        let text = format!("{key} shows it; llama-orch work-unit logs {}", unit.chunk);
        facts.push(("log", text, Role::Dim));
    }
    if facts.is_empty() {
        let text = "nothing is noted besides; work-unit edit adds what it waits for and needs";
        facts.push(("", text.to_owned(), Role::Dim));
    }
    facts
}
