//! Plans: what differs from the files, and doing what removes the difference.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::Named;
use super::{Answered, Owner, diagnosis};
use crate::api::wire::{AppliedBody, ChangeBody, FitBody, PlanBody, PlansBody};
use crate::config::home::Home;
use crate::config::{drift, load};
use crate::domain::instance::InstanceName;
use crate::domain::readings::HostReadings;
use crate::probes::host::Host;
use crate::supervisor::fit::{self, Holding};
use crate::supervisor::plan::{Change, Plan, Step};

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(plan))
        .routes(routes!(apply))
}

/// What it would take to make every instance what its file says.
#[utoipa::path(get, path = "/plan", tag = "fleet", responses((status = 200, body = PlansBody)))]
async fn plan(State(owner): State<Owner>) -> Answered<Json<PlansBody>> {
    let plans = owner.handle.plans().await?;
    let host = diagnosis::readings(&owner);
    diagnosis::blocking(owner, move |home, _| {
        let plans = weighed(&plans, home, host);
        Ok(Json(PlansBody { plans }))
    })
    .await
}

/// Does what the plan of this instance says, and nothing else.
#[utoipa::path(
    post, path = "/instances/{name}/apply", tag = "instances",
    params(("name" = String, Path, description = "The instance")),
    responses((status = 202, body = AppliedBody), super::openapi::Refusals)
)]
async fn apply(
    State(owner): State<Owner>,
    Named(name): Named,
) -> Answered<(StatusCode, Json<AppliedBody>)> {
    let (plan, generation) = owner.handle.apply(name).await?;
    let body = AppliedBody {
        plan: plan_body(&plan),
        generation,
    };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// Puts a plan on the wire, its secrets masked.
fn plan_body(plan: &Plan) -> PlanBody {
    PlanBody {
        instance: plan.name.to_string(),
        action: plan.step.as_str().to_owned(),
        problem: plan.problem.clone(),
        changes: plan.changes.iter().map(change_body).collect(),
        fit: None,
    }
}

/// Puts plans on the wire, with the fit of what a restart would start. Blocking.
#[must_use]
pub(crate) fn weighed(plans: &[Plan], home: &Home, host: Option<HostReadings>) -> Vec<PlanBody> {
    let mut bodies: Vec<PlanBody> = plans.iter().map(plan_body).collect();
    let due = |name: &InstanceName| {
        let mut plans = plans.iter();
        plans.any(|plan| plan.step == Step::Restart && plan.name == *name)
    };
    if plans.iter().all(|plan| plan.step != Step::Restart) {
        return bodies;
    }
    let host = host.unwrap_or_else(|| Host::find().look());
    let set = load::load(home);
    let specs = set.rows.iter().filter_map(|row| row.as_ref().ok());
    let asked = specs
        .map(|loaded| (&loaded.spec, Holding::Everything))
        .filter(|(spec, _)| due(&spec.name));
    for (name, fit) in fit::in_turn(home, &host, asked) {
        let body = bodies
            .iter_mut()
            .find(|body| body.instance == name.as_str());
        if let Some(body) = body {
            body.fit = Some(FitBody::from(&fit));
        }
    }
    bodies
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
