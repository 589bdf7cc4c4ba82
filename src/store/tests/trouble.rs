//! Full disks, locks, deletion and damage while the owner works.

use std::fs;
use std::time::Duration;

use super::{
    Home, Notice, Options, Saved, StoreHealth, close, event_write, name, next_notice, raw,
    wait_for_health, wish,
};
use crate::domain::lifecycle::Desired;
use crate::store::{StoreError, Write, held::Held};

fn degraded(health: &StoreHealth) -> bool {
    matches!(health, StoreHealth::Degraded { .. })
}

/// Lets the database grow by no page more, as a full disk does.
fn fill_up(connection: &mut rusqlite::Connection) {
    let pages: i64 = connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .expect("a count");
    connection
        .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        .expect("a limit");
}

fn make_room(connection: &mut rusqlite::Connection) {
    connection
        .query_row("PRAGMA max_page_count = 4294967294", [], |_| Ok(()))
        .expect("no limit");
}

#[test]
fn a_full_disk_loses_nothing() {
    let home = Home::new();
    let mut opened = home.open_eager();
    let store = &opened.store;
    store.provoke(fill_up);
    let mut held = 0;
    for id in 1..=2_000 {
        let reply = store.save_all(vec![event_write(id)]).wait();
        held += i64::from(reply.expect("accepted") == Saved::InMemory);
    }
    assert!(held > 1_000, "{held}");
    let StoreHealth::Degraded { why, queued, lost } = store.health() else {
        unreachable!("{:?}", store.health());
    };
    assert!(why.starts_with("the disk is full"), "{why}");
    assert_eq!((i64::try_from(queued), lost), (Ok(held), 0));
    assert_eq!(wish(store, "a", Desired::Running), Saved::InMemory);

    store.provoke(make_room);
    wait_for_health(store, |health| *health == StoreHealth::Ok);
    let written = usize::try_from(held).expect("a count") + 1;
    let recovered = Notice::Recovered { written, lost: 0 };
    assert_eq!(next_notice(&mut opened.later), recovered);
    let complete = "SELECT count(*) = 2000 AND max(id) = 2000 FROM events";
    assert!(home.value::<bool>(complete));
    assert_eq!(wish(store, "a", Desired::Stopped), Saved::OnDisk);
    close(store);
}

#[test]
fn what_cannot_be_stored_before_the_end_is_said() {
    let home = Home::new();
    let opened = home.open_with(Options {
        retry_every: Duration::from_secs(3_600),
        ..Options::default()
    });
    opened.store.provoke(fill_up);
    let writes = (1..=2_000).map(event_write).collect();
    let saved = opened.store.save_all(writes).wait().expect("accepted");
    assert_eq!(saved, Saved::InMemory);
    let end = opened.store.close().wait();
    assert!(matches!(end, Err(StoreError::Unsaved { rows: 2_000, .. })));
}

#[test]
fn memory_is_bounded_and_wishes_are_dropped_last() {
    let home = Home::new();
    let wished = |text: &str, desired| {
        Write::Desired(crate::store::DesiredWrite {
            name: name(text),
            config_path: None,
            desired,
            at: 0.0,
        })
    };
    let mut held = Held::new(10);
    held.hold(wished("a", Desired::Running));
    for id in 1..=100 {
        held.hold(event_write(id));
    }
    held.hold(wished("a", Desired::Stopped));
    assert_eq!((held.len(), held.lost()), (10, 91));
    let first = held.first(20);
    assert_eq!(*first[0], event_write(92));
    assert_eq!(*first[9], wished("a", Desired::Stopped));
    drop(home);
}

#[test]
fn a_lock_of_another_program_is_waited_out_in_memory() {
    let home = Home::new();
    let opened = home.open_eager();
    let other = raw(&home.path());
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert_eq!(wish(&opened.store, "a", Desired::Running), Saved::InMemory);
    let StoreHealth::Degraded { why, .. } = opened.store.health() else {
        unreachable!("{:?}", opened.store.health());
    };
    assert!(why.contains("locked by another program"), "{why}");
    other.execute_batch("COMMIT").expect("an end");
    wait_for_health(&opened.store, |health| *health == StoreHealth::Ok);
    let running = "SELECT count(*) FROM instances WHERE desired_state = 'running'";
    assert_eq!(home.value::<i64>(running), 1);
    close(&opened.store);
}

