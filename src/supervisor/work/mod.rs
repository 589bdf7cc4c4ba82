//! The board of work units: what an order does to them, decided without touching the world.
//!
//! The actor owns the one board of a home. Orders come from clients (`Order::Create`, `Edit`,
//! `Delete`) and from whoever runs the commands (`Order::Begin` just before a launch,
//! `Order::End` when the run's end is known); both are decided by [`Board::handle`], and what it
//! returns is stored before it is announced, like all else. `Decided::stop` names a run whose
//! command has to be told to stop.
//!
//! A command is a program that runs as this user. So it is taken only from the home's own socket
//! or this process, unless `work.remote_commands` says otherwise; nor may anybody else move a
//! command to another worktree.

pub mod launch;
pub mod lost;
pub mod need;
mod told;
pub mod turns;
#[cfg(test)]
mod turns_tests;

use crate::config::settings::WorkSettings;
use crate::domain::event::{EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::work::{
    Applied, Changed, Chunk, Order, Refused, RunStop, StatusChange, WorkSet, WorkSnapshot, WorkUnit,
};

/// Where an order comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This process, or the home's own socket: the same user on this machine.
    Here,
    /// Whoever has the API's token.
    Remote,
}

/// Why an order changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("no instance is called {0}")]
    UnknownInstance(InstanceName),
    #[error("{what} of a work unit is taken over the home's own socket only")]
    OnlyHere { what: &'static str },
    #[error("the supervisor is shutting down")]
    ShuttingDown,
}

/// What an order means for the world.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// The unit that was named; of a deleted one, what it was.
    pub unit: WorkUnit,
    /// To be stored together with the events.
    pub writes: Vec<WorkWrite>,
    pub told: Vec<Told>,
    /// The run that has to be stopped now.
    pub stop: Option<RunStop>,
}

/// What has to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkWrite {
    Unit(Box<WorkUnit>),
    Deleted(Chunk),
    Log(StatusChange),
}

/// An event to announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub level: Level,
    pub kind: EventType,
    pub message: String,
}

/// All work units of a home.
#[derive(Debug, Default)]
pub struct Board {
    set: WorkSet,
}

impl Board {
    /// Takes the units that were stored; returns what had to be put right with them.
    pub fn load(stored: Vec<WorkUnit>, now: f64) -> (Self, Vec<WorkWrite>, Vec<Told>) {
        let loaded = WorkSet::load(stored, now);
        let writes = writes(&loaded.repairs, now);
        let told = loaded.repairs.iter().map(told::repair).collect();
        (Self { set: loaded.set }, writes, told)
    }

    /// Takes units in that were stored before and could not be read until now; those that were
    /// made meanwhile win. Returns what had to be put right.
    pub fn join(&mut self, stored: Vec<WorkUnit>, now: f64) -> (Vec<WorkWrite>, Vec<Told>) {
        let unknown = stored
            .into_iter()
            .filter(|unit| self.set.get(&unit.chunk).is_none());
        let all: Vec<WorkUnit> = unknown.chain(self.set.units().cloned()).collect();
        let (board, writes, told) = Self::load(all, now);
        *self = board;
        (writes, told)
    }

    /// Decides an order; a refused one changes nothing. `now` in unix seconds.
    ///
    /// # Errors
    ///
    /// Returns why it is refused.
    pub fn handle(
        &mut self,
        order: Order,
        origin: Origin,
        settings: WorkSettings,
        now: f64,
    ) -> Result<Decided, WorkError> {
        if origin == Origin::Remote && !settings.remote_commands {
            self.refuse_remote_commands(&order)?;
        }
        let Applied {
            unit,
            changes,
            stop,
        } = self.set.apply(order, now)?;
        Ok(Decided {
            unit,
            writes: writes(&changes, now),
            told: changes.iter().map(told::change).collect(),
            stop,
        })
    }

    /// Returns all units in the order they were created.
    #[must_use]
    pub fn snapshot(&self, generation: u64) -> WorkSnapshot {
        WorkSnapshot {
            generation,
            units: self.set.in_order().into_iter().cloned().collect(),
            ..WorkSnapshot::default()
        }
    }

    /// Returns the units, for whoever runs their commands.
    #[must_use]
    pub fn set(&self) -> &WorkSet {
        &self.set
    }

    fn refuse_remote_commands(&self, order: &Order) -> Result<(), WorkError> {
        let what = match order {
            Order::Create(draft) if !draft.commands.is_empty() => "a command",
            Order::Edit(_, edit) if !edit.commands.is_empty() => "a command",
            Order::Edit(chunk, edit) if edit.worktree.is_some() && self.has_commands(chunk) => {
                "the worktree for a command"
            }
            Order::Create(_)
            | Order::Edit(..)
            | Order::Delete(..)
            | Order::Begin(..)
            | Order::End(..)
            | Order::Flag(..) => return Ok(()),
        };
        Err(WorkError::OnlyHere { what })
    }

    fn has_commands(&self, chunk: &Chunk) -> bool {
        let unit = self.set.get(chunk);
        unit.is_some_and(|unit| !unit.commands.is_empty())
    }
}

fn writes(changes: &[Changed], now: f64) -> Vec<WorkWrite> {
    let mut writes = Vec::new();
    for change in changes {
        writes.push(match change {
            Changed::Created(unit) | Changed::Edited { after: unit, .. } => {
                WorkWrite::Unit(unit.clone())
            }
            Changed::Deleted(unit) => WorkWrite::Deleted(unit.chunk.clone()),
        });
        writes.extend(change.status_change(now).map(WorkWrite::Log));
    }
    writes
}

