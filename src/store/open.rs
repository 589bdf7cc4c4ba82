//! Opens the database for its owner, whatever state its file is in.
//!
//! ```text
//! open ─► damaged? ──► move aside ─► newest good backup, else empty ─► put surviving wishes back
//!   │                                                                        │
//!   ├───► newer version ─► read only                                         ▼
//!   ├───► older or predecessor's ─► back up ─► migrate ─────────────────► ready
//!   └───► cannot be opened now ─► the caller keeps changes in memory and tries again
//! ```

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::error::{StoreError, Trouble};
use super::files::{self, Copy, FileIdentity};
use super::rows::{Notice, Stored, Write};
use super::{predecessor, queries, schema, statements, work};

/// How long to wait for another program's lock while opening.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// How long a write waits for another program's lock before it is kept in memory instead.
pub(super) const WRITE_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that are looked through in about 20 ms.
const LARGE: u64 = 4 << 20;

/// Pages (of 4 KiB) after which the write-ahead log is emptied into the database. Fewer than
/// SQLite's own 1000, because on a full disk the log itself is what is in the way.
const JOURNAL_PAGES: i64 = 250;

/// Bytes the write-ahead log may keep on disk after that.
const JOURNAL_LIMIT: i64 = 1 << 20;

/// An open database that can be written.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) identity: FileIdentity,
    /// The write-ahead log, which stays the same file as long as the connection is open.
    pub(super) journal: Option<FileIdentity>,
}

/// When the whole file is looked through for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Now,
    /// A large file is looked through beside the work, so that it does not delay the start.
    LaterIfLarge,
}

/// Whether the whole file was looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    Yes,
    NotYet,
}

/// What came of opening.
#[derive(Debug)]
pub(super) enum Outcome {
    Ready {
        database: Database,
        stored: Box<Stored>,
        checked: Checked,
    },
    Newer {
        found: i64,
    },
    Unavailable {
        error: StoreError,
    },
}

/// Opens the database and reports on the way what a person should know.
pub(super) fn open(path: &Path, keep: usize, when: Check, notices: &mut Vec<Notice>) -> Outcome {
    match attempt(path, keep, when, notices) {
        Err(error) if error.trouble() == Trouble::Corrupt => {
            match replace(path, keep, &error, notices) {
                Ok(outcome) => outcome,
                Err(error) => Outcome::Unavailable { error },
            }
        }
        Err(error) => Outcome::Unavailable { error },
        Ok(outcome) => outcome,
    }
}

/// Moves a damaged database aside and opens the best there is instead.
pub(super) fn replace(
    path: &Path,
    keep: usize,
    error: &StoreError,
    notices: &mut Vec<Notice>,
) -> Result<Outcome, StoreError> {
    let detail = error.why();
    let to = files::move_aside(path, keep)?;
    let mut restored_from = None;
    for backup in files::backups(path) {
        if is_good(&backup) {
            files::restore(&backup, path)?;
            restored_from = Some(backup);
            break;
        }
    }
    // The person is told of the damage; that a new file was made follows from it.
    let mut rest = Vec::new();
    let mut outcome = attempt(path, keep, Check::Now, &mut rest)?;
    rest.retain(|notice| *notice != Notice::Created);
    let mut intents = 0;
    if let Outcome::Ready {
        database, stored, ..
    } = &mut outcome
    {
        intents = put_back_intents(&mut database.connection, &to, path)?;
        **stored = load(&database.connection, path)?;
        // Readers remember event numbers, so none may mean two different events.
        stored.next_event_id = stored
            .next_event_id
            .max(queries::event_id_without_database());
    }
    notices.push(Notice::CorruptMovedAside {
        detail,
        to,
        restored_from,
        intents,
    });
    notices.append(&mut rest);
    Ok(outcome)
}

