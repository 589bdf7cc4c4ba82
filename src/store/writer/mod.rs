//! The one thread that writes: it batches what is queued into one transaction, and keeps changes
//! in memory while the database cannot be written.
//!
//! It sleeps until something is queued. Only while degraded does it wake up by itself, to retry.

mod batch;
mod upkeep;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

#[cfg(test)]
use rusqlite::Connection;
use tokio::sync::{mpsc::UnboundedSender, oneshot, watch};
use tracing::{error, info, warn};

pub(super) use self::batch::Request;
use self::batch::{Failure, commit, refuse_one};
use crate::store::error::{self, StoreError, Trouble};
use crate::store::files::{self, Copy};
use crate::store::held::Held;
use crate::store::open::{Database, Outcome, WRITE_PATIENCE};
use crate::store::rows::{Notice, Pruned, Retention, Saved, StoreHealth, Write};
use crate::store::statements::KnownInstances;
use crate::store::{Options, prune, schema};

/// Rows per transaction at most.
const BATCH_ROWS: usize = 4_096;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
pub(super) enum Job {
    Save(Request),
    Flush(Answer<Saved>),
    Prune {
        retention: Retention,
        now: f64,
        answer: Answer<Pruned>,
    },
    BackUp(Answer<PathBuf>),
    Close(Answer<Saved>),
    /// The look through a large file found damage.
    Damaged(StoreError),
    /// Lets a test provoke what the world seldom does.
    #[cfg(test)]
    Provoke(Box<dyn FnOnce(&mut Connection) + Send>),
}

/// Where changes go at present.
enum Mode {
    Writing(Database),
    /// The database of a newer program is left alone.
    ReadOnly {
        found: i64,
    },
    Degraded {
        why: String,
        /// Kept when the same connection may work again.
        database: Option<Database>,
        retry_at: Instant,
    },
}

pub(super) struct Writer {
    path: PathBuf,
    options: Options,
    mode: Mode,
    held: Held,
    known: KnownInstances,
    reading: Reading,
    health: watch::Sender<StoreHealth>,
    notices: UnboundedSender<Notice>,
}

/// Whether the caller knows what is stored, or must be told once it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Done,
    Due,
}