impl WorkError {
    /// Returns what to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refused) => refused.hint(),
            Self::OnlyHere { .. } => Some(
                "say it on the machine itself, or set work.remote_commands in orchestrator.toml",
            ),
            Self::UnknownInstance(_) => Some("llama-orch ps lists the instances"),
            Self::ShuttingDown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::domain::work::{Draft, Edit, Phase, PhaseCommand, TimeLimit, WorkStatus};

    const SHUT: WorkSettings = WorkSettings {
        max_parallel: 0,
        time_limit: TimeLimit::Endless,
        remote_commands: false,
    };
    const OPEN: WorkSettings = WorkSettings {
        max_parallel: 0,
        time_limit: TimeLimit::Endless,
        remote_commands: true,
    };

    fn chunk(name: &str) -> Chunk {
        Chunk::parse(name).expect("a name")
    }

    fn create(name: &str, waits_for: &[&str], command: Option<&str>) -> Order {
        let command = command.map(|word| PhaseCommand::parse(vec![word.to_owned()]));
        let command = command.map(|command| (Phase::Goal, command.expect("a command")));
        Order::Create(Draft {
            chunk: chunk(name),
            phase: Phase::Goal,
            blocked_by: waits_for.iter().map(|name| chunk(name)).collect(),
            worktree: None,
            instance: None,
            commands: command.into_iter().collect(),
            time_limit: None,
        })
    }

    fn status(name: &str, status: WorkStatus) -> Order {
        let status = Some(status);
        let edit = Edit {
            status,
            ..Edit::default()
        };
        Order::Edit(chunk(name), edit)
    }

    fn here(board: &mut Board, order: Order) -> Decided {
        let decided = board.handle(order, Origin::Here, SHUT, 1.0);
        decided.expect("it is legal")
    }

    #[test]
    fn what_happens_is_written_and_told() {
        let mut board = Board::default();
        here(&mut board, create("a", &[], None));
        let decided = here(&mut board, create("b", &["a"], None));
        let told: Vec<_> = decided
            .told
            .iter()
            .map(|told| told.message.as_str())
            .collect();
        assert_eq!(told, ["b was created in phase GOAL: BLOCKED by a"]);
        let decided = here(&mut board, status("a", WorkStatus::Done));
        let told: Vec<_> = decided
            .told
            .iter()
            .map(|told| told.message.as_str())
            .collect();
        assert_eq!(
            told,
            [
                "a is DONE: READY → DONE, GOAL → COMPLETE",
                "b: BLOCKED → READY in phase GOAL"
            ]
        );
        let words: Vec<_> = decided
            .writes
            .iter()
            .map(|write| match write {
                WorkWrite::Unit(unit) => format!("{} {}", unit.chunk, unit.status()),
                WorkWrite::Deleted(chunk) => format!("{chunk} deleted"),
                WorkWrite::Log(change) => format!("log of {}", change.chunk),
            })
            .collect();
        assert_eq!(words, ["a DONE", "log of a", "b READY", "log of b"]);
        let decided = here(&mut board, status("a", WorkStatus::Done));
        assert_eq!((decided.writes.len(), decided.told.len()), (0, 0));
    }

    #[test]
    fn what_is_read_late_joins_what_was_made_meanwhile() {
        let mut earlier = Board::default();
        for order in [
            create("a", &[], None),
            create("b", &["a"], None),
            create("c", &["b"], None),
        ] {
            here(&mut earlier, order);
        }
        here(&mut earlier, status("a", WorkStatus::Done));
        let mut board = Board::default();
        here(&mut board, create("b", &[], None));
        here(&mut board, status("b", WorkStatus::Running));
        let stored = earlier.set().units().cloned().collect();
        let (writes, told) = board.join(stored, 3.0);
        assert_eq!(
            (writes.len(), told.len()),
            (0, 0),
            "all of it goes together"
        );
        let units: Vec<_> = board
            .set()
            .units()
            .map(|unit| format!("{} {}", unit.chunk, unit.status()))
            .collect();
        assert_eq!(units, ["a DONE", "b RUNNING", "c BLOCKED"]);
    }

    #[test]
    fn a_command_comes_from_here_unless_it_may_come_from_anywhere() {
        let with_worktree = |name| {
            let worktree = Some(Some(PathBuf::from("/tmp/elsewhere")));
            let edit = Edit {
                worktree,
                ..Edit::default()
            };
            Order::Edit(chunk(name), edit)
        };
        let with_command = || {
            let commands = BTreeMap::from([(Phase::Plan, None)]);
            let edit = Edit {
                commands,
                ..Edit::default()
            };
            Order::Edit(chunk("carries"), edit)
        };
        let mut board = Board::default();
        here(&mut board, create("carries", &[], Some("make")));
        here(&mut board, create("plain", &[], None));
        let refused = [
            create("x", &[], Some("make")),
            with_command(),
            with_worktree("carries"),
        ];
        for order in refused {
            let answer = board.handle(order.clone(), Origin::Remote, SHUT, 2.0);
            assert!(
                matches!(answer, Err(WorkError::OnlyHere { .. })),
                "{order:?}: {answer:?}"
            );
        }
        let taken = [
            create("y", &[], None),
            with_worktree("plain"),
            status("carries", WorkStatus::Running),
        ];
        for order in taken {
            let answer = board.handle(order.clone(), Origin::Remote, SHUT, 2.0);
            assert!(answer.is_ok(), "{order:?}: {answer:?}");
        }
        let answer = board.handle(create("x", &[], Some("make")), Origin::Remote, OPEN, 2.0);
        assert!(answer.is_ok(), "{answer:?}");
    }
}
