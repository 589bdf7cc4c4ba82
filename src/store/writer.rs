//! The one thread that writes.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::schema::{self, Usable};
use super::write::Write;
use super::{Job, State, StoreHealth};

/// While the database cannot be written, it is tried again this often.
const RETRY: Duration = Duration::from_secs(3);

/// Writes that are kept in memory meanwhile; beyond it the oldest history goes, never intent.
const QUEUE_LIMIT: usize = 10_000;

/// Where writes go.
pub(super) enum Target {
    Open(Connection),
    ReadOnly,
    Closed,
}

struct Writer {
    path: PathBuf,
    target: Target,
    /// The file that is open, to notice that somebody took it away.
    inode: Option<u64>,
    queue: VecDeque<Write>,
    lost: u64,
    state: Arc<Mutex<State>>,
}

/// Starts the thread.
pub(super) fn start(
    path: PathBuf,
    target: Target,
    jobs: Receiver<Job>,
    state: Arc<Mutex<State>>,
) -> io::Result<()> {
    let inode = inode(&path);
    let mut writer = Writer {
        path,
        target,
        inode,
        queue: VecDeque::new(),
        lost: 0,
        state,
    };
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(&jobs))?;
    Ok(())
}

impl Writer {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let first = if self.queue.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(RETRY)
            };
            let mut waiting = Vec::new();
            let mut ends = false;
            match first {
                Ok(job) => ends |= self.take(job, &mut waiting),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ends = true,
            }
            // Whatever came meanwhile shares the commit.
            while let Ok(job) = jobs.try_recv() {
                ends |= self.take(job, &mut waiting);
            }
            self.flush();
            for done in waiting {
                done.send(()).ok(); // nobody waits any more
            }
            if ends {
                return;
            }
        }
    }

    fn take(&mut self, job: Job, waiting: &mut Vec<tokio::sync::oneshot::Sender<()>>) -> bool {
        match job {
            Job::Write { writes, done } => {
                self.queue.extend(writes);
                waiting.push(done);
                false
            }
            Job::End => true,
        }
    }

    fn flush(&mut self) {
        if matches!(self.target, Target::ReadOnly) {
            self.queue.clear();
            return;
        }
        if self.queue.is_empty() {
            return;
        }
        self.look_for_the_file();
        let result = match &mut self.target {
            Target::Open(connection) => write_all(connection, &self.queue),
            Target::Closed | Target::ReadOnly => Ok(()),
        };
        match (result, &self.target) {
            (Ok(()), Target::Open(_)) => {
                self.queue.clear();
                self.tell(StoreHealth::Ok);
            }
            (Ok(()), Target::Closed | Target::ReadOnly) => {
                self.shorten();
                let why = "it cannot be opened".to_owned();
                self.tell(StoreHealth::Degraded {
                    why,
                    queued: self.queue.len(),
                    lost: self.lost,
                });
            }
            (Err(error), _) => {
                self.shorten();
                // Opened anew next time: a broken connection does not heal.
                self.target = Target::Closed;
                let why = error.to_string();
                self.tell(StoreHealth::Degraded {
                    why,
                    queued: self.queue.len(),
                    lost: self.lost,
                });
            }
        }
    }

    /// Opens the database anew when it is closed, or when its file is not the one we have open.
    fn look_for_the_file(&mut self) {
        let present = inode(&self.path);
        let is_same = present.is_some() && present == self.inode;
        if matches!(self.target, Target::Open(_)) && is_same {
            return;
        }
        let replaced = matches!(self.target, Target::Open(_));
        self.target = Target::Closed;
        if let Ok(Usable::ReadWrite(connection)) = schema::open(&self.path).connection {
            self.target = Target::Open(connection);
            self.inode = inode(&self.path);
            if replaced {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.incarnation += 1;
            }
        }
    }

    /// Keeps intent and drops the oldest of the rest.
    fn shorten(&mut self) {
        while self.queue.len() > QUEUE_LIMIT {
            let Some(index) = self.queue.iter().position(|write| !write.is_intent()) else {
                return;
            };
            self.queue.remove(index);
            self.lost += 1;
        }
    }

    fn tell(&self, health: StoreHealth) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.health = health;
    }
}

fn write_all(connection: &mut Connection, writes: &VecDeque<Write>) -> rusqlite::Result<()> {
    let durable = writes.iter().any(Write::is_intent);
    if durable {
        connection.pragma_update(None, "synchronous", "FULL")?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in writes {
        write.apply(&transaction)?;
    }
    transaction.commit()?;
    if durable {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
    }
    Ok(())
}

/// Asks for the file's number without opening it: opening and closing it here would drop SQLite's
/// own locks (fcntl locks belong to the process).
fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}
