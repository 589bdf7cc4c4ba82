//! Changes that are committed together, and the transaction they share.

use rusqlite::{Connection, TransactionBehavior};
use tracing::error;

use super::Answer;
use crate::store::error::{self, StoreError, Trouble};
use crate::store::rows::{Saved, Write};
use crate::store::statements::{self, KnownInstances};

/// Changes that are committed together.
pub(in crate::store) struct Request {
    pub(in crate::store) writes: Vec<Write>,
    pub(in crate::store) answer: Option<Answer<Saved>>,
}

/// A failed batch.
pub(super) enum Failure {
    /// The write with this index can never work.
    Write(usize, rusqlite::Error),
    Database(rusqlite::Error),
}

impl Request {
    pub(super) fn reply(self, outcome: Result<Saved, StoreError>) {
        match (self.answer, outcome) {
            (Some(answer), outcome) => {
                answer.send(outcome).ok(); // the asker may have gone
            }
            (None, Err(error)) => error!(%error, "change given up"),
            (None, Ok(_)) => {}
        }
    }
}

/// Takes the request out whose write failed, so that the others can be committed.
pub(super) fn refuse_one(requests: &mut Vec<Request>, index: usize, source: rusqlite::Error) {
    let mut end = 0;
    let failed = requests.iter().position(|request| {
        end += request.writes.len();
        index < end
    });
    let Some(position) = failed else {
        return;
    };
    let request = requests.remove(position);
    let what = request.writes[index + request.writes.len() - end].what();
    request.reply(Err(StoreError::Refused { what, source }));
}

/// Writes all or nothing.
pub(super) fn commit(
    connection: &mut Connection,
    known: &mut KnownInstances,
    writes: &[&Write],
) -> Result<(), Failure> {
    // What the user asked for must survive a power cut; the rest may lose its last moment.
    let durable = writes.iter().any(|write| write.is_intent());
    if durable {
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(Failure::Database)?;
    }
    let outcome = commit_in_transaction(connection, known, writes);
    if outcome.is_err() {
        known.clear();
    }
    if durable {
        // Failing back to NORMAL would only cost speed.
        connection.pragma_update(None, "synchronous", "NORMAL").ok();
    }
    outcome
}

fn commit_in_transaction(
    connection: &mut Connection,
    known: &mut KnownInstances,
    writes: &[&Write],
) -> Result<(), Failure> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Failure::Database)?;
    for (index, write) in writes.iter().enumerate() {
        statements::write(&transaction, known, write).map_err(|error| {
            match error::trouble(&error) {
                Trouble::Write => Failure::Write(index, error),
                Trouble::Corrupt | Trouble::Environment => Failure::Database(error),
            }
        })?;
    }
    transaction.commit().map_err(Failure::Database)
}
