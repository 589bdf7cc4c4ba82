//! The versions of the database: `PRAGMA user_version` decides, `schema_migrations` is its log.
//!
//! To change the schema, add a numbered file to `assets/migrations` and to `MIGRATIONS`; a file
//! that was released never changes.

use rusqlite::{Connection, Result, TransactionBehavior, params};

use super::predecessor;

/// The steps from an empty database to the newest, in order.
const MIGRATIONS: [&str; 6] = [
    include_str!("../../assets/migrations/001_state.sql"),
    include_str!("../../assets/migrations/002_work_units.sql"),
    include_str!("../../assets/migrations/003_autopsy.sql"),
    include_str!("../../assets/migrations/004_work_commands.sql"),
    include_str!("../../assets/migrations/005_refusals.sql"),
    include_str!("../../assets/migrations/006_time_limits.sql"),
];

/// The version this program writes.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

pub(super) fn version(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Returns whether the database holds any table at all.
pub(super) fn has_tables(connection: &Connection) -> Result<bool> {
    connection.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| row.get(0),
    )
}

/// Brings the database to the newest version, each step in one transaction.
pub(super) fn migrate(connection: &mut Connection, now: f64) -> Result<()> {
    migrate_up_to(connection, MIGRATIONS.len(), now)
}

pub(super) fn migrate_up_to(connection: &mut Connection, last: usize, now: f64) -> Result<()> {
    // Renaming and dropping tables must neither cascade nor be checked half-way.
    connection.pragma_update(None, "foreign_keys", false)?;
    let done = usize::try_from(version(connection)?).unwrap_or(0);
    for (index, sql) in MIGRATIONS.iter().enumerate().take(last).skip(done) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if index == 0 {
            let old = predecessor::set_aside(&step)?;
            step.execute_batch(sql)?;
            predecessor::take_over(&step, &old, now)?;
        } else {
            step.execute_batch(sql)?;
        }
        let version = index as i64 + 1;
        step.execute(
            "INSERT INTO schema_migrations (version, applied_at) VALUES (?1, ?2)",
            params![version, now],
        )?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    connection.pragma_update(None, "foreign_keys", true)
}
