//! What work units may do, row by row.

mod random;

use super::transition::step;
use super::*;
use crate::domain::run::StopMode;

fn chunk(name: &str) -> Chunk {
    Chunk::parse(name).expect("a name")
}

fn run(id: &str) -> RunId {
    RunId::new(id.to_owned())
}

fn draft(name: &str, waits_for: &[&str]) -> Draft {
    Draft {
        chunk: chunk(name),
        phase: Phase::Goal,
        blocked_by: waits_for.iter().map(|name| chunk(name)).collect(),
        worktree: None,
        instance: None,
        commands: BTreeMap::new(),
        time_limit: None,
    }
}

fn set(units: &[(&str, &[&str])]) -> WorkSet {
    let mut set = WorkSet::default();
    for (name, waits_for) in units {
        let order = Order::Create(draft(name, waits_for));
        set.apply(order, 1.0).expect("it is legal");
    }
    set
}

fn edit(name: &str, edit: Edit) -> Order {
    Order::Edit(chunk(name), edit)
}

fn to(name: &str, status: WorkStatus) -> Order {
    edit(
        name,
        Edit {
            status: Some(status),
            ..Edit::default()
        },
    )
}

fn done(set: &mut WorkSet, order: Order) -> Applied {
    let answer = set.apply(order, 2.0);
    answer.unwrap_or_else(|refused| unreachable!("{refused}"))
}

fn refused(set: &mut WorkSet, order: Order) -> String {
    let before = set.clone();
    let answer = set.apply(order, 2.0);
    assert_eq!(*set, before, "a refused order changes nothing");
    answer.expect_err("it is illegal").to_string()
}

fn statuses(set: &WorkSet) -> String {
    let words: Vec<String> = set
        .units()
        .map(|unit| format!("{} {}", unit.chunk, unit.status()))
        .collect();
    words.join(", ")
}

/// The table in the documentation of `transition`, cell by cell.
#[test]
fn every_state_answers_every_request_as_the_table_says() {
    let why = Attention::because("why");
    let requests = [
        Request::Claim,
        Request::Begin(run("new")),
        Request::Ended(run("1"), PhaseEnd::Succeeded),
        Request::Ended(run("1"), PhaseEnd::Failed(why.clone())),
        Request::Flag(why.clone(), StopMode::Gentle),
        Request::Flag(why.clone(), StopMode::Kill),
        Request::Queue,
        Request::Wait,
        Request::Finish,
    ];
    let attention = |ending: Option<RunId>| State::NeedsAttention {
        why: Attention::because("earlier"),
        ending,
    };
    let not = "is not in run 1";
    let here = "is RUNNING: the owner runs its command (run 1)";
    let ending = "is being stopped: its command (run 1) has not ended yet";
    let taken = "is RUNNING already: somebody else works on it";
    let nothing = "is not BLOCKED by anything: every unit it waits for is DONE";
    let rows: [(State, &[&str], [&str; 9]); 8] = [
        (
            State::Ready,
            &[],
            [
                "RUNNING PLAN",
                "RUNNING PLAN in new",
                not,
                not,
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why)",
                "READY PLAN",
                nothing,
                "DONE COMPLETE",
            ],
        ),
        (
            State::Blocked,
            &["x"],
            [
                "waits for x",
                "waits for x",
                not,
                not,
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why)",
                "waits for x",
                "BLOCKED PLAN",
                "waits for x",
            ],
        ),
        (
            State::Running(Worker::Outside),
            &[],
            [
                taken,
                taken,
                not,
                not,
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why)",
                "READY PLAN",
                nothing,
                "DONE COMPLETE",
            ],
        ),
        (
            State::Running(Worker::Run(run("1"))),
            &[],
            [
                here,
                here,
                "READY IMPLEMENT",
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why) in 1, stop 1",
                "NEEDS_ATTENTION PLAN (why) in 1, kill 1",
                here,
                nothing,
                here,
            ],
        ),
        (
            State::Running(Worker::Run(run("1"))),
            &["x"],
            [
                here,
                here,
                "BLOCKED IMPLEMENT",
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why) in 1, stop 1",
                "NEEDS_ATTENTION PLAN (why) in 1, kill 1",
                "waits for x",
                here,
                here,
            ],
        ),
        (
            attention(None),
            &[],
            [
                "RUNNING PLAN",
                "needs attention first",
                not,
                not,
                "NEEDS_ATTENTION PLAN (why)",
                "NEEDS_ATTENTION PLAN (why)",
                "READY PLAN",
                nothing,
                "DONE COMPLETE",
            ],
        ),
        (
            attention(Some(run("1"))),
            &[],
            [
                ending,
                ending,
                "NEEDS_ATTENTION PLAN (earlier)",
                "NEEDS_ATTENTION PLAN (earlier)",
                "NEEDS_ATTENTION PLAN (why) in 1",
                "NEEDS_ATTENTION PLAN (why) in 1, kill 1",
                ending,
                nothing,
                ending,
            ],
        ),
        (
            State::Done,
            &[],
            [
                "is DONE",
                "is DONE",
                not,
                not,
                "is DONE",
                "is DONE",
                "READY GOAL",
                nothing,
                "DONE COMPLETE",
            ],
        ),
    ];
    for (state, open, answers) in rows {
        let open: Vec<Chunk> = open.iter().map(|name| chunk(name)).collect();
        for (request, expected) in requests.iter().zip(answers) {
            let answer = step(&state, Phase::Plan, &open, request.clone());
            let told = match answer {
                Ok(step) => told(&step),
                Err(illegal) => illegal.to_string(),
            };
            assert_eq!(told, expected, "{state:?} {request:?}");
        }
    }
}

