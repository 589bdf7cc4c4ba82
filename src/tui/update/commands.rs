//! Start, stop, restart, kill, edit, new, copy: menus, questions and what follows from them.

use std::fmt::Write as _;

use super::super::effect::{Command, Effect};
use super::super::format;
use super::super::keymap::Action;
use super::super::logview::LogAction;
use super::super::model::Model;
use super::super::model::dialog::{Button, Choice, Dialog, Menu, Pick, Question};
use super::super::model::notice::Kind;
use super::tell;
use crate::domain::autopsy::{Autopsy, Cause};
use crate::domain::connection::{Connection, quoted};
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::log::Streams;

/// Names that fit into a question; of more only the number is told.
const NAMES_SHOWN: usize = 8;

pub(super) fn nothing_selected(model: &mut Model) -> Vec<Effect> {
    tell(model, Kind::Info, "no instance is selected".to_owned())
}

/// Asks before something that ends requests; what is not affected is left out.
pub(super) fn confirm(model: &mut Model, command: Command) -> Vec<Effect> {
    let targets = model.table.targets();
    if targets.is_empty() {
        return nothing_selected(model);
    }
    let rows: Vec<&InstanceRow> = targets
        .iter()
        .filter_map(|name| model.fleet.row(name))
        .filter(|row| command == Command::Restart || concerns(row))
        .collect();
    if rows.is_empty() {
        let text = format!(
            "nothing to {}: {} not running",
            command.verb(),
            plural(&targets)
        );
        return tell(model, Kind::Info, text);
    }
    let names: Vec<InstanceName> = rows.iter().map(|row| row.name.clone()).collect();
    let question = Question {
        title: format!("{} {}?", capital(command.verb()), counted(names.len())),
        lines: consequences(command, &rows),
        yes: capital(command.verb()),
        chosen: Button::Cancel,
        effects: vec![Effect::Command(command, names)],
    };
    model.dialogs.push(Dialog::Question(question));
    Vec::new()
}

/// Whether stopping changes anything for this instance.
pub(super) fn concerns(row: &InstanceRow) -> bool {
    row.status.is_live() || row.status == Status::Backoff
}

/// Whether it is worth looking for a crash bundle.
fn may_have_crashed(row: &InstanceRow) -> bool {
    // Of a stop that somebody wanted nothing is kept.
    let crashed = |end: &Autopsy| end.cause != Cause::Stopped;
    row.autopsy.as_ref().is_some_and(crashed) || row.restarts > 0
}

fn consequences(command: Command, rows: &[&InstanceRow]) -> Vec<String> {
    let mut lines: Vec<String> = rows
        .iter()
        .take(NAMES_SHOWN)
        .map(|row| {
            let pid = row
                .pid
                .map_or_else(String::new, |pid| format!(", pid {pid}"));
            let mut text = format!("{}  {}{pid}", row.name, row.state_word());
            if let Some(busy) = row.readings.busy_slots.filter(|busy| *busy > 0) {
                let word = if busy == 1 { "request" } else { "requests" };
                write!(text, ", {busy} {word} under way").ok(); // a String never refuses
            }
            text
        })
        .collect();
    if rows.len() > NAMES_SHOWN {
        lines.push(format!("and {} more", rows.len() - NAMES_SHOWN));
    }
    lines.push(String::new());
    let words = match command {
        Command::Start => "They are started.",
        Command::Stop => {
            "Requests under way are cut off. Each gets its grace period to end by itself, and stays \
             stopped until somebody starts it."
        }
        Command::Restart => {
            "Requests under way are cut off. Each is stopped, then started with the configuration \
             as it is now."
        }
        Command::Kill => {
            "Killed at once, without a chance to end cleanly; each stays stopped until somebody \
             starts it."
        }
    };
    lines.push(words.to_owned());
    lines
}

fn counted(count: usize) -> String {
    if count == 1 {
        "1 instance".to_owned()
    } else {
        format!("{} instances", format::count(count as u64))
    }
}

fn plural(names: &[InstanceName]) -> String {
    match names {
        [only] => format!("{only} is"),
        many => format!("the {} are", counted(many.len())),
    }
}

