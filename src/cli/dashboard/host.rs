//! What the dashboard asks of this program: files, editor, templates, hand-over.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::super::{bundle, daemon};
use super::templates::TEMPLATES;
use super::{import, models};
use crate::api::client::Client;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet, Loaded};
use crate::config::save::{self, Existing};
use crate::config::{drift, render};
use crate::domain::instance::InstanceName;
use crate::process::runfiles::{self, RunPaths, SpecFile};
use crate::tui::host::{
    Change, ConfigReport, Files, Host, HostError, ImportReport, ImportRequest, Later,
    OfferedModels, Template,
};

pub(super) struct DashboardHost {
    home: Home,
    client: RwLock<Client>,
}

impl DashboardHost {
    pub(super) fn new(home: Home, client: Client) -> Self {
        Self {
            home,
            client: RwLock::new(client),
        }
    }

    /// Another process supervises now.
    pub(super) fn set_client(&self, client: Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
    }
}

impl Host for DashboardHost {
    fn client(&self) -> Client {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn files(&self) -> Result<&dyn Files, HostError> {
        Ok(self)
    }

    fn hand_over(&self) -> Later<Result<(), HostError>> {
        let home = self.home.clone();
        Box::pin(async move {
            daemon::start_detached(&home)
                .await
                .map(|_pid| ())
                .map_err(|error| HostError(error.message))
        })
    }

    fn remember(&self, text: &str) {
        let path = remembered_file(&self.home);
        if let Err(error) = save::save(&path, text, Existing::Replace) {
            tracing::warn!(%error, "keep the dashboard's state");
        }
    }
}

impl Files for DashboardHost {
    fn config_file(&self, name: &InstanceName) -> Option<PathBuf> {
        let set = load::load(&self.home);
        find(&set, name).map(|found| found.path)
    }

    fn check_config(&self, name: &InstanceName) -> ConfigReport {
        let set = load::load(&self.home);
        let Some(found) = find(&set, name) else {
            return ConfigReport {
                findings: vec![format!("{name} has no configuration file any more")],
                ..ConfigReport::default()
            };
        };
        ConfigReport {
            changes: changes(spec_file(&self.home, name).as_ref(), found.loaded),
            usable: found.loaded.is_some(),
            findings: found.texts(&self.home, &set, name),
        }
    }

    fn templates(&self) -> Vec<Template> {
        TEMPLATES
            .iter()
            .map(|template| Template {
                name: template.name.to_owned(),
                about: template.about.to_owned(),
            })
            .collect()
    }

    fn create(&self, template: usize, name: &str) -> Result<InstanceName, HostError> {
        let template = TEMPLATES
            .get(template)
            .ok_or_else(|| HostError("there is no such template".to_owned()))?;
        let name = InstanceName::parse(name).map_err(|error| HostError(error.to_string()))?;
        let folder = self.home.instances_dir().join(name.as_str());
        if folder.exists() {
            return Err(HostError(format!(
                "{} is there already; choose another name",
                folder.display()
            )));
        }
        let text = (template.draft)().text();
        save::save(&folder.join("config.toml"), &text, Existing::Keep)
            .map_err(|error| HostError(error.to_string()))?;
        Ok(name)
    }

    fn models(&self) -> OfferedModels {
        models::offered(&self.home)
    }

    fn create_of(&self, model: &Path, name: &str) -> Result<InstanceName, HostError> {
        models::create(&self.home, model, name)
    }

    fn export_crash(&self, name: &InstanceName, folder: &Path) -> Result<PathBuf, HostError> {
        bundle::export(name, folder).map_err(|error| HostError(error.to_string()))
    }

    fn import(&self, request: &ImportRequest) -> Result<ImportReport, HostError> {
        import::import(&self.home, request)
    }
}

/// Where a visit leaves its sort order, theme and splits.
pub(super) fn remembered_file(home: &Home) -> PathBuf {
    home.state_dir().join("dashboard.toml")
}

/// An instance in the files.
struct Found<'a> {
    path: PathBuf,
    loaded: Option<&'a Loaded>,
}

fn find<'a>(set: &'a ConfigSet, name: &InstanceName) -> Option<Found<'a>> {
    set.rows.iter().find_map(|row| match row {
        Ok(loaded) if loaded.spec.name == *name => Some(Found {
            path: loaded.path.clone(),
            loaded: Some(loaded),
        }),
        Err(broken) if broken.name == *name => Some(Found {
            path: broken.path.clone(),
            loaded: None,
        }),
        Ok(_) | Err(_) => None,
    })
}

impl Found<'_> {
    /// The findings with the lines of the file they point at.
    fn texts(&self, home: &Home, set: &ConfigSet, name: &InstanceName) -> Vec<String> {
        let findings = set.rows.iter().find_map(|row| match row {
            Ok(loaded) if loaded.spec.name == *name => Some(&loaded.warnings),
            Err(broken) if broken.name == *name => Some(&broken.findings),
            Ok(_) | Err(_) => None,
        });
        findings.map_or_else(Vec::new, |findings| {
            findings
                .iter()
                .map(|finding| render::finding(finding, home.root()))
                .collect()
        })
    }
}

fn spec_file(home: &Home, name: &InstanceName) -> Option<SpecFile> {
    let paths = RunPaths::new(home.runs_dir(name));
    runfiles::read(&paths.spec()).ok().flatten()
}

/// What the files say otherwise than the run was started with.
fn changes(spec_file: Option<&SpecFile>, loaded: Option<&Loaded>) -> Vec<Change> {
    let (Some(file), Some(loaded)) = (spec_file, loaded) else {
        return Vec::new();
    };
    let shown = |value: Option<String>| {
        value.map_or_else(|| "unset".to_owned(), |value| drift::masked(&value))
    };
    drift::drift(&file.config, &drift::static_fields(&loaded.spec))
        .into_iter()
        .map(|change| Change {
            field: change.field,
            was: shown(change.was),
            now: shown(change.now),
        })
        .collect()
}
