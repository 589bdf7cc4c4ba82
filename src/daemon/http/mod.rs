//! The owner's routes: each handler only parses, asks the supervisor and converts.
//!
//! A route is a handler with `#[utoipa::path]`, listed by `routes!` in the `routes` function of its
//! file: what is served and what `/openapi.json` says come from the same line. A new file of routes
//! is merged in `all_routes`.

pub mod admission;
pub(super) mod asked;
mod commands;
mod diagnosis;
mod events;
pub(super) mod failure;
mod fleet;
mod limits;
pub mod live;
pub mod logs;
mod metrics;
pub mod openapi;
mod ownership;
pub mod peer;
mod plan;
mod refresh;
mod work;

use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use self::admission::Gate;
pub(in crate::daemon) use self::failure::{Answered, Failure};
use self::live::Streams;
use self::logs::LogBook;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{Role, TcpBody};
use crate::api::{VERSION, VERSION_HEADER};
use crate::supervisor::handle::Handle;
pub use diagnosis::build_body;

pub(crate) use self::events::event_body;
pub(crate) use self::plan::weighed;
pub(crate) use self::refresh::health_body;

/// What the handlers work on.
#[derive(Clone)]
pub struct Owner {
    pub handle: Handle,
    pub role: Role,
    pub home: String,
    /// Unix seconds.
    pub started_at: f64,
    pub started: Instant,
    pub logs: LogBook,
    pub streams: Streams,
    /// What became of the address beside the socket.
    pub tcp: watch::Receiver<Option<TcpBody>>,
    /// Cancelled when this process should give the home to another.
    pub yielded: CancellationToken,
    /// Cancelled when this process should end.
    pub stopped: CancellationToken,
    /// Cancelled when no more is answered; whoever waits is let go.
    pub closing: CancellationToken,
}

/// Everything that can be asked for, with its description.
fn all_routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .merge(fleet::routes())
        .merge(commands::routes())
        .merge(plan::routes())
        .merge(refresh::routes())
        .merge(events::routes())
        .merge(logs::routes())
        .merge(diagnosis::routes())
        .merge(work::routes())
        .merge(metrics::routes())
        .merge(ownership::routes())
}

/// Builds the router over a running supervisor.
pub fn router(owner: Owner) -> Router {
    let (router, document) = all_routes().split_for_parts();
    router
        .merge(openapi::routes(document))
        .fallback(failure::no_such_route)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(middleware::from_fn(limits::take_in))
        .layer(middleware::from_fn(versioned))
        .layer(middleware::from_fn(peer::known))
        .with_state(owner)
}

/// The same routes for those who come over TCP and are let in.
pub fn over_tcp(router: Router, gate: Gate) -> Router {
    router.layer(middleware::from_fn_with_state(gate, admission::admit))
}

/// Says which version of the interface is spoken, and to whom speaks another that it is not.
async fn versioned(request: Request, next: Next) -> Response {
    let theirs = request
        .headers()
        .get(VERSION_HEADER)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut answer = match theirs {
        Some(version) if version != VERSION => {
            let message = format!("interface version {version:?} is not spoken here");
            let hint = format!("this owner speaks version {VERSION}; restart the older side");
            Failure(ErrorBody::new(ErrorCode::Invalid, message).with_hint(hint)).into_response()
        }
        Some(_) | None => next.run(request).await,
    };
    answer
        .headers_mut()
        .insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
    answer
}

impl Owner {
    /// Unix seconds, from the start and the monotonic clock.
    fn now(&self) -> f64 {
        self.started_at + self.started.elapsed().as_secs_f64()
    }
}
