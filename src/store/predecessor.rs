//! Takes over the database of the Python llama-orch (its versions 1, 2 and 3), once.
//!
//! Its tables are renamed to `legacy_…` and their rows copied into ours, column by column as far
//! as each exists. A renamed table is dropped only when nothing in it was left uncopied.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, Result};

/// The names we use and the predecessor may have used, in the order they can be dropped.
const TABLES: [&str; 11] = [
    "health_history",
    "events",
    "runtime",
    "instances",
    "schema_info",
    "schema_migrations",
    "health_rollup",
    "runs",
    "predecessor_processes",
    "work_units",
    "status_log",
];

/// Columns that say which instance a row is about; they repeat what `instances` says.
const LABELS: [&str; 3] = ["instance_uid", "instance_no", "display_name"];

/// The tables that were set aside.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    tables: Vec<Table>,
}

/// One renamed table, or an empty stand-in for one that never existed.
#[derive(Clone, Debug, Default)]
struct Table {
    name: &'static str,
    columns: BTreeSet<String>,
}

/// Returns the predecessor's version when the database is one of its own.
pub(super) fn version(connection: &Connection) -> Result<Option<i64>> {
    if columns(connection, "instances")?.is_empty() {
        return Ok(None);
    }
    if columns(connection, "schema_info")?.is_empty() {
        return Ok(Some(1));
    }
    let version = connection
        .query_row(
            "SELECT CAST(value AS INTEGER) FROM schema_info WHERE key = 'version'",
            [],
            |row| row.get::<_, Option<i64>>(0),
        )
        .optional()?;
    Ok(Some(version.flatten().unwrap_or(2)))
}

/// Renames every table that has one of our names.
pub(super) fn set_aside(connection: &Connection) -> Result<SetAside> {
    let mut aside = SetAside::default();
    for name in TABLES {
        let columns = columns(connection, name)?;
        if columns.is_empty() {
            continue;
        }
        drop_indexes(connection, name)?;
        connection.execute_batch(&format!("ALTER TABLE {name} RENAME TO legacy_{name}"))?;
        aside.tables.push(Table { name, columns });
    }
    Ok(aside)
}

/// Copies what was set aside into our new tables.
pub(super) fn take_over(connection: &Connection, aside: &SetAside, now: f64) -> Result<()> {
    if aside.tables.is_empty() {
        return Ok(());
    }
    let instances = aside.table("instances");
    let runtime = aside.table("runtime");
    let events = aside.table("events");
    let health = aside.table("health_history");
    connection.execute_batch(&copy_instances(&instances, now))?;
    for (table, name) in [
        (&runtime, "name"),
        (&events, "instance_name"),
        (&health, "instance_name"),
    ] {
        connection.execute_batch(&ensure_instances(table, name, now))?;
    }
    connection.execute_batch(&copy_runtime(&runtime, &instances))?;
    connection.execute_batch(&copy_processes(&runtime, &instances))?;
    connection.execute_batch(&copy_events(&events))?;
    connection.execute_batch(&copy_health(&health))?;
    for (table, name, copied) in [
        (&health, "instance_name", &HEALTH_COLUMNS[..]),
        (&events, "instance_name", &EVENT_COLUMNS[..]),
        (&runtime, "name", &RUNTIME_COLUMNS[..]),
    ] {
        if table.exists() && nothing_is_left(connection, table, name, copied)? {
            connection.execute_batch(&format!("DROP TABLE legacy_{}", table.name))?;
        }
    }
    Ok(())
}

const HEALTH_COLUMNS: [&str; 6] = [
    "id",
    "instance_name",
    "health",
    "response_time_ms",
    "error_message",
    "checked_at",
];
const EVENT_COLUMNS: [&str; 7] = [
    "id",
    "ts",
    "instance_name",
    "level",
    "event_type",
    "message",
    "meta_json",
];
const RUNTIME_COLUMNS: [&str; 13] = [
    "name",
    "pid",
    "port",
    "cmdline",
    "binary_version",
    "status",
    "health",
    "started_at",
    "last_seen_at",
    "last_health_ok_at",
    "restart_attempts",
    "last_exit_code",
    "last_error",
];

