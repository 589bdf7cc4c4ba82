//! Requests of those who watch: events as they happen, and a look now.

use std::time::Duration;

use super::{ANSWER_TIME, Client, ClientError};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::wire::{EventsBody, EventsQuery, FleetBody, HealthHistoryBody, RefreshRequest};
use crate::domain::event::EventFilter;
use crate::domain::instance::InstanceName;

impl Client {
    /// `GET /events`: the events that `filter` asks for, oldest first. When it asks for events
    /// after some number and there is none yet, waits up to `wait` for the first.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn events(
        &self,
        filter: &EventFilter,
        wait: Duration,
    ) -> Result<EventsBody, ClientError> {
        let wait_ms = millis(wait);
        let query = EventsQuery {
            wait_ms: Some(wait_ms),
            ..EventsQuery::of(filter)
        };
        let deadline = ANSWER_TIME + Duration::from_millis(wait_ms);
        self.get(&format!("/events?{}", query.to_text()), deadline)
            .await
    }

    /// `GET /instances/{name}/health`: the newest changes of health and rollups, at most `limit` of
    /// each, oldest first.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn health_history(
        &self,
        name: &InstanceName,
        limit: u32,
    ) -> Result<HealthHistoryBody, ClientError> {
        let path = format!("/instances/{name}/health?limit={limit}");
        self.get(&path, ANSWER_TIME).await
    }

    /// `POST /refresh`: has the configurations read again and these instances, or all, probed now.
    /// Returns the picture after that, or after `wait`.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    pub async fn refresh(
        &self,
        names: Option<&[InstanceName]>,
        wait: Duration,
    ) -> Result<FleetBody, ClientError> {
        let wait_ms = millis(wait);
        let body = RefreshRequest {
            names: names.map(|names| names.iter().map(ToString::to_string).collect()),
            wait_ms: Some(wait_ms),
        };
        let deadline = ANSWER_TIME + Duration::from_millis(wait_ms);
        self.post_within("/refresh", &body, deadline).await
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis())
        .unwrap_or(u64::MAX)
        .min(LONG_POLL_LIMIT_MS)
}
