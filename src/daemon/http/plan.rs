//! Plans: what differs from the files, and doing what removes the difference.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::asked::Named;
use super::{Answered, Owner};
use crate::api::wire::{AppliedBody, ChangeBody, PlanBody, PlansBody};
use crate::config::drift;
use crate::supervisor::plan::{Change, Plan};

/// `GET /plan`
pub(super) async fn plan(State(owner): State<Owner>) -> Answered<Json<PlansBody>> {
    let plans = owner.handle.plans().await?;
    Ok(Json(PlansBody {
        plans: plans.iter().map(plan_body).collect(),
    }))
}

/// `POST /instances/{name}/apply`
pub(super) async fn apply(State(owner): State<Owner>, Named(name): Named) -> Answered<Response> {
    let (plan, generation) = owner.handle.apply(name).await?;
    let body = AppliedBody {
        plan: plan_body(&plan),
        generation,
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Puts a plan on the wire, its secrets masked.
#[must_use]
pub(crate) fn plan_body(plan: &Plan) -> PlanBody {
    PlanBody {
        instance: plan.name.to_string(),
        action: plan.step.as_str().to_owned(),
        problem: plan.problem.clone(),
        changes: plan.changes.iter().map(change_body).collect(),
    }
}

fn change_body(change: &Change) -> ChangeBody {
    let masked = |value: &Option<String>| value.as_deref().map(drift::masked);
    ChangeBody {
        field: change.field.field.clone(),
        was: masked(&change.field.was),
        now: masked(&change.field.now),
        needs: change.needs.as_str().to_owned(),
    }
}
