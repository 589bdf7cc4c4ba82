//! The questions asked of the database, for its owner and for readers without one.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use super::files;
use super::rows::{
    DesiredWrite, HealthRollup, HealthSample, Predecessor, RunEndRow, RunRow, RuntimeRow, Stored,
    StoredEvent,
};
use super::work;
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::event::{EventFilter, Level};
use crate::domain::exit::ExitStatus;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health, Status};
use crate::domain::run::RunId;

/// Events returned when the filter sets no limit.
const DEFAULT_LIMIT: u32 = 100;

pub(super) fn load(connection: &Connection) -> Result<Stored> {
    Ok(Stored {
        desired: desired(connection)?,
        runtime: runtime(connection)?,
        last_runs: last_runs(connection)?,
        predecessors: predecessors(connection)?,
        work_units: work::units(connection)?,
        next_event_id: next_event_id(connection)?,
    })
}

pub(super) fn desired(connection: &Connection) -> Result<HashMap<InstanceName, Desired>> {
    by_name(
        connection,
        "SELECT name, desired_state FROM instances WHERE desired_state IS NOT NULL",
        |row| Ok(Desired::parse(&row.get::<_, String>(1)?)),
    )
}

/// Reads wishes from a damaged file, up to the first row that cannot be read.
pub(super) fn surviving_intents(connection: &Connection) -> Vec<DesiredWrite> {
    let sql = "SELECT name, desired_state, config_path, updated_at FROM instances
               WHERE desired_state IS NOT NULL";
    let Ok(mut statement) = connection.prepare(sql) else {
        return Vec::new();
    };
    let rows = statement.query_map([], |row| {
        let name = InstanceName::parse(&row.get::<_, String>(0)?).ok();
        let desired = Desired::parse(&row.get::<_, String>(1)?);
        let config_path = row.get::<_, Option<String>>(2)?.map(Into::into);
        let at = row.get(3)?;
        Ok(name.zip(desired).map(|(name, desired)| DesiredWrite {
            name,
            config_path,
            desired,
            at,
        }))
    });
    let Ok(rows) = rows else {
        return Vec::new();
    };
    rows.map_while(Result::ok).flatten().collect()
}

pub(super) fn runtime(connection: &Connection) -> Result<HashMap<InstanceName, RuntimeRow>> {
    by_name(
        connection,
        "SELECT name, pid, port, binary_version, status, health, started_at,
            last_seen_at, last_health_ok_at, restart_attempts, restart_at, last_exit_code,
            last_error, failure, cause, detail, retry_class, evidence, remedy FROM runtime",
        |row| {
            let status = Status::parse(&row.get::<_, String>(4)?).unwrap_or(Status::Stopped);
            let health = Health::parse(&row.get::<_, String>(5)?).unwrap_or(Health::Unknown);
            Ok(Some(RuntimeRow {
                pid: number(row, 1)?,
                port: number(row, 2)?,
                binary_version: row.get(3)?,
                status,
                health,
                started_at: row.get(6)?,
                last_seen_at: row.get(7)?,
                last_health_ok_at: row.get(8)?,
                restart_attempts: number(row, 9)?.unwrap_or(0),
                restart_at: row.get(10)?,
                last_exit_code: number(row, 11)?,
                last_error: row.get(12)?,
                failure: row
                    .get::<_, Option<String>>(13)?
                    .and_then(|word| Failure::parse(&word)),
                autopsy: autopsy(row, 14)?,
            }))
        },
    )
}

const RUN_COLUMNS: &str = "runs.instance_name, runs.run_id, runs.token, runs.pid, runs.shim_pid,
    runs.port, runs.started_at, runs.ended_at, runs.exit_code, runs.exit_signal, runs.core,
    runs.requested, runs.dropped_bytes, runs.cause, runs.detail,
    runs.retry_class, runs.evidence, runs.remedy";

