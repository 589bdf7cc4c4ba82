//! The Python predecessor's database, versions 1 to 3: recognised, kept and copied.

use rusqlite::{Connection, Transaction};

/// Its tables; they are kept under `legacy_…`, so that no column we do not know is lost.
const TABLES: [&str; 5] = [
    "instances",
    "runtime",
    "events",
    "health_history",
    "schema_info",
];

/// A process that its database calls running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePid {
    pub name: String,
    pub pid: i32,
}

/// Returns whether this is one of its databases. Ours has a version; its never had one.
pub(super) fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    has_table(connection, "instances")
}

/// Renames its tables, and drops its indexes, whose names we need.
pub(super) fn set_aside(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut query = transaction
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")?;
    let indexes: Vec<String> = query
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for index in indexes {
        transaction.execute_batch(&format!("DROP INDEX {}", quoted(&index)))?;
    }
    for table in TABLES {
        if has_table(transaction, table)? {
            transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO legacy_{table}"))?;
        }
    }
    Ok(())
}

/// Copies what it knew into our tables and returns the processes it called running.
pub(super) fn copy(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<LivePid>> {
    transaction.execute_batch(
        "INSERT INTO instances (name, config_path, desired_state, created_at, updated_at)
         SELECT name, '', 'stopped', coalesce(updated_at, 0), coalesce(updated_at, 0)
         FROM legacy_instances",
    )?;
    let source = if has_table(transaction, "legacy_runtime")? {
        transaction.execute_batch(
            "INSERT OR IGNORE INTO instances (name, config_path, created_at, updated_at)
             SELECT name, '', coalesce(started_at, 0), coalesce(last_seen_at, 0)
             FROM legacy_runtime;
             INSERT INTO runtime (name, pid, port, cmdline, binary_version, status, health,
                 started_at, last_seen_at, last_health_ok_at, restart_attempts, last_exit_code,
                 last_error)
             SELECT name, CAST(pid AS INTEGER), CAST(port AS INTEGER), cmdline, binary_version,
                 CASE status WHEN 'error' THEN 'failed' ELSE 'stopped' END, 'unknown',
                 CAST(started_at AS REAL), CAST(last_seen_at AS REAL),
                 CAST(last_health_ok_at AS REAL), coalesce(CAST(restart_attempts AS INTEGER), 0),
                 CAST(last_exit_code AS INTEGER), last_error
             FROM legacy_runtime",
        )?;
        "legacy_runtime"
    } else {
        "legacy_instances"
    };
    // Version 1 kept these facts with the instance; later versions kept a second copy there.
    transaction.execute_batch(
        "INSERT OR IGNORE INTO runtime (name, pid, status, health, started_at, last_seen_at,
             restart_attempts, last_error)
         SELECT name, CAST(pid AS INTEGER),
             CASE status WHEN 'error' THEN 'failed' ELSE 'stopped' END, 'unknown',
             CAST(start_time AS REAL), CAST(updated_at AS REAL),
             coalesce(CAST(restart_count AS INTEGER), 0), error_message
         FROM legacy_instances",
    )?;
    if has_table(transaction, "legacy_events")? {
        transaction.execute_batch(
            "INSERT INTO events (id, ts, instance_name, level, event_type, message, meta_json)
             SELECT id, CAST(ts AS REAL),
                 (SELECT name FROM instances WHERE name = legacy_events.instance_name),
                 coalesce(level, 'info'), coalesce(event_type, 'unknown'),
                 coalesce(message, ''), meta_json
             FROM legacy_events",
        )?;
    }
    if has_table(transaction, "legacy_health_history")? {
        transaction.execute_batch(
            "INSERT INTO health_history (id, instance_name, health, response_time_ms,
                 error_message, checked_at)
             SELECT id, instance_name, coalesce(health, 'unknown'),
                 CAST(response_time_ms AS REAL), error_message, CAST(checked_at AS REAL)
             FROM legacy_health_history
             WHERE instance_name IN (SELECT name FROM instances)",
        )?;
    }
    let mut query = transaction.prepare(&format!(
        "SELECT name, CAST(pid AS INTEGER) FROM {source}
         WHERE pid IS NOT NULL AND status IN ('starting', 'running', 'stopping')",
    ))?;
    let rows = query.query_map([], |row| {
        Ok(LivePid {
            name: row.get(0)?,
            pid: row.get(1)?,
        })
    })?;
    rows.collect()
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
        [name],
        |row| row.get(0),
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
