//! What can be written, and how each thing is.

use rusqlite::Transaction;

use crate::domain::event::Event;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::domain::run::RunId;

/// One thing to remember.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The instance exists; its intent is kept if it is known already.
    Instance {
        name: InstanceName,
        config_path: String,
        desired: Desired,
        at: f64,
    },
    /// What the user wants; on disk before it is acted upon.
    Desired {
        name: InstanceName,
        desired: Desired,
        at: f64,
    },
    Runtime(RuntimeRow),
    RunStarted(RunRow),
    RunEnded {
        name: InstanceName,
        run: RunId,
        exit: RunExit,
    },
    Health {
        name: InstanceName,
        health: Health,
        at: f64,
    },
    Event(Event),
    /// Forgets events and health history beyond these limits.
    Prune {
        before: f64,
        rows: u32,
    },
}

/// The present state of one instance, for readers without an owner.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeRow {
    pub name: InstanceName,
    pub pid: Option<i32>,
    pub port: Option<u16>,
    pub status: Status,
    pub health: Health,
    pub started_at: Option<f64>,
    pub seen_at: f64,
    pub restarts: u32,
    pub last_exit: Option<ExitStatus>,
    pub last_error: Option<String>,
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub name: InstanceName,
    pub run: RunId,
    pub pid: Option<i32>,
    pub port: Option<u16>,
    pub started_at: f64,
}

impl Write {
    /// Returns whether this must survive a power cut the moment it is answered.
    pub(super) fn is_intent(&self) -> bool {
        match self {
            Self::Desired { .. } => true,
            Self::Instance { .. }
            | Self::Runtime(_)
            | Self::RunStarted(_)
            | Self::RunEnded { .. }
            | Self::Health { .. }
            | Self::Event(_)
            | Self::Prune { .. } => false,
        }
    }

    pub(super) fn apply(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Instance {
                name,
                config_path,
                desired,
                at,
            } => {
                transaction
                    .prepare_cached(
                        "INSERT INTO instances VALUES (?1, ?2, ?3, ?4, ?4)
                         ON CONFLICT (name) DO UPDATE SET config_path = ?2
                         WHERE config_path != ?2",
                    )?
                    .execute((name.as_str(), config_path, desired.as_str(), at))?;
            }
            Self::Desired { name, desired, at } => {
                transaction
                    .prepare_cached(
                        "INSERT INTO instances VALUES (?1, '', ?2, ?3, ?3)
                         ON CONFLICT (name) DO UPDATE SET desired_state = ?2, updated_at = ?3",
                    )?
                    .execute((name.as_str(), desired.as_str(), at))?;
            }
            Self::Runtime(row) => row.save(transaction)?,
            Self::RunStarted(row) => {
                transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO runs (run_id, instance_name, pid, port, started_at)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute((
                        row.run.as_str(),
                        row.name.as_str(),
                        row.pid,
                        row.port,
                        row.started_at,
                    ))?;
            }
            Self::RunEnded { name, run, exit } => {
                transaction
                    .prepare_cached(
                        "INSERT INTO runs (run_id, instance_name, started_at, ended_at, exit_code,
                             exit_signal, requested, dropped_bytes)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                         ON CONFLICT (run_id) DO UPDATE SET ended_at = ?4, exit_code = ?5,
                             exit_signal = ?6, requested = ?7, dropped_bytes = ?8",
                    )?
                    .execute((
                        run.as_str(),
                        name.as_str(),
                        exit.started_at,
                        exit.ended_at,
                        exit.status.and_then(ExitStatus::code),
                        exit.status.and_then(ExitStatus::signal),
                        exit.requested,
                        i64::try_from(exit.dropped_bytes).unwrap_or(i64::MAX),
                    ))?;
            }
            Self::Health { name, health, at } => {
                transaction
                    .prepare_cached(
                        "INSERT INTO health_history (instance_name, health, checked_at)
                         SELECT ?1, ?2, ?3 WHERE ?1 IN (SELECT name FROM instances)",
                    )?
                    .execute((name.as_str(), health.as_str(), at))?;
            }
            Self::Event(event) => save_event(event, transaction)?,
            Self::Prune { before, rows } => prune(*before, *rows, transaction)?,
        }
        Ok(())
    }
}

impl RuntimeRow {
    fn save(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let healthy_at = (self.health == Health::Healthy).then_some(self.seen_at);
        transaction
            .prepare_cached(
                "INSERT INTO runtime (name, pid, port, status, health, started_at, last_seen_at,
                     last_health_ok_at, restart_attempts, last_exit_code, last_error)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
                 WHERE ?1 IN (SELECT name FROM instances)
                 ON CONFLICT (name) DO UPDATE SET pid = ?2, port = ?3, status = ?4, health = ?5,
                     started_at = ?6, last_seen_at = ?7,
                     last_health_ok_at = coalesce(?8, last_health_ok_at), restart_attempts = ?9,
                     last_exit_code = ?10, last_error = ?11",
            )?
            .execute((
                self.name.as_str(),
                self.pid,
                self.port,
                self.status.as_str(),
                self.health.as_str(),
                self.started_at,
                self.seen_at,
                healthy_at,
                self.restarts,
                self.last_exit.and_then(ExitStatus::code),
                &self.last_error,
            ))?;
        Ok(())
    }
}

fn save_event(event: &Event, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO events (id, ts, instance_name, level, event_type, message)
             VALUES (?1, ?2, (SELECT name FROM instances WHERE name = ?3), ?4, ?5, ?6)",
        )?
        .execute((
            event.id,
            event.at,
            event.instance.as_ref().map(InstanceName::as_str),
            event.level.as_str(),
            event.kind.as_str(),
            &event.message,
        ))?;
    Ok(())
}

fn prune(before: f64, rows: u32, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM events WHERE ts < ?1", [before])?;
    transaction.execute(
        "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1",
        [rows],
    )?;
    transaction.execute("DELETE FROM health_history WHERE checked_at < ?1", [before])?;
    transaction.execute("DELETE FROM runs WHERE ended_at < ?1", [before])?;
    Ok(())
}
