//! The databases of the Python llama-orch.

use std::collections::BTreeSet;

use super::{Home, Notice, close, name, raw, wish};
use crate::domain::event::EventFilter;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::store::{Reader, Write};

const V1: &str = "
    CREATE TABLE instances (name TEXT PRIMARY KEY, pid INTEGER, status TEXT, health TEXT,
        start_time REAL, last_health_check REAL, restart_count INTEGER, config_hash TEXT,
        error_message TEXT, updated_at REAL);
    INSERT INTO instances VALUES
        ('alive', 4242, 'running', 'healthy', 100.5, 200.5, 3, 'abc', NULL, 300.5),
        ('dead', NULL, 'stopped', 'unknown', NULL, NULL, 0, 'def', '', 301),
        ('broken', 17, 'error', 'error', 100, 200, NULL, NULL, 'no model', NULL),
        ('Not A Name', 5, 'running', 'healthy', 1, 1, 0, '', '', 1);";

const V2_REST: &str = "
    CREATE TABLE schema_info (key TEXT PRIMARY KEY, value TEXT);
    INSERT INTO schema_info VALUES ('version', '2');
    CREATE TABLE runtime (name TEXT PRIMARY KEY, pid INTEGER, port INTEGER, cmdline TEXT,
        binary_version TEXT, status TEXT, health TEXT, started_at REAL, last_seen_at REAL,
        last_health_ok_at REAL, restart_attempts INTEGER, last_exit_code INTEGER,
        last_error TEXT);
    INSERT INTO runtime VALUES
        ('alive', 4343, 8001, 'llama-server --port 8001', 'b9000', 'running', 'healthy',
            110, 210, 211, 4, NULL, NULL),
        ('only-here', NULL, 8002, NULL, NULL, 'error', 'unhealthy', NULL, NULL, NULL, 1, -9,
            'killed');
    CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL, instance_name TEXT,
        level TEXT, event_type TEXT, message TEXT, meta_json TEXT);
    CREATE INDEX idx_events_instance ON events(instance_name, ts DESC);
    CREATE INDEX idx_events_level ON events(level, ts DESC);
    INSERT INTO events VALUES
        (3, 50, 'alive', 'info', 'started', 'up', '{\"a\": 1}'),
        (9, 60, 'long-gone', 'error', 'health_change', 'down', NULL),
        (11, 61, NULL, 'warning', 'error', 'odd', NULL);
    CREATE TABLE health_history (id INTEGER PRIMARY KEY AUTOINCREMENT, instance_name TEXT,
        health TEXT, response_time_ms REAL, error_message TEXT, checked_at REAL,
        FOREIGN KEY (instance_name) REFERENCES instances(name) ON DELETE CASCADE);
    INSERT INTO health_history (instance_name, health, response_time_ms, checked_at) VALUES
        ('alive', 'healthy', 1.5, 51), ('dead', 'unhealthy', NULL, 52);";

const V3_CHANGES: &str = "
    UPDATE schema_info SET value = '3';
    ALTER TABLE instances ADD COLUMN instance_uid TEXT;
    ALTER TABLE instances ADD COLUMN instance_no TEXT;
    ALTER TABLE instances ADD COLUMN display_name TEXT;
    ALTER TABLE runtime ADD COLUMN instance_uid TEXT;
    ALTER TABLE runtime ADD COLUMN instance_no TEXT;
    ALTER TABLE runtime ADD COLUMN display_name TEXT;
    ALTER TABLE events ADD COLUMN instance_uid TEXT;
    ALTER TABLE health_history ADD COLUMN instance_uid TEXT;
    UPDATE instances SET instance_uid = 'uid-' || name, instance_no = '007',
        display_name = 'The ' || name;
    UPDATE runtime SET instance_uid = 'uid-' || name, instance_no = '007',
        display_name = 'The ' || name WHERE name = 'alive';
    UPDATE events SET instance_uid = 'uid-' || instance_name WHERE instance_name = 'alive';
    UPDATE health_history SET instance_uid = 'uid-' || instance_name;";

