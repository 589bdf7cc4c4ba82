//! Orders for work units: decided by the board, stored with the turn's commit, answered after it.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::super::Scope;
use super::super::clock::wall;
use super::super::handle::WorkAnswer;
use super::super::work::{Board, Decided, Origin, Told, WorkError, WorkWrite};
use super::Actor;
use super::work_runs::Act;
use crate::domain::work::{Order, WorkSnapshot, WorkUnit};

/// The actor's part in work units.
pub(super) struct Work {
    pub(super) board: Board,
    picture: watch::Sender<Arc<WorkSnapshot>>,
    /// Whether something is not in the picture yet.
    pub(super) touched: bool,
    /// Answers that go out after the commit.
    replies: Vec<(WorkReply, Reply)>,
}

/// What an order is answered with.
enum Reply {
    /// The unit as it is once everything of this turn is done: it may have begun already.
    AsItIs(WorkUnit),
    /// A unit that is deleted.
    AsItWas(WorkUnit),
    Refused(WorkError),
}

/// Where the answer to an order goes.
pub type WorkReply = oneshot::Sender<Result<WorkAnswer, WorkError>>;

impl Work {
    pub(super) fn new(board: Board, picture: watch::Sender<Arc<WorkSnapshot>>) -> Self {
        Self {
            board,
            picture,
            touched: true,
            replies: Vec::new(),
        }
    }
}

impl Actor {
    /// Decides what a client asks for; it is answered once the turn is stored.
    pub(super) fn work_order(&mut self, order: Order, origin: Origin, reply: WorkReply) {
        let as_decided = match order {
            Order::Delete(..) => Reply::AsItWas,
            Order::Create(_)
            | Order::Edit(..)
            | Order::Begin(..)
            | Order::End(..)
            | Order::Flag(..) => Reply::AsItIs,
        };
        let answer = self.decide_work(order, origin);
        let answer = answer.map_or_else(Reply::Refused, as_decided);
        self.work.replies.push((reply, answer));
    }

    /// Decides an order and takes along what must be stored and told.
    pub(super) fn decide_work(
        &mut self,
        order: Order,
        origin: Origin,
    ) -> Result<WorkUnit, WorkError> {
        self.check_instance(&order)?;
        let settings = self.settings.work;
        let Decided {
            unit,
            writes,
            told,
            stop,
        } = self.work.board.handle(order, origin, settings, wall())?;
        self.note_work(writes, told);
        self.units.changed = true;
        if let Some(stop) = stop {
            self.units.acts.push(Act::Stop(unit.chunk.clone(), stop));
        }
        Ok(unit)
    }

    /// A misspelt instance is told at once, not when the unit's turn has come.
    fn check_instance(&self, order: &Order) -> Result<(), WorkError> {
        let name = match order {
            Order::Create(draft) => draft.instance.as_ref(),
            Order::Edit(_, edit) => edit.instance.as_ref().and_then(Option::as_ref),
            Order::Delete(..) | Order::Begin(..) | Order::End(..) | Order::Flag(..) => None,
        };
        match name {
            Some(name) if !self.fleet.instances.contains_key(name) => {
                Err(WorkError::UnknownInstance(name.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes along what must be stored and told of work units.
    pub(in crate::supervisor) fn note_work(&mut self, writes: Vec<WorkWrite>, told: Vec<Told>) {
        self.work.touched |= !writes.is_empty();
        for write in writes {
            self.recorder.work(write);
        }
        for told in told {
            self.announce(None, told.level, told.kind, told.message);
        }
    }

    /// Takes in what the database had and could not tell at the start.
    pub(super) fn join_late_units(&mut self) {
        let late = self.recorder.take_late_units();
        if late.is_empty() {
            return;
        }
        let (writes, told) = self.work.board.join(late, wall());
        self.work.touched = true;
        self.units.changed = true;
        self.note_work(writes, told);
        // Some may have been running all the while.
        self.look_for_units();
    }

    /// Shows the units as they are stored now, and answers those who asked.
    pub(super) fn publish_work(&mut self) {
        let max_parallel = match self.scope {
            Scope::Fleet => self.settings.work.max_parallel,
            // A command that owns the home for a moment runs none.
            Scope::Only(_) => 0,
        };
        let (mut shown, before) = {
            let picture = self.work.picture.borrow();
            (picture.generation, picture.max_parallel)
        };
        if std::mem::take(&mut self.work.touched) || before != max_parallel {
            shown += 1;
            let mut next = self.work.board.snapshot(shown);
            let waits = self.units.turns.waits().iter();
            let waits = waits.map(|(chunk, waits)| (chunk.clone(), waits.to_string()));
            next.waits = waits.collect();
            next.max_parallel = max_parallel;
            self.work.picture.send_replace(Arc::new(next));
        }
        let set = self.work.board.set();
        for (reply, answer) in self.work.replies.drain(..) {
            let answer = match answer {
                Reply::AsItIs(unit) => Ok(set.get(&unit.chunk).cloned().unwrap_or(unit)),
                Reply::AsItWas(unit) => Ok(unit),
                Reply::Refused(error) => Err(error),
            };
            let answer = answer.map(|unit| WorkAnswer {
                unit,
                generation: shown,
            });
            reply.send(answer).ok(); // the client may have hung up
        }
    }
}