fn copy_instances(instances: &Table, now: f64) -> String {
    let column = |name| instances.column("old", name);
    let updated = time(&column("updated_at"));
    let created = time(&column("created_at"));
    let wish = column("desired_state");
    format!(
        "INSERT OR IGNORE INTO instances (name, config_path, desired_state, created_at,
            updated_at, instance_uid, instance_no, display_name)
         SELECT CAST(old.name AS TEXT), {path},
            CASE WHEN {wish} IN ('running', 'stopped') THEN {wish} END,
            coalesce({created}, {updated}, {now}), coalesce({updated}, {now}),
            {uid}, {number}, {display}
         FROM {source} AS old WHERE old.name IS NOT NULL",
        path = text(&column("config_path")),
        uid = text(&column("instance_uid")),
        number = text(&column("instance_no")),
        display = text(&column("display_name")),
        source = instances.source("name"),
    )
}

/// Gives a row to instances that only another table names.
fn ensure_instances(table: &Table, name: &str, now: f64) -> String {
    format!(
        "INSERT OR IGNORE INTO instances (name, created_at, updated_at, instance_uid)
         SELECT DISTINCT CAST(old.{name} AS TEXT), {now}, {now}, {uid}
         FROM {source} AS old WHERE old.{name} IS NOT NULL",
        uid = text(&table.column("old", "instance_uid")),
        source = table.source(name),
    )
}

/// The two tables held the same facts and drifted; `runtime` was the one kept up to date.
fn copy_runtime(runtime: &Table, instances: &Table) -> String {
    let new = |name| runtime.column("new", name);
    let old = |name| instances.column("old", name);
    let newest = |name: &'static str| {
        format!(
            "CASE WHEN new.name IS NOT NULL THEN {} ELSE {} END",
            new(name),
            old(name)
        )
    };
    format!(
        "INSERT OR IGNORE INTO runtime (name, pid, port, cmdline, binary_version, status, health,
            started_at, last_seen_at, last_health_ok_at, restart_attempts, last_exit_code,
            last_error)
         SELECT instances.name, {pid}, {port}, {cmdline}, {binary}, {status},
            coalesce({health}, 'unknown'), {started}, {seen}, {healthy},
            coalesce({restarts}, 0), {code}, {error}
         FROM instances
         LEFT JOIN {runtime_source} AS new ON new.name = instances.name
         LEFT JOIN {instances_source} AS old ON old.name = instances.name
         WHERE new.name IS NOT NULL OR old.name IS NOT NULL",
        pid = integer(&newest("pid")),
        port = integer(&new("port")),
        cmdline = text(&new("cmdline")),
        binary = text(&new("binary_version")),
        status = status(&newest("status")),
        health = text(&newest("health")),
        started = either(&time(&new("started_at")), &time(&old("start_time"))),
        seen = either(
            &time(&new("last_seen_at")),
            &time(&old("last_health_check"))
        ),
        healthy = time(&new("last_health_ok_at")),
        restarts = either(
            &integer(&new("restart_attempts")),
            &integer(&old("restart_count"))
        ),
        code = integer(&new("last_exit_code")),
        error = either(&text(&new("last_error")), &text(&old("error_message"))),
        runtime_source = runtime.source("name"),
        instances_source = instances.source("name"),
    )
}

/// Every pid either table names: a live one may be in the stale table.
fn copy_processes(runtime: &Table, instances: &Table) -> String {
    let mut sql = String::new();
    for (table, started) in [(runtime, "started_at"), (instances, "start_time")] {
        let column = |name| table.column("old", name);
        sql.push_str(&format_process_copy(table, &column, started));
    }
    sql
}

