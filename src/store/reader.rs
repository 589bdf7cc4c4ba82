//! Reads the database without owning it, changing nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::StoreError;
use super::files;
use super::rows::{HealthHistory, RunRow, RuntimeRow, Stored, StoredEvent};
use super::{queries, schema, work};
use crate::domain::event::EventFilter;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Desired;
use crate::domain::work::{Chunk, StatusChange, WorkUnit};

/// A reader meets a lock only while an owner starts or closes.
const PATIENCE: Duration = Duration::from_millis(500);

/// A read-only view of the database; an owner may write at the same time.
///
/// A database of an older version, the predecessor's too, is migrated in memory only.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the database for reading; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// Returns an error when the file is damaged or cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        if !fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
            return Ok(None);
        }
        let failed = |source| StoreError::Sqlite {
            during: "read",
            path: path.to_owned(),
            source,
        };
        let connection = match connect(path, Access::Shared) {
            Err(error) if has_no_place_for_index(&error) => connect(path, Access::Alone)
                .or_else(|_| connect(path, Access::Immutable))
                .map_err(|_| failed(error))?,
            other => other.map_err(failed)?,
        };
        let version = schema::version(&connection).map_err(failed)?;
        let connection = if version < schema::KNOWN {
            migrated_in_memory(&connection).map_err(failed)?
        } else {
            connection
        };
        Ok(Some(Self {
            connection,
            path: path.to_owned(),
        }))
    }

    /// Returns everything an owner loads at its start.
    ///
    /// # Errors
    ///
    /// Returns an error when the file is damaged or cannot be read, as all questions here do.
    pub fn load(&self) -> Result<Stored, StoreError> {
        self.ask(queries::load)
    }

    /// Returns what the user wants, for instances somebody has said something about.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn desired_all(&self) -> Result<HashMap<InstanceName, Desired>, StoreError> {
        self.ask(queries::desired)
    }

    /// Returns the last known state of every instance.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn runtime_all(&self) -> Result<HashMap<InstanceName, RuntimeRow>, StoreError> {
        self.ask(queries::runtime)
    }

    /// Returns the latest run of every instance.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn last_runs(&self) -> Result<HashMap<InstanceName, RunRow>, StoreError> {
        self.ask(queries::last_runs)
    }

    /// Returns the runs of one instance, newest first.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn runs(&self, name: &InstanceName, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        self.ask(|connection| queries::runs(connection, name, limit))
    }

    /// Returns the matching events, oldest first.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.ask(|connection| queries::events(connection, filter))
    }

    /// Returns the latest changes of an instance's health and its latest stretches of five minutes,
    /// at most `limit` of each. What an owner has not stored yet is known to its store only.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn health_history(
        &self,
        name: &InstanceName,
        limit: u32,
    ) -> Result<HealthHistory, StoreError> {
        self.ask(|connection| {
            Ok(HealthHistory {
                changes: queries::health_changes(connection, name, limit)?,
                rollups: queries::health_rollups(connection, name, limit)?,
            })
        })
    }

    /// Returns all work units, by name.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn work_units(&self) -> Result<Vec<WorkUnit>, StoreError> {
        self.ask(work::units)
    }

    /// Returns the newest `limit` lines of a work unit's status log, oldest first.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn status_log(&self, chunk: &Chunk, limit: u32) -> Result<Vec<StatusChange>, StoreError> {
        self.ask(|connection| work::history(connection, chunk, limit))
    }

    /// Looks through the whole file; `None` when its structure is sound.
    ///
    /// # Errors
    ///
    /// See [`Self::load`].
    pub fn damage(&self) -> Result<Option<String>, StoreError> {
        let verdict: String = self.ask(|connection| {
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        })?;
        Ok((verdict != "ok").then_some(verdict))
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        question(&self.connection).map_err(|source| StoreError::Sqlite {
            during: "read",
            path: self.path.clone(),
            source,
        })
    }
}

/// How a database is opened for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Beside an owner, sharing the index of the journal.
    Shared,
    /// With the index in our own memory; needs a file that could be written, and no owner.
    Alone,
    /// As it is on a disk that cannot be written; a journal left behind is not seen.
    Immutable,
}

fn connect(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let (rights, parameters) = match access {
        Access::Shared => (OpenFlags::SQLITE_OPEN_READ_ONLY, "mode=ro"),
        Access::Alone => (OpenFlags::SQLITE_OPEN_READ_WRITE, "mode=rw"),
        Access::Immutable => (OpenFlags::SQLITE_OPEN_READ_ONLY, "mode=ro&immutable=1"),
    };
    let flags = rights | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(path, parameters), flags)?;
    connection.busy_timeout(PATIENCE)?;
    if access == Access::Alone {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    }
    // Opening is lazy; whether the file can be read shows only now.
    schema::has_tables(&connection)?;
    Ok(connection)
}

/// A folder that is read-only, or on a full disk, takes no index of the journal.
fn has_no_place_for_index(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
        )
    )
}

fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02x}").ok(); // writing to a String cannot fail
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

fn migrated_in_memory(file: &Connection) -> rusqlite::Result<Connection> {
    let mut memory = Connection::open_in_memory()?;
    Backup::new(file, &mut memory)?.step(-1)?;
    schema::migrate(&mut memory, files::unix_now())?;
    Ok(memory)
}
