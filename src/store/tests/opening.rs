//! Fresh, known, older, newer and damaged files.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use rusqlite::Connection;

use super::{Home, Notice, StoreHealth, close, name, raw, wish};
use crate::domain::lifecycle::Desired;
use crate::store::{Reader, Saved, StoreError, schema};

#[test]
fn a_missing_database_is_created_private_strict_and_journaled() {
    let home = Home::new();
    let opened = home.open();
    assert_eq!(opened.notices, [Notice::Created]);
    assert_eq!(opened.stored.next_event_id, 1);
    assert_eq!(opened.store.health(), StoreHealth::Ok);
    let mode = fs::metadata(home.path()).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let rows = [
        ("SELECT journal_mode = 'wal' FROM pragma_journal_mode", 1),
        (
            "SELECT user_version FROM pragma_user_version",
            schema::KNOWN,
        ),
        ("SELECT max(version) FROM schema_migrations", schema::KNOWN),
        (
            "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND NOT strict
                AND name NOT LIKE 'sqlite_%'",
            0,
        ),
    ];
    for (sql, expected) in rows {
        assert_eq!(home.value::<i64>(sql), expected, "{sql}");
    }
    close(&opened.store);
}

#[test]
fn a_reopened_database_remembers_and_reports_nothing() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    close(&opened.store);
    let again = home.open();
    assert_eq!(again.notices, []);
    assert_eq!(again.stored.desired[&name("a")], Desired::Running);
    close(&again.store);
}

#[test]
fn every_older_version_is_backed_up_and_migrated() {
    for from in 1..schema::KNOWN {
        let home = Home::new();
        let mut old = raw(&home.path());
        let steps = usize::try_from(from).expect("a small number");
        schema::migrate_up_to(&mut old, steps, 1.0).expect("an older database");
        old.execute_batch(
            "INSERT INTO instances (name, desired_state, created_at, updated_at)
             VALUES ('a', 'running', 1, 1)",
        )
        .expect("a row");
        drop(old);
        let opened = home.open();
        let [
            Notice::Migrated {
                from: found,
                to,
                backup,
            },
        ] = &opened.notices[..]
        else {
            unreachable!("{:?}", opened.notices);
        };
        assert_eq!((*found, *to), (from, schema::KNOWN));
        assert_eq!(super::value::<i64>(backup, "PRAGMA user_version"), from);
        assert_eq!(opened.stored.desired[&name("a")], Desired::Running);
        assert_eq!(home.value::<i64>("SELECT count(*) FROM work_units"), 0);
        close(&opened.store);
    }
}

#[test]
fn only_the_newest_three_backups_are_kept() {
    let home = Home::new();
    let opened = home.open();
    let made: Vec<_> = (0..5)
        .map(|_| opened.store.back_up().wait().expect("a backup"))
        .collect();
    assert_eq!(home.files(".backup-"), made[2..]);
    close(&opened.store);
}

#[test]
fn a_newer_database_is_read_and_never_written() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    close(&opened.store);
    home.sql("PRAGMA user_version = 99");
    let before = fs::read(home.path()).expect("a file");

    let opened = home.open();
    let newer = Notice::NewerVersion {
        found: 99,
        known: schema::KNOWN,
    };
    assert_eq!(opened.notices, [newer]);
    assert!(matches!(
        opened.store.health(),
        StoreHealth::ReadOnly { .. }
    ));
    assert_eq!(opened.stored.desired[&name("a")], Desired::Running);
    let refused = opened
        .store
        .set_desired(name("a"), None, Desired::Stopped, 6.0)
        .wait();
    assert!(matches!(refused, Err(StoreError::Newer { found: 99, .. })));
    close(&opened.store);
    assert_eq!(fs::read(home.path()).expect("a file"), before);
}

/// Makes a database with 200 wishes and more events than fit on few pages.
fn filled(home: &Home) {
    let opened = home.open();
    for number in 0..200 {
        wish(
            &opened.store,
            &format!("instance-{number}"),
            Desired::Running,
        );
    }
    let writes = (1..2_000).map(super::event_write).collect();
    let saved = opened.store.save_all(writes).wait().expect("events");
    assert_eq!(saved, Saved::OnDisk);
    close(&opened.store);
}

fn overwrite(home: &Home, offset: u64, length: usize) {
    let file = fs::OpenOptions::new().write(true).open(home.path());
    let noise: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8 + 1).collect();
    file.expect("a file")
        .write_all_at(&noise, offset)
        .expect("a write");
}

fn truncate(home: &Home, length: u64) {
    let file = fs::OpenOptions::new().write(true).open(home.path());
    file.expect("a file").set_len(length).expect("a cut");
}

