//! What the supervisor remembers: collected during a turn, committed before it is announced.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tracing::warn;

use super::state::Fleet;
use crate::config::home::Home;
use crate::config::settings::Retention;
use crate::domain::event::{Event, EventType, Level};
use crate::domain::exit::RunExit;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::domain::run::RunId;
use crate::process::live::LiveRun;
use crate::process::os;
use crate::store::{
    Reader, RunRow, RuntimeRow, RuntimeView, Store, StoreError, StoreHealth, Write,
};

/// A commit that takes longer is not waited for: the database must not hold the fleet up.
const COMMIT_TIME: Duration = Duration::from_secs(2);

/// What an earlier owner left in the database.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) desired: BTreeMap<InstanceName, Desired>,
    /// Instances that had given up, with the reason.
    pub(super) failed: Vec<(InstanceName, String)>,
    pub(super) history: BTreeMap<InstanceName, RuntimeView>,
}

/// Collects writes and commits them.
pub(super) struct Recorder {
    store: Store,
    home: Home,
    pending: Vec<Write>,
    events: Vec<Event>,
    next_event_id: i64,
    /// What was last stored of each instance, so that only changes are written.
    stored: HashMap<InstanceName, RuntimeRow>,
    known: BTreeSet<InstanceName>,
    ended_runs: BTreeSet<String>,
    incarnation: u64,
    was_ok: bool,
}

/// How the database is, for `GET /status`.
#[derive(Clone)]
pub(super) struct DatabaseState {
    store: Store,
}

impl DatabaseState {
    /// Returns `ok`, or why it cannot be used as it should be.
    #[must_use]
    pub(super) fn describe(&self) -> String {
        self.store.state().health.to_string()
    }
}

impl Recorder {
    /// Opens the home's database. Blocking.
    pub(super) fn open(home: &Home) -> Result<(Self, Remembered), StoreError> {
        let opened = Store::open(&home.database())?;
        let mut remembered = Remembered::default();
        let mut ended_runs = BTreeSet::new();
        let mut stored_names = BTreeSet::new();
        if let Ok(Some(reader)) = Reader::open(&home.database()) {
            for (name, view) in reader.instances().unwrap_or_default() {
                if view.status == Status::Failed {
                    let reason = view.last_error.clone();
                    let reason = reason.unwrap_or_else(|| "it had failed".to_owned());
                    remembered.failed.push((name.clone(), reason));
                }
                remembered.desired.insert(name.clone(), view.desired);
                stored_names.insert(name.clone());
                remembered.history.insert(name, view);
            }
            ended_runs = reader
                .ended_runs()
                .unwrap_or_default()
                .into_iter()
                .collect();
        }
        let mut recorder = Self {
            store: opened.store,
            home: home.clone(),
            pending: Vec::new(),
            events: Vec::new(),
            next_event_id: opened.next_event_id,
            stored: HashMap::new(),
            known: stored_names,
            ended_runs,
            incarnation: 0,
            was_ok: true,
        };
        for notice in opened.notices {
            recorder.tell(
                Level::Warning,
                EventType::DatabaseDegraded,
                notice.to_string(),
            );
        }
        for live in opened.live_pids {
            // It carries no token of ours: it is wanted, but never signalled.
            if let (Ok(name), Ok(_)) = (InstanceName::parse(&live.name), os::stat(live.pid)) {
                remembered.desired.insert(name.clone(), Desired::Running);
                recorder.desired(&name, Desired::Running, super::actor::wall());
            }
        }
        Ok((recorder, remembered))
    }

    pub(super) fn state(&self) -> DatabaseState {
        DatabaseState {
            store: self.store.clone(),
        }
    }

    /// Returns whether the end of this run was told already.
    pub(super) fn knows_end(&self, run: &str) -> bool {
        self.ended_runs.contains(run)
    }

    pub(super) fn desired(&mut self, name: &InstanceName, desired: Desired, at: f64) {
        self.pending.push(Write::Desired {
            name: name.clone(),
            desired,
            at,
        });
    }

    pub(super) fn run_started(&mut self, name: &InstanceName, run: &RunId, live: Option<&LiveRun>) {
        let Some(live) = live else { return };
        self.pending.push(Write::RunStarted(RunRow {
            name: name.clone(),
            run: run.clone(),
            pid: Some(live.run.child.pid),
            port: live.run.port,
            started_at: live.run.started_at,
        }));
    }

