//! Deletes history that is older than it has to be kept, in short transactions.

use rusqlite::{Connection, Result, ToSql, TransactionBehavior, params};

use super::rows::{Pruned, Retention};

/// Rows per transaction, so that other writes never wait long.
const CHUNK: u16 = 5_000;

pub(super) fn prune(connection: &mut Connection, retention: Retention, now: f64) -> Result<Pruned> {
    let events_before = now - retention.events.as_secs_f64();
    let health_before = now - retention.health.as_secs_f64();
    let runs_before = now - retention.runs.as_secs_f64();
    let mut pruned = Pruned {
        events: in_chunks(
            connection,
            "DELETE FROM events WHERE id IN
                (SELECT id FROM events WHERE ts < ?1 ORDER BY id LIMIT ?2)",
            &events_before,
        )?,
        ..Pruned::default()
    };
    pruned.events += in_chunks(
        connection,
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <=
            (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?1) ORDER BY id LIMIT ?2)",
        &retention.event_rows,
    )?;
    for sql in [
        "DELETE FROM health_history WHERE id IN
            (SELECT id FROM health_history WHERE checked_at < ?1 LIMIT ?2)",
        "DELETE FROM health_rollup WHERE (instance_name, started_at) IN
            (SELECT instance_name, started_at FROM health_rollup WHERE started_at < ?1 LIMIT ?2)",
    ] {
        pruned.health += in_chunks(connection, sql, &health_before)?;
    }
    // The latest run of an instance stays: it answers "how did it end?" for ever.
    pruned.runs = in_chunks(
        connection,
        "DELETE FROM runs WHERE run_id IN (SELECT old.run_id FROM runs AS old
            WHERE old.ended_at < ?1 AND EXISTS (SELECT 1 FROM runs AS newer
                WHERE newer.instance_name = old.instance_name
                AND newer.started_at > old.started_at) LIMIT ?2)",
        &runs_before,
    )?;
    in_chunks(
        connection,
        "DELETE FROM status_log WHERE id IN
            (SELECT id FROM status_log WHERE timestamp < ?1 ORDER BY id LIMIT ?2)",
        &runs_before,
    )?;
    Ok(pruned)
}

/// Runs a deletion by a bound (`?1`), at most `?2` rows at a time.
fn in_chunks(connection: &mut Connection, sql: &str, bound: &dyn ToSql) -> Result<usize> {
    let mut total = 0;
    loop {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let deleted = step.prepare_cached(sql)?.execute(params![bound, CHUNK])?;
        step.commit()?;
        total += deleted;
        if deleted < usize::from(CHUNK) {
            return Ok(total);
        }
    }
}
