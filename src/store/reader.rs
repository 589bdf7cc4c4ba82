//! Reading without an owner, and at an owner's start.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::StoreError;
use crate::domain::event::{Event, EventType, Level};
use crate::domain::exit::ExitStatus;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};

/// A reader waits this long for a writer.
const BUSY: Duration = Duration::from_secs(1);

/// A read-only connection.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// What is stored of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeView {
    pub desired: Desired,
    pub status: Status,
    pub health: Health,
    pub seen_at: Option<f64>,
    pub restarts: u32,
    pub last_exit: Option<ExitStatus>,
    pub last_error: Option<String>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    pub instance: Option<InstanceName>,
    pub since: Option<f64>,
    pub limit: usize,
}

impl Reader {
    /// Opens the database for reading; `None` when there is none or it is not of our version.
    ///
    /// # Errors
    ///
    /// Returns an error when it is there and cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let fail = |source| StoreError::Read {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(ready);
        let connection = match opened {
            Ok(connection) => connection,
            // The folder may be read-only: then nobody writes, and no lock is needed.
            Err(error) if is_closed_folder(&error) => {
                let uri = format!("file:{}?immutable=1", escaped(path));
                let flags = flags | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(uri, flags)
                    .and_then(ready)
                    .map_err(fail)?
            }
            Err(error) => return Err(fail(error)),
        };
        let version: u32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(fail)?;
        Ok((version > 0).then_some(Self { connection }))
    }

    /// Returns what is stored of every instance.
    ///
    /// # Errors
    ///
    /// Returns SQLite's answer.
    pub fn instances(&self) -> rusqlite::Result<BTreeMap<InstanceName, RuntimeView>> {
        let mut query = self.connection.prepare(
            "SELECT i.name, i.desired_state, r.status, r.health, r.last_seen_at,
                 r.restart_attempts, r.last_error, last.exit_code, last.exit_signal
             FROM instances AS i
             LEFT JOIN runtime AS r ON r.name = i.name
             LEFT JOIN runs AS last ON last.run_id = (
                 SELECT run_id FROM runs WHERE instance_name = i.name AND ended_at IS NOT NULL
                 ORDER BY started_at DESC LIMIT 1)",
        )?;
        let rows = query.query_map([], |row| {
            let word = |index: usize| row.get::<_, Option<String>>(index);
            let code: Option<i32> = row.get(7)?;
            let signal: Option<i32> = row.get(8)?;
            let view = RuntimeView {
                desired: word(1)?
                    .and_then(|word| Desired::parse(&word))
                    .unwrap_or(Desired::Stopped),
                status: word(2)?
                    .and_then(|word| Status::parse(&word))
                    .unwrap_or(Status::Stopped),
                health: word(3)?
                    .and_then(|word| Health::parse(&word))
                    .unwrap_or(Health::Unknown),
                seen_at: row.get(4)?,
                restarts: row.get::<_, Option<u32>>(5)?.unwrap_or(0),
                last_error: row.get(6)?,
                last_exit: code
                    .map(ExitStatus::Code)
                    .or(signal.map(ExitStatus::Signal)),
            };
            Ok((row.get::<_, String>(0)?, view))
        })?;
        let mut instances = BTreeMap::new();
        for row in rows {
            let (name, view) = row?;
            if let Ok(name) = InstanceName::parse(&name) {
                instances.insert(name, view);
            }
        }
        Ok(instances)
    }

    /// Returns the ids of all runs whose end is stored.
    ///
    /// # Errors
    ///
    /// Returns SQLite's answer.
    pub fn ended_runs(&self) -> rusqlite::Result<Vec<String>> {
        let mut query = self
            .connection
            .prepare("SELECT run_id FROM runs WHERE ended_at IS NOT NULL")?;
        query.query_map([], |row| row.get(0))?.collect()
    }

    /// Returns the newest events that pass the filter, oldest first.
    ///
    /// # Errors
    ///
    /// Returns SQLite's answer.
    pub fn events(&self, filter: &EventFilter) -> rusqlite::Result<Vec<Event>> {
        let mut query = self.connection.prepare(
            "SELECT id, ts, instance_name, level, event_type, message FROM events
             WHERE (?1 IS NULL OR instance_name = ?1) AND (?2 IS NULL OR ts >= ?2)
             ORDER BY id DESC LIMIT ?3",
        )?;
        let name = filter.instance.as_ref().map(InstanceName::as_str);
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let rows = query.query_map((name, filter.since, limit), |row| {
            let name: Option<String> = row.get(2)?;
            let (level, kind): (String, String) = (row.get(3)?, row.get(4)?);
            Ok(Event {
                id: row.get(0)?,
                at: row.get(1)?,
                instance: name.and_then(|name| InstanceName::parse(&name).ok()),
                level: Level::parse(&level).unwrap_or(Level::Info),
                // The predecessor's kinds are not all ours.
                kind: EventType::parse(&kind).unwrap_or(EventType::Reconciled),
                message: row.get(5)?,
            })
        })?;
        let mut events = rows.collect::<rusqlite::Result<Vec<Event>>>()?;
        events.reverse();
        Ok(events)
    }
}

fn ready(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY)?;
    // The first look is what finds out that the log beside the file cannot be used.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

fn is_closed_folder(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// Escapes what has a meaning in a URI.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23")
}
