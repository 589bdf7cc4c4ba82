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

/// The program around the dashboard. Except for `client` and `hand_over`, calls may read and
/// write files and are made where that may take a while.
pub trait Host: Send + Sync + 'static {
    /// Whoever supervises now.
    fn client(&self) -> Client;

    fn details(&self, name: &InstanceName) -> Details;

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

    /// Reads what was kept of a crash: the newest, or as many before it; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read.
    fn crash(&self, name: &InstanceName, back: usize) -> Result<Option<CrashBundle>, HostError>;

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

    /// Starts a daemon for the home and waits until it answers.
    fn hand_over(&self) -> Later<Result<(), HostError>>;

    /// Keeps a text for the next visit.
    fn remember(&self, text: &str);
}

/// A starting point of a new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub name: String,
    pub about: String,
}

/// What the files say of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub config: Option<PathBuf>,
    pub model_path: Option<PathBuf>,
    /// The command of the present or last run; secrets masked.
    pub command: Vec<String>,
    pub logs: Vec<PathBuf>,
    /// Fields that were others when the run was started.
    pub changes: Vec<Change>,
    pub findings: Vec<String>,
}

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

/// What was kept of one crash, for a person; secrets masked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CrashBundle {
    pub folder: PathBuf,
    /// How many newer ones there are.
    pub back: usize,
    pub count: usize,
    /// Unix seconds.
    pub ended_at: f64,
    pub summary: String,
    pub remedy: Option<String>,
    pub evidence: Option<String>,
    /// Further lines, each with its label.
    pub facts: Vec<(String, String)>,
    /// The end of what it wrote.
    pub last_words: Vec<String>,
    /// The file they are from.
    pub words_file: String,
    pub events: Vec<String>,
    pub health: Vec<String>,
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
