//! Leaving: one question that names what becomes of the instances.

use std::fmt::Write as _;

use super::super::effect::{Command, Effect, Ending};
use super::super::model::dialog::{Dialog, Quit};
use super::super::model::notice::Kind;
use super::super::model::{Dirty, Leaving, Model, Supervisor};
use super::commands::concerns;
use super::{remembered, tell};
use crate::domain::instance::InstanceName;

/// `q`: asks, unless there is nothing to decide or the answer is remembered.
pub(super) fn ask(model: &mut Model) -> Vec<Effect> {
    let running = running(model);
    if running.is_empty() || model.temporary {
        return vec![Effect::End(Ending::Leave)];
    }
    let here = model.supervisor == Supervisor::InProcess;
    if let Some(choice) = model.quit_choice
        && (here || choice == Ending::Leave)
        && model.leaving.is_none()
    {
        return chosen(model, Some(choice), false);
    }
    model
        .dialogs
        .retain(|dialog| !matches!(dialog, Dialog::Quit(_)));
    model.dialogs.push(Dialog::Quit(question(model, &running)));
    Vec::new()
}

fn question(model: &Model, running: &[InstanceName]) -> Quit {
    let names: Vec<&str> = running.iter().take(6).map(InstanceName::as_str).collect();
    let more = running.len() - names.len();
    let mut list = names.join(", ");
    if more > 0 {
        write!(list, " and {more} more").ok(); // a String never refuses
    }
    let count = running.len();
    let these = if count == 1 {
        "1 instance runs"
    } else {
        "instances run"
    };
    let head = if count == 1 {
        format!("{these}: {list}")
    } else {
        format!("{count} {these}: {list}")
    };
    let mut choices = Vec::new();
    let mut offer = |ending: Option<Ending>, label: &str, note: String| {
        choices.push((ending, label.to_owned(), note));
    };
    match &model.supervisor {
        Supervisor::InProcess => {
            offer(
                Some(Ending::HandOver),
                "Hand over",
                "a daemon in the background watches and restarts them".to_owned(),
            );
            offer(
                Some(Ending::Leave),
                "Leave running",
                "they go on; nobody restarts one that crashes".to_owned(),
            );
        }
        Supervisor::Other { pid, .. } => offer(
            Some(Ending::Leave),
            "Leave",
            format!("they go on; process {pid} keeps watching them"),
        ),
        Supervisor::Unknown | Supervisor::Gone { .. } => offer(
            Some(Ending::Leave),
            "Leave",
            "they go on; nobody supervises them at this moment".to_owned(),
        ),
    }
    offer(
        Some(Ending::StopAll),
        "Stop all",
        "requests under way are cut off; then leave".to_owned(),
    );
    offer(None, "Cancel", "stay here".to_owned());
    Quit {
        lines: vec![head],
        choices,
        cursor: 0,
        remember: false,
    }
}

/// Ctrl-C: asks; the second time nobody has to read anything.
pub(super) fn interrupt(model: &mut Model) -> Vec<Effect> {
    model.soil(Dirty::Now);
    let asked = model
        .dialogs
        .iter()
        .any(|dialog| matches!(dialog, Dialog::Quit(_)));
    if asked || model.leaving.is_some() {
        let here = model.supervisor == Supervisor::InProcess;
        return match (here, model.leaving) {
            // It was asked for already and takes too long: then without supervision.
            (_, Some(Leaving::HandingOver)) | (false, _) => vec![Effect::End(Ending::Leave)],
            (true, Some(Leaving::StoppingAll) | None) => hand_over(model),
        };
    }
    model.dialogs.clear();
    model.prompt = None;
    model.quit_choice = None;
    ask(model)
}

/// Carries the answer out.
pub(super) fn chosen(model: &mut Model, choice: Option<Ending>, remember: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if remember && matches!(choice, Some(Ending::HandOver | Ending::Leave)) {
        model.quit_choice = choice;
        effects = remembered(model);
    }
    match choice {
        None => {}
        Some(Ending::HandOver) => effects.extend(hand_over(model)),
        Some(Ending::StopAll) => {
            let names = running(model);
            model.leaving = Some(Leaving::StoppingAll);
            effects.push(Effect::Command(Command::Stop, names));
        }
        Some(ending @ (Ending::Leave | Ending::Lost)) => effects.push(Effect::End(ending)),
    }
    effects
}

fn hand_over(model: &mut Model) -> Vec<Effect> {
    model.leaving = Some(Leaving::HandingOver);
    model.dialogs.clear();
    vec![Effect::HandOver]
}

pub(super) fn handed_over(model: &mut Model, trouble: Option<String>) -> Vec<Effect> {
    match trouble {
        None => vec![Effect::End(Ending::HandOver)],
        Some(why) => {
            model.leaving = None;
            tell(
                model,
                Kind::Bad,
                format!("no daemon could be started: {why}"),
            )
        }
    }
}

/// Ends once everything has stopped, when that was asked for.
pub(super) fn leave_when_stopped(model: &Model) -> Vec<Effect> {
    if model.leaving == Some(Leaving::StoppingAll) && running(model).is_empty() {
        return vec![Effect::End(Ending::StopAll)];
    }
    Vec::new()
}

fn running(model: &Model) -> Vec<InstanceName> {
    model
        .fleet
        .rows()
        .iter()
        .filter(|row| concerns(row))
        .map(|row| row.name.clone())
        .collect()
}
