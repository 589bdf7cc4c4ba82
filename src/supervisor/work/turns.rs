//! Whose turn it is: which commands of work units begin now, and what the others wait for.
//!
//! Pure: the units, the places and the instances come in, turns come out. READY units whose phase
//! has a command are looked at in the order they were created. Each takes one of the
//! `work.max_parallel` places, beside the commands that run or are being stopped, and keeps it
//! while its instance comes up, so that no later unit overtakes it. What follows is decided by the
//! instance it needs:
//!
//! | its instance                         | what follows                                  |
//! |--------------------------------------|-----------------------------------------------|
//! | none needed, or healthy              | it begins                                     |
//! | on its way                           | it waits in its place                         |
//! | stopped                              | it is started, once, and the unit waits       |
//! | stopped again while the unit waited  | NEEDS_ATTENTION: somebody does not want it up |
//! | failed, unusable, unknown            | NEEDS_ATTENTION with the instance's reason    |
//!
//! A unit whose launch this machine had no room for is held back for a while; its place is free.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::domain::instance::InstanceName;
use crate::domain::work::{Attention, Chunk, WorkSet, WorkUnit};

/// How an instance is that a unit needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    Healthy,
    /// It may become healthy without anybody's doing; the text stands after its name.
    Coming(String),
    /// Nobody wants it up, and nothing is wrong with it.
    Stopped,
    /// It will not become healthy by itself.
    Hopeless {
        why: String,
        remedy: Option<String>,
    },
}

/// What is to be done now, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The command of the unit's present phase.
    Begin(Chunk),
    /// The instance that this unit needs, and perhaps others after it.
    Start(InstanceName, Chunk),
    /// A person has to look at it.
    Flag(Chunk, Attention),
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub struct Turns {
    /// Units whose instance was started for them.
    asked: BTreeMap<Chunk, Asked>,
    /// Units that are held back, with the reason.
    held: BTreeMap<Chunk, String>,
    waits: BTreeMap<Chunk, Waits>,
}

/// What a READY unit with a command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    Place { places: u32 },
    Instance { name: InstanceName, how: String },
    Held(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    instance: InstanceName,
    seen: Seen,
}

/// What became of a start that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing yet.
    Nothing,
    /// The instance has moved since.
    Moving,
    Refused(String),
}

impl Turns {
    /// Decides whose turn it is; `places` commands may run at once.
    #[must_use]
    pub fn next(
        &mut self,
        set: &WorkSet,
        places: u32,
        need: impl Fn(&InstanceName) -> Need,
    ) -> Vec<Turn> {
        let mut due: Vec<&WorkUnit> = set
            .units()
            .filter(|unit| unit.due_command().is_some())
            .collect();
        due.sort_by(|one, other| {
            let times = one.created_at.total_cmp(&other.created_at);
            times.then_with(|| one.chunk.cmp(&other.chunk))
        });
        self.forget_all_but(&due);
        let taken = set.units().filter(|unit| unit.state.run().is_some());
        let mut free = (places as usize).saturating_sub(taken.count());
        let mut turns = Vec::new();
        let mut started = BTreeSet::new();
        for unit in due {
            let chunk = unit.chunk.clone();
            if let Some(why) = self.held.get(&chunk) {
                self.waits.insert(chunk, Waits::Held(why.clone()));
                continue;
            }
            if free == 0 {
                self.waits.insert(chunk, Waits::Place { places });
                continue;
            }
            let step = match &unit.instance {
                None => Step::Begin,
                Some(instance) => self.step(&chunk, instance, need(instance)),
            };
            match step {
                Step::Begin => turns.push(Turn::Begin(chunk)),
                Step::Start(name) => {
                    if started.insert(name.clone()) {
                        turns.push(Turn::Start(name.clone(), chunk.clone()));
                    }
                    let how = "starts".to_owned();
                    self.waits.insert(chunk, Waits::Instance { name, how });
                }
                Step::Wait(name, how) => {
                    self.waits.insert(chunk, Waits::Instance { name, how });
                }
                Step::Flag(why) => {
                    turns.push(Turn::Flag(chunk, why));
                    continue; // its place is free for the next
                }
            }
            free -= 1;
        }
        turns
    }

    fn step(&mut self, chunk: &Chunk, instance: &InstanceName, need: Need) -> Step {
        let again = || format!("run it again: llama-orch work-unit status {chunk} READY");
        let describe = || format!("llama-orch describe {instance}");
        let flag = |what: &str, remedy: String| {
            let summary = format!("the instance it needs, {instance}, {what}");
            Step::Flag(Attention::explained(&summary, None, Some(&remedy)))
        };
        match need {
            Need::Healthy => Step::Begin,
            Need::Coming(how) => {
                if let Some(asked) = self.asked.get_mut(chunk) {
                    asked.seen = Seen::Moving;
                }
                Step::Wait(instance.clone(), how)
            }
            Need::Hopeless { why, remedy } => flag(&why, remedy.unwrap_or_else(describe)),
            Need::Stopped => match self.asked.get(chunk) {
                Some(asked) if asked.instance == *instance => match &asked.seen {
                    Seen::Nothing => Step::Wait(instance.clone(), "starts".to_owned()),
                    Seen::Moving => flag("was stopped while it waited for it", again()),
                    Seen::Refused(why) => flag(&format!("cannot be started: {why}"), describe()),
                },
                Some(_) | None => {
                    let asked = Asked {
                        instance: instance.clone(),
                        seen: Seen::Nothing,
                    };
                    self.asked.insert(chunk.clone(), asked);
                    Step::Start(instance.clone())
                }
            },
        }
    }

    /// Forgets what belongs to units whose turn cannot come; what they wait for is found anew.
    fn forget_all_but(&mut self, due: &[&WorkUnit]) {
        let due: BTreeSet<&Chunk> = due.iter().map(|unit| &unit.chunk).collect();
        self.asked.retain(|chunk, _| due.contains(chunk));
        self.held.retain(|chunk, _| due.contains(chunk));
        self.waits.clear();
    }

    /// Notes that a start was refused that units had asked for.
    pub fn refused(&mut self, instance: &InstanceName, why: &str) {
        for asked in self.asked.values_mut() {
            if asked.instance == *instance && asked.seen == Seen::Nothing {
                asked.seen = Seen::Refused(why.to_owned());
            }
        }
    }

    /// Holds a unit back until it is released.
    pub fn hold(&mut self, chunk: Chunk, why: String) {
        self.held.insert(chunk, why);
    }

    pub fn release(&mut self, chunk: &Chunk) {
        self.held.remove(chunk);
    }

    /// Returns what READY units with a command wait for, as of the last look.
    #[must_use]
    pub fn waits(&self) -> &BTreeMap<Chunk, Waits> {
        &self.waits
    }

    /// Returns whether a change of an instance may change whose turn it is.
    #[must_use]
    pub fn waits_for_instances(&self) -> bool {
        let instance = |waits: &Waits| matches!(waits, Waits::Instance { .. });
        self.waits.values().any(instance)
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place { places: 0 } => f.write_str("somebody to run it: work.max_parallel is 0"),
            Self::Place { places } => write!(f, "its turn (work.max_parallel is {places})"),
            Self::Instance { name, how } => write!(f, "instance {name}: {how}"),
            Self::Held(why) => write!(f, "a moment: {why}"),
        }
    }
}

/// What one unit does in its place.
enum Step {
    Begin,
    Start(InstanceName),
    Wait(InstanceName, String),
    Flag(Attention),
}