/// Returns the latest run of every instance.
pub(super) fn last_runs(connection: &Connection) -> Result<HashMap<InstanceName, RunRow>> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM instances JOIN runs ON runs.rowid = (
            SELECT rowid FROM runs WHERE instance_name = instances.name
            ORDER BY started_at DESC LIMIT 1)"
    );
    by_name(connection, &sql, run)
}

/// Returns the runs of one instance, newest first.
pub(super) fn runs(
    connection: &Connection,
    name: &InstanceName,
    limit: u32,
) -> Result<Vec<RunRow>> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM runs WHERE instance_name = ?1
         ORDER BY started_at DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((name.as_str(), limit), run)?;
    rows.filter_map(Result::transpose).collect()
}

fn run(row: &Row<'_>) -> Result<Option<RunRow>> {
    let Ok(instance) = InstanceName::parse(&row.get::<_, String>(0)?) else {
        return Ok(None);
    };
    let code = number(row, 8)?.map(ExitStatus::Code);
    let signal = number(row, 9)?.map(ExitStatus::Signal);
    let ended_at: Option<f64> = row.get(7)?;
    let end = match ended_at {
        None => None,
        Some(ended_at) => Some(RunEndRow {
            ended_at,
            status: code.or(signal),
            core_dumped: row.get(10)?,
            requested: row.get(11)?,
            dropped_bytes: number(row, 12)?.unwrap_or(0),
            autopsy: autopsy(row, 13)?,
        }),
    };
    Ok(Some(RunRow {
        run: RunId::new(row.get(1)?),
        instance,
        token: row.get(2)?,
        pid: number(row, 3)?,
        shim_pid: number(row, 4)?,
        port: number(row, 5)?,
        started_at: row.get(6)?,
        end,
    }))
}

/// Reads the columns from `cause` on, which is the column `first`.
fn autopsy(row: &Row<'_>, first: usize) -> Result<Option<Autopsy>> {
    let cause: Option<String> = row.get(first)?;
    let class: Option<String> = row.get(first + 2)?;
    let cause = cause.as_deref().and_then(Cause::parse);
    let class = class.as_deref().and_then(RetryClass::parse);
    let Some((cause, class)) = cause.zip(class) else {
        return Ok(None);
    };
    let summary: Option<String> = row.get(first + 1)?;
    Ok(Some(Autopsy {
        cause,
        class,
        summary: summary.unwrap_or_else(|| cause.label().to_owned()),
        evidence: row.get(first + 3)?,
        remedy: row.get(first + 4)?,
    }))
}

