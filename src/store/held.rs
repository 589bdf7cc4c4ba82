//! Changes waiting in memory while the database cannot be written: bounded, wishes last.

use std::collections::VecDeque;

use super::rows::Write;

/// The queue of a degraded store.
#[derive(Debug)]
pub(super) struct Held {
    writes: VecDeque<Write>,
    limit: usize,
    lost: u64,
}

impl Held {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            writes: VecDeque::new(),
            limit,
            lost: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Queues a change; beyond the limit the oldest one the user did not ask for is dropped.
    pub(super) fn hold(&mut self, write: Write) {
        self.writes
            .retain(|waiting| !waiting.is_replaced_by(&write));
        self.writes.push_back(write);
        if self.writes.len() <= self.limit {
            return;
        }
        // Wishes replace each other, so there are at most as many as instances and work units.
        if let Some(oldest) = self.writes.iter().position(|waiting| !waiting.is_intent()) {
            self.writes.remove(oldest);
            self.lost += 1;
        }
    }

    /// Returns the oldest changes.
    pub(super) fn first(&self, limit: usize) -> Vec<&Write> {
        self.writes.iter().take(limit).collect()
    }

    pub(super) fn forget_first(&mut self, count: usize) {
        self.writes.drain(..count);
    }

    /// Drops a change that can never be stored and returns what it was.
    pub(super) fn give_up(&mut self, index: usize) -> &'static str {
        self.lost += 1;
        self.writes
            .remove(index)
            .map_or("nothing", |write| write.what())
    }
}