#[test]
fn a_damaged_database_is_moved_aside_and_replaced() {
    type Damage = fn(&Home);
    let rows: [(&str, Damage); 4] = [
        ("noise in the header", |home| overwrite(home, 0, 100)),
        ("noise in every later page", |home| {
            let length = fs::metadata(home.path()).expect("a file").len();
            overwrite(home, 4096, usize::try_from(length - 4096).expect("small"));
        }),
        ("half a file", |home| {
            let length = fs::metadata(home.path()).expect("a file").len();
            truncate(home, length / 2);
        }),
        ("not a database", |home| {
            fs::write(home.path(), "all work and no play\n".repeat(500)).expect("a file");
        }),
    ];
    for (what, damage) in rows {
        let home = Home::new();
        filled(&home);
        damage(&home);
        let opened = home.open();
        let [
            Notice::CorruptMovedAside {
                to, restored_from, ..
            },
        ] = &opened.notices[..]
        else {
            unreachable!("{what}: {:?}", opened.notices);
        };
        assert!(to.exists(), "{what}");
        assert_eq!(*restored_from, None, "{what}");
        assert_eq!(opened.store.health(), StoreHealth::Ok, "{what}");
        // Numbers of lost events are not given again.
        assert!(opened.stored.next_event_id > 2_000, "{what}");
        assert_eq!(wish(&opened.store, "a", Desired::Running), Saved::OnDisk);
        close(&opened.store);
        assert_eq!(home.notices(), [], "{what}");
    }
}

#[test]
fn wishes_survive_damage_that_spares_them() {
    let home = Home::new();
    filled(&home);
    let root: u64 = home
        .value::<i64>("SELECT rootpage FROM sqlite_schema WHERE name = 'events'")
        .try_into()
        .expect("a page number");
    overwrite(&home, (root - 1) * 4096, 4096);
    let opened = home.open();
    let [Notice::CorruptMovedAside { intents, .. }] = &opened.notices[..] else {
        unreachable!("{:?}", opened.notices);
    };
    assert_eq!(*intents, 200);
    assert_eq!(opened.stored.desired.len(), 200);
    close(&opened.store);
}

#[test]
fn damage_in_a_large_database_is_found_beside_the_work() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    let long = "x".repeat(1_000);
    for id in 1..=6_000 {
        opened.store.save(super::event(id, "a", &long));
    }
    close(&opened.store);
    let length = fs::metadata(home.path()).expect("a file").len();
    overwrite(&home, length / 2 / 4096 * 4096, 4096);
    let mut opened = home.open();
    assert_eq!(opened.notices, []);
    let Notice::CorruptMovedAside { intents, .. } = super::next_notice(&mut opened.later) else {
        unreachable!("the only thing that happened");
    };
    assert_eq!(intents, 1);
    assert_eq!(wish(&opened.store, "b", Desired::Running), Saved::OnDisk);
    close(&opened.store);
    let again = home.open();
    assert_eq!((again.notices.len(), again.stored.desired.len()), (0, 2));
    close(&again.store);
}

#[test]
fn a_damaged_database_is_restored_from_the_newest_good_backup() {
    type Damage = fn(&Home);
    let rows: [(&str, Damage); 2] = [
        ("noise", |home| overwrite(home, 0, 100)),
        ("emptied", |home| truncate(home, 0)),
    ];
    for (what, damage) in rows {
        let home = Home::new();
        let opened = home.open();
        wish(&opened.store, "a", Desired::Running);
        let good = opened.store.back_up().wait().expect("a backup");
        let bad = opened.store.back_up().wait().expect("a backup");
        close(&opened.store);
        fs::write(bad, "no longer a database").expect("a file");
        damage(&home);
        let opened = home.open();
        let [Notice::CorruptMovedAside { restored_from, .. }] = &opened.notices[..] else {
            unreachable!("{what}: {:?}", opened.notices);
        };
        assert_eq!(restored_from.as_deref(), Some(good.as_path()), "{what}");
        assert_eq!(opened.stored.desired[&name("a")], Desired::Running);
        close(&opened.store);
    }
}

#[test]
fn damaged_files_do_not_pile_up() {
    let home = Home::new();
    for _ in 0..5 {
        fs::write(home.path(), "not a database".repeat(500)).expect("a file");
        close(&home.open().store);
    }
    assert_eq!(home.files(".corrupt-").len(), 3);
}

#[test]
fn a_folder_in_the_way_leaves_the_store_in_memory() {
    let home = Home::new();
    fs::create_dir(home.path()).expect("a folder");
    let mut opened = home.open_eager();
    assert!(matches!(opened.notices[..], [Notice::Unavailable { .. }]));
    assert_eq!(wish(&opened.store, "a", Desired::Running), Saved::InMemory);
    fs::remove_dir(home.path()).expect("an empty folder");
    super::wait_for_health(&opened.store, |health| *health == StoreHealth::Ok);
    assert_eq!(super::next_notice(&mut opened.later), Notice::Created);
    assert!(matches!(
        super::next_notice(&mut opened.later),
        Notice::OpenedLate { .. }
    ));
    close(&opened.store);
    let reader = Reader::open(&home.path())
        .expect("readable")
        .expect("there");
    assert_eq!(reader.desired_all().expect("wishes").len(), 1);
}

#[test]
fn the_bundled_library_is_new_enough() {
    // Before 3.51.3 a reset of the journal could damage the database.
    assert!(rusqlite::version_number() >= 3_051_003);
    assert!(Connection::open_in_memory().is_ok());
}
