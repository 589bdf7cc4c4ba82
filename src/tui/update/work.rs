//! Work units: what the keys of their pane do, and what became of it.

use jiff::Timestamp;

use super::super::effect::Effect;
use super::super::keymap::Action;
use super::super::model::dialog::{Button, Choice, Dialog, Menu, Pick, Purpose, Question};
use super::super::model::notice::Kind;
use super::super::model::work::{WorkAction, WorkMsg, WorkOrder};
use super::super::model::{Dirty, Model, Pane};
use super::{prompt, tell};
use crate::api::wire::{StatusChangeBody, WorkUnitBody};
use crate::domain::work::{Chunk, Phase, WorkStatus};

pub(super) fn message(model: &mut Model, msg: WorkMsg) -> Vec<Effect> {
    match msg {
        WorkMsg::Units(body) => {
            model.work.take(*body);
            let shows = model.focus == Pane::Work;
            model.soil(if shows { Dirty::Soon } else { Dirty::AtTick });
            Vec::new()
        }
        WorkMsg::Answered(Ok(done)) => tell(model, Kind::Good, done),
        WorkMsg::Answered(Err(why)) => tell(model, Kind::Bad, why),
        WorkMsg::History(chunk, Err(why)) => tell(model, Kind::Bad, format!("{chunk}: {why}")),
        WorkMsg::History(chunk, Ok(changes)) => {
            // The newest first: that is what one looks for.
            let changes = changes.iter().rev();
            let lines = changes.map(|change| status_line(model, change));
            model.dialogs.push(Dialog::Text {
                title: format!("History of {chunk}"),
                lines: lines.collect(),
                scroll: 0,
            });
            model.soil(Dirty::Now);
            Vec::new()
        }
    }
}

pub(super) fn act(model: &mut Model, action: WorkAction) -> Vec<Effect> {
    match action {
        WorkAction::New => return prompt::open(model, Purpose::NameUnit),
        WorkAction::HideDone => {
            model.work.toggle_done();
            return Vec::new();
        }
        WorkAction::Menu
        | WorkAction::Claim
        | WorkAction::Ready
        | WorkAction::Finish
        | WorkAction::Flag
        | WorkAction::NextPhase
        | WorkAction::Remove
        | WorkAction::Log
        | WorkAction::History => {}
    }
    let Some(unit) = model.work.selected().cloned() else {
        return tell(model, Kind::Info, "no work unit is selected".to_owned());
    };
    // The owner sent it, so it is a name.
    let Ok(chunk) = Chunk::parse(&unit.chunk) else {
        return Vec::new();
    };
    let order = |status| {
        Effect::Work(WorkOrder::Move {
            chunk: chunk.clone(),
            status,
            reason: None,
        })
    };
    match action {
        WorkAction::Menu => menu(model, &unit),
        WorkAction::Claim => vec![order(WorkStatus::Running)],
        WorkAction::Ready => ready(model, &unit, order(WorkStatus::Ready)),
        WorkAction::Finish => vec![order(WorkStatus::Done)],
        WorkAction::Flag => prompt::open(model, Purpose::Attention(chunk)),
        WorkAction::NextPhase => match Phase::parse(&unit.phase).and_then(Phase::next) {
            Some(phase) => {
                let phase = phase.to_string();
                vec![Effect::Work(WorkOrder::Phase { chunk, phase })]
            }
            None => {
                let text = format!("{chunk}: COMPLETE is the last phase; DONE ends it");
                tell(model, Kind::Info, text)
            }
        },
        WorkAction::Remove => remove(model, &unit, chunk),
        WorkAction::History => vec![Effect::WorkHistory(chunk)],
        WorkAction::Log => {
            model.unit_log = Some(chunk);
            model.focus = Pane::Log;
            Vec::new()
        }
        WorkAction::New | WorkAction::HideDone => Vec::new(),
    }
}

/// Puts a unit back; who would reopen one that is DONE hears what that means.
fn ready(model: &mut Model, unit: &WorkUnitBody, effect: Effect) -> Vec<Effect> {
    if unit.status != WorkStatus::Done.as_str() {
        return vec![effect];
    }
    let mut lines = vec!["It begins anew, at the phase GOAL.".to_owned()];
    let waiters = model.work.waiters(&unit.chunk);
    if !waiters.is_empty() {
        let text = format!(
            "These are BLOCKED again, unless they run or are DONE: {}",
            waiters.join(", ")
        );
        lines.push(text);
    }
    ask(
        model,
        format!("Reopen {}?", unit.chunk),
        lines,
        "Reopen",
        effect,
    )
}

fn remove(model: &mut Model, unit: &WorkUnitBody, chunk: Chunk) -> Vec<Effect> {
    let mut lines = vec![
        format!("{}  {} in phase {}", unit.chunk, unit.status, unit.phase),
        String::new(),
        "It is gone for good, with what was to be run for it.".to_owned(),
    ];
    let waiters = model.work.waiters(&unit.chunk);
    if !waiters.is_empty() {
        lines.push(format!(
            "These wait for it no longer: {}",
            waiters.join(", ")
        ));
    }
    let effect = Effect::Work(WorkOrder::Remove(chunk));
    ask(
        model,
        format!("Remove {}?", unit.chunk),
        lines,
        "Remove",
        effect,
    )
}

