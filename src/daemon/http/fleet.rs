//! What there is: the owner, the instances, how they do.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{Known, LONGEST, Question, patience};
use super::{Answered, Failure, Owner};
use crate::api::error::ErrorCode;
use crate::api::wire::{
    FleetBody, FleetHealthBody, InstanceBody, OwnerStatus, PictureQuery, rfc3339,
};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::work::WorkCounts;

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(instances))
        .routes(routes!(instance))
        .routes(routes!(health))
}

/// Who owns the home, since when, and how much there is.
#[utoipa::path(get, path = "/status", tag = "fleet", responses((status = 200, body = OwnerStatus)))]
async fn status(State(owner): State<Owner>) -> Json<OwnerStatus> {
    let picture = owner.handle.snapshot();
    let work = owner.handle.work_units();
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
        work_units: WorkCounts::of(&work.units).into(),
        work_max_parallel: Some(work.max_parallel),
        generation: picture.generation,
        database: owner.handle.database(),
        tcp: owner.tcp.borrow().clone(),
    })
}

/// All instances, and what the machine has.
///
/// With `after` it waits until there is a newer picture than that generation.
#[utoipa::path(
    get, path = "/instances", tag = "fleet", params(PictureQuery),
    responses((status = 200, body = FleetBody))
)]
async fn instances(
    State(owner): State<Owner>,
    Question(query): Question<PictureQuery>,
) -> Json<FleetBody> {
    let picture = match query.after {
        None => owner.handle.snapshot(),
        Some(after) => {
            let wait = patience(query.wait_ms, LONGEST);
            tokio::select! {
                picture = owner.handle.snapshot_after(after, wait) => picture,
                // Whoever waits hears of the end by asking again.
                () = owner.closing.cancelled() => owner.handle.snapshot(),
            }
        }
    };
    Json(FleetBody::from_snapshot(&picture, owner.now()))
}

/// One instance.
#[utoipa::path(
    get, path = "/instances/{name}", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    responses((status = 200, body = InstanceBody))
)]
async fn instance(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
) -> Answered<Json<InstanceBody>> {
    body_of(&owner, &name).map(Json)
}

/// Returns what is known of an instance at once.
pub(super) fn body_of(owner: &Owner, name: &InstanceName) -> Answered<InstanceBody> {
    let picture = owner.handle.snapshot();
    let row = picture.rows.iter().find(|row| row.name == *name);
    let row = row.ok_or_else(|| Failure::new(ErrorCode::NotFound, format!("{name} is gone")))?;
    Ok(InstanceBody::from_row(row, owner.now()))
}

/// Whether every instance that should run does, and is healthy, as far as is known now.
///
/// `POST /refresh` probes first.
#[utoipa::path(
    get, path = "/health", tag = "fleet", responses((status = 200, body = FleetHealthBody))
)]
async fn health(State(owner): State<Owner>) -> Json<FleetHealthBody> {
    Json(FleetHealthBody::of(&owner.handle.snapshot()))
}
