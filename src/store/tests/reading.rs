//! Readers without an owner, beside an owner, and in places that cannot be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::{Home, Saved, StoreHealth, close, event, event_write, name, running, wish};
use crate::domain::event::EventFilter;
use crate::domain::event::{EventType, Level};
use crate::domain::lifecycle::Desired;
use crate::store::{Notice, Reader, StoreError, Write};

fn reader(home: &Home) -> Reader {
    Reader::open(&home.path())
        .expect("readable")
        .expect("a database")
}

/// Runs work in a thread that obeys file modes even when the tests run as root.
fn without_privileges(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut sets = capabilities(None).expect("our capabilities");
            let over = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            sets.effective.remove(over);
            set_capabilities(None, sets).expect("fewer capabilities");
            work();
        });
        worker.join().expect("a finished thread");
    });
}

fn set_mode(home: &Home, file_mode: u32, folder_mode: u32) {
    for path in home.files("state.sqlite") {
        fs::set_permissions(path, Permissions::from_mode(file_mode)).expect("a mode");
    }
    fs::set_permissions(home.folder.path(), Permissions::from_mode(folder_mode)).expect("a mode");
}

#[test]
fn no_database_is_not_an_error() {
    let home = Home::new();
    assert!(Reader::open(&home.path()).expect("fine").is_none());
    fs::write(home.path(), "").expect("a file");
    assert!(Reader::open(&home.path()).expect("fine").is_none());
    fs::write(home.path(), "no database".repeat(100)).expect("a file");
    assert!(matches!(
        Reader::open(&home.path()),
        Err(StoreError::Sqlite { .. })
    ));
}

#[test]
fn a_reader_sees_every_commit_of_a_working_owner() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    let reader = reader(&home);
    let after = |id| EventFilter {
        after_id: Some(id),
        limit: Some(1_000),
        ..EventFilter::default()
    };
    let mut seen = 0;
    for id in 1..=200 {
        opened
            .store
            .save_all(vec![event_write(id)])
            .wait()
            .expect("stored");
        let new = reader.events(&after(seen)).expect("events");
        assert_eq!(new.len(), 1);
        seen = new[0].id;
    }
    assert_eq!(seen, 200);
    assert_eq!(reader.desired_all().expect("wishes").len(), 1);
    close(&opened.store);
}

#[test]
fn readers_in_other_threads_never_disturb_the_writer() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    reader(&home)
                        .events(&EventFilter::default())
                        .expect("events");
                }
            });
        }
        for id in 1..=500 {
            let saved = opened.store.save_all(vec![event_write(id)]).wait();
            assert_eq!(saved.expect("stored"), Saved::OnDisk);
        }
    });
    assert_eq!(opened.store.health(), StoreHealth::Ok);
    close(&opened.store);
}

