//! A database that an owner cannot read when it starts, and can later: the units in it, what ran
//! for them meanwhile, and what was made in between.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::Rig;
use crate::support::{kill_hard, wait_until};

/// Says that a phase began, and ends it when its unit is told to go on.
const STEP: &str = "echo $LLAMA_ORCH_CHUNK $LLAMA_ORCH_PHASE >> trace; \
                    while [ ! -e go-$LLAMA_ORCH_CHUNK ]; do sleep 0.01; done";

/// What keeps an owner from its database.
trait Obstacle {
    fn clear(self);
}

/// Another program has it for itself.
struct Locked(Connection);

impl Locked {
    fn new(database: &Path) -> Self {
        let connection = Connection::open(database).unwrap();
        connection
            .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;")
            .unwrap();
        Self(connection)
    }
}

impl Obstacle for Locked {
    fn clear(self) {
        self.0.execute_batch("COMMIT;").unwrap();
        self.0.close().unwrap();
    }
}

/// Something else is in its place, as when a disk is not mounted yet.
struct Elsewhere<'a> {
    database: &'a Path,
}

impl<'a> Elsewhere<'a> {
    fn new(database: &'a Path) -> Self {
        fs::rename(database, database.with_extension("away")).unwrap();
        fs::create_dir(database).unwrap();
        Self { database }
    }
}

impl Obstacle for Elsewhere<'_> {
    fn clear(self) {
        fs::remove_dir(self.database).unwrap();
        fs::rename(self.database.with_extension("away"), self.database).unwrap();
    }
}

fn names(rig: &Rig) -> Vec<String> {
    let text = rig.home.ok(&["work-unit", "list", "--json"]).stdout;
    let units: Vec<Value> = serde_json::from_str(&text).unwrap();
    let names = units.iter().map(|unit| unit["chunk"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn database(rig: &Rig) -> String {
    let text = rig.home.ok(&["daemon", "status", "--json"]).stdout;
    let status: Value = serde_json::from_str(&text).unwrap();
    status["database"].as_str().unwrap().to_owned()
}

fn began(rig: &Rig, line: &str) -> usize {
    rig.written("trace")
        .lines()
        .filter(|found| *found == line)
        .count()
}

fn check<O: Obstacle>(obstruct: impl FnOnce(&Rig) -> O) {
    let rig = Rig::new(2);
    rig.home.ok(&["daemon", "start"]);
    // Two run, one waits for a place, one for a unit.
    for unit in ["ends", "runs", "next"] {
        rig.create_with_all(unit, &["GOAL", "PLAN"], STEP);
    }
    rig.create("blocked", &["--blocked-by", "next"]);
    wait_until("both run", || rig.written("trace").lines().count() == 2);
    let running = rig.run_file("runs");
    rig.home.ok(&["daemon", "stop"]);
    // One of them ends while nobody owns the home.
    let exit = rig.run_paths("ends").exit();
    rig.write("go-ends", "");
    wait_until("its end is recorded", || exit.exists());
    let obstacle = obstruct(&rig);

    rig.home.ok(&["daemon", "start"]);
    assert!(
        database(&rig).starts_with("degraded: "),
        "{}",
        database(&rig)
    );
    // What runs is known from its files; what is made now is kept in memory.
    assert_eq!(names(&rig), ["runs"]);
    assert_eq!(rig.show("runs")["status"], "RUNNING");
    rig.create("new", &[]);
    assert_eq!(rig.written("trace").lines().count(), 2);

    obstacle.clear();
    wait_until("the database is read", || names(&rig).len() == 5);
    // The end that nobody saw leads on, once; the place that is free is taken.
    rig.wait_for("ends", "in its next phase", |unit| unit["phase"] != "GOAL");
    rig.wait_for("ends", "over", |unit| unit["phase"] == "IMPLEMENT");
    rig.wait_for("next", "run", |unit| unit["status"] == "RUNNING");
    assert_eq!(rig.show("blocked")["status"], "BLOCKED");
    assert_eq!(rig.show("new")["status"], "READY");
    assert_eq!(rig.run_file("runs"), running);
    for name in ["runs", "next"] {
        rig.write(&format!("go-{name}"), "");
        rig.wait_for(name, "over", |unit| unit["phase"] == "IMPLEMENT");
    }
    for unit in ["ends", "runs", "next"] {
        for phase in ["GOAL", "PLAN"] {
            let line = format!("{unit} {phase}");
            assert_eq!(began(&rig, &line), 1, "{line}\n{}", rig.written("trace"));
        }
    }
    // All of it is on the disk now.
    wait_until("it is written", || database(&rig) == "ok");
    kill_hard(rig.home.owner().unwrap());
    let mut found = names(&rig);
    found.sort();
    assert_eq!(found, ["blocked", "ends", "new", "next", "runs"]);
}

#[test]
fn units_of_a_database_that_is_readable_late_go_on_as_if_nothing_had_been() {
    let place = |rig: &Rig| rig.home.path().join("state/state.sqlite");
    check(|rig| Locked::new(&place(rig)));
    let path = std::cell::OnceCell::new();
    check(|rig| Elsewhere::new(path.get_or_init(|| place(rig))));
}
