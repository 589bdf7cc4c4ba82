//! Work units in words, for a person and for a pipe.

use crate::api::wire::{StatusChangeBody, WorkUnitBody, unix_seconds};
use crate::cli::columns;
use crate::cli::events::local;
use crate::cli::exit::CliError;
use crate::cli::output::{Output, Paint, paint};
use crate::domain::units::duration;
use crate::domain::work::{Phase, WorkStatus};

/// Prints one row per unit.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn table(units: &[&WorkUnitBody], output: &Output) -> Result<(), CliError> {
    let now = crate::supervisor::wall_clock();
    let head = ["CHUNK", "PHASE", "STATUS", "SINCE", "INSTANCE", "NOTE"];
    let rows: Vec<[String; 6]> = units
        .iter()
        .map(|unit| {
            [
                unit.chunk.clone(),
                unit.phase.clone(),
                unit.status.clone(),
                age(&unit.since, now),
                unit.instance.clone().unwrap_or_else(|| "-".to_owned()),
                note(unit).unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    columns::print(output, head, &rows)?;
    Ok(())
}

/// Says where a unit stands, in one line.
pub(super) fn stand(unit: &WorkUnitBody) -> String {
    let stand = format!("{} in phase {}", unit.status, unit.phase);
    match note(unit) {
        Some(note) if unit.reason.is_some() => format!("{stand}: {note}"),
        Some(note) => format!("{stand}, {note}"),
        None => stand,
    }
}

/// What there is to say besides the status.
fn note(unit: &WorkUnitBody) -> Option<String> {
    match WorkStatus::parse(&unit.status)? {
        WorkStatus::Blocked => Some(format!("waits for {}", unit.waits_for.join(", "))),
        WorkStatus::NeedsAttention => {
            let reason = unit.reason.as_deref().unwrap_or_default();
            let first = reason.lines().next().unwrap_or_default().replace('\t', " ");
            let ending = unit.run_id.is_some();
            Some(match ending {
                true => format!("{first} (its command is being stopped)"),
                false => first,
            })
        }
        WorkStatus::Running => {
            let who = match unit.run_id {
                Some(_) => "the owner runs its command",
                None => "somebody works on it",
            };
            Some(who.to_owned())
        }
        WorkStatus::Ready if unit.commands.contains_key(&unit.phase) => {
            let waits = unit.waiting.as_deref();
            Some(waits.map_or_else(
                || "has a command for this phase".to_owned(),
                |waits| format!("its command waits for {waits}"),
            ))
        }
        WorkStatus::Ready if !unit.commands.is_empty() => {
            Some("no command for this phase: it is for whoever takes it up".to_owned())
        }
        WorkStatus::Ready | WorkStatus::Done => None,
    }
}

/// Prints everything about one unit.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn whole(
    unit: &WorkUnitBody,
    history: &[StatusChangeBody],
    output: &Output,
) -> Result<(), CliError> {
    let now = crate::supervisor::wall_clock();
    let color = match WorkStatus::parse(&unit.status) {
        Some(WorkStatus::Done) => Paint::Good,
        Some(WorkStatus::Running) => Paint::Busy,
        Some(WorkStatus::NeedsAttention) => Paint::Bad,
        Some(WorkStatus::Ready) => Paint::Strong,
        Some(WorkStatus::Blocked) | None => Paint::Dim,
    };
    let status = paint(output.stdout_color, color, &unit.status);
    let mut lines = vec![format!("{}: {status} in phase {}", unit.chunk, unit.phase)];
    let mut field = |name: &str, value: &str| lines.push(format!("  {name:<11} {value}"));
    field(
        "since",
        &format!("{} ({})", local(&unit.since), age(&unit.since, now)),
    );
    if let Some(reason) = &unit.reason {
        field("reason", &indented(reason));
    }
    if let Some(evidence) = &unit.evidence {
        field("evidence", &indented(evidence));
    }
    if let Some(remedy) = &unit.remedy {
        field("remedy", &indented(remedy));
    }
    if let Some(run) = &unit.run_id {
        field("run", run);
    }
    if !unit.blocked_by.is_empty() {
        let done = |name: &String| match unit.waits_for.contains(name) {
            true => name.clone(),
            false => format!("{name} (DONE)"),
        };
        let names: Vec<String> = unit.blocked_by.iter().map(done).collect();
        field("blocked by", &names.join(", "));
    }
    if let Some(worktree) = &unit.worktree {
        field("worktree", worktree);
    }
    if let Some(instance) = &unit.instance {
        field("instance", instance);
    }
    for (_, phase) in Phase::NAMES {
        if let Some(argv) = unit.commands.get(phase) {
            field("command", &format!("{phase}: {}", argv.join(" ")));
        }
    }
    match unit.time_limit {
        Some(0.0) => field("time limit", "none"),
        Some(seconds) => field("time limit", &duration(seconds)),
        None => {}
    }
    field("created", &local(&unit.created_at));
    if !history.is_empty() {
        lines.push("history".to_owned());
        lines.extend(history.iter().map(|change| format!("  {}", line(change))));
    }
    output.line(&lines.join("\n"))?;
    Ok(())
}

fn line(change: &StatusChangeBody) -> String {
    let place = |status: &Option<String>, phase: &Option<String>| {
        let status = status.as_deref()?;
        Some(format!("{status} in {}", phase.as_deref().unwrap_or("-")))
    };
    let old = place(&change.old_status, &change.old_phase);
    let new = place(&change.new_status, &change.new_phase);
    let what = match (old, new) {
        (None, Some(new)) => format!("created: {new}"),
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (_, None) => "deleted".to_owned(),
    };
    let reason = change
        .reason
        .as_deref()
        .and_then(|reason| reason.lines().next());
    match reason {
        Some(reason) => format!("{}  {what}: {reason}", local(&change.timestamp)),
        None => format!("{}  {what}", local(&change.timestamp)),
    }
}

/// Lines after the first stand below it.
fn indented(text: &str) -> String {
    text.replace('\n', &format!("\n{:14}", ""))
}

fn age(since: &str, now: f64) -> String {
    unix_seconds(since).map_or_else(|| "-".to_owned(), |since| duration(now - since))
}
