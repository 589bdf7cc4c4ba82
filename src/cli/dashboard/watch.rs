//! Pictures and events, as they come, into the dashboard's mailbox.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::client::other_build::Owner;
use crate::api::client::{Client, ClientError, pace};
use crate::api::wire::{EventBody, OwnerStatus};
use crate::domain::event::EventFilter;
use crate::domain::fleet::FleetSnapshot;
use crate::tui::{Mailbox, Msg, Supervisor, WorkMsg};

/// The longest one question waits for news.
const WAIT: Duration = Duration::from_secs(20);

/// Events asked for at once.
const EVENTS: u32 = 1000;

/// Three questions that are always open; all end when this is dropped.
pub(in crate::cli) struct Watch {
    pictures: JoinHandle<()>,
    events: JoinHandle<()>,
    work: JoinHandle<()>,
    broken: mpsc::Receiver<String>,
}

impl Watch {
    /// Starts to watch a supervisor.
    pub(in crate::cli) fn start(client: &Client, mailbox: &Mailbox) -> Self {
        let (tell, broken) = mpsc::channel(3);
        let pictures = watch_pictures(client.clone(), mailbox.clone());
        let events = watch_events(client.clone(), mailbox.clone());
        let work = watch_work(client.clone(), mailbox.clone());
        let (other, third) = (tell.clone(), tell.clone());
        Self {
            pictures: tokio::spawn(async move {
                let error = pictures.await;
                tell.send(error.to_string()).await.ok(); // somebody else is watched by now
            }),
            events: tokio::spawn(async move {
                let error = events.await;
                other.send(error.to_string()).await.ok(); // likewise
            }),
            work: tokio::spawn(async move {
                let error = work.await;
                third.send(error.to_string()).await.ok(); // likewise
            }),
            broken,
        }
    }

    /// Waits until the supervisor does not answer any more; returns why.
    pub(in crate::cli) async fn broken(&mut self) -> String {
        match self.broken.recv().await {
            Some(why) => why,
            // All have told it already.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.pictures.abort();
        self.events.abort();
        self.work.abort();
    }
}

/// Another process supervises.
pub(in crate::cli) fn other(status: &OwnerStatus) -> Supervisor {
    Supervisor::Other {
        role: status.role,
        pid: status.pid,
    }
}

/// Says who supervises, and whether that is another version of this program.
pub(in crate::cli) fn introduce(supervisor: Supervisor, status: &OwnerStatus, mailbox: &Mailbox) {
    mailbox.post(Msg::Supervisor(supervisor));
    mailbox.post(Msg::Database(status.database.clone()));
    if let Some(owner) = Owner::of_another_version(status) {
        mailbox.post(Msg::Notice(format!("{owner}; {}", owner.remedy())));
    }
}

async fn watch_pictures(client: Client, mailbox: Mailbox) -> ClientError {
    let mut last = FleetSnapshot::default();
    loop {
        let snapshot = match client.instances_after(last.generation, WAIT).await {
            Ok(body) => body.to_snapshot(),
            Err(error) => return error,
        };
        if snapshot.generation != last.generation {
            mailbox.post(Msg::Picture(Box::new(snapshot.clone())));
            last = snapshot;
        }
        tokio::time::sleep(pace::WATCHING).await;
    }
}

async fn watch_events(client: Client, mailbox: Mailbox) -> ClientError {
    // The newest at first; from then on what follows.
    let mut filter = EventFilter {
        limit: Some(EVENTS),
        ..EventFilter::default()
    };
    loop {
        let body = match client.events(&filter, WAIT).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        let newest = body.events.iter().map(|event| event.id).max();
        filter.after_id = Some(newest.or(filter.after_id).unwrap_or(0));
        let events: Vec<_> = body.events.iter().filter_map(EventBody::to_event).collect();
        if !events.is_empty() {
            mailbox.post(Msg::Events(events));
        }
        tokio::time::sleep(pace::WATCHING).await;
    }
}

async fn watch_work(client: Client, mailbox: Mailbox) -> ClientError {
    let mut seen = None;
    loop {
        let answer = match seen {
            None => client.work_units().await,
            Some(generation) => client.work_units_after(generation, WAIT).await,
        };
        match answer {
            Ok(body) => {
                if seen != Some(body.generation) {
                    seen = Some(body.generation);
                    mailbox.post(Msg::Work(WorkMsg::Units(Box::new(body))));
                }
            }
            // An owner of an earlier version knows no work units; all else it does.
            Err(ClientError::OtherBuild(_)) => {
                return std::future::pending().await;
            }
            Err(error) => return error,
        }
        tokio::time::sleep(pace::WATCHING).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::body::Body;
    use hyper::Response;
    use tower::util::BoxCloneSyncService;

    use super::*;
    use crate::api::wire::{FleetBody, HostBody};

    #[tokio::test(start_paused = true)]
    async fn news_that_never_end_are_asked_for_ten_times_a_second() {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let client = Client::local(BoxCloneSyncService::new(tower::service_fn(move |_| {
            let generation = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                let body = FleetBody {
                    generation,
                    instances: Vec::new(),
                    host: HostBody::default(),
                };
                let text = serde_json::to_string(&body).expect("it has a shape");
                Ok(Response::new(Body::from(text)))
            }
        })));
        let mailbox = Mailbox::new().expect("a descriptor");
        let watching = watch_pictures(client, mailbox);
        let second = tokio::time::timeout(Duration::from_millis(999), watching);
        assert!(second.await.is_err(), "it goes on");
        assert_eq!(asked.load(Ordering::Relaxed), 10);
    }
}
