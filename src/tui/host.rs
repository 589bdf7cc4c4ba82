//! What the dashboard asks of the program around it: everything that is no request to the
//! supervisor. The command line implements it.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use crate::api::client::Client;
use crate::domain::instance::InstanceName;

/// An answer that takes its time.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why the program around could not do it, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// The program around the dashboard.
pub trait Host: Send + Sync + 'static {
    /// Whoever supervises now.
    fn client(&self) -> Client;

    /// The files of the home, where they are at hand.
    ///
    /// # Errors
    ///
    /// Returns where they are and what to do there, when the home is elsewhere.
    fn files(&self) -> Result<&dyn Files, HostError>;

    /// Starts a daemon for the home and waits until it answers.
    fn hand_over(&self) -> Later<Result<(), HostError>>;

    /// Keeps a text for the next visit; may write a file.
    fn remember(&self, text: &str);
}

/// What is done with the files of the home. Calls may take a while and are made where that may be.
pub trait Files: Send + Sync {
    fn config_file(&self, name: &InstanceName) -> Option<PathBuf>;

    /// Reads the configuration again after it was edited.
    fn check_config(&self, name: &InstanceName) -> ConfigReport;

    /// Returns what a new instance can be made from: a name and a sentence each.
    fn templates(&self) -> Vec<Template>;

    /// Writes a new instance's configuration.
    ///
    /// # Errors
    ///
    /// Returns why there is none now.
    fn create(&self, template: usize, name: &str) -> Result<InstanceName, HostError>;

    /// Looks for models on this machine that an instance can be made of.
    fn models(&self) -> OfferedModels;

    /// Writes the configuration of an instance that runs this model.
    ///
    /// # Errors
    ///
    /// Returns why there is none now.
    fn create_of(&self, model: &Path, name: &str) -> Result<InstanceName, HostError>;

    /// Writes a crash bundle as one file where it can be passed on; returns where.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be written.
    fn export_crash(&self, name: &InstanceName, folder: &Path) -> Result<PathBuf, HostError>;

    /// Takes instances over from elsewhere, or shows what that would write.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing to take over.
    fn import(&self, request: &ImportRequest) -> Result<ImportReport, HostError>;
}

/// What was found when models were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferedModels {
    pub models: Vec<OfferedModel>,
    /// Where it was looked.
    pub folders: Vec<PathBuf>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// A model, in words to choose it by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfferedModel {
    pub path: PathBuf,
    pub name: String,
    pub size: String,
    pub quantisation: String,
    /// Tokens that it was trained for.
    pub trained: String,
    /// Tokens for which there is memory now, or the word for there being none.
    pub fits: String,
    pub from: String,
    /// The instances that run it.
    pub used_by: String,
    /// Why it cannot be used.
    pub trouble: Option<String>,
    /// A free name for its instance.
    pub suggestion: String,
}

/// A starting point of a new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    pub about: String,
}

/// A field that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub field: String,
    pub was: String,
    pub now: String,
}

/// What became of a configuration that was edited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigReport {
    /// Errors and warnings, each as text with its place.
    pub findings: Vec<String>,
    pub usable: bool,
    /// What the running process does not know yet.
    pub changes: Vec<Change>,
}

/// Where instances are taken over from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFrom {
    LlamaSwap,
    Presets,
    Command,
}

/// Whether an import writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    Show,
    Write,
}

/// What is to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    pub from: ImportFrom,
    /// The path of a file, or the command itself.
    pub text: String,
    pub mode: ImportMode,
}

/// What an import wrote, or would write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub instances: Vec<ImportedInstance>,
    /// What belongs to no instance.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedInstance {
    pub name: String,
    pub path: String,
    /// The values of its configuration.
    pub lines: Vec<String>,
    /// Whether it is started as soon as it is there.
    pub starts: bool,
    pub written: bool,
    /// Why it is not, or would not be.
    pub refused: Option<String>,
    /// What could not be carried over, and what is to be looked at.
    pub notes: Vec<String>,
}

impl OfferedModels {
    /// Returns the models that have all these words in their name or in where they are from.
    #[must_use]
    pub fn matching(&self, search: &str) -> Vec<&OfferedModel> {
        let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
        let has_all = |model: &&OfferedModel| {
            let text = format!("{} {} {}", model.name, model.from, model.quantisation);
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word.as_str()))
        };
        self.models.iter().filter(has_all).collect()
    }
}

impl ImportFrom {
    pub const ALL: [Self; 3] = [Self::LlamaSwap, Self::Presets, Self::Command];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LlamaSwap => "llama-swap",
            Self::Presets => "presets",
            Self::Command => "command",
        }
    }

    pub(super) fn about(self) -> &'static str {
        match self {
            Self::LlamaSwap => "its configuration, a YAML file",
            Self::Presets => "of llama-server's router, an INI file",
            Self::Command => "a llama-server command as you typed it",
        }
    }
}
