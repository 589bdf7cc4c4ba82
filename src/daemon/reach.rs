//! Keeps an owner within reach: its socket and its lock are files, which somebody may remove.
//!
//! Without its socket an owner would be alive and nobody could speak with it: commands would wait for
//! a home that is held, or take it a second time where the lock's file went too. So it looks now and
//! then whether the two are still its own, and puts them back where they are not.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::lock::{Attempt, OwnerLock};
use super::serve::{self, Door, Limits};
use crate::api::socket;
use crate::config::home::Home;

/// How often the owner looks. Whoever acts meanwhile waits for a home that is held, three times as
/// long.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// The listening socket, and which file it is known by.
pub(super) struct Entrance {
    listener: UnixListener,
    file: (u64, u64),
}

impl Entrance {
    /// Listens, for this user alone; a file that an earlier owner left is replaced.
    ///
    /// # Errors
    ///
    /// Returns the kernel's answer.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let listener = socket::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            file: file_at(path).ok_or(io::ErrorKind::NotFound)?,
        })
    }
}

/// What an owner must not lose.
pub(super) struct Reach {
    pub(super) home: Home,
    pub(super) lock: OwnerLock,
    pub(super) entrance: Entrance,
    pub(super) router: Router,
    /// Cancelled when another owner has the home: this one has to go.
    pub(super) stopped: CancellationToken,
}

/// Serves on the socket and holds the lock until `serving` is cancelled; returns the lock. When the
/// socket's file is gone, or another one stands in its place, there is a new one; connections that
/// are there already go on.
pub(super) async fn keep(reach: Reach, serving: CancellationToken) -> OwnerLock {
    let Reach {
        home,
        mut lock,
        entrance,
        router,
        stopped,
    } = reach;
    let mut file = entrance.file;
    let begin = |entrance: Entrance| {
        let door = Door::Socket(entrance.listener);
        let (router, serving) = (router.clone(), serving.clone());
        tokio::spawn(serve::serve(door, router, Limits::SOCKET, serving))
    };
    let mut servers = vec![begin(entrance)];
    while !is_over(&serving).await && !stopped.is_cancelled() {
        // First the lock: who has it not must not touch the socket.
        if !lock.is_at(&home.pid_file()) {
            match OwnerLock::try_take(&home.state_dir(), &home.pid_file()) {
                Ok(Attempt::Owned(mut again)) => {
                    warn!("the lock's file was removed; it is held again");
                    again.label(lock.words()).ok(); // only for people
                    lock = again;
                }
                Ok(Attempt::Taken { label }) => {
                    error!(%label, "the lock's file was removed, and another owner has the home");
                    stopped.cancel();
                    break;
                }
                Err(error) => {
                    warn!(%error, "the lock's file was removed");
                    continue;
                }
            }
        }
        let path = home.socket();
        if file_at(&path).is_some_and(|there| there == file) {
            continue;
        }
        match Entrance::open(&path) {
            Ok(again) => {
                warn!(path = %path.display(), "the socket was removed; there is a new one");
                file = again.file;
                servers.push(begin(again));
            }
            Err(error) => warn!(%error, path = %path.display(), "the socket was removed"),
        }
    }
    for server in servers {
        server.await.ok(); // a panic was reported where it happened
    }
    lock
}

/// Waits until it is time to look; returns whether there is nothing to look at any more.
async fn is_over(serving: &CancellationToken) -> bool {
    tokio::time::timeout(LOOK_TIME, serving.cancelled())
        .await
        .is_ok()
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
