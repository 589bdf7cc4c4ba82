//! Whose turn it is, row by row, and what holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::turns::{Need, Turn, Turns};
use crate::domain::instance::InstanceName;
use crate::domain::run::RunId;
use crate::domain::work::{
    Attention, Chunk, Draft, Edit, Order, Phase, PhaseCommand, PhaseEnd, WorkSet, WorkStatus,
};

fn chunk(name: &str) -> Chunk {
    Chunk::parse(name).expect("a name")
}

fn instance(name: &str) -> InstanceName {
    InstanceName::parse(name).expect("a name")
}

/// A unit with a command in its phase GOAL.
fn draft(name: &str, needs: Option<&str>, waits_for: &[&str]) -> Draft {
    let command = PhaseCommand::parse(vec!["true".to_owned()]).expect("a command");
    Draft {
        chunk: chunk(name),
        phase: Phase::Goal,
        blocked_by: waits_for.iter().map(|name| chunk(name)).collect(),
        worktree: None,
        instance: needs.map(instance),
        commands: BTreeMap::from([(Phase::Goal, command)]),
        time_limit: None,
    }
}

/// Units created one after the other.
fn set(drafts: Vec<Draft>) -> WorkSet {
    let mut set = WorkSet::default();
    for (at, draft) in (1_u8..).zip(drafts) {
        set.apply(Order::Create(draft), f64::from(at))
            .expect("it is legal");
    }
    set
}

fn coming() -> Need {
    Need::Coming("loads its model".to_owned())
}

fn hopeless() -> Need {
    Need::Hopeless {
        why: "failed: out of VRAM".to_owned(),
        remedy: Some("fewer layers".to_owned()),
    }
}

/// Shows what a look decides, in few words.
fn look(
    turns: &mut Turns,
    set: &WorkSet,
    places: u32,
    need: impl Fn(&InstanceName) -> Need,
) -> String {
    let decided = turns.next(set, places, need);
    let decided = decided.into_iter().map(|turn| match turn {
        Turn::Begin(chunk) => format!("begin {chunk}"),
        Turn::Start(instance, chunk) => format!("start {instance} for {chunk}"),
        Turn::Flag(chunk, why) => format!("flag {chunk}: {}", why.summary),
    });
    let waits = turns.waits().iter();
    let waits = waits.map(|(chunk, waits)| format!("{chunk} waits for {waits}"));
    decided.chain(waits).collect::<Vec<_>>().join("; ")
}

#[test]
fn units_begin_in_their_order_while_there_are_places() {
    let units = set(vec![
        draft("c", None, &[]),
        draft("b", None, &["c"]),
        draft("a", None, &[]),
        draft("d", None, &[]),
    ]);
    let rows = [
        (
            0,
            "a waits for somebody to run it: work.max_parallel is 0; \
             c waits for somebody to run it: work.max_parallel is 0; \
             d waits for somebody to run it: work.max_parallel is 0",
        ),
        (
            1,
            "begin c; a waits for its turn (work.max_parallel is 1); \
             d waits for its turn (work.max_parallel is 1)",
        ),
        (
            2,
            "begin c; begin a; d waits for its turn (work.max_parallel is 2)",
        ),
        (9, "begin c; begin a; begin d"),
    ];
    for (places, expected) in rows {
        let found = look(&mut Turns::default(), &units, places, |_| Need::Stopped);
        assert_eq!(found, expected, "{places} places");
    }
}

#[test]
fn an_instance_decides_whether_its_unit_begins() {
    let units = set(vec![draft("a", Some("i"), &[]), draft("b", None, &[])]);
    let rows = [
        (
            Need::Healthy,
            "begin a; b waits for its turn (work.max_parallel is 1)",
        ),
        (
            coming(),
            "a waits for instance i: loads its model; b waits for its turn (work.max_parallel is 1)",
        ),
        (
            Need::Stopped,
            "start i for a; a waits for instance i: starts; \
             b waits for its turn (work.max_parallel is 1)",
        ),
        (
            hopeless(),
            "flag a: the instance it needs, i, failed: out of VRAM; begin b",
        ),
    ];
    for (need, expected) in rows {
        let found = look(&mut Turns::default(), &units, 1, |_| need.clone());
        assert_eq!(found, expected);
    }
}

