//! Work units and their status log: the SQL of both directions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{Connection, Result, Row, params};

use crate::domain::instance::InstanceName;
use crate::domain::run::RunId;
use crate::domain::work::{
    Attention, Chunk, Phase, PhaseCommand, State, StatusChange, TimeLimit, WorkStatus, WorkUnit,
    Worker,
};

/// Stands in the log for the status of a unit that is gone.
const DELETED: &str = "DELETED";

const COLUMNS: &str = "chunk, phase, status, blocked_by, worktree, created_at, updated_at,
    instance, commands, run_id, reason, evidence, remedy, since, time_limit";

pub(super) fn save(connection: &Connection, unit: &WorkUnit) -> Result<()> {
    let worktree = unit.worktree.as_ref().map(|path| path.to_string_lossy());
    let why = unit.state.attention();
    connection
        .prepare_cached(&format!(
            "INSERT INTO work_units ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (chunk) DO UPDATE SET phase = excluded.phase, status = excluded.status,
                blocked_by = excluded.blocked_by, worktree = excluded.worktree,
                created_at = excluded.created_at, updated_at = excluded.updated_at,
                instance = excluded.instance, commands = excluded.commands,
                run_id = excluded.run_id, reason = excluded.reason,
                evidence = excluded.evidence, remedy = excluded.remedy, since = excluded.since,
                time_limit = excluded.time_limit"
        ))?
        .execute(params![
            unit.chunk.as_str(),
            unit.phase.as_str(),
            unit.status().as_str(),
            blockers_text(unit),
            worktree,
            unit.created_at,
            unit.updated_at,
            unit.instance.as_ref().map(InstanceName::as_str),
            commands_text(unit),
            unit.state.run().map(RunId::as_str),
            why.map(|why| why.summary.as_str()),
            why.and_then(|why| why.evidence.as_deref()),
            why.and_then(|why| why.remedy.as_deref()),
            unit.since,
            unit.time_limit.map(TimeLimit::seconds),
        ])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, chunk: &Chunk) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM work_units WHERE chunk = ?1")?
        .execute(params![chunk.as_str()])?;
    Ok(())
}

/// Adds a line to the log unless it is there already, after an uncertain commit.
pub(super) fn log(connection: &Connection, change: &StatusChange) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO status_log
                (chunk, old_status, new_status, timestamp, old_phase, new_phase, reason, run_id)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (SELECT 1 FROM status_log
                WHERE chunk = ?1 AND timestamp = ?4 AND new_status = ?3
                AND old_status IS ?2 AND old_phase IS ?5 AND new_phase IS ?6)",
        )?
        .execute(params![
            change.chunk.as_str(),
            change.from.map(|(status, _)| status.as_str()),
            change.to.map_or(DELETED, |(status, _)| status.as_str()),
            change.at,
            change.from.map(|(_, phase)| phase.as_str()),
            change.to.map(|(_, phase)| phase.as_str()),
            change.reason,
            change.run.as_ref().map(RunId::as_str),
        ])?;
    Ok(())
}

/// Returns all units, by name.
pub(super) fn units(connection: &Connection) -> Result<Vec<WorkUnit>> {
    let sql = format!("SELECT {COLUMNS} FROM work_units ORDER BY chunk");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], unit)?;
    rows.filter_map(Result::transpose).collect()
}

/// Returns the units of a damaged file, up to the first row that cannot be read.
pub(super) fn survivors(connection: &Connection) -> Vec<WorkUnit> {
    let sql = format!("SELECT {COLUMNS} FROM work_units");
    let Ok(mut statement) = connection.prepare(&sql) else {
        return Vec::new();
    };
    let Ok(rows) = statement.query_map([], unit) else {
        return Vec::new();
    };
    rows.map_while(Result::ok).flatten().collect()
}

/// Returns the newest `limit` lines about a unit, oldest first.
pub(super) fn history(
    connection: &Connection,
    chunk: &Chunk,
    limit: u32,
) -> Result<Vec<StatusChange>> {
    let mut statement = connection.prepare_cached(
        "SELECT old_status, new_status, timestamp, old_phase, new_phase, reason, run_id
         FROM status_log WHERE chunk = ?1 ORDER BY timestamp DESC, id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![chunk.as_str(), limit], |row| {
        Ok(StatusChange {
            chunk: chunk.clone(),
            at: row.get(2)?,
            from: place(row, 0, 3)?,
            to: place(row, 1, 4)?,
            reason: row.get(5)?,
            run: row.get::<_, Option<String>>(6)?.map(RunId::new),
        })
    })?;
    let mut changes: Vec<StatusChange> = rows.collect::<Result<_>>()?;
    changes.reverse();
    Ok(changes)
}

