//! The owner's routes: each handler only parses, asks the supervisor and converts.

pub mod admission;
pub(super) mod asked;
mod diagnosis;
mod events;
pub(super) mod failure;
mod limits;
pub mod peer;
mod plan;
mod refresh;

use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use self::admission::Admission;
use self::asked::{Given, Named, Question};
pub(in crate::daemon) use self::failure::{Answered, Failure};
use super::http_logs::{self, LogBook};
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{
    CommandAnswer, FleetBody, InstanceBody, OwnerStatus, Role, StopRequest, TcpBody, rfc3339,
};
use crate::api::{LONG_POLL_LIMIT_MS, VERSION, VERSION_HEADER};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::run::StopMode;
use crate::supervisor::decision::{Action, Command};
use crate::supervisor::handle::{Answer, Handle};
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
    /// What became of the address beside the socket.
    pub tcp: Option<TcpBody>,
    /// Cancelled when this process should give the home to another.
    pub yielded: CancellationToken,
    /// Cancelled when this process should end.
    pub stopped: CancellationToken,
}

/// Builds the router over a running supervisor.
pub fn router(owner: Owner) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/instances", get(instances))
        .route("/instances/{name}", get(instance))
        .route("/instances/{name}/start", post(start))
        .route("/instances/{name}/stop", post(stop))
        .route("/instances/{name}/restart", post(restart))
        .route("/events", get(events::events))
        .route("/instances/{name}/health", get(refresh::history))
        .route("/instances/{name}/apply", post(plan::apply))
        .route("/plan", get(plan::plan))
        .route("/refresh", post(refresh::refresh))
        .route("/owner/yield", post(yield_home))
        .route("/owner/stop", post(stop_owner))
        .route("/owner/autostart", post(autostart))
        .merge(http_logs::routes())
        .merge(diagnosis::routes())
        .fallback(failure::no_such_route)
        .method_not_allowed_fallback(failure::no_such_method)
        .layer(middleware::from_fn(limits::take_in))
        .layer(middleware::from_fn(versioned))
        .layer(middleware::from_fn(peer::known))
        .with_state(owner)
}

/// The same routes for those who come over TCP and are let in.
pub fn over_tcp(router: Router, admission: Admission) -> Router {
    router.layer(middleware::from_fn_with_state(admission, admission::admit))
}

async fn versioned(request: Request, next: Next) -> Response {
    let theirs = request
        .headers()
        .get(VERSION_HEADER)
        .and_then(|value| value.to_str().ok());
    let mut answer = match theirs {
        Some(version) if version != VERSION => {
            let message = format!("interface version {version} is not spoken here");
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

async fn status(State(owner): State<Owner>) -> Json<OwnerStatus> {
    let picture = owner.handle.snapshot();
    let running = picture
        .rows
        .iter()
        .filter(|row| matches!(row.status, Status::Running))
        .count();
    Json(OwnerStatus {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        role: owner.role,
        home: owner.home.clone(),
        started_at: rfc3339(owner.started_at),
        uptime_seconds: owner.started.elapsed().as_secs(),
        instances: picture.rows.len(),
        running,
        generation: picture.generation,
        database: owner.handle.database(),
        tcp: owner.tcp,
    })
}

#[derive(Deserialize)]
struct PictureQuery {
    after: Option<u64>,
    wait_ms: Option<u64>,
}

async fn instances(
    State(owner): State<Owner>,
    Question(query): Question<PictureQuery>,
) -> Answered<Json<FleetBody>> {
    let picture = match query.after {
        None => owner.handle.snapshot(),
        Some(after) => {
            let wait = query
                .wait_ms
                .unwrap_or(LONG_POLL_LIMIT_MS)
                .min(LONG_POLL_LIMIT_MS);
            owner
                .handle
                .snapshot_after(after, Duration::from_millis(wait))
                .await
        }
    };
    Ok(Json(FleetBody::from_snapshot(&picture, owner.now())))
}

async fn instance(State(owner): State<Owner>, Named(name): Named) -> Answered<Json<InstanceBody>> {
    let picture = owner.handle.snapshot();
    let row = picture.rows.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| Failure::new(ErrorCode::NotFound, format!("{name} is gone")))?;
    Ok(Json(InstanceBody::from_row(row, owner.now())))
}

async fn start(State(owner): State<Owner>, Path(name): Path<String>) -> Answered<Response> {
    command(&owner, &name, Action::Start).await
}

async fn stop(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    Given(body): Given<StopRequest>,
) -> Answered<Response> {
    command(&owner, &name, Action::Stop(StopMode::from(body.mode))).await
}

async fn restart(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    Given(body): Given<StopRequest>,
) -> Answered<Response> {
    command(&owner, &name, Action::Restart(StopMode::from(body.mode))).await
}

async fn command(owner: &Owner, name: &str, action: Action) -> Answered<Response> {
    // The supervisor knows best: a start also finds an instance that was added a moment ago.
    let name = InstanceName::parse(name).map_err(|_| {
        Failure::new(
            ErrorCode::NotFound,
            format!("no instance is called {name:?}"),
        )
    })?;
    let answer = owner.handle.command(Command { name, action }).await?;
    Ok(accepted(&answer))
}

async fn yield_home(State(owner): State<Owner>) -> Answered<Json<serde_json::Value>> {
    match owner.role {
        Role::Daemon => {
            let message = format!("a daemon owns this home (pid {})", std::process::id());
            Err(Failure::new(ErrorCode::OwnerError, message))
        }
        Role::Dashboard | Role::Command => {
            owner.yielded.cancel();
            Ok(Json(serde_json::json!({})))
        }
    }
}

async fn stop_owner(State(owner): State<Owner>) -> Json<serde_json::Value> {
    owner.stopped.cancel();
    Json(serde_json::json!({}))
}

async fn autostart(State(owner): State<Owner>) -> Answered<Response> {
    let answer = owner.handle.autostart().await?;
    Ok(accepted(&answer))
}

fn accepted(answer: &Answer) -> Response {
    let body = CommandAnswer {
        run_id: answer.run.as_ref().map(ToString::to_string),
        generation: answer.generation,
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

impl Owner {
    /// Unix seconds, from the start and the monotonic clock.
    fn now(&self) -> f64 {
        self.started_at + self.started.elapsed().as_secs_f64()
    }
}