#[derive(PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        options: Options,
        (outcome, reading): (Outcome, Reading),
        health: watch::Sender<StoreHealth>,
        notices: UnboundedSender<Notice>,
    ) -> Self {
        let mode = match outcome {
            Outcome::Ready { database, .. } => Mode::Writing(database),
            Outcome::Newer { found } => Mode::ReadOnly { found },
            Outcome::Unavailable { error } => Mode::Degraded {
                why: error.why(),
                database: None,
                retry_at: Instant::now() + options.retry_every,
            },
        };
        let writer = Self {
            path,
            held: Held::new(options.held_rows),
            options,
            mode,
            known: KnownInstances::new(),
            reading,
            health,
            notices,
        };
        writer.tell_health();
        writer
    }

    /// Works until it is told to close or nobody is left to give it work.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match &self.mode {
                Mode::Degraded { retry_at, .. } => {
                    jobs.recv_timeout(retry_at.saturating_duration_since(Instant::now()))
                }
                Mode::Writing(_) | Mode::ReadOnly { .. } => {
                    jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
                }
            };
            let flow = match job {
                Ok(job) => self.handle(job, jobs),
                Err(RecvTimeoutError::Timeout) => Flow::Continue,
                Err(RecvTimeoutError::Disconnected) => {
                    if let Err(error) = self.finish() {
                        error!(%error, "history lost at exit");
                    }
                    Flow::End
                }
            };
            if flow == Flow::End {
                return;
            }
            // Checked here too, because a steady stream of jobs never lets the wait time out.
            if let Mode::Degraded { retry_at, .. } = &self.mode
                && Instant::now() >= *retry_at
            {
                self.retry();
            }
        }
    }

    fn handle(&mut self, first: Job, jobs: &Receiver<Job>) -> Flow {
        let mut requests = Vec::new();
        let mut rows = 0;
        let mut next = Some(first);
        while let Some(Job::Save(request)) = next {
            rows += request.writes.len();
            requests.push(request);
            next = if rows < BATCH_ROWS {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        if !requests.is_empty() {
            self.save(requests);
        }
        // What is not a change waits for the changes before it.
        match next {
            None | Some(Job::Save(_)) => Flow::Continue,
            Some(Job::Flush(answer)) => {
                answer.send(self.flush()).ok(); // the asker may have gone
                Flow::Continue
            }
            Some(Job::Prune {
                retention,
                now,
                answer,
            }) => {
                answer.send(self.prune(retention, now)).ok(); // the asker may have gone
                Flow::Continue
            }
            Some(Job::BackUp(answer)) => {
                answer.send(self.back_up()).ok(); // the asker may have gone
                Flow::Continue
            }
            Some(Job::Close(answer)) => {
                let finished = self.finish();
                answer.send(finished).ok(); // the asker may have gone
                Flow::End
            }
            Some(Job::Damaged(damage)) => {
                if let Mode::Writing(_) = self.mode {
                    self.replace(&damage);
                }
                Flow::Continue
            }
            #[cfg(test)]
            Some(Job::Provoke(provoke)) => {
                if let Mode::Writing(database)
                | Mode::Degraded {
                    database: Some(database),
                    ..
                } = &mut self.mode
                {
                    provoke(&mut database.connection);
                }
                Flow::Continue
            }
        }
    }

    fn save(&mut self, mut requests: Vec<Request>) {
        self.look_after_file();
        let mut replaced = false;
        loop {
            let database = match &mut self.mode {
                Mode::Writing(database) => database,
                Mode::ReadOnly { found } => {
                    let found = *found;
                    refuse_newer(requests, found);
                    return;
                }
                Mode::Degraded { .. } => {
                    self.hold(requests);
                    return;
                }
            };
            let writes: Vec<&Write> = requests.iter().flat_map(|one| &one.writes).collect();
            match commit(&mut database.connection, &mut self.known, &writes) {
                Ok(()) => {
                    for request in requests {
                        request.reply(Ok(Saved::OnDisk));
                    }
                    return;
                }
                Err(Failure::Write(index, source)) => refuse_one(&mut requests, index, source),
                Err(Failure::Database(error)) => {
                    let corrupt = error::trouble(&error) == Trouble::Corrupt;
                    if corrupt && !replaced {
                        replaced = true;
                        self.replace(&self.damage(error));
                    } else {
                        self.degrade(&error);
                    }
                }
            }
        }
    }

    fn hold(&mut self, requests: Vec<Request>) {
        let mut answers = Vec::new();
        for request in requests {
            for write in request.writes {
                self.held.hold(write);
            }
            answers.extend(request.answer);
        }
        // The health comes first, so that who hears "in memory" finds out why.
        self.tell_health();
        for answer in answers {
            answer.send(Ok(Saved::InMemory)).ok(); // the asker may have gone
        }
    }

    /// Tries again what the database refused.
    fn retry(&mut self) {
        if let Mode::Degraded {
            database, retry_at, ..
        } = &mut self.mode
        {
            *retry_at = Instant::now() + self.options.retry_every;
            match database.take() {
                Some(database) => {
                    // An emptied journal may be all the room a full disk needs; a reader or
                    // the disk may prevent it, and the write below will tell.
                    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
                    database.connection.busy_timeout(Duration::ZERO).ok();
                    database.connection.query_row(sql, [], |_| Ok(())).ok();
                    self.mode = Mode::Writing(database);
                }
                None => self.reopen(),
            }
        }
        self.look_after_file();
        let mut written = 0;
        while let Mode::Writing(database) = &mut self.mode {
            let batch = self.held.first(BATCH_ROWS);
            if batch.is_empty() {
                break;
            }
            // The wait for a lock was paid when it was met first.
            database.connection.busy_timeout(Duration::ZERO).ok();
            let rows = batch.len();
            let outcome = commit(&mut database.connection, &mut self.known, &batch);
            database.connection.busy_timeout(WRITE_PATIENCE).ok();
            match outcome {
                Ok(()) => {
                    self.held.forget_first(rows);
                    written += rows;
                }
                Err(Failure::Write(index, error)) => {
                    let what = self.held.give_up(index);
                    error!(%error, what, "change given up");
                }
                Err(Failure::Database(error)) => {
                    if error::trouble(&error) == Trouble::Corrupt {
                        self.replace(&self.damage(error));
                    } else {
                        self.degrade(&error);
                    }
                }
            }
        }
        if let Mode::Writing(_) = self.mode {
            let lost = self.held.take_lost();
            info!(written, lost, "state database can be written again");
            self.tell(Notice::Recovered { written, lost });
            self.tell_health();
        }
    }

    fn take_database(&mut self) -> Option<Database> {
        let placeholder = self.degraded(String::new(), None);
        match std::mem::replace(&mut self.mode, placeholder) {
            Mode::Writing(database) => Some(database),
            Mode::Degraded { database, .. } => database,
            Mode::ReadOnly { .. } => None,
        }
    }

    fn degrade(&mut self, source: &rusqlite::Error) {
        let kept = self.take_database();
        let database = kept.filter(|_| error::connection_survives(source));
        let why = error::why(source);
        warn!(%why, "state database cannot be written");
        self.known.clear();
        self.mode = self.degraded(why, database);
        self.tell_health();
    }

    fn degraded(&self, why: String, database: Option<Database>) -> Mode {
        Mode::Degraded {
            why,
            database,
            retry_at: Instant::now() + self.options.retry_every,
        }
    }

    fn flush(&mut self) -> Result<Saved, StoreError> {
        if let Mode::Degraded { .. } = self.mode {
            self.retry();
        }
        match &self.mode {
            Mode::Writing(_) => Ok(Saved::OnDisk),
            Mode::Degraded { .. } => Ok(Saved::InMemory),
            Mode::ReadOnly { found } => Err(newer(*found)),
        }
    }

    fn prune(&mut self, retention: Retention, now: f64) -> Result<Pruned, StoreError> {
        self.look_after_file();
        let path = self.path.clone();
        let database = self.writable()?;
        prune::prune(&mut database.connection, retention, now).map_err(|source| {
            StoreError::Sqlite {
                during: "prune",
                path,
                source,
            }
        })
    }

    fn back_up(&mut self) -> Result<PathBuf, StoreError> {
        self.look_after_file();
        let path = self.path.clone();
        let keep = self.options.backups;
        let database = self.writable()?;
        let version = schema::KNOWN;
        let backup = files::copy(&database.connection, &path, Copy::Backup { version })?;
        files::keep_newest_backups(&path, keep);
        Ok(backup)
    }

    fn writable(&mut self) -> Result<&mut Database, StoreError> {
        match &mut self.mode {
            Mode::Writing(database) => Ok(database),
            Mode::ReadOnly { found } => Err(newer(*found)),
            Mode::Degraded { why, .. } => Err(StoreError::Unavailable { why: why.clone() }),
        }
    }

    fn finish(&mut self) -> Result<Saved, StoreError> {
        if let Mode::ReadOnly { .. } = self.mode {
            return Ok(Saved::OnDisk); // every change was refused when it was made
        }
        let flushed = self.flush();
        if let Mode::Degraded { why, .. } = &self.mode
            && self.held.len() > 0
        {
            let unsaved = StoreError::Unsaved {
                rows: self.held.len(),
                why: why.clone(),
            };
            drop(self.take_database());
            return Err(unsaved);
        }
        if let Some(database) = self.take_database() {
            // Keeps the planner's statistics fresh; cheap, and not worth an error.
            database.connection.execute_batch("PRAGMA optimize").ok();
            drop(database);
        }
        flushed
    }

    fn tell(&self, notice: Notice) {
        self.notices.send(notice).ok(); // nobody has to listen
    }

    /// Publishes the health; watchers wake up only when its kind or reason changes.
    fn tell_health(&self) {
        let now = match &self.mode {
            Mode::Writing(_) => StoreHealth::Ok,
            Mode::ReadOnly { found } => StoreHealth::ReadOnly {
                why: newer(*found).to_string(),
            },
            Mode::Degraded { why, .. } => StoreHealth::Degraded {
                why: why.clone(),
                queued: self.held.len(),
                lost: self.held.lost(),
            },
        };
        self.health.send_if_modified(|before| {
            let changed = !same_kind(before, &now);
            *before = now;
            changed
        });
    }
}

fn same_kind(one: &StoreHealth, other: &StoreHealth) -> bool {
    match (one, other) {
        (StoreHealth::Ok, StoreHealth::Ok)
        | (StoreHealth::ReadOnly { .. }, StoreHealth::ReadOnly { .. }) => true,
        (StoreHealth::Degraded { why: one, .. }, StoreHealth::Degraded { why: other, .. }) => {
            one == other
        }
        _ => false,
    }
}

fn newer(found: i64) -> StoreError {
    StoreError::Newer {
        found,
        known: schema::KNOWN,
    }
}

fn refuse_newer(requests: Vec<Request>, found: i64) {
    for request in requests {
        if let Some(answer) = request.answer {
            answer.send(Err(newer(found))).ok(); // the asker may have gone
        }
    }
}
