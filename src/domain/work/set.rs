//! All work units of a home, and what they mean to each other.
//!
//! Every order is carried out whole or refused whole. After each one, units that are READY or
//! BLOCKED are looked at again: READY exactly when every unit they wait for is DONE. So finishing
//! a unit frees those that waited for it, and reopening one blocks them again; a unit that is
//! RUNNING, NEEDS_ATTENTION or DONE stays what it is.
//!
//! A unit waits only for units that exist, and never for itself, not even by way of others. A unit
//! that others wait for can be deleted once it is DONE, and then nobody waits for it any more;
//! before that only when it is said what shall become of the others ([`Waiters::Release`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::transition::{self, may_leave, waiting_state};
use super::{
    Attention, Changed, Chunk, Illegal, Phase, PhaseCommand, PhaseEnd, Refused, Request, RunStop,
    State, TimeLimit, WorkStatus, WorkUnit,
};
use crate::domain::instance::InstanceName;
use crate::domain::run::{RunId, StopMode};

/// Units a home holds at most; each change looks at all of them.
pub const UNIT_LIMIT: usize = 10_000;

/// The units of a home.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkSet {
    units: BTreeMap<Chunk, WorkUnit>,
}

/// What is asked of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Create(Draft),
    Edit(Chunk, Edit),
    Delete(Chunk, Waiters),
    /// The owner is about to run the command of the present phase.
    Begin(Chunk, RunId),
    /// The owner's run of a phase has ended.
    End(Chunk, RunId, PhaseEnd),
    /// The owner cannot run it.
    Flag(Chunk, Attention),
}

/// A unit to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub chunk: Chunk,
    pub phase: Phase,
    pub blocked_by: BTreeSet<Chunk>,
    pub worktree: Option<PathBuf>,
    pub instance: Option<InstanceName>,
    pub commands: BTreeMap<Phase, PhaseCommand>,
    pub time_limit: Option<TimeLimit>,
}

/// What to change of a unit; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    pub status: Option<WorkStatus>,
    /// Why it needs attention; goes with that status.
    pub reason: Option<String>,
    /// How the command that the owner runs for it is stopped, gently unless said; goes with that
    /// status, too.
    pub stop: Option<StopMode>,
    pub phase: Option<Phase>,
    pub blocked_by: Option<BTreeSet<Chunk>>,
    pub worktree: Option<Option<PathBuf>>,
    pub instance: Option<Option<InstanceName>>,
    /// Phase by phase: a new command, or `None` for no more command.
    pub commands: BTreeMap<Phase, Option<PhaseCommand>>,
    /// Another limit, or that of the home again.
    pub time_limit: Option<Option<TimeLimit>>,
}

/// What becomes of those that wait for a unit that is deleted before it is DONE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiters {
    /// The deletion is refused.
    Keep,
    /// They no longer wait for it.
    Release,
}

/// What an order has done.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The unit that was named; of a deleted one, what it was.
    pub unit: WorkUnit,
    /// Everything that is different now; empty when nothing is.
    pub changes: Vec<Changed>,
    /// The run of this unit that has to be stopped now.
    pub stop: Option<RunStop>,
}

/// Units read from the database, made fit for each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    pub set: WorkSet,
    /// What had to be put right; nothing unless the rows were changed by somebody else.
    pub repairs: Vec<Changed>,
}