fn ask(
    model: &mut Model,
    title: String,
    lines: Vec<String>,
    yes: &str,
    effect: Effect,
) -> Vec<Effect> {
    model.dialogs.push(Dialog::Question(Question {
        title,
        lines,
        yes: yes.to_owned(),
        chosen: Button::Cancel,
        effects: vec![effect],
    }));
    Vec::new()
}

/// Asks for attention; what the owner runs for the unit is stopped, so that is asked before.
pub(super) fn flag(model: &mut Model, chunk: Chunk, reason: String) -> Vec<Effect> {
    let mut units = model.work.units.iter().flatten();
    let runs = units.any(|unit| unit.chunk == chunk.as_str() && unit.run_id.is_some());
    let title = format!("Stop the command of {chunk}?");
    let effect = Effect::Work(WorkOrder::Move {
        chunk,
        status: WorkStatus::NeedsAttention,
        reason: (!reason.is_empty()).then_some(reason),
    });
    if !runs {
        return vec![effect];
    }
    let lines = vec![
        "The owner runs it now. It is told to end, and killed when it does not.".to_owned(),
        "Then the unit needs attention, until somebody sets it to READY.".to_owned(),
    ];
    ask(model, title, lines, "Stop", effect)
}

/// Opens the list of what can be done with the selected unit.
fn menu(model: &mut Model, unit: &WorkUnitBody) -> Vec<Effect> {
    let runs = unit.run_id.is_some();
    let mut choices = Vec::new();
    let mut offer = |action: WorkAction, label: &str, note: &str| {
        let action = Action::Work(action);
        choices.push(Choice {
            key: model.keymap.first(action),
            label: label.to_owned(),
            note: note.to_owned(),
            pick: Pick::Action(action),
        });
    };
    let status = WorkStatus::parse(&unit.status);
    match status {
        Some(WorkStatus::Ready) => {
            offer(WorkAction::Claim, "RUNNING", "take it up");
            offer(WorkAction::Finish, "DONE", "frees what waits for it");
        }
        Some(WorkStatus::Running) if !runs => {
            offer(WorkAction::Ready, "READY", "nobody works on it any more");
            offer(WorkAction::Finish, "DONE", "frees what waits for it");
        }
        Some(WorkStatus::NeedsAttention) if !runs => {
            offer(WorkAction::Ready, "READY", "it can go on");
            offer(WorkAction::Claim, "RUNNING", "take it up");
            offer(WorkAction::Finish, "DONE", "frees what waits for it");
        }
        Some(WorkStatus::Done) => offer(WorkAction::Ready, "READY…", "reopen it"),
        Some(WorkStatus::Running | WorkStatus::NeedsAttention | WorkStatus::Blocked) | None => {}
    }
    if status != Some(WorkStatus::Done) {
        let note = match runs {
            true => "stop its command; a person has to look",
            false => "a person has to look; with a reason",
        };
        offer(WorkAction::Flag, "NEEDS_ATTENTION…", note);
        if !runs && unit.phase != Phase::Complete.as_str() {
            offer(WorkAction::NextPhase, "next phase", "");
        }
    }
    offer(WorkAction::History, "history", "");
    offer(WorkAction::Log, "log", "what its commands wrote");
    if !runs {
        offer(WorkAction::Remove, "remove…", "");
    }
    model.dialogs.push(Dialog::Menu(Menu {
        title: unit.chunk.clone(),
        choices,
        cursor: 0,
    }));
    Vec::new()
}

/// Makes a unit of the name that was typed.
pub(super) fn create(model: &mut Model, name: &str) -> Vec<Effect> {
    match Chunk::parse(name) {
        Ok(chunk) => vec![Effect::Work(WorkOrder::Create(chunk))],
        Err(error) => tell(model, Kind::Bad, error.to_string()),
    }
}

/// Writes one line of the status log.
fn status_line(model: &Model, change: &StatusChangeBody) -> String {
    let place = |status: &Option<String>, phase: &Option<String>| {
        let status = status.as_deref()?;
        Some(format!("{status} in {}", phase.as_deref().unwrap_or("-")))
    };
    let time = time_of(model, &change.timestamp);
    let old = place(&change.old_status, &change.old_phase);
    let what = match (old, place(&change.new_status, &change.new_phase)) {
        (None, Some(new)) => format!("created: {new}"),
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (_, None) => "deleted".to_owned(),
    };
    match change
        .reason
        .as_deref()
        .and_then(|reason| reason.lines().next())
    {
        Some(reason) => format!("{time}  {what}: {reason}"),
        None => format!("{time}  {what}"),
    }
}

/// Writes a time as the clock on the wall shows it.
fn time_of(model: &Model, text: &str) -> String {
    text.parse::<Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| {
            let zoned = time.to_zoned(model.zone.clone());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}
