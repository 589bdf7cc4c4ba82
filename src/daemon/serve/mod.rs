//! Serving the routes: the accept loop, and what a connection may cost.
//!
//! The framework's own loop has neither a limit on connections nor on the time that a slow peer
//! takes, so this one has.

mod door;
mod impatient;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

pub use self::door::Door;

use self::door::Line;
use self::impatient::Impatient;
use super::http::peer::Peer;

/// Answers that are under way at shutdown get this long.
const DRAIN_TIME: Duration = Duration::from_millis(300);

/// After a failed accept (no descriptors left), the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the peers of one door may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for the head of a request, and between two requests.
    pub head_time: Duration,
    /// Bytes of the head of a request.
    pub head_bytes: usize,
    /// A peer that takes nothing of an answer for this long is dropped.
    pub write_time: Duration,
    /// Bytes of an answer that are held for a peer who has not taken them.
    pub buffer_bytes: usize,
}

impl Limits {
    /// For processes of this user.
    pub const SOCKET: Self = Self {
        connections: 512,
        head_time: Duration::from_secs(10),
        head_bytes: 16 << 10,
        write_time: Duration::from_secs(30),
        buffer_bytes: 64 << 10,
    };

    /// For whoever reaches the address.
    pub const TCP: Self = Self {
        connections: 256,
        ..Self::SOCKET
    };
}

/// Accepts connections until `shutdown`, then lets open answers finish for a moment and ends what
/// has no end.
pub async fn serve(door: Door, router: Router, limits: Limits, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = next(&door, &places) => accepted,
        };
        match accepted {
            Ok(Some((line, peer, place))) => {
                let connection = connection(line, peer, router.clone(), limits, shutdown.clone());
                let connection = cut.clone().run_until_cancelled_owned(connection);
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(door); // whoever connects now finds nobody, instead of waiting for nothing
    tasks.close();
    tokio::time::timeout(DRAIN_TIME, tasks.wait()).await.ok(); // late answers are cut off
    cut.cancel();
}

type Accepted = Option<(Line, Peer, tokio::sync::OwnedSemaphorePermit)>;

/// Waits for a place and then for who takes it.
async fn next(door: &Door, places: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    Ok(door.open().await?.map(|(line, peer)| (line, peer, place)))
}

async fn connection(
    line: Line,
    peer: Peer,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.buffer_bytes);
    let service = router.map_request(move |request: Request<Incoming>| peer.mark(request));
    let service = TowerToHyperService::new(service);
    let line = Impatient::new(line, limits.write_time);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(line), service));
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

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_an_end_is_cut_off_when_its_door_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let door = Door::Socket(UnixListener::bind(&path).expect("a socket"));
        let endless = || async {
            let first = futures_util::stream::iter([Ok::<_, std::io::Error>("first")]);
            axum::body::Body::from_stream(first.chain(futures_util::stream::pending()))
        };
        let router = Router::new().route("/", get(endless));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(door, router, Limits::SOCKET, shutdown.clone()));
        let mut client = UnixStream::connect(&path).await.expect("a connection");
        let question = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(question).await.expect("it is taken");
        let mut answer = Vec::new();
        while !answer.ends_with(b"first\r\n") {
            client.read_buf(&mut answer).await.expect("an answer");
        }
        shutdown.cancel();
        client.read_to_end(&mut answer).await.ok(); // it ends, however
        serving.await.expect("it ends");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_loses_its_place_to_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let door = Door::Socket(UnixListener::bind(&path).expect("a socket"));
        let router = Router::new().route("/", get(|| async { "hello" }));
        let limits = Limits {
            connections: 1,
            ..Limits::SOCKET
        };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(door, router, limits, shutdown.clone()));
        let begun = Instant::now();
        let mut silent = UnixStream::connect(&path).await.expect("a connection");
        let mut next = UnixStream::connect(&path).await.expect("a connection");
        let question = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        next.write_all(question).await.expect("it is taken");
        let mut answer = [0; 1000];
        let length = next.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].ends_with(b"hello"));
        assert!(begun.elapsed() >= limits.head_time);
        assert_eq!(silent.read(&mut answer).await.expect("an end"), 0);
        // Nor is a line kept on which nothing more is asked.
        assert_eq!(next.read(&mut answer).await.expect("an end"), 0);
        assert!(begun.elapsed() >= limits.head_time * 2);
        shutdown.cancel();
        serving.await.expect("it ends");
        assert!(UnixStream::connect(&path).await.is_err(), "nobody listens");
    }
}
