//! The database: made, taken over, migrated, damaged, full, newer, locked, taken away.

use std::fs;
use std::path::{Path, PathBuf};

use llama_orch::domain::event::{Event, EventType, Level};
use llama_orch::domain::instance::InstanceName;
use llama_orch::domain::lifecycle::{Desired, Status};
use llama_orch::store::{EventFilter, LivePid, Notice, Opened, Reader, Store, StoreHealth, Write};
use rusqlite::Connection;

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.sqlite")
    }

    fn sql(&self, text: &str) {
        Connection::open(self.path())
            .unwrap()
            .execute_batch(text)
            .unwrap();
    }

    fn open(&self) -> Opened {
        Store::open(&self.path()).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path()).unwrap().unwrap()
    }

    fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_string_lossy().contains(part))
            .collect()
    }
}

fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).unwrap()
}

fn event(id: i64) -> Write {
    Write::Event(Event {
        id,
        at: 100.0 + id as f64,
        instance: Some(name("a")),
        level: Level::Info,
        kind: EventType::Started,
        message: format!("event {id}"),
    })
}

fn desired(instance: &str, desired: Desired) -> Write {
    Write::Desired {
        name: name(instance),
        desired,
        at: 1.0,
    }
}

fn commit(store: &Store, writes: Vec<Write>) {
    store.write(writes).blocking_recv().unwrap();
}

fn event_ids(path: &Path) -> Vec<i64> {
    let reader = Reader::open(path).unwrap().unwrap();
    let filter = EventFilter {
        limit: 100_000,
        ..EventFilter::default()
    };
    reader
        .events(&filter)
        .unwrap()
        .iter()
        .map(|event| event.id)
        .collect()
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let rig = Rig::new();
    let opened = rig.open();
    assert_eq!((opened.notices.len(), opened.next_event_id), (0, 1));
    commit(
        &opened.store,
        vec![desired("a", Desired::Running), event(1), event(2)],
    );
    opened.store.close();
    let opened = rig.open();
    assert_eq!(opened.next_event_id, 3);
    assert_eq!(
        rig.reader().instances().unwrap()[&name("a")].desired,
        Desired::Running
    );
    assert_eq!(event_ids(&rig.path()), [1, 2]);
}

const V1: &str = "CREATE TABLE instances (name TEXT PRIMARY KEY, pid INTEGER, status TEXT,
    health TEXT, start_time REAL, last_health_check REAL, restart_count INTEGER, config_hash TEXT,
    error_message TEXT, updated_at REAL);
  INSERT INTO instances VALUES ('a', 41, 'running', 'healthy', 5.0, 6.0, 2, 'x', NULL, 7.0);
  INSERT INTO instances VALUES ('b', NULL, 'error', 'unknown', NULL, NULL, 5, 'x', 'boom', 8.0);";

const V2: &str = "CREATE TABLE schema_info (key TEXT PRIMARY KEY, value TEXT);
  INSERT INTO schema_info VALUES ('version', '2');
  CREATE TABLE runtime (name TEXT PRIMARY KEY, pid INTEGER, port INTEGER, cmdline TEXT,
    binary_version TEXT, status TEXT, health TEXT, started_at REAL, last_seen_at REAL,
    last_health_ok_at REAL, restart_attempts INTEGER, last_exit_code INTEGER, last_error TEXT);
  INSERT INTO runtime VALUES ('a', 42, 8001, 'llama-server', 'b1', 'running', 'healthy', 5, 6, 6,
    1, NULL, NULL);
  INSERT INTO runtime VALUES ('b', NULL, 8002, NULL, NULL, 'error', 'error', NULL, 6, NULL, 5, 1,
    'boom');
  CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL, instance_name TEXT,
    level TEXT, event_type TEXT, message TEXT, meta_json TEXT);
  CREATE INDEX idx_events_instance ON events(instance_name, ts DESC);
  INSERT INTO events VALUES (7, 9.5, 'a', 'info', 'started', 'hello', '{}');
  CREATE TABLE health_history (id INTEGER PRIMARY KEY, instance_name TEXT REFERENCES instances(name)
    ON DELETE CASCADE, health TEXT, response_time_ms REAL, error_message TEXT, checked_at REAL);
  INSERT INTO health_history VALUES (1, 'a', 'healthy', 1.5, NULL, 9.0);";

const V3: &str = "UPDATE schema_info SET value = '3';
  ALTER TABLE instances ADD COLUMN instance_uid TEXT;
  ALTER TABLE instances ADD COLUMN instance_no TEXT;
  ALTER TABLE instances ADD COLUMN display_name TEXT;
  ALTER TABLE runtime ADD COLUMN instance_uid TEXT;
  ALTER TABLE events ADD COLUMN instance_uid TEXT;
  UPDATE instances SET instance_uid = 'u-' || name;";

