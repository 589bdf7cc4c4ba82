//! Tests of the store on real files, and the rig they share.

mod opening;
mod reading;
mod takeover;
mod trouble;
mod work;
mod writing;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::FromSql;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::rows::EventWrite;
use super::{
    Notice, Opened, Options, RunStarted, RuntimeRow, Saved, Store, StoreHealth, Stored, Write,
};
use crate::domain::event::{Event, EventType, Level};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::domain::run::RunId;

/// Far longer than anything here takes; reaching it means it never happens.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder with a database in it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.sqlite")
    }

    fn open(&self) -> Opened {
        self.open_with(Options::default())
    }

    fn open_with(&self, options: Options) -> Opened {
        Store::open(&self.path(), options).expect("a writer thread")
    }

    /// Retries soon, so that recovery need not be waited for long.
    fn open_eager(&self) -> Opened {
        self.open_with(Options {
            retry_every: Duration::from_millis(20),
            ..Options::default()
        })
    }

    /// Returns what a new owner would find.
    fn stored(&self) -> Stored {
        let opened = self.open();
        close(&opened.store);
        opened.stored
    }

    /// Returns what a new owner would be told.
    fn notices(&self) -> Vec<Notice> {
        let opened = self.open();
        close(&opened.store);
        opened.notices
    }

    fn sql(&self, sql: &str) {
        raw(&self.path()).execute_batch(sql).expect("good SQL");
    }

    fn value<T: FromSql>(&self, sql: &str) -> T {
        value(&self.path(), sql)
    }

    /// Returns how many files beside the database have this in their name.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.to_string_lossy().contains(part))
            .collect();
        files.sort();
        files
    }
}

fn raw(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("a database");
    connection.busy_timeout(DEADLINE).expect("a timeout");
    connection
}

fn value<T: FromSql>(path: &Path, sql: &str) -> T {
    raw(path)
        .query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| unreachable!("{sql}: {error}"))
}

fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).expect("a good name")
}

fn event(id: i64, instance: &str, message: &str) -> Event {
    Event {
        id,
        at: id as f64,
        instance: Some(name(instance)),
        level: Level::Info,
        kind: EventType::Started,
        message: message.to_owned(),
    }
}

fn event_write(id: i64) -> Write {
    Write::Event(EventWrite {
        event: event(id, "a", &format!("event {id}")),
        meta_json: None,
    })
}

fn run_started(run: &str, instance: &str, started_at: f64) -> RunStarted {
    RunStarted {
        run: RunId::new(run.to_owned()),
        instance: name(instance),
        token: "token".to_owned(),
        pid: Some(12),
        shim_pid: Some(11),
        port: Some(8080),
        started_at,
    }
}

fn wish(store: &Store, instance: &str, desired: Desired) -> Saved {
    let config = Some(PathBuf::from("/home/instances/config.toml"));
    store
        .set_desired(name(instance), config, desired, 5.0)
        .wait()
        .expect("an accepted wish")
}

fn close(store: &Store) {
    assert_eq!(store.close().wait().expect("a clean end"), Saved::OnDisk);
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, work).await.expect("in time") })
}

fn wait_for_health(store: &Store, wanted: impl FnMut(&StoreHealth) -> bool) -> StoreHealth {
    let mut health: watch::Receiver<StoreHealth> = store.watch_health();
    block_on(async move { health.wait_for(wanted).await.expect("a thread").clone() })
}

fn next_notice(later: &mut mpsc::UnboundedReceiver<Notice>) -> Notice {
    block_on(later.recv()).expect("a notice")
}

fn running(pid: i32) -> RuntimeRow {
    RuntimeRow {
        pid: Some(pid),
        port: Some(8080),
        status: Status::Running,
        health: Health::Healthy,
        restart_attempts: 2,
        ..RuntimeRow::idle()
    }
}