#[test]
fn events_are_filtered() {
    let home = Home::new();
    let opened = home.open();
    for id in 1..=8 {
        let mut happened = event(id, if id % 2 == 0 { "a" } else { "b" }, "x");
        (happened.level, happened.kind) = match id {
            3 | 4 => (Level::Warning, EventType::Crashed),
            5 | 6 => (Level::Error, EventType::GaveUp),
            _ => (Level::Info, EventType::Started),
        };
        opened.store.save(happened);
    }
    close(&opened.store);
    let all = EventFilter::default();
    let rows = [
        (all.clone(), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (
            EventFilter {
                limit: Some(3),
                ..all.clone()
            },
            vec![6, 7, 8],
        ),
        (
            EventFilter {
                after_id: Some(2),
                limit: Some(3),
                ..all.clone()
            },
            vec![3, 4, 5],
        ),
        (
            EventFilter {
                instance: Some(name("a")),
                ..all.clone()
            },
            vec![2, 4, 6, 8],
        ),
        (
            EventFilter {
                level: Some(Level::Warning),
                ..all.clone()
            },
            vec![3, 4, 5, 6],
        ),
        (
            EventFilter {
                level: Some(Level::Error),
                ..all.clone()
            },
            vec![5, 6],
        ),
        (
            EventFilter {
                kinds: vec![EventType::Crashed, EventType::GaveUp],
                ..all.clone()
            },
            vec![3, 4, 5, 6],
        ),
        (
            EventFilter {
                since: Some(7.0),
                ..all.clone()
            },
            vec![7, 8],
        ),
        (
            EventFilter {
                instance: Some(name("b")),
                level: Some(Level::Warning),
                since: Some(4.0),
                ..all
            },
            vec![5],
        ),
    ];
    let reader = reader(&home);
    for (filter, expected) in rows {
        let events = reader.events(&filter).expect("events");
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

#[test]
fn a_database_in_a_read_only_folder_is_read_with_and_without_a_journal() {
    type Prepare = fn(&Home) -> Option<crate::store::Store>;
    let rows: [(&str, Prepare); 2] = [
        ("closed cleanly", |_| None),
        ("journal of a working owner", |home| {
            let opened = home.open();
            opened.store.save(Write::Runtime {
                name: name("a"),
                row: running(77),
                at: 1.0,
            });
            opened.store.flush().wait().expect("stored");
            Some(opened.store)
        }),
    ];
    for (what, prepare) in rows {
        let home = Home::new();
        let opened = home.open();
        wish(&opened.store, "a", Desired::Running);
        close(&opened.store);
        let owner = prepare(&home);
        let before = home.files("state").len();
        set_mode(&home, 0o444, 0o555);
        without_privileges(|| {
            let reader = reader(&home);
            assert_eq!(reader.desired_all().expect("wishes").len(), 1, "{what}");
            let runtime = reader.runtime_all().expect("rows");
            assert_eq!(runtime.len(), usize::from(owner.is_some()), "{what}");
        });
        set_mode(&home, 0o600, 0o700);
        assert_eq!(home.files("state").len(), before, "{what}");
        if let Some(owner) = owner {
            close(&owner);
        }
    }
}

#[test]
fn a_journal_left_behind_is_read_where_its_index_cannot_be_made() {
    let working = Home::new();
    let opened = working.open();
    wish(&opened.store, "a", Desired::Running);
    let left = Home::new();
    for file in ["state.sqlite", "state.sqlite-wal"] {
        let [from, to] = [&working, &left].map(|home| home.folder.path().join(file));
        fs::copy(from, to).expect("a copy");
    }
    close(&opened.store);
    set_mode(&left, 0o600, 0o555);
    let bytes = || {
        let files = left.files("state");
        files
            .iter()
            .map(|file| fs::read(file).expect("a file"))
            .collect::<Vec<_>>()
    };
    let before = bytes();
    without_privileges(|| {
        let wishes = reader(&left).desired_all().expect("wishes");
        assert_eq!(wishes.len(), 1);
    });
    assert_eq!(bytes(), before);
    set_mode(&left, 0o600, 0o700);
}

#[test]
fn an_owner_of_a_read_only_folder_works_in_memory_until_it_can_write() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    close(&opened.store);
    set_mode(&home, 0o444, 0o555);
    without_privileges(|| {
        let opened = home.open_eager();
        assert!(matches!(opened.notices[..], [Notice::Unavailable { .. }]));
        assert!(matches!(
            opened.store.health(),
            StoreHealth::Degraded { .. }
        ));
        // What is stored is known all the same.
        assert_eq!(opened.stored.desired[&name("a")], Desired::Running);
        assert_eq!(wish(&opened.store, "a", Desired::Stopped), Saved::InMemory);
        set_mode(&home, 0o600, 0o700);
        super::wait_for_health(&opened.store, |health| *health == StoreHealth::Ok);
        close(&opened.store);
    });
    assert_eq!(home.stored().desired[&name("a")], Desired::Stopped);
}
