//! The SQL of every change. All but a health change may safely run twice, as after an uncertain commit.

use std::collections::HashSet;

use rusqlite::{Connection, Result, params};

use super::rows::{
    DesiredWrite, EventWrite, HealthRollup, HealthSample, RunEnded, RunStarted, RuntimeRow, Write,
};
use super::work;
use crate::domain::instance::InstanceName;

/// The instances that surely have a row, so that most writes need no second statement.
pub(super) type KnownInstances = HashSet<InstanceName>;

pub(super) fn write(
    connection: &Connection,
    known: &mut KnownInstances,
    write: &Write,
) -> Result<()> {
    match write {
        Write::Event(event) => insert_event(connection, known, event),
        Write::Desired(desired) => set_desired(connection, known, desired),
        Write::Runtime { name, row, at } => save_runtime(connection, known, name, row, *at),
        Write::RunStarted(started) => start_run(connection, known, started),
        Write::RunEnded(ended) => end_run(connection, known, ended),
        Write::Health(sample) => insert_health(connection, known, sample),
        Write::HealthRollup(rollup) => add_rollup(connection, known, rollup),
        Write::Forget(name) => {
            known.remove(name);
            run(
                connection,
                "DELETE FROM instances WHERE name = ?1",
                params![name.as_str()],
            )
        }
        Write::PredecessorSettled(name) => settle(connection, name),
        Write::WorkUnit(unit) => work::save(connection, unit),
        Write::WorkUnitDeleted(chunk) => work::delete(connection, chunk),
        Write::WorkLog(change) => work::log(connection, change),
    }
}

fn run(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<()> {
    connection.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

/// Every other table refers to `instances`; a row without a wish says nothing but the name.
fn ensure_instance(
    connection: &Connection,
    known: &mut KnownInstances,
    name: &InstanceName,
    at: f64,
) -> Result<()> {
    if known.contains(name) {
        return Ok(());
    }
    run(
        connection,
        "INSERT INTO instances (name, created_at, updated_at) VALUES (?1, ?2, ?2)
         ON CONFLICT (name) DO NOTHING",
        params![name.as_str(), at],
    )?;
    known.insert(name.clone());
    Ok(())
}

fn insert_event(
    connection: &Connection,
    known: &mut KnownInstances,
    write: &EventWrite,
) -> Result<()> {
    let event = &write.event;
    if let Some(name) = &event.instance {
        ensure_instance(connection, known, name, event.at)?;
    }
    run(
        connection,
        "INSERT INTO events (id, ts, instance_name, level, event_type, message, meta_json)
         VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET ts = excluded.ts, instance_name = excluded.instance_name,
            level = excluded.level, event_type = excluded.event_type,
            message = excluded.message, meta_json = excluded.meta_json",
        params![
            event.id,
            event.at,
            event.instance.as_ref().map(InstanceName::as_str),
            event.level.as_str(),
            event.kind.as_str(),
            event.message,
            write.meta_json,
        ],
    )
}

fn set_desired(
    connection: &Connection,
    known: &mut KnownInstances,
    write: &DesiredWrite,
) -> Result<()> {
    let path = write
        .config_path
        .as_ref()
        .map(|path| path.to_string_lossy());
    run(
        connection,
        "INSERT INTO instances (name, config_path, desired_state, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT (name) DO UPDATE SET
            config_path = coalesce(excluded.config_path, config_path),
            desired_state = excluded.desired_state, updated_at = excluded.updated_at",
        params![write.name.as_str(), path, write.desired.as_str(), write.at],
    )?;
    known.insert(write.name.clone());
    settle(connection, &write.name)
}

fn settle(connection: &Connection, name: &InstanceName) -> Result<()> {
    run(
        connection,
        "DELETE FROM predecessor_processes WHERE name = ?1",
        params![name.as_str()],
    )
}

fn save_runtime(
    connection: &Connection,
    known: &mut KnownInstances,
    name: &InstanceName,
    row: &RuntimeRow,
    at: f64,
) -> Result<()> {
    ensure_instance(connection, known, name, at)?;
    let autopsy = row.autopsy.as_ref();
    run(
        connection,
        "INSERT INTO runtime (name, pid, port, binary_version, status, health,
            started_at, last_seen_at, last_health_ok_at, restart_attempts, restart_at,
            last_exit_code, last_error, failure, cause, detail, retry_class, evidence, remedy)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19)
         ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, port = excluded.port,
            cmdline = NULL, binary_version = excluded.binary_version,
            status = excluded.status, health = excluded.health,
            started_at = excluded.started_at, last_seen_at = excluded.last_seen_at,
            last_health_ok_at = excluded.last_health_ok_at,
            restart_attempts = excluded.restart_attempts, restart_at = excluded.restart_at,
            last_exit_code = excluded.last_exit_code, last_error = excluded.last_error,
            failure = excluded.failure, cause = excluded.cause, detail = excluded.detail,
            retry_class = excluded.retry_class, evidence = excluded.evidence,
            remedy = excluded.remedy",
        params![
            name.as_str(),
            row.pid,
            row.port,
            row.binary_version,
            row.status.as_str(),
            row.health.as_str(),
            row.started_at,
            row.last_seen_at,
            row.last_health_ok_at,
            row.restart_attempts,
            row.restart_at,
            row.last_exit_code,
            row.last_error,
            row.failure.map(|failure| failure.as_str()),
            autopsy.map(|autopsy| autopsy.cause.as_str()),
            autopsy.map(|autopsy| autopsy.summary.as_str()),
            autopsy.map(|autopsy| autopsy.class.as_str()),
            autopsy.and_then(|autopsy| autopsy.evidence.as_deref()),
            autopsy.and_then(|autopsy| autopsy.remedy.as_deref()),
        ],
    )
}