#[test]
fn a_short_lock_is_not_even_noticed() {
    let home = Home::new();
    let opened = home.open();
    let other = raw(&home.path());
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let reply = opened.store.save_all(vec![event_write(1)]);
    other.execute_batch("COMMIT").expect("an end");
    assert_eq!(reply.wait().expect("stored"), Saved::OnDisk);
    assert_eq!(opened.store.health(), StoreHealth::Ok);
    close(&opened.store);
}

#[test]
fn a_deleted_database_is_written_again_with_everything_in_it() {
    type Delete = fn(&Home);
    let rows: [(&str, Delete); 2] = [
        ("the file alone", |home| {
            fs::remove_file(home.path()).expect("a file");
        }),
        ("with its journal", |home| {
            for file in home.files("state.sqlite") {
                fs::remove_file(file).expect("a file");
            }
        }),
    ];
    for (what, delete) in rows {
        let home = Home::new();
        let mut opened = home.open();
        wish(&opened.store, "a", Desired::Running);
        delete(&home);
        let saved = opened.store.save_all(vec![event_write(1)]).wait();
        assert_eq!(saved.expect("stored"), Saved::OnDisk, "{what}");
        assert_eq!(next_notice(&mut opened.later), Notice::DeletedWhileRunning);
        assert_eq!(opened.store.health(), StoreHealth::Ok, "{what}");
        close(&opened.store);
        let again = home.open();
        assert_eq!(again.notices, [], "{what}");
        assert_eq!(again.stored.desired[&name("a")], Desired::Running, "{what}");
        assert_eq!(again.stored.next_event_id, 2, "{what}");
        close(&again.store);
    }
}

#[test]
fn a_deleted_folder_is_waited_for() {
    let home = Home::new();
    let opened = home.open_eager();
    wish(&opened.store, "a", Desired::Running);
    fs::remove_dir_all(home.folder.path()).expect("a folder");
    assert_eq!(wish(&opened.store, "b", Desired::Running), Saved::InMemory);
    assert!(degraded(&opened.store.health()));
    fs::create_dir(home.folder.path()).expect("a folder");
    wait_for_health(&opened.store, |health| *health == StoreHealth::Ok);
    close(&opened.store);
    assert_eq!(home.stored().desired.len(), 2);
}

#[test]
fn a_replaced_database_is_used_from_then_on() {
    let home = Home::new();
    let mut opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    let backup = opened.store.back_up().wait().expect("a backup");
    wish(&opened.store, "b", Desired::Running);
    fs::rename(backup, home.path()).expect("a restored backup");
    assert_eq!(wish(&opened.store, "c", Desired::Running), Saved::OnDisk);
    let Notice::ReplacedWhileRunning { backup } = next_notice(&mut opened.later) else {
        unreachable!("the only thing that happened");
    };
    let kept = super::value::<i64>(&backup.expect("a copy"), "SELECT count(*) FROM instances");
    assert_eq!(kept, 2);
    close(&opened.store);
    let desired = home.stored().desired;
    assert!(desired.contains_key(&name("a")) && desired.contains_key(&name("c")));
    assert!(!desired.contains_key(&name("b")));
}

#[test]
fn damage_met_while_writing_is_moved_aside() {
    let home = Home::new();
    let mut opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    // A schema that contradicts its file is what SQLite calls corrupt.
    opened.store.provoke(|connection| {
        connection
            .execute_batch(
                "PRAGMA writable_schema = ON;
                 UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'events';
                 PRAGMA writable_schema = RESET;",
            )
            .expect("vandalism");
    });
    let saved = opened.store.save_all(vec![event_write(1)]).wait();
    assert_eq!(saved.expect("stored"), Saved::OnDisk);
    let Notice::CorruptMovedAside { intents, .. } = next_notice(&mut opened.later) else {
        unreachable!("the only thing that happened");
    };
    assert_eq!(intents, 1);
    assert_eq!(opened.store.health(), StoreHealth::Ok);
    close(&opened.store);
    assert_eq!(home.stored().desired[&name("a")], Desired::Running);
}
