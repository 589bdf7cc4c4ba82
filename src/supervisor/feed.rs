//! The events for readers: the newest in memory, older ones in the database.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::event::{Event, EventFilter};
use crate::domain::instance::InstanceName;
use crate::domain::work::{Chunk, StatusChange};
use crate::store::{HealthHistory, Reader, StoreError, StoredEvent};

/// Events kept in memory.
const RING_LIMIT: usize = 4096;

/// Events returned when the filter sets no limit.
const DEFAULT_LIMIT: u32 = 100;

/// All events of a home, for readers; cheap to clone.
#[derive(Clone)]
pub(super) struct EventFeed {
    ring: Arc<Mutex<Ring>>,
    /// The number of the newest event.
    newest: watch::Sender<i64>,
    database: PathBuf,
}

/// The newest events, by rising number.
struct Ring {
    events: VecDeque<Event>,
    /// Events from this number on are in the ring.
    first: i64,
}

/// The events of one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// What to ask after next: every event up to this number was considered.
    pub last_id: i64,
}

impl EventFeed {
    /// Makes a feed whose next event has the number `first`.
    pub(super) fn new(first: i64, database: PathBuf) -> Self {
        Self {
            ring: Arc::new(Mutex::new(Ring {
                events: VecDeque::new(),
                first,
            })),
            newest: watch::Sender::new(first - 1),
            database,
        }
    }

    pub(super) fn push(&self, event: Event) {
        let id = event.id;
        {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.events.len() == RING_LIMIT
                && let Some(oldest) = ring.events.pop_front()
            {
                ring.first = oldest.id + 1;
            }
            ring.events.push_back(event);
        }
        self.newest.send_replace(id);
    }

    pub(super) async fn page(&self, filter: &EventFilter, wait: Duration) -> EventPage {
        let mut newest = self.newest.subscribe();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            newest.mark_unchanged();
            let page = self.page_now(filter).await;
            if filter.after_id.is_none() || !page.events.is_empty() {
                return page;
            }
            match tokio::time::timeout_at(deadline, newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return page,
            }
        }
    }

    async fn page_now(&self, filter: &EventFilter) -> EventPage {
        let (mut recent, first, last_id) = self.recent(filter);
        let limit = filter.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        let older = EventFilter {
            before_id: Some(filter.before_id.unwrap_or(first).min(first)),
            limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
            ..filter.clone()
        };
        let mut events = match filter.after_id {
            Some(after) if after < first - 1 => self.stored(older).await,
            Some(_) => Vec::new(),
            None if recent.len() < limit => self.stored(older).await,
            None => Vec::new(),
        };
        events.append(&mut recent);
        if filter.after_id.is_none() {
            events.drain(..events.len().saturating_sub(limit));
            return EventPage { events, last_id };
        }
        // Cut at the end: what is left out is asked for next.
        let cut = events.len() >= limit;
        events.truncate(limit);
        let last_id = match events.last() {
            Some(last) if cut => last.id,
            Some(_) | None => last_id,
        };
        EventPage { events, last_id }
    }

    /// The matching events of the ring, where it begins, and the number of its newest.
    fn recent(&self, filter: &EventFilter) -> (Vec<StoredEvent>, i64, i64) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = ring.events.iter().filter(|event| filter.wants(event));
        let last = ring.events.back().map_or(ring.first - 1, |event| event.id);
        (wanted.map(stored).collect(), ring.first, last)
    }

    /// The matching events of the database; none when it cannot be read.
    async fn stored(&self, filter: EventFilter) -> Vec<StoredEvent> {
        self.ask(move |reader| reader.events(&filter)).await
    }

    /// Returns what the database remembers of an instance's health.
    pub(super) async fn health_history(&self, name: InstanceName, limit: u32) -> HealthHistory {
        self.ask(move |reader| reader.health_history(&name, limit))
            .await
    }

    /// Returns the newest lines of a work unit's status log, oldest first.
    pub(super) async fn status_log(&self, chunk: Chunk, limit: u32) -> Vec<StatusChange> {
        self.ask(move |reader| reader.status_log(&chunk, limit))
            .await
    }

    async fn ask<T: Default + Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let path = self.database.clone();
        let read = move || question(&Reader::open(&path).ok().flatten()?).ok();
        let found = tokio::task::spawn_blocking(read).await;
        found.ok().flatten().unwrap_or_default()
    }
}

