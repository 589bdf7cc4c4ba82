//! What was kept of a crash, as a sheet.

use std::path::PathBuf;

use super::super::effect::Effect;
use super::super::model::Model;
use super::super::model::notice::Kind;
use super::super::model::sheet::{Button, Entry, Sheet, Subject};
use super::super::theme::Role;
use super::{commands, sheet, tell};
use crate::api::wire::{
    CrashAboutBody, CrashBody, CrashExitBody, CrashMachineBody, KeptCrashBody, unix_seconds,
};
use crate::domain::instance::InstanceName;
use crate::domain::units::{self, size};

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
    back: usize,
    kept: KeptCrashBody,
) -> Vec<Effect> {
    let Some(crash) = kept.crash else {
        let text = format!("no crash of {name} is on record");
        return tell(model, Kind::Info, text);
    };
    let about = &crash.about;
    let ended_at = about.ended_at.as_deref().and_then(unix_seconds);
    let age = ended_at.map_or_else(String::new, |ended_at| {
        format!(", {} ago", units::duration(model.now.wall - ended_at))
    });
    let title = format!("{name}: crash {} of {}{age}", back + 1, kept.count);
    let mut paper = Sheet::new(Subject::Crash(name.clone()), title, entries(&crash));
    let other = |back: usize| {
        let name = name.clone();
        vec![Effect::Crash { name, back }]
    };
    if back + 1 < kept.count {
        let older = Button::staying('o', "older", other(back + 1));
        paper.buttons.push(older);
    }
    if let Some(newer) = back.checked_sub(1) {
        paper
            .buttons
            .push(Button::staying('n', "newer", other(newer)));
    }
    match &model.elsewhere {
        None => {
            let folder = PathBuf::from(&crash.path);
            let words = Effect::Page(folder.join(&crash.words_file));
            let export = Effect::ExportCrash {
                name: name.clone(),
                folder,
            };
            paper.buttons.extend([
                Button::staying('e', "export", vec![export]),
                Button::staying('p', "last words in $PAGER", vec![words]),
            ]);
        }
        Some(elsewhere) => {
            let text = format!("to export it (llama-orch bundle {name}): {elsewhere}");
            paper.entries.push(Entry::new("", text, Role::Dim));
        }
    }
    let path = Effect::Copy(crash.path);
    paper
        .buttons
        .push(Button::staying('y', "copy its path", vec![path]));
    sheet::open(model, paper);
    Vec::new()
}

fn entries(crash: &CrashBody) -> Vec<Entry> {
    let about = &crash.about;
    let summary = about.summary.as_deref().unwrap_or("no cause is known");
    let mut entries = vec![Entry::new("why", summary, Role::Bad)];
    if let Some(remedy) = &about.remedy {
        entries.push(Entry::new("do", remedy, Role::Strong));
    }
    if let Some(evidence) = &about.evidence {
        entries.push(Entry::new("it said", evidence, Role::Text));
    }
    list("last words", &crash.last_words, &mut entries);
    let facts = facts(about);
    let told = facts.into_iter().filter(|(_, text)| !text.is_empty());
    entries.extend(told.map(|(label, text)| Entry::new(label, text, Role::Text)));
    list("events", &crash.events, &mut entries);
    list("health", &crash.health, &mut entries);
    entries.push(Entry::new("kept in", &crash.path, Role::Dim));
    entries
}

/// Everything else that is known, each with its label; empty where nobody knows.
fn facts(about: &CrashAboutBody) -> [(&'static str, String); 8] {
    let command = about.program.iter().chain(&about.args);
    let command: Vec<&str> = command.map(String::as_str).collect();
    let variables = about.environment.iter();
    let variables: Vec<String> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let ran = about.started_at.as_ref().zip(about.ended_at.as_ref());
    [
        ("exit", exit(about.exit)),
        (
            "ran",
            ran.map_or_else(String::new, |(from, to)| format!("{from} to {to}")),
        ),
        (
            "pid",
            about.pid.map_or_else(String::new, |pid| pid.to_string()),
        ),
        ("command", command.join(" ")),
        ("env", variables.join(" ")),
        ("build", about.build.clone().unwrap_or_default()),
        ("machine", machine(&about.machine)),
        ("notes", about.notes.join("; ")),
    ]
}

fn exit(exit: CrashExitBody) -> String {
    let core = match exit.core {
        true => ", core dumped",
        false => "",
    };
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("code {code}{core}"),
        (None, Some(signal)) => format!("signal {signal}{core}"),
        (None, None) => String::new(),
    }
}

/// The memory of the machine and of its devices when it ended.
fn machine(machine: &CrashMachineBody) -> String {
    let used = |used: Option<u64>, total: Option<u64>| {
        Some(format!("{} of {} used", size(used?), size(total?)))
    };
    let host = used(machine.memory_used_bytes, machine.memory_total_bytes);
    let host = host.map(|text| format!("memory {text}"));
    let devices = machine.devices.iter().filter_map(|device| {
        let text = used(device.memory_used_bytes, device.memory_total_bytes)?;
        Some(format!("{} {text}", device.label))
    });
    let all: Vec<String> = host.into_iter().chain(devices).collect();
    all.join(", ")
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
