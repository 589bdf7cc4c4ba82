//! Listening sockets and connections.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::os::unix::net as unix;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::answers;
use super::logfmt::Level;
use super::state::Shared;

/// Connections the kernel keeps waiting for us.
const BACKLOG: i32 = 512;

/// An idle connection is closed after this time, as llama-server does.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A connection is closed after this many requests, as llama-server does.
pub(super) const REQUESTS_PER_CONNECTION: u32 = 100;

/// How long to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket and the address to show for it.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: String,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Binds every host, or returns nothing and says why in the log.
pub(super) fn bind_all(shared: &Shared) -> Option<Vec<Listener>> {
    let settings = &shared.settings;
    let log = &shared.log;
    let tcp_hosts = settings
        .hosts
        .iter()
        .filter(|host| !is_socket(host))
        .count();
    if settings.port == 0 && tcp_hosts > 1 {
        let text = "--port 0 is not supported with multiple TCP addresses";
        log.server(Level::Error, "srv", "init", text);
        return None;
    }
    let only_v6 = if tcp_hosts > 1 { V6::Only } else { V6::WithV4 };
    let mut listeners = Vec::new();
    for host in &settings.hosts {
        let bound = if is_socket(host) {
            log.server(
                Level::Trace,
                "srv",
                "start",
                "setting address family to AF_UNIX",
            );
            bind_unix(host)
        } else {
            bind_tcp(host, settings.port, only_v6)
        };
        match bound {
            Ok(listener) => listeners.push(listener),
            Err(_) => {
                let port = settings.port;
                let text =
                    format!("couldn't bind HTTP server socket, hostname: {host}, port: {port}");
                log.server(Level::Error, "srv", "start", &text);
                return None;
            }
        }
    }
    Some(listeners)
}

/// Starts to accept connections on a listener.
pub(super) fn accept(listener: Listener, shared: Arc<Shared>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            match listener.socket.next(&shared).await {
                Ok(()) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    })
}

impl Socket {
    /// Accepts one connection and serves it in a task of its own.
    async fn next(&self, shared: &Arc<Shared>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true).ok(); // only slower without
                serve(stream, Some(peer.ip()), Arc::clone(shared));
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                serve(stream, None, Arc::clone(shared));
            }
        }
        Ok(())
    }
}

fn serve<Stream>(stream: Stream, peer: Option<IpAddr>, shared: Arc<Shared>)
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let requests = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            let mut answer = answers::answer(shared, request, peer).await;
            if number >= REQUESTS_PER_CONNECTION {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    tokio::spawn(async move {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .auto_date_header(false);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        connection.await.ok(); // the client may go away at any moment
    });
}

fn is_socket(host: &str) -> bool {
    host.ends_with(".sock")
}

/// A socket file that already exists is not removed: neither does llama-server.
fn bind_unix(path: &str) -> io::Result<Listener> {
    let listener = unix::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Listener {
        address: format!("unix://{path}"),
        socket: Socket::Unix(UnixListener::from_std(listener)?),
    })
}

/// Whether an IPv6 socket also takes IPv4 connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum V6 {
    Only,
    WithV4,
}

fn bind_tcp(host: &str, port: u16, v6: V6) -> io::Result<Listener> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    for address in (bare, port).to_socket_addrs()? {
        match bind_address(address, v6) {
            Ok(listener) => {
                let port = listener.local_addr()?.port();
                let shown = if bare.contains(':') {
                    format!("[{bare}]")
                } else {
                    bare.to_owned()
                };
                return Ok(Listener {
                    address: format!("http://{shown}:{port}"),
                    socket: Socket::Tcp(listener),
                });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_address(address: SocketAddr, v6: V6) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, v6 == V6::Only)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(std::net::TcpListener::from(socket))
}