fn told(step: &Step) -> String {
    let mut told = format!("{} {}", step.state.status(), step.phase);
    if let Some(why) = step.state.attention() {
        told = format!("{told} ({})", why.summary);
    }
    if let Some(run) = step.state.run() {
        told = format!("{told} in {run}");
    }
    if let Some(RunStop { run, mode }) = &step.stop {
        told = match mode {
            StopMode::Gentle => format!("{told}, stop {run}"),
            StopMode::Kill => format!("{told}, kill {run}"),
        };
    }
    told
}

#[test]
fn a_command_goes_from_phase_to_phase_until_the_unit_is_done() {
    let mut set = set(&[("a", &[])]);
    for (id, phase) in [("1", "PLAN"), ("2", "IMPLEMENT"), ("3", "COMPLETE")] {
        done(&mut set, Order::Begin(chunk("a"), run(id)));
        let end = Order::End(chunk("a"), run(id), PhaseEnd::Succeeded);
        let unit = done(&mut set, end).unit;
        assert_eq!(
            format!("{} {}", unit.status(), unit.phase),
            format!("READY {phase}")
        );
    }
    done(&mut set, Order::Begin(chunk("a"), run("4")));
    let last = done(
        &mut set,
        Order::End(chunk("a"), run("4"), PhaseEnd::Succeeded),
    );
    assert_eq!(
        (last.unit.status(), last.unit.phase),
        (WorkStatus::Done, Phase::Complete)
    );
    let again = Order::End(chunk("a"), run("4"), PhaseEnd::Succeeded);
    assert_eq!(refused(&mut set, again), "a is not in run 4");
}

#[test]
fn a_unit_is_ready_when_the_last_of_what_it_waits_for_is_done_and_blocked_when_that_is_reopened() {
    let mut set = set(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]);
    assert_eq!(statuses(&set), "a READY, b READY, c BLOCKED");
    done(&mut set, to("a", WorkStatus::Done));
    assert_eq!(statuses(&set), "a DONE, b READY, c BLOCKED");
    let changes = done(&mut set, to("b", WorkStatus::Done)).changes;
    assert_eq!(statuses(&set), "a DONE, b DONE, c READY");
    let names: Vec<&str> = changes
        .iter()
        .map(|change| change.chunk().as_str())
        .collect();
    assert_eq!(names, ["b", "c"]);
    done(&mut set, to("a", WorkStatus::Ready));
    assert_eq!(statuses(&set), "a READY, b DONE, c BLOCKED");
    done(&mut set, to("a", WorkStatus::Done));
    done(&mut set, to("c", WorkStatus::Running));
    done(&mut set, to("a", WorkStatus::Ready));
    assert_eq!(statuses(&set), "a READY, b DONE, c RUNNING");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let mut set = set(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
    done(&mut set, to("d", WorkStatus::Done));
    let waits = |names: &[&str]| Edit {
        blocked_by: Some(names.iter().map(|name| chunk(name)).collect()),
        ..Edit::default()
    };
    let with_phase = |status, phase| Edit {
        status,
        phase: Some(phase),
        ..Edit::default()
    };
    let reason = Edit {
        reason: Some("x".to_owned()),
        ..Edit::default()
    };
    let rows = [
        (
            Order::Create(draft("a", &[])),
            "a work unit called a exists already: it is READY",
        ),
        (
            Order::Create(draft("x", &["nobody"])),
            "x cannot wait for nobody: no work unit is called nobody",
        ),
        (
            Order::Create(draft("x", &["x"])),
            "nobody could begin: x waits for x",
        ),
        (
            edit("a", waits(&["a"])),
            "nobody could begin: a waits for a",
        ),
        (
            edit("a", waits(&["c"])),
            "nobody could begin: a waits for c waits for b waits for a",
        ),
        (to("x", WorkStatus::Ready), "no work unit is called x"),
        (to("b", WorkStatus::Running), "b waits for a"),
        (to("b", WorkStatus::Done), "b waits for a"),
        (to("d", WorkStatus::Running), "d is DONE"),
        (edit("d", with_phase(None, Phase::Plan)), "d is DONE"),
        (
            edit("a", with_phase(Some(WorkStatus::Done), Phase::Plan)),
            "a cannot be DONE in phase PLAN: DONE means that COMPLETE is over",
        ),
        (
            edit("a", reason),
            "a reason goes with the status NEEDS_ATTENTION only",
        ),
        (
            Order::Delete(chunk("a"), Waiters::Keep),
            "a is not DONE, and others wait for it: b",
        ),
        (
            Order::Delete(chunk("x"), Waiters::Keep),
            "no work unit is called x",
        ),
    ];
    for (order, expected) in rows {
        assert_eq!(refused(&mut set, order.clone()), expected, "{order:?}");
    }
}

