//! Looking now instead of when it would be time.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;

use super::{Answered, Owner, parse_name, unknown};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::wire::{FleetBody, RefreshRequest};
use crate::domain::instance::InstanceName;

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

fn known(owner: &Owner, names: &[String]) -> Answered<Vec<InstanceName>> {
    let mut known = Vec::new();
    for name in names {
        let name = parse_name(name)?;
        if !owner.handle.knows(&name) {
            return Err(unknown(&name));
        }
        known.push(name);
    }
    Ok(known)
}