impl WorkSet {
    /// Takes units as they were stored. A unit that a wait of its own would hold up for ever
    /// waits for less.
    #[must_use]
    pub fn load(stored: impl IntoIterator<Item = WorkUnit>, now: f64) -> Loaded {
        let stored: Vec<WorkUnit> = stored.into_iter().collect();
        let mut set = Self::default();
        for unit in &stored {
            let blocked_by = BTreeSet::new();
            let unit = WorkUnit {
                blocked_by,
                ..unit.clone()
            };
            set.units.insert(unit.chunk.clone(), unit);
        }
        for unit in &stored {
            for blocker in &unit.blocked_by {
                let sound =
                    set.units.contains_key(blocker) && set.path(blocker, &unit.chunk).is_none();
                if sound && let Some(waiter) = set.units.get_mut(&unit.chunk) {
                    waiter.blocked_by.insert(blocker.clone());
                }
            }
        }
        let mut repairs = Vec::new();
        for before in stored {
            let Some(unit) = set.units.get(&before.chunk) else {
                continue;
            };
            let after = set.settled(unit).unwrap_or_else(|| unit.clone());
            if after != before {
                let after = WorkUnit {
                    updated_at: now,
                    ..after
                };
                set.units.insert(after.chunk.clone(), after.clone());
                repairs.push(Changed::edited(before, after));
            }
        }
        Loaded { set, repairs }
    }

    #[must_use]
    pub fn get(&self, chunk: &Chunk) -> Option<&WorkUnit> {
        self.units.get(chunk)
    }

    /// Returns all units by name.
    pub fn units(&self) -> impl Iterator<Item = &WorkUnit> {
        self.units.values()
    }

    /// Returns all units in the order they were created.
    #[must_use]
    pub fn in_order(&self) -> Vec<&WorkUnit> {
        let mut units: Vec<&WorkUnit> = self.units.values().collect();
        units.sort_by(|one, other| {
            let times = one.created_at.total_cmp(&other.created_at);
            times.then_with(|| one.chunk.cmp(&other.chunk))
        });
        units
    }

    /// Returns the blockers of a unit that are not DONE.
    #[must_use]
    pub fn open_blockers(&self, unit: &WorkUnit) -> Vec<Chunk> {
        let open = |chunk: &&Chunk| {
            let blocker = self.units.get(*chunk);
            blocker.is_some_and(|blocker| blocker.status() != WorkStatus::Done)
        };
        unit.blocked_by.iter().filter(open).cloned().collect()
    }

    /// Carries an order out, or refuses it and changes nothing; `now` in unix seconds.
    ///
    /// # Errors
    ///
    /// Returns why it is refused.
    pub fn apply(&mut self, order: Order, now: f64) -> Result<Applied, Refused> {
        match order {
            Order::Create(draft) => self.create(draft, now),
            Order::Edit(chunk, edit) => self.edit(&chunk, edit, now),
            Order::Delete(chunk, waiters) => self.delete(&chunk, waiters, now),
            Order::Begin(chunk, run) => self.step(&chunk, Request::Begin(run), now),
            Order::End(chunk, run, end) => self.step(&chunk, Request::Ended(run, end), now),
            Order::Flag(chunk, why) => self.step(&chunk, Request::Flag(why, StopMode::Gentle), now),
        }
    }

    fn create(&mut self, draft: Draft, now: f64) -> Result<Applied, Refused> {
        if let Some(present) = self.units.get(&draft.chunk) {
            return Err(Refused::Exists {
                chunk: draft.chunk,
                status: present.status(),
            });
        }
        if self.units.len() >= UNIT_LIMIT {
            return Err(Refused::TooMany);
        }
        self.check_blockers(&draft.chunk, &draft.blocked_by)?;
        let mut unit = WorkUnit {
            chunk: draft.chunk,
            phase: draft.phase,
            state: State::Ready,
            blocked_by: draft.blocked_by,
            worktree: draft.worktree,
            instance: draft.instance,
            commands: draft.commands,
            time_limit: draft.time_limit,
            created_at: now,
            updated_at: now,
            since: now,
        };
        unit.state = waiting_state(&self.open_blockers(&unit));
        self.units.insert(unit.chunk.clone(), unit.clone());
        Ok(Applied {
            changes: vec![Changed::Created(Box::new(unit.clone()))],
            unit,
            stop: None,
        })
    }

