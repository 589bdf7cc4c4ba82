//! What a command is about: a home here, or an owner elsewhere.

use super::args::Cli;
use super::exit::CliError;
use super::remote::Remote;
use super::select;
use crate::api::client::Client;
use crate::config::home::Home;
use crate::config::load;
use crate::domain::instance::InstanceName;

/// Commands that work on both ask the owner first. Without one the files of a home here are read;
/// those of an owner elsewhere cannot be.
pub(super) enum Target {
    Here(Home),
    Elsewhere(Remote),
}

impl Target {
    /// Returns what the person named, or the home that is found.
    ///
    /// # Errors
    ///
    /// Returns an error when that cannot be used.
    pub(super) fn of(cli: &Cli) -> Result<Self, CliError> {
        Ok(match Remote::chosen(cli)? {
            Some(remote) => Self::Elsewhere(remote),
            None => Self::Here(super::resolve(cli)?),
        })
    }

    /// Returns a client of the owner, whether there is one or not.
    pub(super) fn client(&self) -> Client {
        match self {
            Self::Here(home) => Client::socket(&home.socket()),
            Self::Elsewhere(remote) => remote.client.clone(),
        }
    }

    /// Finds the instance that a word means.
    ///
    /// # Errors
    ///
    /// Returns an error when there is none, or the owner elsewhere does not answer.
    pub(super) async fn instance(&self, word: &str) -> Result<InstanceName, CliError> {
        match self {
            Self::Here(home) => select::one(&load::load(home), word),
            Self::Elsewhere(remote) => remote.name(word).await,
        }
    }

    /// Finds the instance that a word means; without a word all are meant.
    ///
    /// # Errors
    ///
    /// As [`Self::instance`].
    pub(super) async fn chosen(
        &self,
        word: Option<&str>,
    ) -> Result<Option<InstanceName>, CliError> {
        match word {
            Some(word) => self.instance(word).await.map(Some),
            None => Ok(None),
        }
    }
}
