//! Finding the supervisor to talk to: the owner of the home, or this process.

use std::time::Duration;

use super::exit::{CliError, Exit};
use super::target::Target;
use crate::api::client::{Client, ClientError};
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::daemon::lock::Attempt;
use crate::daemon::owner::{self, OwnedHome};
use crate::domain::instance::InstanceName;
use crate::supervisor::Scope;

/// A home that changes hands settles within this time.
const SETTLE_TIME: Duration = Duration::from_secs(15);

/// Who asked for the home has this long to take it.
const HAND_OVER_TIME: Duration = Duration::from_secs(5);

/// How often a home that is changing hands is looked at again.
const PAUSE: Duration = Duration::from_millis(15);

/// A way to act on a home.
pub(super) struct Session {
    pub(super) client: Client,
    /// Present when this process owns the home itself.
    pub(super) owned: Option<OwnedHome>,
}

/// Returns a client if an owner answers; the lock is never tried.
///
/// # Errors
///
/// Returns an error when somebody listens but does not answer as an owner should.
pub(super) async fn owner_of(home: &Home) -> Result<Option<Client>, CliError> {
    let client = Client::socket(&home.socket());
    match client.status().await {
        Ok(_) => Ok(Some(client)),
        Err(ClientError::NoOwner { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns a client of the owner, or becomes the owner for as long as the session lasts and
/// decides only for the instances in `names`.
///
/// # Errors
///
/// Returns an error when the home can be neither reached nor owned.
pub(super) async fn act_on(home: &Home, names: &[InstanceName]) -> Result<Session, CliError> {
    let scope = Scope::Only(names.iter().cloned().collect());
    open(home, Role::Command, scope).await
}

/// As [`act_on`]; an owner elsewhere is asked as it is, because nobody here can take its place.
///
/// # Errors
///
/// Returns an error when a home here can be neither reached nor owned.
pub(super) async fn act_through(
    target: &Target,
    names: &[InstanceName],
) -> Result<Session, CliError> {
    match target {
        Target::Here(home) => act_on(home, names).await,
        Target::Elsewhere(remote) => Ok(Session::asking(remote.client.clone())),
    }
}

/// Returns a client of the owner, or becomes the owner.
///
/// # Errors
///
/// Returns an error when the home can be neither reached nor owned.
pub(super) async fn open(home: &Home, role: Role, scope: Scope) -> Result<Session, CliError> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIME;
    loop {
        let label = match owner::try_lock(home) {
            Ok(Attempt::Owned(lock)) => {
                let owned = OwnedHome::start(home, lock, role, scope)
                    .await
                    .map_err(|error| daemon_error(&error))?;
                return Ok(Session {
                    client: owned.client.clone(),
                    owned: Some(owned),
                });
            }
            Ok(Attempt::Taken { label }) => label,
            Err(error) => return Err(daemon_error(&error)),
        };
        if let Ok(Some(client)) = owner_of(home).await {
            return Ok(Session {
                client,
                owned: None,
            });
        }
        if tokio::time::Instant::now() >= deadline {
            let message = format!("the home is held by {label}, which does not answer");
            return Err(CliError::new(Exit::Daemon, message)
                .with_hint("end it: llama-orch daemon stop --force (instances keep running)"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Turns a failure to own into what the person sees.
pub(super) fn daemon_error(error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::chain(Exit::Daemon, error)
}

impl Session {
    /// A session with whoever owns the home, now and later.
    pub(super) fn client_of(home: &Home) -> Self {
        Self::asking(Client::socket(&home.socket()))
    }

    /// A session with whoever answers this client.
    pub(super) fn asking(client: Client) -> Self {
        Self {
            client,
            owned: None,
        }
    }

    /// Waits until another process wants the home; for ever when this one does not own it.
    pub(super) async fn yielded(&self) {
        match &self.owned {
            Some(owned) => {
                tokio::select! {
                    () = owned.yielded.cancelled() => {}
                    () = owned.stopped.cancelled() => {}
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Gives the home to the process that asked for it and becomes its client.
    pub(super) async fn hand_over(&mut self, home: &Home) {
        std::mem::replace(self, Self::client_of(home)).end().await;
        let deadline = tokio::time::Instant::now() + HAND_OVER_TIME;
        // Taking the lock back at once would be a race that the other process often loses.
        while tokio::time::Instant::now() < deadline {
            if let Ok(Some(_)) = owner_of(home).await {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives the home up again if this process owned it.
    pub(super) async fn end(self) {
        if let Some(owned) = self.owned {
            owned.end().await;
        }
    }
}