    fn edit(&mut self, chunk: &Chunk, edit: Edit, now: f64) -> Result<Applied, Refused> {
        let mut unit = self.known(chunk)?.clone();
        let illegal = |why| Refused::Illegal {
            chunk: chunk.clone(),
            why,
        };
        if edit.status != Some(WorkStatus::NeedsAttention) {
            if edit.reason.is_some() {
                return Err(Refused::NeedlessReason);
            }
            if edit.stop.is_some() {
                return Err(Refused::NeedlessStop);
            }
        }
        if let Some(blocked_by) = edit.blocked_by {
            self.check_blockers(chunk, &blocked_by)?;
            unit.blocked_by = blocked_by;
        }
        let mut stop = None;
        if let Some(status) = edit.status {
            let reason = edit.reason.as_deref().map(str::trim);
            let reason = reason.filter(|reason| !reason.is_empty());
            let why = match (reason, unit.state.attention()) {
                (Some(reason), _) => Attention::because(reason),
                // Asked once more, for the same reason.
                (None, Some(earlier)) => earlier.clone(),
                (None, None) => Attention::because("somebody asked for attention"),
            };
            let open = self.open_blockers(&unit);
            let request = Request::of(status, why, edit.stop.unwrap_or(StopMode::Gentle));
            let step = transition::step(&unit.state, unit.phase, &open, request);
            let step = step.map_err(illegal)?;
            (unit.state, unit.phase, stop) = (step.state, step.phase, step.stop);
        }
        if let Some(phase) = edit.phase
            && phase != unit.phase
        {
            may_leave(&unit.state).map_err(illegal)?;
            if edit.status == Some(WorkStatus::Done) {
                return Err(illegal(Illegal::HalfDone(phase)));
            }
            unit.phase = phase;
        }
        unit.worktree = edit.worktree.unwrap_or(unit.worktree);
        unit.instance = edit.instance.unwrap_or(unit.instance);
        unit.time_limit = edit.time_limit.unwrap_or(unit.time_limit);
        for (phase, command) in edit.commands {
            match command {
                Some(command) => unit.commands.insert(phase, command),
                None => unit.commands.remove(&phase),
            };
        }
        let before = self.known(chunk)?;
        if before.status() == WorkStatus::Done
            && unit.status() == WorkStatus::Done
            && unit != *before
        {
            return Err(illegal(Illegal::Done));
        }
        Ok(self.put(unit, stop, now))
    }

    fn step(&mut self, chunk: &Chunk, request: Request, now: f64) -> Result<Applied, Refused> {
        let mut unit = self.known(chunk)?.clone();
        let open = self.open_blockers(&unit);
        let step = transition::step(&unit.state, unit.phase, &open, request);
        let step = step.map_err(|why| Refused::Illegal {
            chunk: chunk.clone(),
            why,
        })?;
        (unit.state, unit.phase) = (step.state, step.phase);
        Ok(self.put(unit, step.stop, now))
    }

    fn delete(&mut self, chunk: &Chunk, waiters: Waiters, now: f64) -> Result<Applied, Refused> {
        let unit = self.known(chunk)?.clone();
        may_leave(&unit.state).map_err(|why| Refused::Illegal {
            chunk: chunk.clone(),
            why,
        })?;
        let waits = |other: &&WorkUnit| other.blocked_by.contains(chunk);
        let by: Vec<Chunk> = self
            .units()
            .filter(waits)
            .map(|other| other.chunk.clone())
            .collect();
        let open = |other: &&Chunk| {
            let other = self.units.get(*other);
            other.is_some_and(|other| other.status() != WorkStatus::Done)
        };
        if unit.status() != WorkStatus::Done && waiters == Waiters::Keep {
            let by: Vec<Chunk> = by.iter().filter(open).cloned().collect();
            if !by.is_empty() {
                let chunk = chunk.clone();
                return Err(Refused::WaitedFor { chunk, by });
            }
        }
        self.units.remove(chunk);
        let mut changes = vec![Changed::Deleted(Box::new(unit.clone()))];
        for waiter in by {
            if let Some(before) = self.units.get(&waiter).cloned() {
                let mut after = before.clone();
                after.blocked_by.remove(chunk);
                let after = self.settled(&after).unwrap_or(after);
                changes.push(self.replace(before, after, now));
            }
        }
        Ok(Applied {
            unit,
            changes,
            stop: None,
        })
    }