#[test]
fn an_instance_is_started_once_and_whoever_stops_it_is_obeyed() {
    let units = set(vec![draft("a", Some("i"), &[]), draft("b", Some("i"), &[])]);
    let mut turns = Turns::default();
    let rows = [
        (
            Need::Stopped,
            "start i for a; a waits for instance i: starts; b waits for instance i: starts",
        ),
        (
            Need::Stopped,
            "a waits for instance i: starts; b waits for instance i: starts",
        ),
        (
            coming(),
            "a waits for instance i: loads its model; b waits for instance i: loads its model",
        ),
        (
            Need::Stopped,
            "flag a: the instance it needs, i, was stopped while it waited for it; \
             flag b: the instance it needs, i, was stopped while it waited for it",
        ),
    ];
    for (need, expected) in rows {
        assert_eq!(look(&mut turns, &units, 2, |_| need.clone()), expected);
    }
}

#[test]
fn a_refused_start_is_told_with_its_reason() {
    let units = set(vec![draft("a", Some("i"), &[])]);
    let mut turns = Turns::default();
    look(&mut turns, &units, 1, |_| Need::Stopped);
    turns.refused(&instance("i"), "its configuration cannot be used: no port");
    let found = look(&mut turns, &units, 1, |_| Need::Stopped);
    let expected = "flag a: the instance it needs, i, cannot be started: \
                    its configuration cannot be used: no port";
    assert_eq!(found, expected);
}

#[test]
fn a_unit_that_is_held_back_leaves_its_place_to_others() {
    let units = set(vec![draft("a", None, &[]), draft("b", None, &[])]);
    let mut turns = Turns::default();
    turns.hold(chunk("a"), "no room".to_owned());
    let found = look(&mut turns, &units, 1, |_| Need::Healthy);
    assert_eq!(found, "begin b; a waits for a moment: no room");
    turns.release(&chunk("a"));
    let found = look(&mut turns, &units, 1, |_| Need::Healthy);
    assert_eq!(
        found,
        "begin a; b waits for its turn (work.max_parallel is 1)"
    );
}

const UNITS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const INSTANCES: [&str; 2] = ["i", "j"];

/// Something that happens between two looks.
#[derive(Clone, Debug)]
enum Step {
    Create(usize, Option<usize>, Option<usize>),
    Instance(usize, Need),
    End(usize, PhaseEnd),
    Status(usize, WorkStatus),
    Places(u32),
    Hold(usize),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let unit = || 0..UNITS.len();
    let some = |count: usize| proptest::option::weighted(0.5, 0..count);
    let need = prop_oneof![
        3 => Just(Need::Healthy),
        2 => Just(coming()),
        2 => Just(Need::Stopped),
        1 => Just(hopeless()),
    ];
    let end = prop_oneof![
        3 => Just(PhaseEnd::Succeeded),
        1 => Just(PhaseEnd::Failed(Attention::because("it failed"))),
        1 => Just(PhaseEnd::NotBegun),
    ];
    let status = proptest::sample::select(&WorkStatus::NAMES[..]).prop_map(|(status, _)| status);
    let step = prop_oneof![
        4 => (unit(), some(INSTANCES.len()), some(UNITS.len()))
            .prop_map(|(unit, instance, blocker)| Step::Create(unit, instance, blocker)),
        4 => (0..INSTANCES.len(), need).prop_map(|(index, need)| Step::Instance(index, need)),
        4 => (unit(), end).prop_map(|(unit, end)| Step::End(unit, end)),
        3 => (unit(), status).prop_map(|(unit, status)| Step::Status(unit, status)),
        1 => (0..4_u32).prop_map(Step::Places),
        1 => unit().prop_map(Step::Hold),
        1 => unit().prop_map(Step::Release),
    ];
    proptest::collection::vec(step, 1..100)
}

/// A home with an owner, as far as turns are concerned.
#[derive(Default)]
struct World {
    set: WorkSet,
    turns: Turns,
    places: u32,
    needs: BTreeMap<InstanceName, Need>,
    runs: u32,
    held: BTreeSet<Chunk>,
}

