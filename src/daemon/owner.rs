//! Owning a home: lock, database, supervisor and socket come up in this order and go down in the
//! reverse one.

use std::io;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use tracing::warn;

use super::http::live::Streams;
use super::http::logs::LogBook;
use super::http::peer::Peer;
use super::http::{self, Owner};
use super::lock::{Attempt, LockError, OwnerLock};
use super::serve::{self, Door, Limits};
use super::tcp;
use crate::api::client::Client;
use crate::api::socket;
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
    serving: CancellationToken,
    tasks: TaskTracker,
    /// Released last, when everything that writes has ended.
    _lock: OwnerLock,
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
        let listener = listen(&path).map_err(|source| OwnError::Socket {
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
        let socket = Door::Socket(listener);
        let limits = Limits::SOCKET;
        tasks.spawn(serve::serve(
            socket,
            router.clone(),
            limits,
            serving.clone(),
        ));
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
            serving,
            tasks,
            _lock: lock,
        })
    }

    /// Ends owning: no more commands, everything stored, socket closed, lock released. Instances
    /// keep running.
    pub async fn end(self) {
        self.serving.cancel();
        self.handle.settled().await;
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn listen(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let listener = socket::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}