fn format_process_copy(
    table: &Table,
    column: &dyn Fn(&'static str) -> String,
    started: &'static str,
) -> String {
    format!(
        "INSERT OR IGNORE INTO predecessor_processes (name, pid, port, started_at, status)
         SELECT CAST(old.name AS TEXT), {pid}, {port}, {started}, {status}
         FROM {source} AS old WHERE old.name IS NOT NULL AND {pid} > 0;",
        pid = integer(&column("pid")),
        port = integer(&column("port")),
        started = time(&column(started)),
        status = status(&column("status")),
        source = table.source("name"),
    )
}

fn copy_events(events: &Table) -> String {
    let column = |name| events.column("old", name);
    format!(
        "INSERT INTO events (id, ts, instance_name, level, event_type, message, meta_json)
         SELECT {id}, coalesce({ts}, 0), {name}, coalesce({level}, 'info'),
            coalesce({kind}, 'unknown'), coalesce({message}, ''), {meta}
         FROM {source} AS old",
        id = integer(&column("id")),
        ts = time(&column("ts")),
        name = text(&column("instance_name")),
        level = text(&column("level")),
        kind = text(&column("event_type")),
        message = text(&column("message")),
        meta = text(&column("meta_json")),
        source = events.source("id"),
    )
}

fn copy_health(health: &Table) -> String {
    let column = |name| health.column("old", name);
    format!(
        "INSERT INTO health_history
            (id, instance_name, health, response_time_ms, error_message, checked_at)
         SELECT {id}, CAST(old.instance_name AS TEXT), coalesce({health}, 'unknown'),
            CAST({response} AS REAL), {error}, coalesce({at}, 0)
         FROM {source} AS old WHERE old.instance_name IS NOT NULL",
        id = integer(&column("id")),
        health = text(&column("health")),
        response = column("response_time_ms"),
        error = text(&column("error_message")),
        at = time(&column("checked_at")),
        source = health.source("instance_name"),
    )
}

/// Returns whether a table holds no column, label or nameless row that was not copied.
fn nothing_is_left(
    connection: &Connection,
    table: &Table,
    name: &str,
    copied: &[&str],
) -> Result<bool> {
    let strange = table
        .columns
        .iter()
        .any(|column| !copied.contains(&column.as_str()) && !LABELS.contains(&column.as_str()));
    if strange {
        return Ok(false);
    }
    let mut differs = vec!["0".to_owned()];
    for label in LABELS {
        if table.columns.contains(label) {
            differs.push(format!(
                "(old.{label} IS NOT NULL AND CAST(old.{label} AS TEXT) IS NOT new.{label})"
            ));
        }
    }
    if table.name != "events" {
        differs.push(format!("old.{name} IS NULL"));
    }
    let sql = format!(
        "SELECT NOT EXISTS (SELECT 1 FROM legacy_{table} AS old
            LEFT JOIN instances AS new ON new.name = old.{name} WHERE {differs})",
        table = table.name,
        differs = differs.join(" OR "),
    );
    connection.query_row(&sql, [], |row| row.get(0))
}

impl SetAside {
    fn table(&self, name: &'static str) -> Table {
        self.tables
            .iter()
            .find(|table| table.name == name)
            .cloned()
            .unwrap_or(Table {
                name,
                columns: BTreeSet::new(),
            })
    }
}

impl Table {
    fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Returns the renamed table, or nothing with the one column that queries join by.
    fn source(&self, key: &str) -> String {
        if self.exists() {
            format!("legacy_{}", self.name)
        } else {
            format!("(SELECT NULL AS {key} WHERE 0)")
        }
    }

    fn column(&self, alias: &str, name: &str) -> String {
        if self.columns.contains(name) {
            format!("{alias}.{name}")
        } else {
            "NULL".to_owned()
        }
    }
}

fn columns(connection: &Connection, table: &str) -> Result<BTreeSet<String>> {
    connection
        .prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

fn drop_indexes(connection: &Connection, table: &str) -> Result<()> {
    let names: Vec<String> = connection
        .prepare(
            "SELECT name FROM sqlite_schema
             WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL",
        )?
        .query_map([table], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for name in names {
        let quoted = name.replace('"', "\"\"");
        connection.execute_batch(&format!("DROP INDEX \"{quoted}\""))?;
    }
    Ok(())
}

fn text(expression: &str) -> String {
    format!("CAST({expression} AS TEXT)")
}

fn integer(expression: &str) -> String {
    format!("CAST({expression} AS INTEGER)")
}

fn either(one: &str, other: &str) -> String {
    format!("coalesce({one}, {other})")
}

/// Unix seconds from a number, a number as text, or an ISO date.
fn time(expression: &str) -> String {
    format!(
        "(CASE typeof({expression}) WHEN 'null' THEN NULL WHEN 'text' THEN
            CASE WHEN {expression} GLOB '[0-9]*' AND {expression} NOT GLOB '*[^0-9.]*'
                THEN CAST({expression} AS REAL)
                ELSE CAST(unixepoch({expression}, 'subsec') AS REAL) END
          ELSE CAST({expression} AS REAL) END)"
    )
}

fn status(expression: &str) -> String {
    format!(
        "(CASE ({expression}) WHEN 'error' THEN 'failed' WHEN 'starting' THEN 'starting'
            WHEN 'running' THEN 'running' WHEN 'stopping' THEN 'stopping'
            WHEN 'failed' THEN 'failed' WHEN 'backoff' THEN 'backoff' ELSE 'stopped' END)"
    )
}