fn stored(event: &Event) -> StoredEvent {
    StoredEvent {
        id: event.id,
        at: event.at,
        instance: event.instance.as_ref().map(ToString::to_string),
        level: event.level,
        kind: event.kind.to_string(),
        message: event.message.clone(),
        meta_json: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{EventType, Level};

    fn event(id: i64, name: &str, level: Level) -> Event {
        Event {
            id,
            at: id as f64,
            instance: InstanceName::parse(name).ok(),
            level,
            kind: EventType::Started,
            message: format!("event {id}"),
        }
    }

    fn feed() -> EventFeed {
        let feed = EventFeed::new(10, "/nowhere/state.sqlite".into());
        for (id, name, level) in [
            (10, "a", Level::Info),
            (11, "b", Level::Warning),
            (12, "a", Level::Error),
            (13, "b", Level::Info),
        ] {
            feed.push(event(id, name, level));
        }
        feed
    }

    fn ids(page: &EventPage) -> Vec<i64> {
        page.events.iter().map(|event| event.id).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_paged_filtered_and_never_skipped() {
        let feed = feed();
        let all = EventFilter::default();
        let rows: [(EventFilter, &[i64], i64); 7] = [
            (all.clone(), &[10, 11, 12, 13], 13),
            (
                EventFilter {
                    limit: Some(2),
                    ..all.clone()
                },
                &[12, 13],
                13,
            ),
            (
                EventFilter {
                    after_id: Some(10),
                    limit: Some(2),
                    ..all.clone()
                },
                &[11, 12],
                12,
            ),
            (
                EventFilter {
                    after_id: Some(12),
                    limit: Some(2),
                    ..all.clone()
                },
                &[13],
                13,
            ),
            (
                EventFilter {
                    after_id: Some(13),
                    ..all.clone()
                },
                &[],
                13,
            ),
            (
                EventFilter {
                    level: Some(Level::Warning),
                    ..all.clone()
                },
                &[11, 12],
                13,
            ),
            (
                EventFilter {
                    instance: InstanceName::parse("a").ok(),
                    since: Some(11.0),
                    ..all
                },
                &[12],
                13,
            ),
        ];
        for (filter, expected, last_id) in rows {
            let page = feed.page(&filter, Duration::ZERO).await;
            assert_eq!(ids(&page), expected, "{filter:?}");
            assert_eq!(page.last_id, last_id, "{filter:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reader_gets_the_next_wanted_event_and_others_do_not_wake_it() {
        let feed = feed();
        let filter = EventFilter {
            level: Some(Level::Error),
            after_id: Some(13),
            ..EventFilter::default()
        };
        let waiting = tokio::spawn({
            let (feed, filter) = (feed.clone(), filter.clone());
            async move { feed.page(&filter, Duration::from_secs(30)).await }
        });
        tokio::task::yield_now().await;
        feed.push(event(14, "a", Level::Info));
        tokio::task::yield_now().await;
        feed.push(event(15, "a", Level::Error));
        assert_eq!(ids(&waiting.await.expect("it ends")), [15]);
        // Nothing comes: the answer is empty, and says how far it looked.
        let page = feed
            .page(
                &EventFilter {
                    after_id: Some(15),
                    ..filter
                },
                Duration::from_secs(30),
            )
            .await;
        assert_eq!((ids(&page).len(), page.last_id), (0, 15));
    }

    #[tokio::test]
    async fn a_full_ring_forgets_its_oldest() {
        let feed = EventFeed::new(1, "/nowhere/state.sqlite".into());
        for id in 1..=(RING_LIMIT as i64 + 5) {
            feed.push(event(id, "a", Level::Info));
        }
        let (recent, first, last) = feed.recent(&EventFilter::default());
        assert_eq!(
            (recent.len(), first, last),
            (RING_LIMIT, 6, RING_LIMIT as i64 + 5)
        );
    }
}
