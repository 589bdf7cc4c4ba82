//! The event feed.

use std::time::Duration;

use axum::Json;
use axum::extract::State;

use super::asked::Question;
use super::{Answered, Failure, Owner};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{EventBody, EventsBody, EventsQuery, rfc3339};
use crate::store::StoredEvent;

/// The most events one answer carries.
const EVENTS_LIMIT: u32 = 10_000;

/// `GET /events`
pub(super) async fn events(
    State(owner): State<Owner>,
    Question(query): Question<EventsQuery>,
) -> Answered<Json<EventsBody>> {
    let mut filter = query
        .filter()
        .map_err(|error| Failure(ErrorBody::new(ErrorCode::Invalid, error.to_string())))?;
    filter.limit = filter.limit.map(|limit| limit.clamp(1, EVENTS_LIMIT));
    let wait = query.wait_ms.unwrap_or(0).min(LONG_POLL_LIMIT_MS);
    let page = owner
        .handle
        .events(&filter, Duration::from_millis(wait))
        .await;
    Ok(Json(EventsBody {
        events: page.events.iter().map(event_body).collect(),
        last_id: page.last_id,
    }))
}

/// Puts a stored event on the wire, whatever its kind.
#[must_use]
pub(crate) fn event_body(event: &StoredEvent) -> EventBody {
    EventBody {
        id: event.id,
        ts: rfc3339(event.at),
        instance: event.instance.clone(),
        level: event.level.to_string(),
        event_type: event.kind.clone(),
        message: event.message.clone(),
    }
}
