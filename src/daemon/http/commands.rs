//! What is done to instances. A command is answered once it is decided; the work goes on.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::Given;
use super::{Answered, Failure, Owner, plan};
use crate::api::error::ErrorCode;
use crate::api::wire::{CommandAnswer, StopRequest};
use crate::domain::instance::InstanceName;
use crate::domain::run::StopMode;
use crate::supervisor::decision::{Action, Command};
use crate::supervisor::handle::Answer;

pub(super) type Accepted = (StatusCode, Json<CommandAnswer>);

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(restart))
}

/// Starts an instance.
#[utoipa::path(
    post, path = "/instances/{name}/start", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    responses((status = 202, body = CommandAnswer), super::openapi::Refusals)
)]
async fn start(State(owner): State<Owner>, Path(name): Path<String>) -> Answered<Accepted> {
    command(&owner, &name, Action::Start).await
}

/// Stops an instance, and everything that it started.
#[utoipa::path(
    post, path = "/instances/{name}/stop", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    request_body = Option<StopRequest>,
    responses((status = 202, body = CommandAnswer), super::openapi::Refusals)
)]
async fn stop(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    Given(body): Given<StopRequest>,
) -> Answered<Accepted> {
    command(&owner, &name, Action::Stop(StopMode::from(body.mode))).await
}

/// Stops an instance and starts it again; one that surely could not start is left as it is.
#[utoipa::path(
    post, path = "/instances/{name}/restart", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    request_body = Option<StopRequest>,
    responses((status = 202, body = CommandAnswer), super::openapi::Refusals)
)]
async fn restart(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    Given(body): Given<StopRequest>,
) -> Answered<Accepted> {
    let mode = StopMode::from(body.mode);
    if let (StopMode::Gentle, Ok(name)) = (mode, InstanceName::parse(&name)) {
        plan::replaceable(&owner, &name).await?;
    }
    command(&owner, &name, Action::Restart(mode)).await
}

async fn command(owner: &Owner, name: &str, action: Action) -> Answered<Accepted> {
    // The supervisor knows best: a start also finds an instance that was added a moment ago.
    let unknown = |_| Failure::new(ErrorCode::NotFound, format!("no instance is called {name}"));
    let name = InstanceName::parse(name).map_err(unknown)?;
    let answer = owner.handle.command(Command { name, action }).await?;
    Ok(accepted(&answer))
}

pub(super) fn accepted(answer: &Answer) -> Accepted {
    let body = CommandAnswer {
        run_id: answer.run.as_ref().map(ToString::to_string),
        generation: answer.generation,
    };
    (StatusCode::ACCEPTED, Json(body))
}
