//! What is asked of the owner itself.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::commands::{Accepted, accepted};
use super::{Answered, Failure, Owner};
use crate::api::error::ErrorCode;
use crate::api::wire::{CommandAnswer, Done, Role};

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(yield_home))
        .routes(routes!(stop_owner))
        .routes(routes!(autostart))
}

/// Asks a dashboard or a command that owns the home to give it up; a daemon does not.
#[utoipa::path(
    post, path = "/owner/yield", tag = "owner",
    responses((status = 200, body = Done), super::openapi::Refusals)
)]
async fn yield_home(State(owner): State<Owner>) -> Answered<Json<Done>> {
    match owner.role {
        Role::Daemon => {
            let message = format!("a daemon owns this home (pid {})", std::process::id());
            Err(Failure::new(ErrorCode::Refused, message))
        }
        Role::Dashboard | Role::Command => {
            owner.yielded.cancel();
            Ok(Json(Done {}))
        }
    }
}

/// Ends the owner; instances keep running.
#[utoipa::path(post, path = "/owner/stop", tag = "owner", responses((status = 200, body = Done)))]
async fn stop_owner(State(owner): State<Owner>) -> Json<Done> {
    owner.stopped.cancel();
    Json(Done {})
}

/// Starts every autostart instance, also those that a user had stopped.
#[utoipa::path(
    post, path = "/owner/autostart", tag = "owner",
    responses((status = 202, body = CommandAnswer))
)]
async fn autostart(State(owner): State<Owner>) -> Answered<Accepted> {
    let answer = owner.handle.autostart().await?;
    Ok(accepted(&answer))
}