    /// Puts a changed unit into its place and lets the others follow.
    fn put(&mut self, unit: WorkUnit, stop: Option<RunStop>, now: f64) -> Applied {
        let unit = self.settled(&unit).unwrap_or(unit);
        let chunk = unit.chunk.clone();
        let mut changes = Vec::new();
        if let Some(before) = self.units.get(&chunk).cloned()
            && before != unit
        {
            changes.push(self.replace(before, unit.clone(), now));
        }
        let followers: Vec<(WorkUnit, WorkUnit)> = self
            .units()
            .filter_map(|before| Some((before.clone(), self.settled(before)?)))
            .collect();
        for (before, after) in followers {
            changes.push(self.replace(before, after, now));
        }
        let unit = self.units.get(&chunk).cloned().unwrap_or(unit);
        Applied {
            unit,
            changes,
            stop,
        }
    }

    fn replace(&mut self, before: WorkUnit, mut after: WorkUnit, now: f64) -> Changed {
        after.updated_at = now;
        if (before.status(), before.phase) != (after.status(), after.phase) {
            after.since = now;
        }
        self.units.insert(after.chunk.clone(), after.clone());
        Changed::edited(before, after)
    }

    /// Returns the unit with the state that its blockers give it, if that is another.
    fn settled(&self, unit: &WorkUnit) -> Option<WorkUnit> {
        match unit.state {
            State::Ready | State::Blocked => {}
            State::Running(_) | State::NeedsAttention { .. } | State::Done => return None,
        }
        let state = waiting_state(&self.open_blockers(unit));
        (state != unit.state).then(|| WorkUnit {
            state,
            ..unit.clone()
        })
    }

    fn known(&self, chunk: &Chunk) -> Result<&WorkUnit, Refused> {
        let unit = self.units.get(chunk);
        unit.ok_or_else(|| Refused::Unknown(chunk.clone()))
    }

    fn check_blockers(&self, chunk: &Chunk, blocked_by: &BTreeSet<Chunk>) -> Result<(), Refused> {
        for blocker in blocked_by {
            if blocker == chunk {
                return Err(Refused::Circular(vec![chunk.clone(), chunk.clone()]));
            }
            if !self.units.contains_key(blocker) {
                return Err(Refused::UnknownBlocker {
                    chunk: chunk.clone(),
                    blocker: blocker.clone(),
                });
            }
            if let Some(mut path) = self.path(blocker, chunk) {
                path.insert(0, chunk.clone());
                return Err(Refused::Circular(path));
            }
        }
        Ok(())
    }

    /// Returns the way from one unit to another by what each waits for, if there is one.
    fn path(&self, from: &Chunk, to: &Chunk) -> Option<Vec<Chunk>> {
        let mut came_from: BTreeMap<&Chunk, Option<&Chunk>> = BTreeMap::from([(from, None)]);
        let mut next = vec![from];
        while let Some(here) = next.pop() {
            if here == to {
                let mut path = vec![here.clone()];
                let mut here = here;
                while let Some(Some(before)) = came_from.get(here) {
                    path.push((*before).clone());
                    here = before;
                }
                path.reverse();
                return Some(path);
            }
            for blocker in self
                .units
                .get(here)
                .into_iter()
                .flat_map(|unit| &unit.blocked_by)
            {
                if !came_from.contains_key(blocker) {
                    came_from.insert(blocker, Some(here));
                    next.push(blocker);
                }
            }
        }
        None
    }
}
