//! SQLite behind one handle and one writer thread.
//!
//! History and intent: an index of what the kernel and the run files know better, except for what
//! the user wants. A caller never waits for the disk unless it asks to: [`Store::save`] queues,
//! [`Store::save_all`] and [`Store::set_desired`] return a [`Reply`] that can be awaited.
//!
//! Nothing here stops an owner. A database that cannot be opened or written leaves the store
//! *degraded*: changes wait in memory, in order and bounded, and are written when it works again.
//!
//! To store a new kind of change: a variant of [`Write`], its SQL in `statements.rs`, a migration
//! if it needs columns (`schema.rs`), and a question in `queries.rs`.

mod error;
mod files;
mod held;
mod open;
mod predecessor;
mod prune;
mod queries;
mod reader;
mod rollup;
mod rows;
mod schema;
mod statements;
mod work;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc as notices, oneshot, watch};

pub use self::error::StoreError;
pub use self::reader::Reader;
pub use self::rollup::STRETCH;
pub use self::rows::{
    DesiredWrite, EventWrite, HealthHistory, HealthRollup, HealthSample, Notice, Predecessor,
    Pruned, Retention, RunEndRow, RunEnded, RunRow, RunStarted, RuntimeRow, Saved, StoreHealth,
    Stored, StoredEvent, Write,
};

use self::error::Trouble;
use self::open::{Check, Checked, Outcome};
use self::rollup::HealthBook;
use self::writer::{Answer, Job, Reading, Request, Writer};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Desired;

/// The handle; clones share one writer thread, which ends after [`Store::close`] or the last one.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    jobs: mpsc::Sender<Job>,
    book: Mutex<HealthBook>,
    health: watch::Receiver<StoreHealth>,
}

/// How a store behaves when things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Between attempts to write while degraded.
    pub retry_every: Duration,
    /// Changes kept in memory while degraded.
    pub held_rows: usize,
    /// Backups, and damaged files, kept beside the database.
    pub backups: usize,
}

/// An opened store, with what it knew and what a person should know.
pub struct Opened {
    pub store: Store,
    pub stored: Stored,
    pub notices: Vec<Notice>,
    /// What happens to the database later.
    pub later: notices::UnboundedReceiver<Notice>,
}

/// The answer to something that was asked of the writer thread; await it, or [`Reply::wait`].
///
/// Dropping it changes nothing: the work is queued already.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Receiver<Result<T, StoreError>>);

impl Default for Options {
    fn default() -> Self {
        Self {
            retry_every: Duration::from_secs(5),
            held_rows: 10_000,
            backups: 3,
        }
    }
}

impl Store {
    /// Opens or creates the database and starts its writer thread. Blocks for the disk.
    ///
    /// A damaged, locked, full or newer database is no error: see [`Opened::notices`] and
    /// [`Store::health`].
    ///
    /// # Errors
    ///
    /// Returns an error when the thread cannot be started.
    pub fn open(path: &Path, options: Options) -> Result<Opened, StoreError> {
        let mut seen = Vec::new();
        let outcome = open::open(path, options.backups, Check::LaterIfLarge, &mut seen);
        let stored = match &outcome {
            Outcome::Ready { stored, .. } => Some((**stored).clone()),
            Outcome::Newer { .. } => read_what_is_readable(path),
            Outcome::Unavailable { error } => {
                let why = error.why();
                seen.push(Notice::Unavailable { why });
                read_what_is_readable(path)
            }
        };
        let reading = if stored.is_some() {
            Reading::Done
        } else {
            Reading::Due
        };
        let stored = stored.unwrap_or_else(|| Stored {
            next_event_id: queries::event_id_without_database(),
            ..Stored::default()
        });
        let (jobs, queue) = mpsc::channel();
        if let Outcome::Ready {
            checked: Checked::NotYet,
            ..
        } = outcome
        {
            check_later(path.to_owned(), jobs.clone())?;
        }
        let (health_writer, health) = watch::channel(StoreHealth::Ok);
        let (notice_writer, later) = notices::unbounded_channel();
        let writer = Writer::new(
            path.to_owned(),
            options,
            (outcome, reading),
            health_writer,
            notice_writer,
        );
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(StoreError::Thread)?;
        let book = Mutex::default();
        let shared = Arc::new(Shared { jobs, book, health });
        Ok(Opened {
            store: Self { shared },
            stored,
            notices: seen,
            later,
        })
    }

    /// Queues one change and returns at once.
    pub fn save(&self, write: impl Into<Write>) {
        self.queue(Request {
            writes: vec![write.into()],
            answer: None,
        });
    }

    /// Queues changes that are committed together; the reply comes after the commit.
    pub fn save_all(&self, writes: Vec<Write>) -> Reply<Saved> {
        self.ask(|answer| {
            Job::Save(Request {
                writes,
                answer: Some(answer),
            })
        })
    }