fn predecessors(connection: &Connection) -> Result<Vec<Predecessor>> {
    let mut statement = connection.prepare(
        "SELECT name, pid, port, started_at, status FROM predecessor_processes ORDER BY name, pid",
    )?;
    let rows = statement.query_map([], |row| {
        let name = InstanceName::parse(&row.get::<_, String>(0)?).ok();
        let Some((name, pid)) = name.zip(number(row, 1)?) else {
            return Ok(None);
        };
        Ok(Some(Predecessor {
            name,
            pid,
            port: number(row, 2)?,
            started_at: row.get(3)?,
            status: Status::parse(&row.get::<_, String>(4)?).unwrap_or(Status::Stopped),
        }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

fn next_event_id(connection: &Connection) -> Result<i64> {
    connection.query_row(
        "SELECT 1 + max(coalesce((SELECT max(id) FROM events), 0),
            coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0))",
        [],
        |row| row.get(0),
    )
}

/// Returns a number for events that no database could say, larger than any it has given before.
pub(super) fn event_id_without_database() -> i64 {
    files::unix_millis().max(1)
}

/// Returns the matching events, oldest first.
pub(super) fn events(connection: &Connection, filter: &EventFilter) -> Result<Vec<StoredEvent>> {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if let Some(name) = &filter.instance {
        conditions.push("instance_name = ?".to_owned());
        values.push(name.as_str().to_owned().into());
    }
    match filter.level {
        None | Some(Level::Info) => {}
        Some(Level::Warning) => conditions.push("level IN ('warning', 'error')".to_owned()),
        Some(Level::Error) => conditions.push("level = 'error'".to_owned()),
    }
    if !filter.kinds.is_empty() {
        let marks = vec!["?"; filter.kinds.len()].join(", ");
        conditions.push(format!("event_type IN ({marks})"));
        let words = filter.kinds.iter().map(|kind| kind.as_str().to_owned());
        values.extend(words.map(Value::from));
    }
    if let Some(since) = filter.since {
        conditions.push("ts >= ?".to_owned());
        values.push(since.into());
    }
    if let Some(id) = filter.after_id {
        conditions.push("id > ?".to_owned());
        values.push(id.into());
    }
    if let Some(id) = filter.before_id {
        conditions.push("id < ?".to_owned());
        values.push(id.into());
    }
    values.push(i64::from(filter.limit.unwrap_or(DEFAULT_LIMIT)).into());
    let order = if filter.after_id.is_some() {
        "ASC"
    } else {
        "DESC"
    };
    let sql = format!(
        "SELECT id, ts, instance_name, level, event_type, message, meta_json FROM events
         WHERE {} ORDER BY id {order} LIMIT ?",
        conditions.join(" AND ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        Ok(StoredEvent {
            id: row.get(0)?,
            at: row.get(1)?,
            instance: row.get(2)?,
            level: Level::parse(&row.get::<_, String>(3)?).unwrap_or(Level::Info),
            kind: row.get(4)?,
            message: row.get(5)?,
            meta_json: row.get(6)?,
        })
    })?;
    let mut events: Vec<_> = rows.collect::<Result<_>>()?;
    if filter.after_id.is_none() {
        events.reverse();
    }
    Ok(events)
}

pub(super) fn health_changes(
    connection: &Connection,
    name: &InstanceName,
    limit: u32,
) -> Result<Vec<HealthSample>> {
    let mut statement = connection.prepare(
        "SELECT health, response_time_ms, error_message, checked_at FROM health_history
         WHERE instance_name = ?1 ORDER BY checked_at DESC, id DESC LIMIT ?2",
    )?;
    let mut changes = statement
        .query_map((name.as_str(), limit), |row| {
            let word: String = row.get(0)?;
            Ok(HealthSample {
                name: name.clone(),
                health: Health::parse(&word).unwrap_or(Health::Unknown),
                response_ms: row.get(1)?,
                error: row.get(2)?,
                at: row.get(3)?,
            })
        })?
        .collect::<Result<Vec<_>>>()?;
    changes.reverse();
    Ok(changes)
}

pub(super) fn health_rollups(
    connection: &Connection,
    name: &InstanceName,
    limit: u32,
) -> Result<Vec<HealthRollup>> {
    let mut statement = connection.prepare(
        "SELECT started_at, probes, failures, responses, response_total_ms, response_max_ms
         FROM health_rollup WHERE instance_name = ?1 ORDER BY started_at DESC LIMIT ?2",
    )?;
    let mut rollups = statement
        .query_map((name.as_str(), limit), |row| {
            Ok(HealthRollup {
                name: name.clone(),
                started_at: row.get(0)?,
                probes: row.get(1)?,
                failures: row.get(2)?,
                responses: row.get(3)?,
                response_total_ms: row.get(4)?,
                response_max_ms: row.get(5)?,
            })
        })?
        .collect::<Result<Vec<_>>>()?;
    rollups.reverse();
    Ok(rollups)
}

/// Collects rows by the name in their first column; names that break our rule stay unread.
fn by_name<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> Result<Option<T>>,
) -> Result<HashMap<InstanceName, T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        let Ok(name) = InstanceName::parse(&row.get::<_, String>(0)?) else {
            continue;
        };
        if let Some(value) = read(row)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// Reads a number; one that does not fit counts as absent, since older programs wrote it.
fn number<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.and_then(|value| T::try_from(value).ok()))
}