#[test]
fn a_deleted_unit_leaves_nobody_waiting() {
    let mut set = set(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b"])]);
    done(&mut set, Order::Delete(chunk("a"), Waiters::Release));
    assert_eq!(statuses(&set), "b READY, c BLOCKED");
    done(&mut set, to("b", WorkStatus::Done));
    done(&mut set, Order::Delete(chunk("b"), Waiters::Keep));
    assert_eq!(statuses(&set), "c READY");
    done(&mut set, Order::Begin(chunk("c"), run("1")));
    let delete = Order::Delete(chunk("c"), Waiters::Release);
    let told = refused(&mut set, delete.clone());
    assert_eq!(told, "c is RUNNING: the owner runs its command (run 1)");
    assert_eq!(
        done(&mut set, to("c", WorkStatus::NeedsAttention)).stop,
        Some(RunStop {
            run: run("1"),
            mode: StopMode::Gentle
        })
    );
    let told = refused(&mut set, delete.clone());
    assert_eq!(
        told,
        "c is being stopped: its command (run 1) has not ended yet"
    );
    let end = PhaseEnd::Failed(Attention::because("killed"));
    let unit = done(&mut set, Order::End(chunk("c"), run("1"), end)).unit;
    let why = unit.state.attention().map(|why| why.summary.as_str());
    assert_eq!(why, Some("somebody asked for attention"));
    done(&mut set, delete);
    assert_eq!(statuses(&set), "");
}

#[test]
fn a_reopened_unit_begins_anew_or_where_it_is_told() {
    let mut set = set(&[("a", &[])]);
    done(&mut set, to("a", WorkStatus::Done));
    let unit = done(&mut set, to("a", WorkStatus::Ready)).unit;
    assert_eq!(
        (unit.status(), unit.phase),
        (WorkStatus::Ready, Phase::Goal)
    );
    done(&mut set, to("a", WorkStatus::Done));
    let at_plan = Edit {
        status: Some(WorkStatus::Ready),
        phase: Some(Phase::Plan),
        ..Edit::default()
    };
    let unit = done(&mut set, edit("a", at_plan)).unit;
    assert_eq!(
        (unit.status(), unit.phase),
        (WorkStatus::Ready, Phase::Plan)
    );
}

#[test]
fn stored_units_that_could_never_begin_are_put_right() {
    let good = set(&[("a", &[]), ("b", &["a"])]);
    let stored: Vec<WorkUnit> = good.units().cloned().collect();
    let loaded = WorkSet::load(stored.clone(), 3.0);
    assert_eq!((loaded.set, loaded.repairs), (good, Vec::new()));
    let mut broken = stored;
    broken[0].blocked_by = [chunk("b"), chunk("gone")].into();
    broken[1].state = State::Ready;
    let loaded = WorkSet::load(broken, 3.0);
    let blockers: Vec<String> = loaded
        .set
        .units()
        .map(|unit| {
            format!(
                "{} {} {:?}",
                unit.chunk,
                unit.status(),
                unit.blocked_by.len()
            )
        })
        .collect();
    assert_eq!(blockers, ["a BLOCKED 1", "b READY 0"]);
    assert_eq!(loaded.repairs.len(), 2);
}