#[test]
fn each_version_of_the_predecessor_is_taken_over_once_and_nothing_is_lost() {
    let rows = [
        (vec![V1], 41, Vec::new()),
        (vec![V1, V2], 42, vec![7]),
        (vec![V1, V2, V3], 42, vec![7]),
    ];
    for (texts, pid, events) in rows {
        let rig = Rig::new();
        texts.iter().for_each(|text| rig.sql(text));
        let opened = rig.open();
        let [Notice::TakenOver { backup }] = &opened.notices[..] else {
            unreachable!("{:?}", opened.notices);
        };
        assert!(backup.exists());
        assert_eq!(
            opened.live_pids,
            [LivePid {
                name: "a".to_owned(),
                pid
            }]
        );
        let stored = rig.reader().instances().unwrap();
        assert_eq!(stored[&name("b")].status, Status::Failed);
        assert_eq!(stored[&name("b")].last_error.as_deref(), Some("boom"));
        assert_eq!(stored[&name("b")].restarts, 5);
        assert_eq!(event_ids(&rig.path()), events);
        opened.store.close();
        // Its own tables stay, with every column, and the second opening changes nothing.
        let connection = Connection::open(rig.path()).unwrap();
        let kept: i64 = connection
            .query_row("SELECT count(*) FROM legacy_instances", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(kept, 2);
        assert!(rig.open().notices.is_empty());
    }
}

#[test]
fn a_damaged_database_is_moved_aside_and_a_sound_backup_restored() {
    let rig = Rig::new();
    rig.sql(V1);
    let opened = rig.open();
    opened.store.close();
    for garbage in [vec![7; 20_000], b"not a database".to_vec()] {
        for companion in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{companion}", rig.path().display())).ok();
        }
        fs::write(rig.path(), garbage).unwrap();
        let opened = rig.open();
        assert!(
            matches!(
                &opened.notices[0],
                Notice::MovedAside {
                    restored: Some(_),
                    ..
                }
            ),
            "{:?}",
            opened.notices
        );
        assert_eq!(opened.store.state().health, StoreHealth::Ok);
        assert!(rig.reader().instances().unwrap().contains_key(&name("a")));
        opened.store.close();
    }
    assert!(!rig.files("damaged-").is_empty());
    assert!(rig.files("backup-").len() <= 3);
}

#[test]
fn a_newer_database_is_left_alone() {
    let rig = Rig::new();
    rig.open().store.close();
    rig.sql("PRAGMA user_version = 99");
    let opened = rig.open();
    assert!(matches!(
        opened.notices[..],
        [Notice::NewerVersion { found: 99, .. }]
    ));
    commit(&opened.store, vec![desired("a", Desired::Running)]);
    assert!(matches!(
        opened.store.state().health,
        StoreHealth::ReadOnly { .. }
    ));
    assert!(rig.reader().instances().unwrap().is_empty());
}

#[test]
fn a_database_that_is_taken_away_is_made_anew() {
    let rig = Rig::new();
    let opened = rig.open();
    commit(&opened.store, vec![desired("a", Desired::Running)]);
    rig.files("state.sqlite")
        .iter()
        .for_each(|path| fs::remove_file(path).unwrap());
    commit(&opened.store, vec![desired("b", Desired::Running)]);
    assert_eq!(opened.store.state().incarnation, 1);
    assert_eq!(opened.store.state().health, StoreHealth::Ok);
    let stored = rig.reader().instances().unwrap();
    assert_eq!(
        stored.keys().map(InstanceName::as_str).collect::<Vec<_>>(),
        ["b"]
    );
}

#[test]
fn a_locked_database_keeps_writes_in_memory_until_it_is_free() {
    let rig = Rig::new();
    let opened = rig.open();
    commit(&opened.store, vec![desired("a", Desired::Stopped)]);
    let other = Connection::open(rig.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    commit(&opened.store, vec![event(1)]);
    assert!(matches!(
        opened.store.state().health,
        StoreHealth::Degraded { queued: 1, .. }
    ));
    other.execute_batch("COMMIT").unwrap();
    commit(&opened.store, vec![event(2)]);
    assert_eq!(opened.store.state().health, StoreHealth::Ok);
    assert_eq!(event_ids(&rig.path()), [1, 2]);
}

#[test]
fn old_events_are_forgotten() {
    let rig = Rig::new();
    let opened = rig.open();
    commit(&opened.store, vec![desired("a", Desired::Stopped)]);
    commit(&opened.store, (1..=50).map(event).collect());
    commit(
        &opened.store,
        vec![Write::Prune {
            before: 110.0,
            rows: 1000,
        }],
    );
    assert_eq!(event_ids(&rig.path()), (10..=50).collect::<Vec<_>>());
    commit(
        &opened.store,
        vec![Write::Prune {
            before: 0.0,
            rows: 5,
        }],
    );
    assert_eq!(event_ids(&rig.path()), (46..=50).collect::<Vec<_>>());
}

#[test]
fn a_reader_works_while_a_writer_writes_and_without_any_database() {
    let rig = Rig::new();
    assert!(Reader::open(&rig.path()).unwrap().is_none());
    let opened = rig.open();
    commit(
        &opened.store,
        vec![desired("a", Desired::Running), event(1)],
    );
    let reader = rig.reader();
    commit(&opened.store, vec![event(2)]);
    let filter = EventFilter {
        limit: 10,
        ..EventFilter::default()
    };
    assert_eq!(reader.events(&filter).unwrap().len(), 2);
}