fn attempt(
    path: &Path,
    keep: usize,
    when: Check,
    notices: &mut Vec<Notice>,
) -> Result<Outcome, StoreError> {
    let at = |during| {
        let path = path.to_owned();
        move |source| StoreError::Sqlite {
            during,
            path,
            source,
        }
    };
    let length = fs::metadata(path).map(|metadata| metadata.len()).ok();
    if length == Some(0) && !files::backups(path).is_empty() {
        // SQLite would take an emptied file for a new one.
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            detail: "the file is empty".to_owned(),
        });
    }
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(at("open"))?;
    connection.busy_timeout(OPEN_PATIENCE).map_err(at("open"))?;
    let found = schema::version(&connection).map_err(at("read"))?;
    if found > schema::KNOWN {
        notices.push(Notice::NewerVersion {
            found,
            known: schema::KNOWN,
        });
        return Ok(Outcome::Newer { found });
    }
    let existed = schema::has_tables(&connection).map_err(at("read"))?;
    let large = length.is_some_and(|length| length > LARGE);
    let mut checked = Checked::Yes;
    if existed && large && when == Check::LaterIfLarge {
        checked = Checked::NotYet;
    } else if existed {
        check(&connection, path)?;
    } else {
        files::restrict(path);
    }
    let notice = prepare_migration(&connection, path, keep, found, existed)?;
    enter_wal(&connection).map_err(at("set up"))?;
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .and_then(|()| connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT))
        .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES))
        .map_err(at("set up"))?;
    schema::migrate(&mut connection, files::unix_now()).map_err(at("migrate"))?;
    connection
        .busy_timeout(WRITE_PATIENCE)
        .map_err(at("set up"))?;
    let stored = load(&connection, path)?;
    let identity = FileIdentity::of(path).map_err(|source| StoreError::File {
        during: "look at",
        path: path.to_owned(),
        source,
    })?;
    // A migration is announced once it is committed.
    notices.extend(notice);
    let database = Database {
        connection,
        identity,
        journal: FileIdentity::of(&files::beside(path, "-wal")).ok(),
    };
    Ok(Outcome::Ready {
        database,
        stored: Box::new(stored),
        checked,
    })
}

/// Backs up what a migration will change and returns how to announce it.
fn prepare_migration(
    connection: &Connection,
    path: &Path,
    keep: usize,
    found: i64,
    existed: bool,
) -> Result<Option<Notice>, StoreError> {
    if !existed {
        return Ok(Some(Notice::Created));
    }
    if found == schema::KNOWN {
        return Ok(None);
    }
    let predecessor = if found == 0 {
        predecessor::version(connection).map_err(|source| StoreError::Sqlite {
            during: "read",
            path: path.to_owned(),
            source,
        })?
    } else {
        None
    };
    if let Some(version) = predecessor {
        let backup = files::copy(connection, path, Copy::Predecessor { version })?;
        return Ok(Some(Notice::PredecessorMigrated { version, backup }));
    }
    let backup = files::copy(connection, path, Copy::Backup { version: found })?;
    files::keep_newest_backups(path, keep);
    Ok(Some(Notice::Migrated {
        from: found,
        to: schema::KNOWN,
        backup,
    }))
}

fn load(connection: &Connection, path: &Path) -> Result<Stored, StoreError> {
    queries::load(connection).map_err(|source| StoreError::Sqlite {
        during: "load",
        path: path.to_owned(),
        source,
    })
}

/// Fails when the file's structure is damaged.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| StoreError::Sqlite {
            during: "check",
            path: path.to_owned(),
            source,
        })?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        path: path.to_owned(),
        detail: verdict,
    })
}

/// Switches to write-ahead logging; this pragma ignores the busy handler, hence the loop.
fn enter_wal(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + OPEN_PATIENCE;
    loop {
        let outcome = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        let busy = outcome.as_ref().is_err_and(|error| {
            error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
        });
        if !busy || Instant::now() >= deadline {
            return outcome;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Looks through a file that somebody else has open.
pub(super) fn check_beside(path: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|source| StoreError::Sqlite {
            during: "check",
            path: path.to_owned(),
            source,
        })?;
    check(&connection, path)
}

fn is_good(backup: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(backup, flags) else {
        return false;
    };
    let known = schema::version(&connection).is_ok_and(|found| found <= schema::KNOWN);
    known && check(&connection, backup).is_ok()
}

/// Copies the wishes that can still be read from the damaged file: nothing else knows them.
fn put_back_intents(
    connection: &mut Connection,
    damaged: &Path,
    path: &Path,
) -> Result<usize, StoreError> {
    let (wishes, units) = Connection::open_with_flags(damaged, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map(|old| {
            // Makes SQLite overlook damage in the description of other tables.
            old.pragma_update(None, "writable_schema", true).ok();
            (queries::surviving_intents(&old), work::survivors(&old))
        })
        .unwrap_or_default();
    let count = wishes.len();
    let mut known = statements::KnownInstances::new();
    let put_back = || {
        let step = connection.transaction()?;
        for wish in wishes {
            statements::write(&step, &mut known, &Write::Desired(wish))?;
        }
        for unit in units {
            work::save(&step, &unit)?;
        }
        step.commit()
    };
    put_back().map_err(|source: rusqlite::Error| StoreError::Sqlite {
        during: "put wishes back into",
        path: path.to_owned(),
        source,
    })?;
    Ok(count)
}
