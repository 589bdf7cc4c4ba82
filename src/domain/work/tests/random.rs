//! What holds of all work units, whatever is asked of them in whatever order.

use proptest::prelude::*;

use super::*;

/// Names and runs are few, so that random orders meet.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn any_chunk() -> impl Strategy<Value = Chunk> {
    proptest::sample::select(&NAMES[..]).prop_map(chunk)
}

fn any_run() -> impl Strategy<Value = RunId> {
    proptest::sample::select(&["1", "2", "3"][..]).prop_map(run)
}

fn any_phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(&Phase::NAMES[..]).prop_map(|(phase, _)| phase)
}

fn any_status() -> impl Strategy<Value = WorkStatus> {
    proptest::sample::select(&WorkStatus::NAMES[..]).prop_map(|(status, _)| status)
}

fn any_blockers() -> impl Strategy<Value = BTreeSet<Chunk>> {
    proptest::collection::btree_set(any_chunk(), 0..3)
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let end = prop_oneof![
        Just(PhaseEnd::Succeeded),
        Just(PhaseEnd::Failed(Attention::because("it failed"))),
        Just(PhaseEnd::NotBegun),
    ];
    let create =
        (any_chunk(), any_phase(), any_blockers()).prop_map(|(chunk, phase, blocked_by)| {
            Order::Create(Draft {
                chunk,
                phase,
                blocked_by,
                worktree: None,
                instance: None,
                commands: BTreeMap::new(),
                time_limit: None,
            })
        });
    let optional = |chance| proptest::option::weighted(chance, any_status());
    let change = (
        any_chunk(),
        optional(0.8),
        proptest::option::weighted(0.2, any_phase()),
        proptest::option::weighted(0.3, any_blockers()),
    );
    let change = change.prop_map(|(chunk, status, phase, blocked_by)| {
        let edit = Edit {
            status,
            phase,
            blocked_by,
            ..Edit::default()
        };
        Order::Edit(chunk, edit)
    });
    let waiters = prop_oneof![4 => Just(Waiters::Keep), 1 => Just(Waiters::Release)];
    let order = prop_oneof![
        3 => create,
        6 => change,
        1 => (any_chunk(), waiters).prop_map(|(chunk, waiters)| Order::Delete(chunk, waiters)),
        2 => (any_chunk(), any_run()).prop_map(|(chunk, run)| Order::Begin(chunk, run)),
        1 => any_chunk().prop_map(|chunk| Order::Flag(chunk, Attention::because("it cannot run"))),
        3 => (any_chunk(), any_run(), end).prop_map(|(chunk, run, end)| Order::End(chunk, run, end)),
    ];
    proptest::collection::vec(order, 1..120)
}

/// What must be true of every set.
fn holds(set: &WorkSet) -> Result<(), TestCaseError> {
    for unit in set.units() {
        let open = set.open_blockers(unit);
        match unit.state {
            State::Ready => prop_assert!(open.is_empty(), "{unit:?} waits"),
            State::Blocked => prop_assert!(!open.is_empty(), "{unit:?} waits for nothing"),
            State::Done => prop_assert_eq!(unit.phase, Phase::Complete),
            State::Running(_) | State::NeedsAttention { .. } => {}
        }
        for blocker in &unit.blocked_by {
            prop_assert!(set.get(blocker).is_some(), "{} is gone", blocker);
        }
    }
    // Taking away, again and again, what waits for nothing must leave nothing.
    let mut left: BTreeMap<&Chunk, &WorkUnit> =
        set.units().map(|unit| (&unit.chunk, unit)).collect();
    loop {
        let waits = |unit: &WorkUnit| unit.blocked_by.iter().any(|name| left.contains_key(name));
        let free: Vec<&Chunk> = left
            .values()
            .filter(|unit| !waits(unit))
            .map(|unit| &unit.chunk)
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    prop_assert!(left.is_empty(), "a circle: {:?}", left.keys());
    Ok(())
}

/// What an order may do to a unit it has left there.
fn legal(order: &Order, before: &WorkUnit, after: &WorkUnit) -> Result<(), TestCaseError> {
    let (named, asked) = match order {
        Order::Edit(chunk, edit) => (*chunk == before.chunk, edit.status),
        Order::Begin(chunk, _) | Order::End(chunk, ..) | Order::Flag(chunk, _) => {
            (*chunk == before.chunk, None)
        }
        Order::Create(_) | Order::Delete(..) => (false, None),
    };
    let reopened = named && matches!(asked, Some(WorkStatus::Ready | WorkStatus::Blocked));
    if before.status() == WorkStatus::Done && after.status() != WorkStatus::Done {
        prop_assert!(reopened, "{:?} undid {}", order, before.chunk);
    }
    if before.status() != after.status() && !named {
        let waiting = [WorkStatus::Ready, WorkStatus::Blocked];
        prop_assert!(
            waiting.contains(&before.status()),
            "{:?} moved {}",
            order,
            before.chunk
        );
        prop_assert!(
            waiting.contains(&after.status()),
            "{:?} moved {}",
            order,
            before.chunk
        );
    }
    // A run of ours is forgotten only when its own end is told, and never replaced.
    if let Some(run) = before.state.run()
        && after.state.run() != Some(run)
    {
        let ended = matches!(order, Order::End(chunk, ended, _)
            if *chunk == before.chunk && ended == run);
        prop_assert!(ended, "{:?} lost run {} of {}", order, run, before.chunk);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_order_leads_to_an_illegal_state(orders in orders()) {
        let mut set = WorkSet::default();
        for (at, order) in orders.into_iter().enumerate() {
            let before = set.clone();
            match set.apply(order.clone(), at as f64) {
                Err(_) => prop_assert_eq!(&set, &before),
                Ok(applied) => {
                    for change in &applied.changes {
                        let now = set.get(change.chunk());
                        let told = match change {
                            Changed::Created(unit) | Changed::Edited { after: unit, .. } => Some(unit),
                            Changed::Deleted(_) => None,
                        };
                        prop_assert_eq!(now, told.map(|unit| &**unit));
                    }
                    let changed: BTreeSet<&Chunk> =
                        applied.changes.iter().map(Changed::chunk).collect();
                    for unit in before.units() {
                        let now = set.get(&unit.chunk);
                        prop_assert!(now == Some(unit) || changed.contains(&unit.chunk));
                    }
                }
            }
            holds(&set)?;
            for unit in before.units() {
                if let Some(after) = set.get(&unit.chunk) {
                    legal(&order, unit, after)?;
                }
            }
            // What is stored comes back as it is.
            let loaded = WorkSet::load(set.units().cloned(), 0.0);
            prop_assert_eq!((&loaded.set, loaded.repairs.len()), (&set, 0));
        }
    }
}