    /// Stores what the user wants; the reply comes after it is synced to the disk.
    pub fn set_desired(
        &self,
        name: InstanceName,
        config_path: Option<PathBuf>,
        desired: Desired,
        at: f64,
    ) -> Reply<Saved> {
        self.save_all(vec![Write::Desired(DesiredWrite {
            name,
            config_path,
            desired,
            at,
        })])
    }

    /// Notes what a probe said; only changes and five-minute sums reach the disk.
    pub fn record_health(&self, sample: HealthSample) {
        let writes = self.sum_up(sample);
        if !writes.is_empty() {
            self.queue(Request {
                writes,
                answer: None,
            });
        }
    }

    /// Notes what a probe said and returns what of it is to be stored now, for a commit of the
    /// caller's own.
    #[must_use]
    pub fn sum_up(&self, sample: HealthSample) -> Vec<Write> {
        self.book(|book| book.take(sample))
    }

    /// Adds what is not stored yet to what a reader found.
    pub fn complete(&self, name: &InstanceName, history: &mut HealthHistory) {
        if let Some(open) = self.book(|book| book.open(name)) {
            HealthRollup::append(&mut history.rollups, open);
        }
    }

    /// Forgets a removed instance; its events stay, without a name.
    pub fn forget_instance(&self, name: InstanceName) -> Reply<Saved> {
        self.book(|book| book.forget(&name));
        self.save_all(vec![Write::Forget(name)])
    }

    /// Replies when everything queued before is stored.
    pub fn flush(&self) -> Reply<Saved> {
        self.queue_sums();
        self.ask(Job::Flush)
    }

    /// Deletes history older than `retention` allows; `now` in unix seconds.
    pub fn prune(&self, retention: Retention, now: f64) -> Reply<Pruned> {
        self.ask(|answer| Job::Prune {
            retention,
            now,
            answer,
        })
    }

    /// Writes a backup beside the database, from which a damaged one is restored.
    pub fn back_up(&self) -> Reply<PathBuf> {
        self.ask(Job::BackUp)
    }

    /// Returns whether changes reach the disk.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.shared.health.borrow().clone()
    }

    /// Returns a watch that wakes up when the health's kind or reason changes.
    #[must_use]
    pub fn watch_health(&self) -> watch::Receiver<StoreHealth> {
        self.shared.health.clone()
    }

    /// Stores what is queued and closes the database; later changes are dropped.
    pub fn close(&self) -> Reply<Saved> {
        self.queue_sums();
        self.ask(Job::Close)
    }

    fn queue_sums(&self) {
        let writes = self.book(HealthBook::drain);
        if !writes.is_empty() {
            self.queue(Request {
                writes,
                answer: None,
            });
        }
    }

    fn queue(&self, request: Request) {
        self.shared.jobs.send(Job::Save(request)).ok(); // closed: the owner is ending
    }

    fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Reply<T> {
        let (answer, reply) = oneshot::channel();
        self.shared.jobs.send(job(answer)).ok(); // a closed store drops `answer`, which says so
        Reply(reply)
    }

    fn book<T>(&self, work: impl FnOnce(&mut HealthBook) -> T) -> T {
        let mut book = self
            .shared
            .book
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut book)
    }

    #[cfg(test)]
    fn provoke(&self, provoke: impl FnOnce(&mut rusqlite::Connection) + Send + 'static) {
        self.shared
            .jobs
            .send(Job::Provoke(Box::new(provoke)))
            .expect("the writer thread runs");
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let book = self.book.get_mut().unwrap_or_else(PoisonError::into_inner);
        let writes = book.drain();
        let answer = None;
        self.jobs.send(Job::Save(Request { writes, answer })).ok(); // it may be closed already
    }
}

impl<T> Reply<T> {
    /// Waits for the answer; not from async code.
    ///
    /// # Errors
    ///
    /// Returns why the work could not be done.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(answer.unwrap_or(Err(StoreError::Closed)))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("health", &self.health())
            .finish()
    }
}

/// Returns what a database we must not or cannot write still tells.
fn read_what_is_readable(path: &Path) -> Option<Stored> {
    Reader::open(path).ok()??.load().ok()
}

/// Looks a large database through beside the work; the writer thread acts on damage.
fn check_later(path: PathBuf, jobs: mpsc::Sender<Job>) -> Result<(), StoreError> {
    let look = move || {
        if let Err(damage) = open::check_beside(&path)
            && damage.trouble() == Trouble::Corrupt
        {
            jobs.send(Job::Damaged(damage)).ok(); // closed: the next owner finds it
        }
    };
    let thread = thread::Builder::new().name("store-check".to_owned());
    thread.spawn(look).map_err(StoreError::Thread)?;
    Ok(())
}
