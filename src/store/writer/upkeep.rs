//! What the writer does when its file is deleted, replaced or damaged, or has to be opened again.

use std::fs;
use std::path::PathBuf;

use tracing::warn;

use super::{Mode, Reading, Writer};
use crate::store::error::StoreError;
use crate::store::files::{self, Copy, Place};
use crate::store::open::{self, Check, Outcome};
use crate::store::rows::Notice;
use crate::store::schema;

impl Writer {
    /// Follows what people did to the file while it was open.
    pub(super) fn look_after_file(&mut self) {
        let Mode::Writing(database) = &self.mode else {
            return;
        };
        match database.identity.look(&self.path) {
            Place::Same => {}
            Place::Gone => match self.rescue() {
                Ok(()) => {
                    self.tell(Notice::DeletedWhileRunning);
                    self.close_connection("the database was deleted");
                    self.reopen();
                }
                Err(error) => {
                    warn!(%error, "deleted state database not written again");
                    // The connection still sees everything, so a later rescue may work.
                    let why = format!("the database was deleted ({error})");
                    let database = self.take_database();
                    self.mode = self.degraded(why, database);
                    self.tell_health();
                }
            },
            Place::Replaced => {
                let backup = self.leave_to_replacement();
                self.tell(Notice::ReplacedWhileRunning { backup });
                self.reopen();
            }
        }
    }

    /// Closes a database whose name another file has taken, and keeps a copy of what it held.
    fn leave_to_replacement(&mut self) -> Option<PathBuf> {
        let database = self.take_database()?;
        let version = schema::KNOWN;
        let copy = Copy::Backup { version };
        let backup = files::copy(&database.connection, &self.path, copy);
        files::keep_newest_backups(&self.path, self.options.backups);
        let journal = database.journal;
        drop(database);
        // SQLite leaves the journal of a moved database behind, and would replay it into the
        // file that has its name now.
        if journal.is_some_and(|ours| ours.look(&files::beside(&self.path, "-wal")) == Place::Same)
        {
            for suffix in ["-wal", "-shm"] {
                files::remove(&files::beside(&self.path, suffix)).ok(); // opening will tell
            }
        }
        backup
            .inspect_err(|error| warn!(%error, "replaced state database not kept"))
            .ok()
    }

    /// Writes a deleted database again from the connection that still holds it.
    fn rescue(&mut self) -> Result<(), StoreError> {
        let Mode::Writing(database) = &self.mode else {
            return Ok(());
        };
        let temporary = files::beside(&self.path, ".rescue");
        files::vacuum_into(&database.connection, &self.path, &temporary)?;
        // A journal left behind belongs to the deleted file and would be replayed into this one.
        for suffix in ["-wal", "-shm"] {
            files::remove(&files::beside(&self.path, suffix))?;
        }
        fs::rename(&temporary, &self.path).map_err(|source| StoreError::File {
            during: "write again",
            path: self.path.clone(),
            source,
        })
    }

    pub(super) fn reopen(&mut self) {
        let mut notices = Vec::new();
        let outcome = open::open(&self.path, self.options.backups, Check::Now, &mut notices);
        self.install(outcome, notices);
    }

    pub(super) fn damage(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Sqlite {
            during: "write",
            path: self.path.clone(),
            source,
        }
    }

    pub(super) fn replace(&mut self, damage: &StoreError) {
        warn!(error = %damage, "state database is damaged");
        // The damaged file must be closed before another takes its name.
        self.close_connection(&damage.why());
        let mut notices = Vec::new();
        let outcome = open::replace(&self.path, self.options.backups, damage, &mut notices)
            .unwrap_or_else(|error| Outcome::Unavailable { error });
        self.install(outcome, notices);
    }

    fn install(&mut self, outcome: Outcome, notices: Vec<Notice>) {
        self.known.clear();
        for notice in notices {
            self.tell(notice);
        }
        match outcome {
            Outcome::Ready {
                database, stored, ..
            } => {
                self.mode = Mode::Writing(database);
                if self.reading == Reading::Due {
                    self.reading = Reading::Done;
                    self.tell(Notice::OpenedLate { stored });
                }
            }
            Outcome::Newer { found } => self.mode = Mode::ReadOnly { found },
            Outcome::Unavailable { error } => self.mode = self.degraded(error.why(), None),
        }
        self.tell_health();
    }

    fn close_connection(&mut self, why: &str) {
        drop(self.take_database());
        self.mode = self.degraded(why.to_owned(), None);
    }
}
