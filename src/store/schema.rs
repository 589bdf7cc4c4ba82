//! Opening: versions, migrations, backups, and what to do with a damaged file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Notice;
use super::predecessor::{self, LivePid};

/// Each migration brings the database to its number; the text is one transaction.
const MIGRATIONS: [&str; 1] = [include_str!("../../assets/migrations/001_initial.sql")];

/// Backups kept beside the database.
const BACKUPS: usize = 3;

/// Another process may hold the database for this long before we give up.
const BUSY: Duration = Duration::from_secs(5);

/// A database ready for use.
pub(super) enum Usable {
    ReadWrite(Connection),
    Newer { found: u32, known: u32 },
}

pub(super) struct Opening {
    pub(super) connection: rusqlite::Result<Usable>,
    pub(super) notices: Vec<Notice>,
    pub(super) live_pids: Vec<LivePid>,
    pub(super) next_event_id: i64,
}

/// Opens the database; a damaged one is moved aside and replaced.
pub(super) fn open(path: &Path) -> Opening {
    let mut opening = Opening {
        connection: Err(rusqlite::Error::InvalidQuery),
        notices: Vec::new(),
        live_pids: Vec::new(),
        next_event_id: 1,
    };
    opening.connection = match open_once(path, &mut opening) {
        Err(error) if is_damage(&error) => match move_aside(path) {
            Ok(notice) => {
                opening.notices.push(notice);
                open_once(path, &mut opening)
            }
            Err(_) => Err(error),
        },
        other => other,
    };
    match &opening.connection {
        Ok(Usable::ReadWrite(connection)) => {
            opening.next_event_id = connection
                .query_row("SELECT coalesce(max(id), 0) + 1 FROM events", [], |row| {
                    row.get(0)
                })
                .unwrap_or(1);
        }
        Ok(Usable::Newer { found, known }) => {
            opening.notices.push(Notice::NewerVersion {
                found: *found,
                known: *known,
            });
        }
        Err(error) => opening.notices.push(Notice::Unusable {
            why: error.to_string(),
        }),
    }
    opening
}

fn open_once(path: &Path, opening: &mut Opening) -> rusqlite::Result<Usable> {
    let mut connection = Connection::open(path)?;
    // First of all: the later pragmas may meet a lock.
    connection.busy_timeout(BUSY)?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found = version(&connection)?;
    if found > known {
        return Ok(Usable::Newer { found, known });
    }
    check(&connection)?;
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let old = found == 0 && predecessor::is_there(&connection)?;
    if found < known {
        let existed = found > 0 || old;
        let backup = if existed {
            Some(back_up(&connection, path)?)
        } else {
            None
        };
        // Renaming the predecessor's tables must not rewrite their foreign keys.
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        migrate(&mut connection, found, old, &mut opening.live_pids)?;
        match backup {
            Some(backup) if old => opening.notices.push(Notice::TakenOver { backup }),
            Some(backup) => {
                opening.notices.push(Notice::Migrated {
                    from: found,
                    to: known,
                    backup,
                });
            }
            None => {}
        }
    }
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(Usable::ReadWrite(connection))
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn check(connection: &Connection) -> rusqlite::Result<()> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(answer)))
}

/// This pragma does not wait for locks as others do.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

fn migrate(
    connection: &mut Connection,
    found: u32,
    predecessor: bool,
    live_pids: &mut Vec<LivePid>,
) -> rusqlite::Result<()> {
    for (number, text) in (1..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if number == 1 {
            if predecessor {
                predecessor::set_aside(&transaction)?;
            }
            transaction.execute_batch(
                "CREATE TABLE schema_migrations (
                    version INTEGER PRIMARY KEY, applied_at REAL NOT NULL) STRICT",
            )?;
        }
        transaction.execute_batch(text)?;
        if number == 1 && predecessor {
            *live_pids = predecessor::copy(&transaction)?;
        }
        transaction.execute(
            "INSERT INTO schema_migrations VALUES (?1, ?2)",
            (number, unix_seconds()),
        )?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Copies the database beside itself and keeps the newest few copies.
fn back_up(connection: &Connection, path: &Path) -> rusqlite::Result<PathBuf> {
    let backup = beside(
        path,
        &format!("backup-{}", (unix_seconds() * 1000.0) as u64),
    );
    connection.execute("VACUUM INTO ?1", [backup.to_string_lossy()])?;
    let mut old = backups(path);
    while old.len() > BACKUPS {
        fs::remove_file(old.remove(0)).ok(); // a backup too many does no harm
    }
    Ok(backup)
}

/// The backups of a database, oldest first: their names end in a time.
fn backups(path: &Path) -> Vec<PathBuf> {
    let Some(folder) = path.parent() else {
        return Vec::new();
    };
    let prefix = beside(path, "backup-");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|candidate| {
            candidate
                .to_string_lossy()
                .starts_with(&*prefix.to_string_lossy())
        })
        .collect();
    found.sort();
    found
}

/// Moves a damaged database and its companions aside, and puts the newest sound backup in place.
fn move_aside(path: &Path) -> std::io::Result<Notice> {
    let to = beside(
        path,
        &format!("damaged-{}", (unix_seconds() * 1000.0) as u64),
    );
    fs::rename(path, &to)?;
    for companion in ["-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(companion);
        let mut aside = to.as_os_str().to_owned();
        aside.push(companion);
        fs::rename(from, aside).ok(); // there may be none
    }
    let restored = backups(path)
        .into_iter()
        .rev()
        .find(|backup| is_sound(backup));
    if let Some(backup) = &restored {
        fs::copy(backup, path)?;
    }
    Ok(Notice::MovedAside { to, restored })
}

fn is_sound(path: &Path) -> bool {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .is_ok_and(|connection| check(&connection).is_ok())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
