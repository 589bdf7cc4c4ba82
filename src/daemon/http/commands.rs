//! What is done to instances. A command is answered once it is decided; the work goes on.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{Given, Named};
use super::{Answered, Failure, Owner, plan};
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
async fn start(State(owner): State<Owner>, Named(name): Named<InstanceName>) -> Answered<Accepted> {
    command(&owner, name, Action::Start).await
}

/// Stops an instance, and everything that it started.
#[utoipa::path(
    post, path = "/instances/{name}/stop", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    request_body = Option<StopRequest>,
    responses((status = 202, body = CommandAnswer), super::openapi::Refusals)
)]
async fn stop(State(owner): State<Owner>, end: End) -> Answered<Accepted> {
    command(&owner, end.name, Action::Stop(end.mode)).await
}

/// Stops an instance and starts it again; one that surely could not start is left as it is.
#[utoipa::path(
    post, path = "/instances/{name}/restart", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    request_body = Option<StopRequest>,
    responses((status = 202, body = CommandAnswer), super::openapi::Refusals)
)]
async fn restart(State(owner): State<Owner>, end: End) -> Answered<Accepted> {
    if end.mode == StopMode::Gentle {
        plan::replaceable(&owner, &end.name).await?;
    }
    command(&owner, end.name, Action::Restart(end.mode)).await
}

/// Which run is ended, and how.
struct End {
    name: InstanceName,
    mode: StopMode,
}

impl FromRequest<Owner> for End {
    type Rejection = Failure;

    async fn from_request(request: Request, owner: &Owner) -> Answered<Self> {
        let (mut parts, body) = request.into_parts();
        let Named(name) = Named::from_request_parts(&mut parts, owner).await?;
        let request = Request::from_parts(parts, body);
        let Given(asked) = Given::<StopRequest>::from_request(request, owner).await?;
        Ok(Self {
            name,
            mode: asked.mode.into(),
        })
    }
}

/// The supervisor knows best whether there is such an instance: a start also finds one that was
/// added a moment ago.
async fn command(owner: &Owner, name: InstanceName, action: Action) -> Answered<Accepted> {
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
