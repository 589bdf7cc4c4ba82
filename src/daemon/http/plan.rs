//! Plans: what differs from the files, and doing what removes the difference.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

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

/// `GET /plan`
pub(super) async fn plan(State(owner): State<Owner>) -> Answered<Json<PlansBody>> {
    let plans = owner.handle.plans().await?;
    let host = diagnosis::readings(&owner);
    diagnosis::blocking(owner, move |home, _| {
        let plans = weighed(&plans, home, host);
        Ok(Json(PlansBody { plans }))
    })
    .await
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
