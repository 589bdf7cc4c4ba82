//! An instance made of a model that is on this machine: look, choose, name.

use tui_input::Input;

use super::super::effect::Effect;
use super::super::host::OfferedModels;
use super::super::keymap::Action;
use super::super::model::Model;
use super::super::model::dialog::{Dialog, Purpose};
use super::super::model::notice::Kind;
use super::{prompt, tell};
use crate::domain::instance::InstanceName;

/// Looks for models; with many of them that takes a moment.
pub(super) fn look(model: &mut Model) -> Vec<Effect> {
    if let Some(elsewhere) = &model.elsewhere {
        let text = format!("models: {elsewhere}");
        return tell(model, Kind::Bad, text);
    }
    tell(model, Kind::Info, "looking for models…".to_owned());
    vec![Effect::Models]
}

pub(super) fn found(model: &mut Model, found: Result<OfferedModels, String>) -> Vec<Effect> {
    model.notices.toasts.clear();
    let found = match found {
        Ok(found) => found,
        Err(why) => return tell(model, Kind::Bad, why),
    };
    for note in &found.notes {
        tell(model, Kind::Bad, note.clone());
    }
    let dialog = match found.models.is_empty() {
        true => nothing(&found),
        false => Dialog::Models {
            found,
            search: Input::default(),
            cursor: 0,
        },
    };
    model.dialogs.push(dialog);
    Vec::new()
}

fn nothing(found: &OfferedModels) -> Dialog {
    let folders = found.folders.iter();
    let mut lines: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    lines.push(String::new());
    lines.push(
        "Other folders are named in orchestrator.toml: [models] folders = [\"/data/models\"]"
            .to_owned(),
    );
    Dialog::Text {
        title: "No model was found; it was looked into".to_owned(),
        lines,
        scroll: 0,
    }
}

/// A model was chosen: asks what its instance is to be called.
pub(super) fn chosen(model: &mut Model, dialog: Dialog) -> Vec<Effect> {
    let Dialog::Models {
        found,
        search,
        cursor,
    } = &dialog
    else {
        return Vec::new();
    };
    let choice = found.matching(search.value()).get(*cursor).copied();
    match choice {
        Some(choice) => match &choice.trouble {
            None => {
                let purpose = Purpose::NameModel {
                    path: choice.path.clone(),
                    suggestion: choice.suggestion.clone(),
                };
                prompt::open(model, purpose)
            }
            Some(why) => {
                let text = format!("{}: {why}", choice.name);
                model.dialogs.push(dialog);
                tell(model, Kind::Bad, text)
            }
        },
        None => {
            model.dialogs.push(dialog);
            Vec::new()
        }
    }
}

pub(super) fn created(model: &mut Model, result: Result<InstanceName, String>) -> Vec<Effect> {
    match result {
        Ok(name) => {
            let start = model.keymap.first(Action::Start);
            let edit = model.keymap.first(Action::Edit);
            let text = format!("{name}: made; {start} starts it, {edit} edits it");
            model.table.cursor = Some(name);
            tell(model, Kind::Good, text);
            vec![Effect::Refresh]
        }
        Err(why) => tell(model, Kind::Bad, why),
    }
}
