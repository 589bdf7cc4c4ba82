//! The models on this machine, each held against what there is to run it on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::init::Profile;
use super::super::suggest::Devices;
use crate::config::draft::{Draft, Suggestions};
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::memory::fit::Reach;
use crate::domain::model_file::ModelFile;
use crate::probes::devices::Asking;
use crate::probes::host::Host;
use crate::probes::models::places::{self, Place};
use crate::probes::models::{self, Found};
use crate::supervisor::fit::{self, Holding, Surroundings};

/// The build that a new instance runs unless it says otherwise.
pub(in crate::cli) const BUILD: &str = "llama-server";

/// Everything there is to choose from.
pub(in crate::cli) struct Catalogue {
    pub(in crate::cli) choices: Vec<Choice>,
    /// What could not be looked at.
    pub(in crate::cli) notes: Vec<String>,
    /// Where it was looked.
    pub(in crate::cli) places: Vec<Place>,
    /// What the models were held against.
    pub(in crate::cli) profile: Profile,
}

/// A model with what this machine and this home make of it.
pub(in crate::cli) struct Choice {
    pub(in crate::cli) model: ModelFile,
    /// How long its context can be now, or why nobody can tell.
    pub(in crate::cli) reach: Result<Reach, String>,
    pub(in crate::cli) used_by: Vec<InstanceName>,
}

impl Catalogue {
    /// Looks for the models whose names hold these words; without words for all.
    pub(in crate::cli) fn look(home: &Home, set: &ConfigSet, words: &str) -> Self {
        let places = usual_places(home, set);
        let Found { mut models, notes } = models::find(&places);
        models.retain(|model| model.matches(words));
        let devices = Devices::of(home, BUILD);
        let profile = devices.profile();
        let host = Host::find().look();
        let around = Surroundings {
            home,
            host: &host,
            asking: Asking::Once,
            holding: Holding::Nothing,
            promised: None,
        };
        let used = used_files(set);
        let choices = models.into_iter().map(|model| {
            let reach = match &model.facts {
                Ok(_) => trial(home, set, &model, profile, &devices)
                    .and_then(|spec| fit::reach(&spec, around)),
                Err(why) => Err(why.clone()),
            };
            let file = fs::canonicalize(&model.path).ok();
            let users = used.iter().filter(|(used, _)| Some(used) == file.as_ref());
            let used_by = users.map(|(_, name)| name.clone()).collect();
            Choice {
                model,
                reach,
                used_by,
            }
        });
        Self {
            choices: choices.collect(),
            notes,
            places,
            profile,
        }
    }
}

/// Returns where models of this home may be.
pub(super) fn usual_places(home: &Home, set: &ConfigSet) -> Vec<Place> {
    let folders = &set.settings.model_folders;
    places::usual(&home.models_dir(), folders, |name| env::var_os(name))
}

/// Returns the model files of all instances, links followed.
fn used_files(set: &ConfigSet) -> Vec<(PathBuf, InstanceName)> {
    let loaded = set.rows.iter().flatten();
    loaded
        .filter_map(|loaded| {
            let path = loaded.spec.model.path.as_ref()?;
            Some((fs::canonicalize(path).ok()?, loaded.spec.name.clone()))
        })
        .collect()
}

/// Returns the instance that `init` would make of a model.
fn trial(
    home: &Home,
    set: &ConfigSet,
    model: &ModelFile,
    profile: Profile,
    devices: &Devices,
) -> Result<InstanceSpec, String> {
    let mut draft = Draft::new(Suggestions::Hidden);
    // In `args` it may be called as it likes; a store's file need not end in .gguf.
    let mut args = vec!["--model".to_owned()];
    args.push(model.path.to_string_lossy().into_owned());
    args.extend(model.projector.iter().flat_map(|path| projector_args(path)));
    draft.set("args", args);
    draft.set("server.port", "auto");
    if profile != Profile::Cpu {
        draft.set("gpu.backend", profile.backend().as_str());
        let best = devices.best(profile).map_or(0, |best| best.number);
        draft.set("gpu.device_id", i64::from(best));
        draft.set("gpu.layers", "all");
    }
    let path = home.instances_dir().join("trial").join("config.toml");
    let loaded = load::read_text(home, &set.settings, &path, &draft.text());
    loaded
        .map(|loaded| loaded.spec)
        .map_err(|broken| broken.reason())
}

/// Returns the arguments by which a server uses a projector.
pub(in crate::cli) fn projector_args(projector: &Path) -> Vec<String> {
    let path = projector.to_string_lossy().into_owned();
    vec!["--mmproj".to_owned(), path]
}
