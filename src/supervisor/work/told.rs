//! Changes of work units in words, for the event feed.

use super::Told;
use crate::domain::event::{EventType, Level};
use crate::domain::work::{Changed, Chunk, State, WorkStatus, WorkUnit};

/// Returns the event that tells of a change.
pub(super) fn change(changed: &Changed) -> Told {
    let info = |kind, message| Told {
        level: Level::Info,
        kind,
        message,
    };
    match changed {
        Changed::Created(unit) => {
            let message = format!(
                "{} was created in phase {}: {}",
                unit.chunk,
                unit.phase,
                stand(unit)
            );
            info(EventType::WorkUnitCreated, message)
        }
        Changed::Deleted(unit) => {
            let (status, phase) = (unit.status(), unit.phase);
            let message = format!(
                "{} was deleted; it was {status} in phase {phase}",
                unit.chunk
            );
            info(EventType::WorkUnitDeleted, message)
        }
        Changed::Edited { before, after } => match &after.state {
            State::NeedsAttention { why, .. } if before.state != after.state => Told {
                level: Level::Error,
                kind: EventType::WorkUnitNeedsAttention,
                message: format!(
                    "{} needs attention in phase {}: {}",
                    after.chunk,
                    after.phase,
                    first_line(&why.summary)
                ),
            },
            State::Done if before.status() != WorkStatus::Done => {
                let message = format!("{} is DONE: {}", after.chunk, way(before, after));
                info(EventType::WorkUnitDone, message)
            }
            State::Ready
            | State::Blocked
            | State::Running(_)
            | State::NeedsAttention { .. }
            | State::Done => {
                let message = format!("{}: {}", after.chunk, way(before, after));
                info(EventType::WorkUnitChanged, message)
            }
        },
    }
}

/// Returns the event that tells how a stored unit was put right.
pub(super) fn repair(changed: &Changed) -> Told {
    let told = change(changed);
    Told {
        level: told.level.max(Level::Warning),
        kind: told.kind,
        message: format!("as it was stored it could never begin; {}", told.message),
    }
}

fn stand(unit: &WorkUnit) -> String {
    match unit.state {
        State::Blocked => format!("BLOCKED by {}", names(unit)),
        State::Ready | State::Running(_) | State::NeedsAttention { .. } | State::Done => {
            unit.status().to_string()
        }
    }
}

fn names(unit: &WorkUnit) -> String {
    let names: Vec<&str> = unit.blocked_by.iter().map(Chunk::as_str).collect();
    names.join(", ")
}

/// Says what is different: status and phase, else which fields.
fn way(before: &WorkUnit, after: &WorkUnit) -> String {
    let phases =
        (before.phase != after.phase).then(|| format!("{} → {}", before.phase, after.phase));
    if before.status() != after.status() {
        let statuses = format!("{} → {}", before.status(), after.status());
        return match phases {
            Some(phases) => format!("{statuses}, {phases}"),
            None => format!("{statuses} in phase {}", after.phase),
        };
    }
    if let Some(phases) = phases {
        return format!("{phases}, {}", after.status());
    }
    let waits = match after.blocked_by.is_empty() {
        true => "waits for nothing".to_owned(),
        false => format!("waits for {}", names(after)),
    };
    let fields = [
        (waits.as_str(), before.blocked_by != after.blocked_by),
        ("another worktree", before.worktree != after.worktree),
        ("another instance", before.instance != after.instance),
        ("other commands", before.commands != after.commands),
        ("another time limit", before.time_limit != after.time_limit),
        ("its command has ended", before.state != after.state),
    ];
    let changed: Vec<&str> = fields
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
    changed.join(", ")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