    pub(super) fn run_ended(&mut self, name: &InstanceName, run: &RunId, exit: &RunExit) {
        self.ended_runs.insert(run.to_string());
        self.pending.push(Write::RunEnded {
            name: name.clone(),
            run: run.clone(),
            exit: exit.clone(),
        });
    }

    pub(super) fn health(&mut self, name: &InstanceName, health: Health, at: f64) {
        self.pending.push(Write::Health {
            name: name.clone(),
            health,
            at,
        });
    }

    /// Gives the event its number and takes it along with the next commit.
    pub(super) fn event(&mut self, mut event: Event) {
        event.id = self.next_event_id;
        self.next_event_id += 1;
        self.pending.push(Write::Event(event.clone()));
        self.events.push(event);
    }

    /// Writes an event about the whole home.
    pub(super) fn tell(&mut self, level: Level, kind: EventType, message: String) {
        let at = super::actor::wall();
        self.event(Event {
            id: 0,
            at,
            instance: None,
            level,
            kind,
            message,
        });
    }

    /// Takes along what changed of the instances since the last commit.
    pub(super) fn runtime(&mut self, fleet: &Fleet, at: f64) {
        let mut first = Vec::new();
        for (name, instance) in &fleet.instances {
            if self.known.insert(name.clone()) {
                let path = self.home.instances_dir().join(name.as_str());
                first.push(Write::Instance {
                    name: name.clone(),
                    config_path: path.display().to_string(),
                    desired: instance.desired,
                    at,
                });
            }
            let row = instance.row(name, false);
            let runtime = RuntimeRow {
                name: name.clone(),
                pid: row.pid,
                port: row.port,
                status: row.status,
                health: row.health,
                started_at: row.started_at,
                seen_at: at,
                restarts: row.restarts,
                last_exit: row.exit,
                last_error: row.reason,
            };
            let same = self.stored.get(name).is_some_and(|stored| {
                RuntimeRow {
                    seen_at: at,
                    ..stored.clone()
                } == runtime
            });
            if !same {
                self.stored.insert(name.clone(), runtime.clone());
                self.pending.push(Write::Runtime(runtime));
            }
        }
        // Events and rows refer to their instance, so it comes before them.
        self.pending.splice(0..0, first);
    }

    /// Forgets what is older or more than the settings keep.
    pub(super) fn prune(&mut self, retention: Retention) {
        let age = f64::from(retention.events_days) * 86_400.0;
        let before = super::actor::wall() - age;
        self.pending.push(Write::Prune {
            before,
            rows: retention.events_rows,
        });
    }

    /// Commits everything collected; returns the events that may be announced now.
    pub(super) async fn commit(&mut self) -> Vec<Event> {
        if !self.pending.is_empty() {
            let done = self.store.write(std::mem::take(&mut self.pending));
            if tokio::time::timeout(COMMIT_TIME, done).await.is_err() {
                warn!("the database is slow; going on without waiting for it");
            }
            self.look_after();
        }
        std::mem::take(&mut self.events)
    }

    /// Tells of a database that broke or came back, and fills one that had to be made anew.
    fn look_after(&mut self) {
        let state = self.store.state();
        let is_ok = state.health == StoreHealth::Ok;
        if self.was_ok && !is_ok {
            let message = format!("the database is {}", state.health);
            self.tell(Level::Error, EventType::DatabaseDegraded, message);
        } else if !self.was_ok && is_ok {
            let message = "the database can be written again".to_owned();
            self.tell(Level::Info, EventType::DatabaseRecovered, message);
        }
        self.was_ok = is_ok;
        if state.incarnation != self.incarnation {
            self.incarnation = state.incarnation;
            // The next turn writes every instance as if it were new, intent included.
            self.known.clear();
            self.stored.clear();
            let message = "the database was taken away and made anew; history is lost".to_owned();
            self.tell(Level::Error, EventType::DatabaseDegraded, message);
        }
    }

    /// Waits until everything that was handed over is stored.
    pub(super) async fn settle(&mut self) {
        self.commit().await;
    }

    /// Ends the writer thread.
    pub(super) fn close(&self) {
        self.store.close();
    }
}