impl World {
    fn happen(&mut self, step: Step, now: f64) {
        match step {
            Step::Create(unit, needs, blocker) => {
                let needs = needs.map(|index| INSTANCES[index]);
                let blocker: Vec<&str> = blocker.map(|index| UNITS[index]).into_iter().collect();
                let mut draft = draft(UNITS[unit], needs, &blocker);
                let command = draft.commands[&Phase::Goal].clone();
                draft.commands.insert(Phase::Plan, command.clone());
                draft.commands.insert(Phase::Complete, command);
                // Refused when it exists, or waits for what does not.
                self.set.apply(Order::Create(draft), now).ok();
            }
            Step::Instance(index, need) => {
                self.needs.insert(instance(INSTANCES[index]), need);
            }
            Step::End(unit, end) => {
                let chunk = chunk(UNITS[unit]);
                let run = self
                    .set
                    .get(&chunk)
                    .and_then(|unit| unit.state.run())
                    .cloned();
                if let Some(run) = run {
                    let ended = self.set.apply(Order::End(chunk, run, end), now);
                    ended.expect("the end of its own run is always taken");
                }
            }
            Step::Status(unit, status) => {
                let edit = Edit {
                    status: Some(status),
                    ..Edit::default()
                };
                self.set
                    .apply(Order::Edit(chunk(UNITS[unit]), edit), now)
                    .ok(); // most are illegal, which is tested elsewhere
            }
            Step::Places(places) => self.places = places,
            Step::Hold(unit) => {
                self.turns.hold(chunk(UNITS[unit]), "no room".to_owned());
                self.held.insert(chunk(UNITS[unit]));
            }
            Step::Release(unit) => {
                self.turns.release(&chunk(UNITS[unit]));
                self.held.remove(&chunk(UNITS[unit]));
            }
        }
    }

    fn taken(&self) -> usize {
        let runs = self.set.units().filter(|unit| unit.state.run().is_some());
        runs.count()
    }

    /// Looks whose turn it is, does that, and checks what must hold.
    fn look(&mut self, now: f64) -> Result<(), TestCaseError> {
        let need = |name: &InstanceName| self.needs.get(name).cloned().unwrap_or(Need::Stopped);
        let due: Vec<(Chunk, Option<InstanceName>)> = self
            .set
            .in_order()
            .into_iter()
            .filter(|unit| unit.due_command().is_some())
            .map(|unit| (unit.chunk.clone(), unit.instance.clone()))
            .collect();
        let decided = self.turns.next(&self.set, self.places, need);
        let begun: Vec<Chunk> = decided
            .iter()
            .filter_map(|turn| match turn {
                Turn::Begin(chunk) => Some(chunk.clone()),
                Turn::Start(..) | Turn::Flag(..) => None,
            })
            .collect();
        // In their order, and nobody was passed over who could have begun.
        let mut expected = due.iter().filter(|(chunk, _)| begun.contains(chunk));
        for chunk in &begun {
            prop_assert_eq!(Some(chunk), expected.next().map(|(chunk, _)| chunk));
            let earlier = due.iter().take_while(|(other, _)| other != chunk);
            for (other, instance) in earlier {
                let could = instance
                    .as_ref()
                    .is_none_or(|name| need(name) == Need::Healthy);
                let passed = could && !begun.contains(other) && !self.held.contains(other);
                prop_assert!(!passed, "{} was passed over by {}", other, chunk);
            }
            let (_, instance) = due.iter().find(|(other, _)| other == chunk).expect("due");
            prop_assert!(
                instance
                    .as_ref()
                    .is_none_or(|name| need(name) == Need::Healthy)
            );
        }
        // Whoever is due begins, waits for something that is told, or is flagged.
        for (chunk, _) in &due {
            let flagged = decided
                .iter()
                .any(|turn| matches!(turn, Turn::Flag(flagged, _) if flagged == chunk));
            let fates = [
                begun.contains(chunk),
                flagged,
                self.turns.waits().contains_key(chunk),
            ];
            prop_assert_eq!(fates.iter().filter(|fate| **fate).count(), 1, "{}", chunk);
        }
        for turn in decided {
            match turn {
                Turn::Begin(chunk) => {
                    self.runs += 1;
                    let run = RunId::new(self.runs.to_string());
                    // Refused, if it were blocked, done or running already.
                    let begun = self.set.apply(Order::Begin(chunk, run), now);
                    prop_assert!(begun.is_ok(), "{:?}", begun);
                    prop_assert!(self.taken() <= self.places as usize);
                }
                Turn::Flag(chunk, why) => {
                    let flagged = self.set.apply(Order::Flag(chunk, why), now);
                    prop_assert!(flagged.is_ok(), "{:?}", flagged);
                }
                Turn::Start(name, _) => prop_assert_eq!(need(&name), Need::Stopped),
            }
        }
        // A second look without news decides nothing.
        let again = self.turns.next(&self.set, self.places, need);
        prop_assert_eq!(again, []);
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_runs_twice_too_much_or_out_of_order(steps in steps()) {
        let mut world = World { places: 2, ..World::default() };
        for (at, step) in (1_u8..).zip(steps) {
            world.happen(step, f64::from(at));
            world.look(f64::from(at))?;
        }
    }
}
