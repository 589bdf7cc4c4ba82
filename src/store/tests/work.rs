//! Work units and their log, to the disk and back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Home, block_on, close};
use crate::domain::instance::InstanceName;
use crate::domain::run::RunId;
use crate::domain::work::{
    Attention, Chunk, Phase, PhaseCommand, State, StatusChange, TimeLimit, WorkStatus, WorkUnit,
    Worker,
};
use crate::store::{Reader, Write};

fn chunk(name: &str) -> Chunk {
    Chunk::parse(name).expect("a name")
}

fn unit(name: &str, state: State) -> WorkUnit {
    WorkUnit {
        chunk: chunk(name),
        phase: Phase::Plan,
        state,
        blocked_by: Default::default(),
        worktree: None,
        instance: None,
        commands: BTreeMap::new(),
        time_limit: None,
        created_at: 1.5,
        updated_at: 2.5,
        since: 2.25,
    }
}

fn full(name: &str) -> WorkUnit {
    let argv = ["sh", "-c", "echo 'ü' \"$1\"\n"].map(str::to_owned);
    WorkUnit {
        blocked_by: [chunk("a"), chunk("b.1")].into(),
        worktree: Some(PathBuf::from("/tmp/a tree")),
        instance: InstanceName::parse("coder").ok(),
        commands: BTreeMap::from([(
            Phase::Implement,
            PhaseCommand::parse(argv.to_vec()).expect("a command"),
        )]),
        time_limit: TimeLimit::of_seconds(90.5).ok(),
        ..unit(
            name,
            State::NeedsAttention {
                why: Attention::explained("it failed", Some("line"), Some("mend it")),
                ending: Some(RunId::new("run-2".to_owned())),
            },
        )
    }
}

fn change(at: f64, from: Option<WorkStatus>, to: Option<WorkStatus>) -> StatusChange {
    StatusChange {
        chunk: chunk("a"),
        at,
        from: from.map(|status| (status, Phase::Goal)),
        to: to.map(|status| (status, Phase::Plan)),
        reason: to.map(|status| format!("because of {status}")),
        run: Some(RunId::new("run-1".to_owned())),
    }
}

#[test]
fn units_come_back_as_they_were_stored() {
    let home = Home::new();
    let opened = home.open();
    let run = RunId::new("run-1".to_owned());
    let units = [
        unit("a", State::Ready),
        unit("b.1", State::Done),
        unit("c", State::Running(Worker::Run(run))),
        unit("d", State::Running(Worker::Outside)),
        full("e"),
        unit("f", State::Blocked),
    ];
    for unit in &units {
        opened.store.save(Write::WorkUnit(Box::new(unit.clone())));
    }
    close(&opened.store);
    assert_eq!(home.stored().work_units, units);

    let opened = home.open();
    let changed = unit("e", State::Ready);
    let writes = vec![
        Write::WorkUnit(Box::new(changed.clone())),
        Write::WorkUnitDeleted(chunk("a")),
    ];
    block_on(opened.store.save_all(writes)).expect("stored");
    let reader = Reader::open(&home.path())
        .expect("readable")
        .expect("there");
    let read = reader.work_units().expect("readable");
    assert_eq!(read.len(), units.len() - 1);
    assert!(read.contains(&changed), "every column is written again");
    close(&opened.store);
}

#[test]
fn the_log_of_a_unit_is_kept_in_order_and_no_line_twice() {
    let home = Home::new();
    let opened = home.open();
    let changes = [
        change(1.0, None, Some(WorkStatus::Ready)),
        change(2.0, Some(WorkStatus::Ready), Some(WorkStatus::Running)),
        change(3.0, Some(WorkStatus::Running), None),
    ];
    for change in changes.iter().chain(&changes) {
        opened.store.save(Write::WorkLog(change.clone()));
    }
    close(&opened.store);
    let reader = Reader::open(&home.path())
        .expect("readable")
        .expect("there");
    assert_eq!(
        reader.status_log(&chunk("a"), 10).expect("readable"),
        changes
    );
    assert_eq!(
        reader.status_log(&chunk("a"), 2).expect("readable"),
        changes[1..]
    );
    assert_eq!(reader.status_log(&chunk("b"), 2).expect("readable"), []);
    let seeds: String = home.value(
        "SELECT group_concat(coalesce(old_status, '-') || ' ' || new_status || ' ' || timestamp)
         FROM status_log",
    );
    assert_eq!(seeds, "- READY 1.0,READY RUNNING 2.0,RUNNING DELETED 3.0");
}
