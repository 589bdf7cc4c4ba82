//! What was kept of a crash, as a sheet.

use super::super::effect::Effect;
use super::super::host::CrashBundle;
use super::super::model::Model;
use super::super::model::notice::Kind;
use super::super::model::sheet::{Button, Entry, Sheet, Subject};
use super::super::theme::Role;
use super::{commands, sheet, tell};
use crate::domain::instance::InstanceName;
use crate::domain::units;

/// `b`: opens the newest bundle of the selected instance.
pub(super) fn ask(model: &mut Model) -> Vec<Effect> {
    match model.table.cursor.clone() {
        Some(name) => vec![Effect::Crash { name, back: 0 }],
        None => commands::nothing_selected(model),
    }
}

pub(super) fn shown(
    model: &mut Model,
    name: &InstanceName,
    bundle: Option<&CrashBundle>,
) -> Vec<Effect> {
    let Some(bundle) = bundle else {
        let text = format!("no crash of {name} is on record");
        return tell(model, Kind::Info, text);
    };
    let title = format!(
        "{name}: crash {} of {}, {} ago",
        bundle.back + 1,
        bundle.count,
        units::duration(model.now.wall - bundle.ended_at)
    );
    let mut paper = Sheet::new(Subject::Crash(name.clone()), title, entries(bundle));
    let other = |back: usize| {
        let name = name.clone();
        vec![Effect::Crash { name, back }]
    };
    if bundle.back + 1 < bundle.count {
        let older = Button::staying('o', "older", other(bundle.back + 1));
        paper.buttons.push(older);
    }
    if let Some(newer) = bundle.back.checked_sub(1) {
        paper
            .buttons
            .push(Button::staying('n', "newer", other(newer)));
    }
    let export = Effect::ExportCrash {
        name: name.clone(),
        folder: bundle.folder.clone(),
    };
    let words = Effect::Page(bundle.folder.join(&bundle.words_file));
    let path = Effect::Copy(bundle.folder.display().to_string());
    paper.buttons.extend([
        Button::staying('e', "export", vec![export]),
        Button::staying('p', "last words in $PAGER", vec![words]),
        Button::staying('y', "copy its path", vec![path]),
    ]);
    sheet::open(model, paper);
    Vec::new()
}

fn entries(bundle: &CrashBundle) -> Vec<Entry> {
    let mut entries = vec![Entry::new("why", &bundle.summary, Role::Bad)];
    if let Some(remedy) = &bundle.remedy {
        entries.push(Entry::new("do", remedy, Role::Strong));
    }
    if let Some(evidence) = &bundle.evidence {
        entries.push(Entry::new("it said", evidence, Role::Text));
    }
    list("last words", &bundle.last_words, &mut entries);
    for (label, text) in &bundle.facts {
        entries.push(Entry::new(label, text, Role::Text));
    }
    list("events", &bundle.events, &mut entries);
    list("health", &bundle.health, &mut entries);
    let folder = bundle.folder.display().to_string();
    entries.push(Entry::new("kept in", folder, Role::Dim));
    entries
}

fn list(label: &str, lines: &[String], entries: &mut Vec<Entry>) {
    let mut label = label;
    for line in lines {
        entries.push(Entry::new(std::mem::take(&mut label), line, Role::Dim));
    }
}

/// The bundle was written where it can be passed on, or not.
pub(super) fn exported(model: &mut Model, answer: Result<String, String>) -> Vec<Effect> {
    match answer {
        Ok(path) => {
            let text =
                format!("exported to {path}; secrets are masked, look through it all the same");
            sheet::tell(model, Kind::Good, text)
        }
        Err(why) => sheet::tell(model, Kind::Bad, format!("export: {why}")),
    }
}
