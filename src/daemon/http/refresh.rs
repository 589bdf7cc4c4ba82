//! Looking now instead of when it would be time.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{self, Given, Known, LONGEST, Question, patience};
use super::{Answered, Owner};
use crate::api::wire::{
    FleetBody, HealthChangeBody, HealthHistoryBody, HealthQuery, HealthRollupBody, RefreshRequest,
    rfc3339,
};
use crate::domain::instance::InstanceName;
use crate::store::{HealthHistory, HealthRollup, HealthSample, STRETCH};

/// The most changes and the most rollups one answer carries: three days of five minutes.
const HISTORY: u32 = 1000;

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(refresh))
        .routes(routes!(history))
}

/// Reads the configurations again, probes now, and answers with the picture after.
#[utoipa::path(
    post, path = "/refresh", tag = "fleet", request_body = Option<RefreshRequest>,
    responses(
        (status = 200, body = FleetBody),
        (status = 404, body = crate::api::error::ErrorBody, description = "There is no such instance")
    )
)]
async fn refresh(
    State(owner): State<Owner>,
    Given(body): Given<RefreshRequest>,
) -> Answered<Json<FleetBody>> {
    let names = body.names.map(|names| {
        let words = names.iter().map(String::as_str);
        asked::instances(&owner, words)
    });
    let wait = patience(body.wait_ms, LONGEST);
    owner.handle.refresh(names.transpose()?, wait).await?;
    Ok(Json(FleetBody::from_snapshot(
        &owner.handle.snapshot(),
        owner.now(),
    )))
}

/// How an instance's health changed, and all its probes in stretches of time; oldest first.
#[utoipa::path(
    get, path = "/instances/{name}/health", tag = "instances",
    params(("name" = String, Path, description = "The instance"), HealthQuery),
    responses((status = 200, body = HealthHistoryBody))
)]
async fn history(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
    Question(query): Question<HealthQuery>,
) -> Answered<Json<HealthHistoryBody>> {
    let limit = query.limit.unwrap_or(HISTORY).min(HISTORY);
    let history = owner.handle.health_history(name, limit).await;
    Ok(Json(health_body(&history)))
}

/// Returns the wire shape of a history, wherever it was read.
#[must_use]
pub(crate) fn health_body(history: &HealthHistory) -> HealthHistoryBody {
    HealthHistoryBody {
        changes: history.changes.iter().map(change).collect(),
        rollups: history.rollups.iter().map(rollup).collect(),
    }
}

fn change(sample: &HealthSample) -> HealthChangeBody {
    HealthChangeBody {
        ts: rfc3339(sample.at),
        health: sample.health.to_string(),
        response_ms: sample.response_ms,
        error: sample.error.clone(),
    }
}

fn rollup(rollup: &HealthRollup) -> HealthRollupBody {
    let answered = rollup.responses > 0;
    let mean = rollup.response_total_ms / f64::from(rollup.responses.max(1));
    HealthRollupBody {
        started_at: rfc3339(rollup.started_at),
        seconds: STRETCH as u32,
        probes: rollup.probes,
        failures: rollup.failures,
        responses: rollup.responses,
        response_mean_ms: answered.then_some(mean),
        response_max_ms: answered.then_some(rollup.response_max_ms),
    }
}