fn start_run(
    connection: &Connection,
    known: &mut KnownInstances,
    started: &RunStarted,
) -> Result<()> {
    ensure_instance(connection, known, &started.instance, started.started_at)?;
    run(
        connection,
        "INSERT INTO runs (run_id, instance_name, token, pid, shim_pid, port, started_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (run_id) DO UPDATE SET token = excluded.token, pid = excluded.pid,
            shim_pid = excluded.shim_pid, port = excluded.port, started_at = excluded.started_at",
        params![
            started.run.as_str(),
            started.instance.as_str(),
            started.token,
            started.pid,
            started.shim_pid,
            started.port,
            started.started_at,
        ],
    )
}

/// Inserts the run when its start was never stored (adopted, or lost with a deleted database).
fn end_run(connection: &Connection, known: &mut KnownInstances, ended: &RunEnded) -> Result<()> {
    ensure_instance(connection, known, &ended.instance, ended.exit.started_at)?;
    let exit = &ended.exit;
    let autopsy = ended.autopsy.as_ref();
    run(
        connection,
        "INSERT INTO runs (run_id, instance_name, started_at, ended_at, exit_code, exit_signal,
            core, requested, dropped_bytes, cause, detail, retry_class, evidence, remedy)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (run_id) DO UPDATE SET ended_at = excluded.ended_at,
            exit_code = excluded.exit_code, exit_signal = excluded.exit_signal,
            core = excluded.core, requested = excluded.requested,
            dropped_bytes = excluded.dropped_bytes, cause = excluded.cause,
            detail = excluded.detail, retry_class = excluded.retry_class,
            evidence = excluded.evidence, remedy = excluded.remedy",
        params![
            ended.run.as_str(),
            ended.instance.as_str(),
            exit.started_at,
            exit.ended_at,
            exit.status.and_then(|status| status.code()),
            exit.status.and_then(|status| status.signal()),
            exit.core_dumped,
            exit.requested.is_some(),
            i64::try_from(exit.dropped_bytes).unwrap_or(i64::MAX),
            autopsy.map(|autopsy| autopsy.cause.as_str()),
            autopsy.map(|autopsy| autopsy.summary.as_str()),
            autopsy.map(|autopsy| autopsy.class.as_str()),
            autopsy.and_then(|autopsy| autopsy.evidence.as_deref()),
            autopsy.and_then(|autopsy| autopsy.remedy.as_deref()),
        ],
    )
}

fn insert_health(
    connection: &Connection,
    known: &mut KnownInstances,
    sample: &HealthSample,
) -> Result<()> {
    ensure_instance(connection, known, &sample.name, sample.at)?;
    run(
        connection,
        "INSERT INTO health_history
            (instance_name, health, response_time_ms, error_message, checked_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            sample.name.as_str(),
            sample.health.as_str(),
            sample.response_ms,
            sample.error,
            sample.at,
        ],
    )
}

fn add_rollup(
    connection: &Connection,
    known: &mut KnownInstances,
    rollup: &HealthRollup,
) -> Result<()> {
    ensure_instance(connection, known, &rollup.name, rollup.started_at)?;
    run(
        connection,
        "INSERT INTO health_rollup (instance_name, started_at, probes, failures, responses,
            response_total_ms, response_max_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (instance_name, started_at) DO UPDATE SET
            probes = probes + excluded.probes, failures = failures + excluded.failures,
            responses = responses + excluded.responses,
            response_total_ms = response_total_ms + excluded.response_total_ms,
            response_max_ms = max(response_max_ms, excluded.response_max_ms)",
        params![
            rollup.name.as_str(),
            rollup.started_at,
            rollup.probes,
            rollup.failures,
            rollup.responses,
            rollup.response_total_ms,
            rollup.response_max_ms,
        ],
    )
}
