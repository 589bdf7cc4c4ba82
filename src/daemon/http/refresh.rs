//! Looking now instead of when it would be time.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};

use super::{Answered, Owner, known_name};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::wire::{
    FleetBody, HealthChangeBody, HealthHistoryBody, HealthQuery, RefreshRequest, rfc3339,
};
use crate::domain::instance::InstanceName;
use crate::store::HealthSample;

/// The most changes of health one answer carries.
const HEALTH_CHANGES: u32 = 1000;

/// `POST /refresh`: reads the configurations again, probes now, and answers with the picture after.
pub(super) async fn refresh(
    State(owner): State<Owner>,
    body: Result<Json<RefreshRequest>, JsonRejection>,
) -> Answered<Json<FleetBody>> {
    let Json(body) = body?;
    let names = match body.names {
        None => None,
        Some(names) => Some(known(&owner, &names)?),
    };
    let wait = body.wait_ms.unwrap_or(LONG_POLL_LIMIT_MS);
    let wait = Duration::from_millis(wait.min(LONG_POLL_LIMIT_MS));
    owner.handle.refresh(names, wait).await?;
    Ok(Json(FleetBody::from_snapshot(
        &owner.handle.snapshot(),
        owner.now(),
    )))
}

/// `GET /instances/{name}/health`: the changes of health, oldest first.
pub(super) async fn history(
    State(owner): State<Owner>,
    Path(name): Path<String>,
    query: Result<Query<HealthQuery>, QueryRejection>,
) -> Answered<Json<HealthHistoryBody>> {
    let Query(query) = query?;
    let name = known_name(&owner, &name)?;
    let limit = query.limit.unwrap_or(HEALTH_CHANGES).min(HEALTH_CHANGES);
    let changes = owner.handle.health_changes(name, limit).await;
    Ok(Json(HealthHistoryBody {
        changes: changes.iter().map(body).collect(),
    }))
}

fn body(sample: &HealthSample) -> HealthChangeBody {
    HealthChangeBody {
        ts: rfc3339(sample.at),
        health: sample.health.to_string(),
        response_ms: sample.response_ms,
        error: sample.error.clone(),
    }
}

fn known(owner: &Owner, names: &[String]) -> Answered<Vec<InstanceName>> {
    names.iter().map(|name| known_name(owner, name)).collect()
}
