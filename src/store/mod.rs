//! SQLite behind one handle and one writer thread.
//!
//! The database is an index and a memory, not the truth: kernel and run files come first, and a
//! lost database costs history, never a running instance. So nothing here ever stops the
//! supervisor: a database that is full, read-only or broken makes the store *degraded*, writes are
//! kept in memory (bounded) and tried again, and everybody can see it.

mod predecessor;
mod reader;
mod schema;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

pub use predecessor::LivePid;
pub use reader::{EventFilter, Reader, RuntimeView};
pub use write::{RunRow, RuntimeRow, Write};

/// A way to the writer thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    state: Arc<Mutex<State>>,
}

/// What the writer thread works on.
#[derive(Debug)]
enum Job {
    Write {
        writes: Vec<Write>,
        done: oneshot::Sender<()>,
    },
    End,
}

/// How the store is, for everybody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub health: StoreHealth,
    /// Rises when the database had to be made anew while running.
    pub incarnation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    Ok,
    /// The database is of a newer llama-orch; nothing is written.
    ReadOnly {
        why: String,
    },
    /// Writes fail; so many are kept in memory, so many are lost.
    Degraded {
        why: String,
        queued: usize,
        lost: u64,
    },
}

/// What happened while opening that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Migrated {
        from: u32,
        to: u32,
        backup: PathBuf,
    },
    /// The predecessor's database was taken over; its tables are kept as `legacy_…`.
    TakenOver {
        backup: PathBuf,
    },
    MovedAside {
        to: PathBuf,
        restored: Option<PathBuf>,
    },
    NewerVersion {
        found: u32,
        known: u32,
    },
    /// It cannot be opened at all; everything is kept in memory.
    Unusable {
        why: String,
    },
}

/// An opened store and how the opening went.
#[derive(Debug)]
pub struct Opened {
    pub store: Store,
    pub notices: Vec<Notice>,
    /// Processes that the predecessor left running, as far as its database says.
    pub live_pids: Vec<LivePid>,
    /// The first event id that is still free.
    pub next_event_id: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("start the database's thread")]
    Thread(#[source] std::io::Error),
    #[error("read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

impl Store {
    /// Opens the database, making, migrating or rescuing it as needed. Blocking.
    ///
    /// # Errors
    ///
    /// Returns an error only when no thread can be started; a database that cannot be used is a
    /// notice and a degraded store.
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        let opening = schema::open(path);
        let health = match &opening.connection {
            Ok(schema::Usable::ReadWrite(_)) => StoreHealth::Ok,
            Ok(schema::Usable::Newer { found, known }) => StoreHealth::ReadOnly {
                why: format!("it is of a newer llama-orch (version {found}, here {known})"),
            },
            Err(error) => StoreHealth::Degraded {
                why: error.to_string(),
                queued: 0,
                lost: 0,
            },
        };
        let state = Arc::new(Mutex::new(State {
            health,
            incarnation: 0,
        }));
        let (jobs, inbox) = mpsc::channel();
        let connection = match opening.connection {
            Ok(schema::Usable::ReadWrite(connection)) => writer::Target::Open(connection),
            Ok(schema::Usable::Newer { .. }) => writer::Target::ReadOnly,
            Err(_) => writer::Target::Closed,
        };
        writer::start(path.to_owned(), connection, inbox, Arc::clone(&state))
            .map_err(StoreError::Thread)?;
        Ok(Opened {
            store: Self { jobs, state },
            notices: opening.notices,
            live_pids: opening.live_pids,
            next_event_id: opening.next_event_id,
        })
    }

    /// Queues writes that belong together; the receiver is answered once they are committed (or
    /// kept in memory by a degraded store).
    #[must_use]
    pub fn write(&self, writes: Vec<Write>) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        // A dead thread drops the job, and the receiver hears it.
        self.jobs.send(Job::Write { writes, done }).ok();
        receiver
    }

    /// Returns how the store is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the writer thread after what is queued; later writes go nowhere.
    pub fn close(&self) {
        self.jobs.send(Job::End).ok(); // it has ended already
    }
}

impl std::fmt::Display for StoreHealth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::ReadOnly { why } => write!(f, "read-only: {why}"),
            Self::Degraded { why, queued, lost } => {
                write!(f, "degraded: {why} ({queued} writes wait, {lost} lost)")
            }
        }
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Migrated { from, to, backup } => write!(
                f,
                "the database was migrated from version {from} to {to}; backup: {}",
                backup.display()
            ),
            Self::TakenOver { backup } => write!(
                f,
                "the predecessor's database was taken over; backup: {}",
                backup.display()
            ),
            Self::MovedAside {
                to,
                restored: Some(backup),
            } => write!(
                f,
                "the database was damaged and moved to {}; the backup {} was restored",
                to.display(),
                backup.display()
            ),
            Self::MovedAside { to, restored: None } => write!(
                f,
                "the database was damaged and moved to {}; history begins anew",
                to.display()
            ),
            Self::NewerVersion { found, known } => write!(
                f,
                "the database is of a newer llama-orch (version {found}, here {known}): \
                 nothing is written to it"
            ),
            Self::Unusable { why } => {
                write!(
                    f,
                    "the database cannot be used ({why}): history is kept in memory only"
                )
            }
        }
    }
}
