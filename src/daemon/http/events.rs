//! The event feed: pages of it, and live.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{Known, Question, patience};
use super::live::{self, Followed, Message};
use super::{Answered, Failure, Owner};
use crate::api::error::ErrorCode;
use crate::api::wire::{EventBody, EventsBody, EventsQuery, InstanceEventsKeys, rfc3339};
use crate::domain::event::EventFilter;
use crate::domain::instance::InstanceName;
use crate::store::StoredEvent;
use crate::supervisor::handle::Handle;

/// The most events one answer carries.
const EVENTS_LIMIT: u32 = 10_000;

/// Events read at once for a stream.
const STREAM_PAGE: u32 = 100;

/// One look of a stream.
const STREAM_WAIT: Duration = Duration::from_secs(20);

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(events_of))
}

/// What happened, oldest first; with `Accept: text/event-stream`, as it happens.
///
/// A stream begins with the newest `limit` events, with those behind `after` or `Last-Event-ID`, or
/// with the next one.
#[utoipa::path(
    get, path = "/events", tag = "events", params(EventsQuery),
    responses((status = 200, description = "Events, each with its number", content(
        (EventsBody = "application/json"), (EventBody = "text/event-stream")
    )))
)]
async fn events(
    State(owner): State<Owner>,
    headers: HeaderMap,
    Question(query): Question<EventsQuery>,
) -> Answered<Response> {
    answer(&owner, &headers, &query).await
}

/// What happened to one instance; otherwise as `/events`.
#[utoipa::path(
    get, path = "/instances/{name}/events", tag = "events",
    params(("name" = String, Path, description = "The instance"), InstanceEventsKeys),
    responses((status = 200, description = "Events, each with its number", content(
        (EventsBody = "application/json"), (EventBody = "text/event-stream")
    )))
)]
async fn events_of(
    State(owner): State<Owner>,
    Known(name): Known<InstanceName>,
    headers: HeaderMap,
    Question(query): Question<EventsQuery>,
) -> Answered<Response> {
    let query = EventsQuery {
        instance: Some(name.to_string()),
        ..query
    };
    answer(&owner, &headers, &query).await
}

async fn answer(owner: &Owner, headers: &HeaderMap, query: &EventsQuery) -> Answered<Response> {
    let mut filter = query
        .filter()
        .map_err(|error| Failure::new(ErrorCode::Invalid, error.to_string()))?;
    filter.limit = filter.limit.map(|limit| limit.clamp(1, EVENTS_LIMIT));
    if live::is_asked(headers) {
        let seen = match live::last_seen(headers) {
            Some(text) => Some(text.parse().map_err(|_| not_a_number(text))?),
            None => None,
        };
        filter.after_id = seen.or(filter.after_id);
        let follower = EventFollower::new(owner.handle.clone(), filter).await;
        return live::answer(owner, follower);
    }
    let wait = patience(query.wait_ms, Duration::ZERO);
    let nothing = EventFilter {
        limit: Some(0),
        ..filter.clone()
    };
    let page = tokio::select! {
        page = owner.handle.events(&filter, wait) => page,
        // Whoever waits hears of the end by asking again.
        () = owner.closing.cancelled() => owner.handle.events(&nothing, Duration::ZERO).await,
    };
    let body = EventsBody {
        events: page.events.iter().map(event_body).collect(),
        last_id: page.last_id,
    };
    Ok(Json(body).into_response())
}

fn not_a_number(text: &str) -> Failure {
    let message = format!("Last-Event-ID: {text:?} is not the number of an event");
    Failure::new(ErrorCode::Invalid, message)
}

/// The events after a number.
struct EventFollower {
    handle: Handle,
    filter: EventFilter,
    /// What is sent before anything is waited for.
    first: Vec<Message>,
}

impl EventFollower {
    async fn new(handle: Handle, asked: EventFilter) -> Self {
        let newest = EventFilter {
            after_id: None,
            // Without a word of what is past, only what comes is sent.
            limit: asked.limit.filter(|_| asked.after_id.is_none()).or(Some(0)),
            ..asked.clone()
        };
        let page = handle.events(&newest, Duration::ZERO).await;
        let mut first: Vec<Message> = page.events.iter().map(message).collect();
        let after = match asked.after_id {
            Some(after) if after > page.last_id => {
                first.push(Message {
                    kind: Some("reset"),
                    id: page.last_id.to_string(),
                    data: "the numbers of events began anew".to_owned(),
                });
                page.last_id
            }
            Some(after) => after,
            None => page.last_id,
        };
        let filter = EventFilter {
            after_id: Some(after),
            limit: Some(STREAM_PAGE),
            ..asked
        };
        Self {
            handle,
            filter,
            first,
        }
    }
}

impl Followed for EventFollower {
    async fn next(&mut self) -> Answered<Vec<Message>> {
        if !self.first.is_empty() {
            return Ok(std::mem::take(&mut self.first));
        }
        let page = self.handle.events(&self.filter, STREAM_WAIT).await;
        self.filter.after_id = Some(page.last_id);
        Ok(page.events.iter().map(message).collect())
    }
}

fn message(event: &StoredEvent) -> Message {
    Message::new(&event.id, &event_body(event))
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
