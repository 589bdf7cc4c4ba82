//! Instances taken over from elsewhere: where from, what would be written, and writing it.

use super::super::effect::Effect;
use super::super::host::{ImportFrom, ImportMode, ImportReport, ImportRequest, ImportedInstance};
use super::super::keymap::Action;
use super::super::model::Model;
use super::super::model::dialog::{Choice, Dialog, Menu, Pick};
use super::super::model::notice::Kind;
use super::super::model::sheet::{Button, Entry, Sheet, Subject};
use super::super::theme::Role;
use super::{sheet, tell};
use crate::domain::instance::InstanceName;

/// Opens the list of what can be taken over.
pub(super) fn menu(model: &mut Model) -> Vec<Effect> {
    if let Some(elsewhere) = &model.elsewhere {
        let text = format!("import: {elsewhere}");
        return tell(model, Kind::Bad, text);
    }
    let choices = (1..)
        .zip(ImportFrom::ALL)
        .map(|(number, from)| Choice {
            key: number.to_string(),
            label: from.name().to_owned(),
            note: from.about().to_owned(),
            pick: Pick::Import(from),
        })
        .collect();
    model.dialogs.push(Dialog::Menu(Menu {
        title: "Take instances over from".to_owned(),
        choices,
        cursor: 0,
    }));
    Vec::new()
}

/// Something was typed: shows what would be written, and writes nothing.
pub(super) fn preview(from: ImportFrom, text: String) -> Vec<Effect> {
    let request = ImportRequest {
        from,
        text,
        mode: ImportMode::Show,
    };
    vec![Effect::Import(request)]
}

pub(super) fn answered(
    model: &mut Model,
    request: ImportRequest,
    answer: Result<ImportReport, String>,
) -> Vec<Effect> {
    match (answer, request.mode) {
        (Err(why), _) => tell(model, Kind::Bad, format!("import: {why}")),
        (Ok(report), ImportMode::Show) => {
            sheet::open(model, question(request, &report));
            Vec::new()
        }
        (Ok(report), ImportMode::Write) => written(model, &report),
    }
}

fn question(request: ImportRequest, report: &ImportReport) -> Sheet {
    let ready = |one: &&ImportedInstance| one.refused.is_none();
    let count = report.instances.iter().filter(ready).count();
    let title = match count {
        0 => "Nothing can be taken over".to_owned(),
        1 => "Take 1 instance over?".to_owned(),
        many => format!("Take {many} instances over?"),
    };
    let mut entries = Vec::new();
    for one in &report.instances {
        match &one.refused {
            Some(why) => entries.push(Entry::new(&one.name, why, Role::Bad)),
            None => entries.push(Entry::new(&one.name, &one.path, Role::Strong)),
        }
        for note in &one.notes {
            entries.push(Entry::new("", format!("! {note}"), Role::Busy));
        }
        if one.refused.is_none() {
            if one.starts {
                let words = "autostart: it is started as soon as it is written";
                entries.push(Entry::new("", words, Role::Busy));
            }
            for line in &one.lines {
                entries.push(Entry::new("", format!("  {line}"), Role::Dim));
            }
        }
    }
    for note in &report.notes {
        entries.push(Entry::new("", format!("! {note}"), Role::Busy));
    }
    let mut paper = Sheet::question(Subject::Import, title, entries);
    if count > 0 {
        let write = ImportRequest {
            mode: ImportMode::Write,
            ..request
        };
        let label = match count {
            1 => "write it".to_owned(),
            many => format!("write {many} files"),
        };
        let button = Button::closing('w', &label, vec![Effect::Import(write)]);
        paper.buttons.push(button);
    }
    paper
}

fn written(model: &mut Model, report: &ImportReport) -> Vec<Effect> {
    let made = report.instances.iter().filter(|one| one.written);
    let names: Vec<&str> = made.map(|one| one.name.as_str()).collect();
    for one in &report.instances {
        if let Some(why) = &one.refused {
            tell(model, Kind::Bad, format!("{}: {why}", one.name));
        }
    }
    let Some(first) = names.first() else {
        return tell(model, Kind::Bad, "nothing was written".to_owned());
    };
    model.table.cursor = InstanceName::parse(first).ok();
    let start = model.keymap.first(Action::Start);
    let edit = model.keymap.first(Action::Edit);
    let text = format!(
        "written: {}; {start} starts the selected, {edit} edits it",
        names.join(", ")
    );
    tell(model, Kind::Good, text);
    vec![Effect::Refresh]
}
