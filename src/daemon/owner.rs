//! Owning a home: lock, database, supervisor and socket come up in this order and go down in the
//! reverse one.

use std::io;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use tracing::warn;

use super::http::live::Streams;
use super::http::logs::LogBook;
use super::http::peer::Peer;
use super::http::{self, Owner};
use super::lock::{Attempt, LockError, OwnerLock};
use super::reach::{self, Entrance, Reach};
use super::tcp;
use crate::api::client::Client;
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::supervisor::handle::Handle;
use crate::supervisor::{self, Scope, StartError};

/// A home owned by this process.
pub struct OwnedHome {
    pub client: Client,
    pub handle: Handle,
    /// Cancelled when another process asked for the home.
    pub yielded: CancellationToken,
    /// Cancelled when a client asked this process to end.
    pub stopped: CancellationToken,
    shutdown: CancellationToken,
    /// Dropped with the home, whatever ends it: nothing is served and held for nobody.
    serving: DropGuard,
    tasks: TaskTracker,
    /// Whoever holds the lock, which is released last, when everything that writes has ended.
    reach: JoinHandle<OwnerLock>,
}

/// Why a home could not be owned.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("listen on {path}")]
    Socket {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Tries to take the home's lock without waiting.
///
/// # Errors
///
/// Returns an error when the lock file itself cannot be used.
pub fn try_lock(home: &Home) -> Result<Attempt, LockError> {
    OwnerLock::try_take(&home.state_dir(), &home.pid_file())
}

impl OwnedHome {
    /// Brings the supervisor up under a lock that is already held.
    ///
    /// # Errors
    ///
    /// Returns what could not be opened; the lock is then released.
    pub async fn start(
        home: &Home,
        mut lock: OwnerLock,
        role: Role,
        scope: Scope,
    ) -> Result<Self, OwnError> {
        let label = match role {
            Role::Daemon => "daemon",
            Role::Dashboard => "dashboard",
            Role::Command => "command",
        };
        if let Err(error) = lock.label(&format!("{} {label}", std::process::id())) {
            warn!(%error, "label the lock");
        }
        let shutdown = CancellationToken::new();
        let serving = CancellationToken::new();
        let tasks = TaskTracker::new();
        let handle = supervisor::start(home, scope, shutdown.clone(), &tasks).await?;
        let path = home.socket();
        let entrance = Entrance::open(&path).map_err(|source| OwnError::Socket {
            path: path.display().to_string(),
            source,
        })?;
        let (describes, described) = watch::channel(None);
        let yielded = CancellationToken::new();
        let stopped = CancellationToken::new();
        let router = http::router(Owner {
            handle: handle.clone(),
            role,
            home: home.root().display().to_string(),
            started_at: supervisor::wall_clock(),
            started: Instant::now(),
            logs: LogBook::new(home.clone()),
            streams: Streams::default(),
            tcp: described,
            yielded: yielded.clone(),
            stopped: stopped.clone(),
            closing: serving.clone(),
        });
        match role {
            Role::Daemon | Role::Dashboard => {
                let (handle, router) = (handle.clone(), router.clone());
                let closing = serving.clone();
                let keeper = tcp::Keeper::start(handle, router, describes, tasks.clone(), closing);
                tasks.spawn(keeper.await.run());
            }
            // It owns the home for a moment; nobody could rely on an address of that kind.
            Role::Command => {}
        }
        let reach = Reach {
            home: home.clone(),
            lock,
            entrance,
            router: router.clone(),
            stopped: stopped.clone(),
        };
        let reach = tokio::spawn(reach::keep(reach, serving.clone()));
        let service = router.map_request(|request: Request<Full<Bytes>>| {
            Peer::InProcess.mark(request.map(Body::new))
        });
        let client = Client::local(BoxCloneSyncService::new(service));
        Ok(Self {
            client,
            handle,
            yielded,
            stopped,
            shutdown,
            serving: serving.drop_guard(),
            tasks,
            reach,
        })
    }

    /// Ends owning: no more commands, everything stored, socket closed, lock released. Instances
    /// keep running.
    pub async fn end(self) {
        drop(self.serving);
        self.handle.settled().await;
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        drop(self.reach.await); // the lock; after a panic there it is gone already
    }
}