fn home_of(version: i64) -> Home {
    let home = Home::new();
    home.sql(V1);
    if version >= 2 {
        home.sql(V2_REST);
    }
    if version >= 3 {
        home.sql(V3_CHANGES);
    }
    home
}

fn legacy_tables(home: &Home) -> BTreeSet<String> {
    raw(&home.path())
        .prepare("SELECT name FROM sqlite_schema WHERE name LIKE 'legacy_%' AND type = 'table'")
        .and_then(|mut statement| {
            let names = statement.query_map([], |row| row.get(0))?;
            names.collect()
        })
        .expect("names")
}

#[test]
fn every_predecessor_is_backed_up_and_taken_over_once() {
    for version in 1..=3 {
        let home = home_of(version);
        let opened = home.open();
        let [
            Notice::PredecessorMigrated {
                version: found,
                backup,
            },
        ] = &opened.notices[..]
        else {
            unreachable!("{:?}", opened.notices);
        };
        assert_eq!(*found, version);
        let rows = "SELECT count(*) FROM instances WHERE config_hash = 'abc'";
        assert_eq!(super::value::<i64>(backup, rows), 1);
        let stored = &opened.stored;
        assert!(stored.desired.is_empty(), "nobody has said what is wanted");
        assert_eq!(stored.runtime[&name("broken")].status, Status::Failed);
        let error = stored.runtime[&name("broken")].last_error.as_deref();
        assert_eq!(error, Some("no model"));
        assert_eq!(stored.runtime[&name("dead")].status, Status::Stopped);
        assert_eq!(
            home.value::<i64>("SELECT count(*) FROM pragma_foreign_key_check"),
            0
        );
        assert_eq!(home.value::<String>("PRAGMA integrity_check"), "ok");
        close(&opened.store);
        assert_eq!(home.notices(), []);
        assert_eq!(home.files(".predecessor-").len(), 1);
    }
}

#[test]
fn version_one_becomes_runtime_rows() {
    let home = home_of(1);
    let stored = home.stored();
    let alive = &stored.runtime[&name("alive")];
    assert_eq!((alive.pid, alive.status), (Some(4242), Status::Running));
    assert_eq!(alive.health, Health::Healthy);
    assert_eq!(
        (alive.started_at, alive.last_seen_at),
        (Some(100.5), Some(200.5))
    );
    assert_eq!(alive.restart_attempts, 3);
    assert_eq!(stored.next_event_id, 1);
    // The hash of a configuration has no place with us.
    assert_eq!(legacy_tables(&home), ["legacy_instances".to_owned()].into());
    assert_eq!(home.value::<i64>("SELECT count(*) FROM instances"), 4);
    let pids: Vec<_> = stored.predecessors.iter().map(|one| one.pid).collect();
    assert_eq!(pids, [4242, 17]);
}

#[test]
fn version_two_keeps_events_history_and_the_fresher_state() {
    let home = home_of(2);
    let stored = home.stored();
    let alive = &stored.runtime[&name("alive")];
    assert_eq!((alive.pid, alive.port), (Some(4343), Some(8001)));
    assert_eq!((alive.restart_attempts, alive.started_at), (4, Some(110.0)));
    let only = &stored.runtime[&name("only-here")];
    assert_eq!(
        (only.status, only.last_exit_code),
        (Status::Failed, Some(-9))
    );
    // The tables disagree on the pid; the caller looks at both.
    let alive_pids: Vec<_> = stored
        .predecessors
        .iter()
        .filter(|one| one.name == name("alive"))
        .map(|one| (one.pid, one.port, one.started_at))
        .collect();
    let expected = [(4242, None, Some(100.5)), (4343, Some(8001), Some(110.0))];
    assert_eq!(alive_pids, expected);
    assert_eq!(stored.next_event_id, 12);
    let reader = Reader::open(&home.path())
        .expect("readable")
        .expect("there");
    let events = reader.events(&EventFilter::default()).expect("events");
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [3, 9, 11]);
    assert_eq!(events[0].meta_json.as_deref(), Some("{\"a\": 1}"));
    assert_eq!(events[1].instance.as_deref(), Some("long-gone"));
    assert_eq!(events[1].kind, "health_change");
    assert_eq!(home.value::<i64>("SELECT count(*) FROM health_history"), 2);
    let kept = [
        "legacy_instances".to_owned(),
        "legacy_schema_info".to_owned(),
    ];
    assert_eq!(legacy_tables(&home), kept.into());
}

