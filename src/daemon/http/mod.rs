//! The owner's routes: each handler only parses, asks the supervisor and converts.

mod diagnosis;
mod events;
pub mod peer;
mod plan;
mod refresh;

use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::http_logs::{self, LogBook};
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{
    CommandAnswer, FleetBody, InstanceBody, OwnerStatus, Role, StopRequest, rfc3339,
};
use crate::api::{LONG_POLL_LIMIT_MS, VERSION, VERSION_HEADER};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::run::StopMode;
use crate::supervisor::decision::{Action, Command, Denied};
use crate::supervisor::handle::{Answer, CommandError, Handle};
pub use diagnosis::build_body;

pub(crate) use self::events::event_body;
pub(crate) use self::plan::plan_body;
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
    /// Cancelled when this process should give the home to another.
    pub yielded: CancellationToken,
    /// Cancelled when this process should end.
    pub stopped: CancellationToken,
}

/// A failure on its way out as JSON.
pub struct Failure(pub(super) ErrorBody);

pub(super) type Answered<T> = Result<T, Failure>;

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
        .fallback(no_such_route)
        .layer(middleware::from_fn(versioned))
        .layer(middleware::from_fn(peer::known))
        .with_state(owner)
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
    })
}

#[derive(Deserialize)]
struct PictureQuery {
    after: Option<u64>,
    wait_ms: Option<u64>,
}

async fn instances(
    State(owner): State<Owner>,
    query: Result<Query<PictureQuery>, QueryRejection>,
) -> Answered<Json<FleetBody>> {
    let Query(query) = query?;
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

async fn instance(
    State(owner): State<Owner>,
    Path(name): Path<String>,
) -> Answered<Json<InstanceBody>> {
    let name = parse_name(&name)?;
    let picture = owner.handle.snapshot();
    let row = picture
        .rows
        .iter()
        .find(|row| row.name == name)
        .ok_or_else(|| unknown(&name))?;
    Ok(Json(InstanceBody::from_row(row, owner.now())))
}

async fn start(State(owner): State<Owner>, Path(name): Path<String>) -> Answered<Response> {
    command(&owner, &name, Action::Start).await
}

async fn stop(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    body: Result<Json<StopRequest>, JsonRejection>,
) -> Answered<Response> {
    let Json(body) = body?;
    command(&owner, &name, Action::Stop(StopMode::from(body.mode))).await
}

async fn restart(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    body: Result<Json<StopRequest>, JsonRejection>,
) -> Answered<Response> {
    let Json(body) = body?;
    command(&owner, &name, Action::Restart(StopMode::from(body.mode))).await
}

async fn command(owner: &Owner, name: &str, action: Action) -> Answered<Response> {
    let name = parse_name(name)?;
    let answer = owner.handle.command(Command { name, action }).await?;
    Ok(accepted(&answer))
}

async fn yield_home(State(owner): State<Owner>) -> Answered<Json<serde_json::Value>> {
    match owner.role {
        Role::Daemon => {
            let message = format!("a daemon owns this home (pid {})", std::process::id());
            Err(Failure(ErrorBody::new(ErrorCode::OwnerError, message)))
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

async fn no_such_route(request: Request) -> Failure {
    let message = format!("there is no {} {}", request.method(), request.uri().path());
    Failure(ErrorBody::new(ErrorCode::NotFound, message))
}

fn accepted(answer: &Answer) -> Response {
    let body = CommandAnswer {
        run_id: answer.run.as_ref().map(ToString::to_string),
        generation: answer.generation,
    };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

fn parse_name(text: &str) -> Answered<InstanceName> {
    InstanceName::parse(text)
        .map_err(|error| Failure(ErrorBody::new(ErrorCode::NotFound, error.to_string())))
}

/// Reads the name of an instance that exists.
pub(super) fn known_name(owner: &Owner, text: &str) -> Answered<InstanceName> {
    let name = parse_name(text)?;
    let picture = owner.handle.snapshot();
    if picture.rows.iter().any(|row| row.name == name) {
        Ok(name)
    } else {
        Err(unknown(&name))
    }
}

fn unknown(name: &InstanceName) -> Failure {
    Failure(ErrorBody::new(
        ErrorCode::NotFound,
        format!("no instance is called {name}"),
    ))
}

impl Owner {
    /// Unix seconds, from the start and the monotonic clock.
    fn now(&self) -> f64 {
        self.started_at + self.started.elapsed().as_secs_f64()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self(ErrorBody::new(ErrorCode::Invalid, rejection.body_text()))
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self(ErrorBody::new(ErrorCode::Invalid, rejection.body_text()))
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::AlreadyRunning => ErrorCode::AlreadyRunning,
            CommandError::NotRunning => ErrorCode::NotRunning,
            CommandError::Denied(Denied::Unknown { .. }) => ErrorCode::NotFound,
            CommandError::Denied(Denied::Broken { .. }) => ErrorCode::Invalid,
            CommandError::ShuttingDown => ErrorCode::OwnerError,
        };
        Self(ErrorBody::new(code, error.to_string()))
    }
}
