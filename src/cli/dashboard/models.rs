//! Models for the dashboard: what `llama-orch models` finds, and what `init` makes of one.

use std::path::Path;

use super::super::exit::CliError;
use super::super::init::{self, InitArgs};
use super::super::models::{self, BUILD, Catalogue, Choice};
use super::super::suggest::Devices;
use crate::config::free_label;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::instance::InstanceName;
use crate::domain::units::size;
use crate::tui::host::{HostError, OfferedModel, OfferedModels};

/// Everything is looked for; the dashboard searches what was found itself.
const ALL: &str = "";

pub(super) fn offered(home: &Home) -> OfferedModels {
    let set = load::load(home);
    let catalogue = Catalogue::look(home, &set, ALL);
    let choices = catalogue.choices.iter();
    OfferedModels {
        models: choices.map(|choice| offer(&set, choice)).collect(),
        folders: catalogue
            .places
            .into_iter()
            .map(|place| place.folder)
            .collect(),
        notes: catalogue.notes,
    }
}

fn offer(set: &ConfigSet, choice: &Choice) -> OfferedModel {
    let model = &choice.model;
    let facts = model.facts.as_ref().ok();
    let unknown = || "-".to_owned();
    let used_by: Vec<&str> = choice.used_by.iter().map(InstanceName::as_str).collect();
    OfferedModel {
        path: model.path.clone(),
        name: model.name.clone(),
        size: size(model.bytes),
        quantisation: facts
            .and_then(|facts| facts.quantisation.clone())
            .unwrap_or_else(unknown),
        trained: facts
            .and_then(|facts| facts.trained_context)
            .map_or_else(unknown, |tokens| tokens.to_string()),
        fits: choice.fits(),
        from: choice.from(),
        used_by: used_by.join(","),
        trouble: model.facts.as_ref().err().cloned(),
        suggestion: free_label(&model.name, |name| is_taken(set, name)).to_string(),
    }
}

fn is_taken(set: &ConfigSet, name: &InstanceName) -> bool {
    set.rows.iter().any(|row| match row {
        Ok(loaded) => loaded.spec.name == *name,
        Err(broken) => broken.name == *name,
    })
}

/// Makes an instance as `init` does, on the device that its build has.
pub(super) fn create(home: &Home, path: &Path, name: &str) -> Result<InstanceName, HostError> {
    let failed = |error: CliError| HostError(error.message);
    let model = models::at(home, &load::load(home), path)
        .ok_or_else(|| HostError(format!("{} is not there any more", path.display())))?;
    let args = InitArgs {
        name: name.to_owned(),
        profile: Devices::of(home, BUILD).profile(),
        ..InitArgs::default()
    };
    let created = init::create_of(home, &args, model).map_err(failed)?;
    Ok(created.name)
}