#[test]
fn version_three_keeps_its_labels() {
    let home = home_of(3);
    close(&home.open().store);
    let label = "SELECT instance_uid || instance_no || display_name FROM instances
                 WHERE name = 'alive'";
    assert_eq!(home.value::<String>(label), "uid-alive007The alive");
    let kept = [
        "legacy_instances".to_owned(),
        "legacy_schema_info".to_owned(),
    ];
    assert_eq!(legacy_tables(&home), kept.into());
}

#[test]
fn what_has_no_place_with_us_stays_in_a_renamed_table() {
    let rows = [
        (
            "ALTER TABLE events ADD COLUMN severity INTEGER",
            "legacy_events",
        ),
        (
            "UPDATE events SET instance_uid = 'another' WHERE id = 3",
            "legacy_events",
        ),
        (
            "INSERT INTO health_history (health) VALUES ('x')",
            "legacy_health_history",
        ),
        ("CREATE TABLE runs (x)", "legacy_runs"),
        (
            "CREATE TABLE notes (x); INSERT INTO notes VALUES (1)",
            "legacy_instances",
        ),
    ];
    for (sql, kept) in rows {
        let home = home_of(3);
        home.sql(sql);
        close(&home.open().store);
        assert!(legacy_tables(&home).contains(kept), "{sql}");
        let copied = "SELECT count(*) FROM events";
        assert_eq!(home.value::<i64>(copied), 3, "{sql}");
        if sql.contains("notes") {
            assert_eq!(home.value::<i64>("SELECT x FROM notes"), 1);
        }
    }
}

#[test]
fn odd_values_are_taken_over_as_well_as_they_can_be() {
    let home = home_of(2);
    home.sql(
        "UPDATE instances SET updated_at = '2025-01-02T03:04:05' WHERE name = 'dead';
         UPDATE runtime SET started_at = 'soon', port = 'eight', restart_attempts = NULL
            WHERE name = 'alive';
         INSERT INTO events (id, level, instance_name) VALUES (20, NULL, 'alive');",
    );
    let stored = home.stored();
    let alive = &stored.runtime[&name("alive")];
    assert_eq!((alive.started_at, alive.restart_attempts), (Some(100.5), 3));
    assert_eq!(stored.next_event_id, 21);
    let updated = "SELECT CAST(updated_at AS INTEGER) FROM instances WHERE name = 'dead'";
    assert_eq!(home.value::<i64>(updated), 1_735_787_045);
}

#[test]
fn a_decision_settles_the_predecessors_processes() {
    let home = home_of(2);
    let opened = home.open();
    assert_eq!(opened.stored.predecessors.len(), 3);
    wish(&opened.store, "alive", Desired::Running);
    opened.store.save(Write::PredecessorSettled(name("broken")));
    close(&opened.store);
    assert_eq!(home.stored().predecessors, []);
}

#[test]
fn a_reader_shows_an_old_database_and_leaves_it_alone() {
    let home = home_of(3);
    let before = std::fs::read(home.path()).expect("a file");
    let reader = Reader::open(&home.path())
        .expect("readable")
        .expect("there");
    let runtime = reader.runtime_all().expect("rows");
    assert_eq!(runtime[&name("alive")].pid, Some(4343));
    drop(reader);
    assert_eq!(std::fs::read(home.path()).expect("a file"), before);
    assert_eq!(home.files("state").len(), 1);
}