fn place(row: &Row<'_>, status: usize, phase: usize) -> Result<Option<(WorkStatus, Phase)>> {
    let status: Option<String> = row.get(status)?;
    let phase: Option<String> = row.get(phase)?;
    let status = status.as_deref().and_then(WorkStatus::parse);
    Ok(status.zip(phase.as_deref().and_then(Phase::parse)))
}

/// Reads a unit; `None` when its words are not ours.
fn unit(row: &Row<'_>) -> Result<Option<WorkUnit>> {
    let chunk = Chunk::parse(&row.get::<_, String>(0)?).ok();
    let phase = Phase::parse(&row.get::<_, String>(1)?);
    let status = WorkStatus::parse(&row.get::<_, String>(2)?);
    let (Some(chunk), Some(phase), Some(status)) = (chunk, phase, status) else {
        return Ok(None);
    };
    let updated_at: f64 = row.get(6)?;
    let blocked_by: Option<String> = row.get(3)?;
    let instance: Option<String> = row.get(7)?;
    let commands: Option<String> = row.get(8)?;
    Ok(Some(WorkUnit {
        chunk,
        phase,
        state: state(row, status)?,
        blocked_by: blocked_by.map_or_else(Default::default, |text| {
            let names: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
            names
                .iter()
                .filter_map(|name| Chunk::parse(name).ok())
                .collect()
        }),
        worktree: row.get::<_, Option<String>>(4)?.map(PathBuf::from),
        instance: instance.and_then(|name| InstanceName::parse(&name).ok()),
        commands: commands
            .map(|text| read_commands(&text))
            .unwrap_or_default(),
        time_limit: row
            .get::<_, Option<f64>>(14)?
            .and_then(|seconds| TimeLimit::of_seconds(seconds).ok()),
        created_at: row.get(5)?,
        updated_at,
        since: row.get::<_, Option<f64>>(13)?.unwrap_or(updated_at),
    }))
}

fn state(row: &Row<'_>, status: WorkStatus) -> Result<State> {
    let run = row.get::<_, Option<String>>(9)?.map(RunId::new);
    Ok(match status {
        WorkStatus::Ready => State::Ready,
        WorkStatus::Blocked => State::Blocked,
        WorkStatus::Running => State::Running(run.map_or(Worker::Outside, Worker::Run)),
        WorkStatus::NeedsAttention => {
            let summary: Option<String> = row.get(10)?;
            let (evidence, remedy): (Option<String>, Option<String>) = (row.get(11)?, row.get(12)?);
            State::NeedsAttention {
                why: Attention::explained(
                    summary.as_deref().unwrap_or("nobody noted why"),
                    evidence.as_deref(),
                    remedy.as_deref(),
                ),
                ending: run,
            }
        }
        WorkStatus::Done => State::Done,
    })
}

fn blockers_text(unit: &WorkUnit) -> Option<String> {
    let names: Vec<&str> = unit.blocked_by.iter().map(Chunk::as_str).collect();
    (!names.is_empty()).then(|| serde_json::json!(names).to_string())
}

fn commands_text(unit: &WorkUnit) -> Option<String> {
    let commands = unit.commands.iter();
    let commands: BTreeMap<&str, &[String]> = commands
        .map(|(phase, command)| (phase.as_str(), command.argv()))
        .collect();
    (!commands.is_empty()).then(|| serde_json::json!(commands).to_string())
}

fn read_commands(text: &str) -> BTreeMap<Phase, PhaseCommand> {
    let commands: BTreeMap<String, Vec<String>> = serde_json::from_str(text).unwrap_or_default();
    let read = |(phase, argv): (String, Vec<String>)| {
        Some((Phase::parse(&phase)?, PhaseCommand::parse(argv).ok()?))
    };
    commands.into_iter().filter_map(read).collect()
}
