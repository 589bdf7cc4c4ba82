//! What the doctor found, as a sheet.

use super::super::effect::Effect;
use super::super::model::Model;
use super::super::model::notice::Kind;
use super::super::model::sheet::{Button, Entry, Sheet, Subject};
use super::super::theme::Role;
use super::{sheet, tell};
use crate::domain::checkup::{Found, Grade};

/// What is said until the answer is there.
const LOOKING: &str = "looking at the installation…";

/// Asks for a look at the installation.
pub(super) fn ask(model: &mut Model) -> Vec<Effect> {
    sheet::tell(model, Kind::Info, LOOKING.to_owned());
    vec![Effect::Checkup]
}

pub(super) fn shown(model: &mut Model, answer: Result<Vec<Found>, String>) -> Vec<Effect> {
    model.notices.forget(LOOKING);
    let found = match answer {
        Ok(found) => found,
        Err(why) => return tell(model, Kind::Bad, format!("doctor: {why}")),
    };
    let mut paper = Sheet::new(Subject::Doctor, title(&found), entries(&found));
    let copy = Button::staying('y', "copy", vec![Effect::Copy(text(&found))]);
    let again = Button::staying('r', "look again", vec![Effect::Checkup]);
    paper.buttons.extend([again, copy]);
    sheet::open(model, paper);
    Vec::new()
}

fn title(found: &[Found]) -> String {
    let count = |grade: Grade| found.iter().filter(|one| one.grade == grade).count();
    let parts = [
        (count(Grade::Error), "error", "errors"),
        (count(Grade::Warning), "warning", "warnings"),
        (count(Grade::Note), "note", "notes"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
        .collect();
    match told.is_empty() {
        true => "Doctor: all is well".to_owned(),
        false => format!("Doctor: {}", told.join(", ")),
    }
}

/// The worst first; what is well at the end, a line each.
fn entries(found: &[Found]) -> Vec<Entry> {
    let mut sorted: Vec<&Found> = found.iter().collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(one.grade));
    let mut entries = Vec::new();
    for one in sorted {
        let role = match one.grade {
            Grade::Error => Role::Bad,
            Grade::Warning => Role::Busy,
            Grade::Note => Role::Text,
            Grade::Good => Role::Dim,
        };
        let label = format!("{} {}", one.grade, one.area);
        entries.push(Entry::new(label, &one.text, role));
        if let Some(remedy) = &one.remedy {
            entries.push(Entry::new("", format!("→ {remedy}"), Role::Strong));
        }
    }
    entries
}

/// The same for the clipboard.
fn text(found: &[Found]) -> String {
    entries(found)
        .iter()
        .map(|entry| format!("{}\t{}\n", entry.label, entry.text))
        .collect()
}
