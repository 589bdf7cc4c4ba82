//! What the dashboard asks of the program around it: everything that is no request to the
//! supervisor. The command line implements it.

use std::path::PathBuf;
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
