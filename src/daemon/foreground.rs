//! The supervisor without a screen: `--daemon`, and what `daemon start` puts in the background.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::lock::{Attempt, LockError, OwnerLock};
use super::owner::{self, OwnError, OwnedHome};
use crate::api::client::{Client, ClientError};
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::supervisor::Scope;

/// A dashboard or a command that was asked for the home has this long to let go.
const YIELD_TIME: Duration = Duration::from_secs(15);

/// How often a home that is changing hands is looked at again.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(20);

/// Which instances a starting daemon starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autostart {
    /// What is wanted, and autostart instances never seen before.
    Wanted,
    /// Also autostart instances that a user had stopped.
    All,
}

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another daemon owns the home.
    #[error("a daemon already owns this home (pid {pid})")]
    AlreadyOwned { pid: u32 },
    #[error("the home is held by {label}, which does not give it up")]
    Held { label: String },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Owns the home until told to stop. `ready` is called once the socket answers.
///
/// # Errors
///
/// Returns why the home could not be owned.
pub async fn run(
    home: &Home,
    autostart: Autostart,
    ready: impl FnOnce(),
) -> Result<(), DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    // A lost terminal ends no daemon.
    let mut hangup = signal(SignalKind::hangup()).map_err(DaemonError::Signals)?;

    let lock = take_over(home).await?;
    let owned = OwnedHome::start(home, lock, Role::Daemon, Scope::Fleet).await?;
    info!(home = %home.root().display(), pid = std::process::id(), "owner ready");
    if autostart == Autostart::All
        && let Err(error) = owned.handle.autostart().await
    {
        warn!(%error, "autostart");
    }
    notify(&[NotifyState::Ready]);
    ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = owned.stopped.cancelled() => break,
            _ = hangup.recv() => {}
        }
    }
    notify(&[NotifyState::Stopping]);
    info!("owner stops; instances keep running");
    owned.end().await;
    Ok(())
}

/// Takes the lock, asking a dashboard or a command that holds it to let go.
async fn take_over(home: &Home) -> Result<OwnerLock, DaemonError> {
    let client = Client::socket(&home.socket());
    let deadline = tokio::time::Instant::now() + YIELD_TIME;
    loop {
        let label = match owner::try_lock(home)? {
            Attempt::Owned(lock) => return Ok(lock),
            Attempt::Taken { label } => label,
        };
        if tokio::time::Instant::now() >= deadline {
            return Err(DaemonError::Held { label });
        }
        match client.status().await {
            Ok(status) if status.role == Role::Daemon => {
                return Err(DaemonError::AlreadyOwned { pid: status.pid });
            }
            Ok(_) => match client.yield_home().await {
                Ok(()) | Err(ClientError::NoOwner { .. } | ClientError::Transport(_)) => {}
                Err(error) => warn!(%error, "ask the owner to yield"),
            },
            // It starts or ends this very moment; look again.
            Err(_) => {}
        }
        tokio::time::sleep(HAND_OVER_PAUSE).await;
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "tell the service manager");
    }
}
