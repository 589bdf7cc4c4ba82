//! Serving the routes on the home's socket, to processes of the same user only.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use super::http::peer::Peer;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTION_LIMIT: usize = 512;

/// A client that connects and does not speak is let go after this.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Answers that are under way at shutdown get this long.
const DRAIN_TIME: Duration = Duration::from_millis(300);

/// After a failed accept (no descriptors left), the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts connections until `shutdown`, then lets open answers finish for a moment.
pub async fn serve(listener: UnixListener, router: Router, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => Some(stream),
                Err(error) => {
                    warn!(%error, "accept failed");
                    None
                }
            },
        };
        let Some(stream) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(peer) = own_user(&stream) else {
            warn!("a process of another user was turned away");
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let connection = connection(stream, peer, router.clone(), shutdown.clone());
        tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    tasks.close();
    tokio::time::timeout(DRAIN_TIME, tasks.wait()).await.ok(); // late answers are cut off
}

async fn connection(stream: UnixStream, peer: Peer, router: Router, shutdown: CancellationToken) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME);
    let service = router.map_request(move |request: Request<Incoming>| peer.mark(request));
    let service = TowerToHyperService::new(service);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended early");
    }
}

/// Returns who connected if it is a process of this user, or root's. The socket's mode already keeps
/// others out; this holds even when somebody loosens it.
fn own_user(stream: &UnixStream) -> Option<Peer> {
    let own = rustix::process::geteuid().as_raw();
    let uid = stream.peer_cred().ok()?.uid();
    (uid == own || uid == 0).then_some(Peer::Unix { uid })
}
