//! Where connections come in, and who is at the other end of one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tracing::{debug, warn};

use crate::daemon::http::peer::Peer;

/// Bytes that a peer does not acknowledge for this long end its connection: it is gone.
const DEAD_PEER: Duration = Duration::from_secs(30);

/// A listener.
#[derive(Debug)]
pub enum Door {
    /// The home's socket.
    Socket(UnixListener),
    Tcp(TcpListener),
}

/// A connection.
#[derive(Debug)]
pub(super) enum Line {
    Socket(UnixStream),
    Tcp(TcpStream),
}

impl Door {
    /// Waits for the next connection; `None` when the one that came was turned away.
    pub(super) async fn open(&self) -> io::Result<Option<(Line, Peer)>> {
        match self {
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                let Some(uid) = own_user(&stream) else {
                    warn!("a process of another user was turned away");
                    return Ok(None);
                };
                Ok(Some((Line::Socket(stream), Peer::Unix { uid })))
            }
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                if let Err(error) = prepare(&stream) {
                    debug!(%error, %address, "prepare a connection");
                }
                Ok(Some((
                    Line::Tcp(stream),
                    Peer::Tcp {
                        address: plain(address),
                    },
                )))
            }
        }
    }
}

/// Returns the user who connected if it is this one, or root. The socket's mode already keeps
/// others out; this holds even when somebody loosens it.
fn own_user(stream: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let uid = stream.peer_cred().ok()?.uid();
    (uid == own || uid == 0).then_some(uid)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are written whole; waiting for more of them only costs time.
    stream.set_nodelay(true)?;
    let limit = u32::try_from(DEAD_PEER.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(stream, limit)?;
    Ok(())
}

/// An IPv4 address as such, also when it came in over IPv6.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_flush(context),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
