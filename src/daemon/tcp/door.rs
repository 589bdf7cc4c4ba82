//! One address that the API listens on.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config::settings::Access;
use crate::daemon::http;
use crate::daemon::http::admission::Admission;
use crate::daemon::serve::{self, Limits};

/// A door that is open, and who is let in.
pub(super) struct Door {
    /// As the settings name it; with port 0 any.
    asked: SocketAddr,
    pub(super) address: SocketAddr,
    pub(super) access: Access,
    admission: watch::Sender<Admission>,
    close: CancellationToken,
    served: JoinHandle<()>,
}

/// What every door needs.
pub(super) struct House {
    pub(super) router: Router,
    pub(super) tasks: TaskTracker,
    /// Cancelled when nothing more is answered at all.
    pub(super) closing: CancellationToken,
}

impl Door {
    /// Answers whoever comes to this listener.
    ///
    /// # Errors
    ///
    /// Returns an error when the listener does not know its address.
    pub(super) fn open(
        asked: SocketAddr,
        listener: TcpListener,
        access: Access,
        house: &House,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (admission, gate) = watch::channel(Admission::from(&access));
        let router = http::over_tcp(house.router.clone(), gate);
        let close = house.closing.child_token();
        let door = serve::Door::Tcp(listener);
        let serving = serve::serve(door, router, Limits::TCP, close.clone());
        let served = house.tasks.spawn(serving);
        if !address.ip().is_loopback() {
            warn!(%address, "the API is not encrypted; put what speaks TLS before it, or use a tunnel");
        }
        Ok(Self {
            asked,
            address,
            access,
            admission,
            close,
            served,
        })
    }

    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.asked == address || self.address == address
    }

    /// Returns whether only one of the two can be listened on, although they differ.
    pub(super) fn overlaps(&self, address: SocketAddr) -> bool {
        let any = self.address.ip().is_unspecified() || address.ip().is_unspecified();
        any && self.address.port() == address.port()
    }

    /// Lets in by another rule from the next request on.
    pub(super) fn admit_by(&mut self, access: Access) {
        self.admission.send_replace(Admission::from(&access));
        self.access = access;
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, at once, and ends the connections, a moment later.
    pub(super) async fn close(self) {
        self.close.cancel();
        self.served.await.ok(); // what ended early has closed as well
    }
}
