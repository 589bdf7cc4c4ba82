//! Plans: what differs from the files, and doing what removes the difference.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::Known;
use super::{Answered, Failure, Owner, diagnosis};
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{AppliedBody, ChangeBody, FitBody, PlanBody, PlansBody};
use crate::config::home::Home;
use crate::config::{drift, load};
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::readings::HostReadings;
use crate::probes::host::Host;
use crate::supervisor::fit::{self, Holding};
use crate::supervisor::obstacle;
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
    Known(name): Known<InstanceName>,
) -> Answered<(StatusCode, Json<AppliedBody>)> {
    let plans = owner.handle.plans().await?;
    let restarts = |plan: &Plan| plan.name == name && plan.step == Step::Restart;
    if plans.iter().any(restarts) {
        replaceable(&owner, &name).await?;
    }
    let (plan, generation) = owner.handle.apply(name).await?;
    let body = AppliedBody {
        plan: plan_body(&plan),
        generation,
    };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// Refuses to end a server that runs for one that surely could not start.
pub(super) async fn replaceable(owner: &Owner, name: &InstanceName) -> Answered<()> {
    let runs = |row: &InstanceRow| row.name == *name && row.status.is_live();
    if !owner.handle.snapshot().rows.iter().any(runs) {
        return Ok(());
    }
    let name = name.clone();
    diagnosis::blocking(owner.clone(), move |home, _| {
        let set = load::load(home);
        let mut specs = set.rows.iter().filter_map(|row| row.as_ref().ok());
        // A file that cannot be used is refused by the supervisor, in its own words.
        let loaded = specs.find(|loaded| loaded.spec.name == name);
        match loaded.and_then(|loaded| obstacle(home, &loaded.spec)) {
            None => Ok(()),
            Some(why) => {
                let message =
                    format!("it goes on as it is, because it would not start again: {why}");
                let body = ErrorBody::new(ErrorCode::Invalid, message);
                Err(Failure(body.with_hint(format!(
                    "llama-orch config lint {name}; to end it all the same: llama-orch down {name}"
                ))))
            }
        }
    })
    .await
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

/// Puts plans on the wire, with what stands in the way of a restart and the fit of what it would
/// start. Blocking.
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
    let asked: Vec<_> = asked.collect();
    for (spec, _) in &asked {
        let body = bodies
            .iter_mut()
            .find(|body| body.instance == spec.name.as_str());
        if let Some(body) = body {
            body.problem = obstacle(home, spec);
        }
    }
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
