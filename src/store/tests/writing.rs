//! What is stored, in which order, how fast, and what is thrown away.

use std::time::{Duration, Instant};

use super::{Home, Saved, block_on, close, event, event_write, name, run_started, running, wish};
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::lifecycle::{Desired, Health};
use crate::domain::run::RunId;
use crate::store::{HealthSample, Pruned, Retention, RunEnded, StoreError, Write};

fn segfault() -> Autopsy {
    Autopsy {
        cause: Cause::Segfault,
        class: RetryClass::Backoff,
        summary: "crashed".to_owned(),
        evidence: Some("its last line".to_owned()),
        remedy: None,
    }
}

fn ended(run: &str, instance: &str, ended_at: f64) -> RunEnded {
    RunEnded {
        run: RunId::new(run.to_owned()),
        instance: name(instance),
        exit: RunExit {
            status: Some(ExitStatus::Signal(11)),
            core_dumped: true,
            started_at: ended_at - 1.0,
            ended_at,
            dropped_bytes: 7,
            requested: None,
        },
        autopsy: Some(segfault()),
    }
}

#[test]
fn everything_saved_is_loaded_again() {
    let home = Home::new();
    let opened = home.open();
    let store = &opened.store;
    wish(store, "a", Desired::Stopped);
    store.save(event(7, "b", "first word of b"));
    store.save(Write::Runtime {
        name: name("a"),
        row: running(41),
        at: 6.0,
    });
    store.save(run_started("run-1", "a", 10.0));
    store.save(ended("run-1", "a", 12.0));
    store.save(run_started("run-2", "a", 20.0));
    store.save(ended("never-started", "c", 30.0));
    close(store);

    let stored = home.stored();
    assert_eq!(stored.desired.len(), 1, "an event is no wish");
    assert_eq!(stored.desired[&name("a")], Desired::Stopped);
    assert_eq!(stored.runtime[&name("a")], running(41));
    assert_eq!(stored.next_event_id, 8);
    let last = &stored.last_runs[&name("a")];
    assert_eq!((last.run.as_str(), last.end.is_none()), ("run-2", true));
    assert_eq!(last.port, Some(8080));
    let end = stored.last_runs[&name("c")].end.as_ref().expect("an end");
    assert_eq!(end.status, Some(ExitStatus::Signal(11)));
    assert_eq!((end.core_dumped, end.dropped_bytes), (true, 7));
    assert_eq!(end.autopsy, Some(segfault()));
}

#[test]
fn a_reply_comes_after_the_commit() {
    let home = Home::new();
    let opened = home.open();
    for id in 1..=20 {
        let saved = block_on(opened.store.save_all(vec![event_write(id)]));
        assert_eq!(saved.expect("stored"), Saved::OnDisk);
        assert_eq!(home.value::<i64>("SELECT max(id) FROM events"), id);
    }
    close(&opened.store);
}

#[test]
fn ten_thousand_events_are_a_few_transactions() {
    let home = Home::new();
    let opened = home.open();
    let begin = Instant::now();
    for id in 1..=10_000 {
        opened
            .store
            .save(event(id, "a", "a message of ordinary length"));
    }
    let saved = opened.store.flush().wait().expect("stored");
    assert_eq!(saved, Saved::OnDisk);
    // Generous: a transaction each would take minutes on a disk that syncs.
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(home.value::<i64>("SELECT count(*) FROM events"), 10_000);
    close(&opened.store);
}

#[test]
fn an_impossible_change_is_refused_alone() {
    let home = Home::new();
    let opened = home.open();
    home.sql(
        "CREATE TRIGGER t BEFORE INSERT ON events WHEN new.id = 2
              BEGIN SELECT raise(ABORT, 'no twos'); END",
    );
    let replies: Vec<_> = (1..=3)
        .map(|id| opened.store.save_all(vec![event_write(id)]))
        .collect();
    let outcomes: Vec<_> = replies.into_iter().map(|reply| reply.wait()).collect();
    assert!(matches!(outcomes[0], Ok(Saved::OnDisk)));
    assert!(matches!(
        outcomes[1],
        Err(StoreError::Refused { what: "event", .. })
    ));
    assert!(matches!(outcomes[2], Ok(Saved::OnDisk)));
    assert_eq!(home.value::<i64>("SELECT sum(id) FROM events"), 4);
    close(&opened.store);
}

