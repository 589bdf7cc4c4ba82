//! Who asks: set where a request comes in, and nowhere else.

use std::net::SocketAddr;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::failure::Failure;
use crate::api::error::{ErrorBody, ErrorCode};

/// The process behind a request. A handler that may not do everything for everybody takes it as an
/// argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The owner itself: its dashboard, or the command that owns the home for a moment.
    InProcess,
    /// A process on the home's socket; the kernel says whose.
    Unix { uid: u32 },
    /// Somebody at an address, who showed the token where one is needed.
    Tcp { address: SocketAddr },
}

impl Peer {
    /// Returns whether it is a process of this machine and of the home's user, who could do by
    /// itself whatever it asks for.
    #[must_use]
    pub fn is_own_user(self) -> bool {
        match self {
            Self::InProcess | Self::Unix { .. } => true,
            Self::Tcp { .. } => false,
        }
    }

    /// Says on a request that this peer asks.
    #[must_use]
    pub fn mark<B>(self, mut request: axum::http::Request<B>) -> axum::http::Request<B> {
        request.extensions_mut().insert(self);
        request
    }
}

/// The request came in through a door that forgot to say who asks.
fn nobody() -> Failure {
    let message = "the request came in without saying who asks";
    Failure(ErrorBody::new(ErrorCode::OwnerError, message))
}

/// Lets no request in that does not say who asks: a door that forgets to is closed.
pub(super) async fn known(request: Request, next: Next) -> Response {
    match request.extensions().get::<Peer>() {
        Some(_) => next.run(request).await,
        None => nobody().into_response(),
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get().copied().ok_or_else(nobody)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_says_who_asks_or_is_not_heard() {
        let route = get(|peer: Peer| async move { format!("{peer:?}") });
        let router = Router::new().route("/", route).layer(from_fn(known));
        let ask = |request: Request| {
            let router = router.clone();
            async move {
                let answer = router.oneshot(request).await.expect("it never fails");
                let status = answer.status();
                let bytes = axum::body::to_bytes(answer.into_body(), 1000).await;
                let text = String::from_utf8_lossy(&bytes.expect("a short text")).into_owned();
                (status, text)
            }
        };
        for peer in [
            Peer::InProcess,
            Peer::Unix { uid: 7 },
            Peer::Tcp {
                address: ([127, 0, 0, 1], 8080).into(),
            },
        ] {
            let heard = ask(peer.mark(Request::new(Body::empty()))).await;
            assert_eq!(heard, (StatusCode::OK, format!("{peer:?}")));
        }
        let (status, _) = ask(Request::new(Body::empty())).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
