//! Events and logs as they happen, as server-sent events.
//!
//! Nothing is queued for a reader: each message is read when there is room for it, from memory or
//! from the files. So a reader that is slower than the news is late and costs no more than any
//! other; one that takes nothing at all loses its connection (`serve`), and goes on where it was by
//! sending the last `id` it saw as `Last-Event-ID`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Answered, Failure, Owner};
use crate::api::error::{ErrorBody, ErrorCode};

/// Streams at once; they leave room for those who ask for something.
const PLACES: usize = 128;

/// A line that nothing is written on says so this often: a peer that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// When a browser asks again.
const RETRY: Duration = Duration::from_secs(2);

/// The header by which a reader goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// The places of those who listen.
#[derive(Clone, Debug)]
pub struct Streams(Arc<Semaphore>);

/// What is followed: each look returns the next messages, or none when there was nothing yet.
pub(super) trait Followed: Send + 'static {
    /// Waits a while for news.
    fn next(&mut self) -> impl Future<Output = Answered<Vec<Message>>> + Send;
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    /// `None` is what one listens for; others say something about the stream.
    pub(super) kind: Option<&'static str>,
    pub(super) id: String,
    pub(super) data: String,
}

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Message {
    pub(super) fn new(id: &impl ToString, body: &impl Serialize) -> Self {
        Self {
            kind: None,
            id: id.to_string(),
            data: serde_json::to_string(body).unwrap_or_default(),
        }
    }
}

/// Returns whether a stream is asked for.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter();
    accepts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().map(str::trim) == Some("text/event-stream"))
}

/// Returns where the reader was when its last stream ended.
pub(super) fn last_seen(headers: &HeaderMap) -> Option<&str> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()
}

/// Answers with everything that `followed` has, until the reader goes or the owner ends.
pub(super) fn answer(owner: &Owner, followed: impl Followed) -> Answered<Response> {
    let Ok(place) = Arc::clone(&owner.streams.0).try_acquire_owned() else {
        let message = format!("{PLACES} streams are open already");
        let body = ErrorBody::new(ErrorCode::TooMany, message);
        return Err(body
            .with_hint("ask again later, or without Accept: text/event-stream")
            .into());
    };
    let follower = Follower {
        followed,
        closing: owner.closing.clone(),
        last: String::new(),
        _place: place,
    };
    let first = Event::default()
        .retry(RETRY)
        .comment("after an interruption, send the last id as Last-Event-ID");
    let stream = stream::once(async { Ok(first) }).chain(follower.messages());
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(stream).keep_alive(alive).into_response())
}

struct Follower<F> {
    followed: F,
    closing: CancellationToken,
    /// The id of the last message.
    last: String,
    _place: OwnedSemaphorePermit,
}

impl<F: Followed> Follower<F> {
    fn messages(self) -> impl Stream<Item = Result<Event, Infallible>> {
        let batches = stream::unfold(Some(self), |follower| async move {
            let mut follower = follower?;
            let found = follower.look().await;
            let (messages, next) = match found {
                Ok(messages) => (messages, Some(follower)),
                Err(message) => (vec![message], None),
            };
            Some((stream::iter(messages.into_iter().map(event)), next))
        });
        batches.flatten()
    }

    /// Returns the next messages, or the last one there is.
    async fn look(&mut self) -> Result<Vec<Message>, Message> {
        let found = tokio::select! {
            found = self.followed.next() => found,
            () = self.closing.cancelled() => {
                Err(Failure::new(ErrorCode::OwnerError, "the owner ends"))
            }
        };
        match found {
            Ok(messages) => {
                if let Some(message) = messages.last() {
                    self.last.clone_from(&message.id);
                }
                Ok(messages)
            }
            Err(Failure(body)) => {
                let hint = format!("ask again with Last-Event-ID: {}", self.last);
                let message = Message::new(&self.last, &body.with_hint(hint));
                Err(Message {
                    kind: Some("end"),
                    ..message
                })
            }
        }
    }
}

fn event(message: Message) -> Result<Event, Infallible> {
    let mut event = Event::default().data(message.data);
    if !message.id.is_empty() {
        event = event.id(message.id);
    }
    Ok(match message.kind {
        Some(kind) => event.event(kind),
        None => event,
    })
}