#[test]
fn a_forgotten_instance_leaves_its_events() {
    let home = Home::new();
    let opened = home.open();
    wish(&opened.store, "a", Desired::Running);
    opened.store.save(event_write(1));
    opened.store.save(run_started("run-1", "a", 1.0));
    let forgotten = opened.store.forget_instance(name("a")).wait();
    assert_eq!(forgotten.expect("stored"), Saved::OnDisk);
    opened.store.save(event_write(2));
    close(&opened.store);
    let rows = [
        ("SELECT count(*) FROM events", 2),
        ("SELECT count(*) FROM events WHERE instance_name IS NULL", 1),
        ("SELECT count(*) FROM runs", 0),
        (
            "SELECT count(*) FROM instances WHERE desired_state IS NOT NULL",
            0,
        ),
    ];
    for (sql, expected) in rows {
        assert_eq!(home.value::<i64>(sql), expected, "{sql}");
    }
}

#[test]
fn health_is_stored_as_changes_and_five_minute_sums() {
    let home = Home::new();
    let opened = home.open();
    for second in 0..600 {
        opened.store.record_health(HealthSample {
            name: name("a"),
            health: if second == 450 {
                Health::Unhealthy
            } else {
                Health::Healthy
            },
            response_ms: Some(2.0),
            error: None,
            at: f64::from(second),
        });
    }
    close(&opened.store);
    let rows = [
        ("SELECT count(*) FROM health_history", 3),
        ("SELECT count(*) FROM health_rollup", 2),
        ("SELECT sum(probes) FROM health_rollup", 600),
        (
            "SELECT failures FROM health_rollup WHERE started_at = 300",
            1,
        ),
        (
            "SELECT CAST(sum(response_total_ms) AS INTEGER) FROM health_rollup",
            1_200,
        ),
    ];
    for (sql, expected) in rows {
        assert_eq!(home.value::<i64>(sql), expected, "{sql}");
    }
}

#[test]
fn sums_are_stored_when_the_last_handle_goes() {
    let home = Home::new();
    let opened = home.open();
    opened.store.record_health(HealthSample {
        name: name("a"),
        health: Health::Healthy,
        response_ms: None,
        error: None,
        at: 1.0,
    });
    let mut later = opened.later;
    drop(opened.store);
    assert_eq!(block_on(later.recv()), None, "the thread has ended");
    assert_eq!(home.value::<i64>("SELECT count(*) FROM health_rollup"), 1);
}

#[test]
fn old_history_is_pruned_and_numbers_never_repeat() {
    const DAY: f64 = 86_400.0;
    let home = Home::new();
    let opened = home.open();
    let store = &opened.store;
    let now = 100.0 * DAY;
    for id in 1..=12_000 {
        let mut happened = event(id, "a", "x");
        happened.at = if id <= 6_000 { now - 8.0 * DAY } else { now };
        store.save(happened);
    }
    store.save(ended("old", "a", now - 95.0 * DAY));
    store.save(ended("newer", "a", now - 91.0 * DAY));
    store.save(ended("only", "b", 1.0));
    let retention = Retention {
        event_rows: 1_000,
        ..Retention::default()
    };
    let pruned = store.prune(retention, now).wait().expect("pruned");
    let expected = Pruned {
        events: 11_000,
        health: 0,
        runs: 1,
    };
    assert_eq!(pruned, expected);
    assert_eq!(home.value::<i64>("SELECT min(id) FROM events"), 11_001);
    let all = Retention {
        events: Duration::ZERO,
        ..retention
    };
    store.prune(all, now + 1.0).wait().expect("pruned");
    close(store);
    assert_eq!(home.value::<i64>("SELECT count(*) FROM events"), 0);
    assert_eq!(home.stored().next_event_id, 12_001);
}

#[test]
fn a_closed_store_says_so() {
    let home = Home::new();
    let opened = home.open();
    close(&opened.store);
    let late = opened.store.save_all(vec![event_write(1)]).wait();
    assert!(matches!(late, Err(StoreError::Closed)));
}