fn capital(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

/// Opens the list of what can be done with the targets.
pub(super) fn menu(model: &mut Model) -> Vec<Effect> {
    let targets = model.table.targets();
    let title = match targets.as_slice() {
        [] => return new_instance(model),
        [only] => only.to_string(),
        many => counted(many.len()),
    };
    let rows: Vec<_> = targets
        .iter()
        .filter_map(|name| model.fleet.row(name))
        .collect();
    let live = rows.iter().any(|row| concerns(row));
    let idle = rows.iter().any(|row| !row.status.is_live());
    let drifted = rows.iter().any(|row| row.drift);
    let mut choices = Vec::new();
    let mut offer = |action: Action, label: &str, note: &str| {
        choices.push(Choice {
            key: model.keymap.first(action),
            label: label.to_owned(),
            note: note.to_owned(),
            pick: Pick::Action(action),
        });
    };
    if idle {
        offer(Action::Start, "start", "");
    }
    if live {
        let note = if drifted {
            "applies the changed configuration"
        } else {
            ""
        };
        offer(Action::Stop, "stop…", "");
        offer(Action::Restart, "restart…", note);
        offer(Action::Kill, "kill…", "");
    }
    if targets.len() == 1 {
        offer(Action::ShowLog, "log", "");
        offer(Action::ShowDetail, "detail", "");
        if rows.iter().any(|row| may_have_crashed(row)) {
            offer(
                Action::Crash,
                "crash",
                "its last words, command, events; export",
            );
        }
        if model.elsewhere.is_none() {
            offer(Action::Edit, "edit configuration", "$EDITOR");
        }
        offer(
            Action::Yank,
            "copy…",
            "URL, environment, curl, pid, command, paths",
        );
    }
    model.dialogs.push(Dialog::Menu(Menu {
        title,
        choices,
        cursor: 0,
    }));
    Vec::new()
}

pub(super) fn edit(model: &mut Model) -> Vec<Effect> {
    match (model.table.cursor.clone(), &model.elsewhere) {
        (Some(name), None) => vec![Effect::Edit(name)],
        (Some(name), Some(elsewhere)) => {
            let text = format!("edit {name}: {elsewhere}");
            tell(model, Kind::Bad, text)
        }
        (None, _) => nothing_selected(model),
    }
}

pub(super) fn new_instance(model: &mut Model) -> Vec<Effect> {
    if let Some(elsewhere) = &model.elsewhere {
        let text = format!("a new instance: {elsewhere}");
        return tell(model, Kind::Bad, text);
    }
    let templates = model.templates.iter().enumerate();
    let choices = templates.map(|(place, template)| Choice {
        key: (place + 1).to_string(),
        label: template.name.clone(),
        note: template.about.clone(),
        pick: Pick::Template(place),
    });
    let models = Choice {
        key: model.keymap.first(Action::Models),
        label: "a model here".to_owned(),
        note: "those on this machine, with the context that fits".to_owned(),
        pick: Pick::Action(Action::Models),
    };
    let import = Choice {
        key: model.keymap.first(Action::Import),
        label: "elsewhere".to_owned(),
        note: "llama-swap, a router's presets, a command".to_owned(),
        pick: Pick::Action(Action::Import),
    };
    let choices = std::iter::chain([models], choices);
    let choices = std::iter::chain(choices, [import]).collect();
    model.dialogs.push(Dialog::Menu(Menu {
        title: "New instance from".to_owned(),
        choices,
        cursor: 0,
    }));
    Vec::new()
}

/// Shows the selected instance's log in the pager: what it complained of if it has both streams.
pub(super) fn page(model: &mut Model) -> Vec<Effect> {
    if let Some(chunk) = &model.unit_log {
        let save = model.keymap.first(Action::Log(LogAction::Save));
        let text = format!("{save} saves it; a pager has it by llama-orch work-unit logs {chunk}");
        return tell(model, Kind::Info, text);
    }
    if let Some(elsewhere) = &model.elsewhere {
        let save = model.keymap.first(Action::Log(LogAction::Save));
        let text = format!("{save} saves it here; in a pager: {elsewhere}");
        return tell(model, Kind::Info, text);
    }
    let Some(name) = model.table.cursor.clone() else {
        return nothing_selected(model);
    };
    let details = model.details.get(&name);
    // Of the two files the one that is looked at; nearly everything is on stderr.
    let file = details.and_then(|details| match model.log.streams() {
        Streams::Stdout => details.logs.first(),
        Streams::Both | Streams::Stderr => details.logs.last(),
    });
    match file {
        Some(path) => vec![Effect::Page(path.clone())],
        None => tell(
            model,
            Kind::Info,
            format!("{name}: its files are not known yet"),
        ),
    }
}

/// Opens the list of what can be copied.
pub(super) fn yank(model: &mut Model) -> Vec<Effect> {
    let Some(row) = model.selected() else {
        return nothing_selected(model);
    };
    let details = model.details.get(&row.name);
    let mut choices = Vec::new();
    let mut offer = |key: &str, label: &'static str, text: Option<String>| {
        if let Some(text) = text {
            choices.push(Choice {
                key: key.to_owned(),
                label: label.to_owned(),
                note: format::cut(&text.replace('\n', "; "), 60),
                pick: Pick::Copy(text, label),
            });
        }
    };
    offer("u", "URL", row.url());
    // Of a run that is over nothing leads anywhere.
    let connection = details
        .and_then(|details| details.connection.as_ref())
        .filter(|_| row.status.is_live());
    offer(
        "b",
        "OPENAI_BASE_URL",
        connection.map(|connection| connection.base_url.clone()),
    );
    offer(
        "e",
        "environment",
        connection.map(|connection| connection.openai().join("\n")),
    );
    offer("r", "curl request", connection.map(Connection::curl));
    offer("p", "pid", row.pid.map(|pid| pid.to_string()));
    offer(
        "c",
        "command",
        details
            .map(|details| details.command.as_slice())
            .filter(|command| !command.is_empty())
            .map(shell_line),
    );
    offer(
        "m",
        "model path",
        details.and_then(|details| details.model_path.clone()),
    );
    offer(
        "f",
        "configuration file",
        details.and_then(|details| details.config.clone()),
    );
    offer("n", "name", Some(row.name.to_string()));
    let title = format!("Copy of {}", row.name);
    model.dialogs.push(Dialog::Menu(Menu {
        title,
        choices,
        cursor: 0,
    }));
    Vec::new()
}

/// Writes a command so that a shell reads it back as it was.
fn shell_line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quoted(word));
    quoted.collect::<Vec<_>>().join(" ")
}
