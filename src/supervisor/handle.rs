//! What the rest of the program holds of a running supervisor: commands in, pictures out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::decision::{Action, Command, Denied, Ignored};
use super::feed::{EventFeed, EventPage};
use super::logged;
use super::measure::Audience;
use super::plan::{Plan, Step};
use super::record::DatabaseState;
use super::tally::{Counts, Tally, WorkEnds};
use super::work::{Origin, WorkError};
use crate::config::settings::ApiSettings;
use crate::domain::event::{EventFilter, EventType, Level};
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::run::{RunId, StopMode};
use crate::domain::work::{Chunk, Order, StatusChange, WorkSnapshot, WorkUnit};
use crate::logs::LogFiles;
use crate::process::log_counts::Logged;
use crate::process::runfiles::RunPaths;
use crate::store::HealthHistory;

/// A way to the supervisor's actor; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<super::actor::Message>,
    pub(super) snapshot: watch::Receiver<Arc<FleetSnapshot>>,
    pub(super) events: EventFeed,
    pub(super) audience: Audience,
    pub(super) database: DatabaseState,
    pub(super) tally: Tally,
    pub(super) logged: logged::Told,
    pub(super) work: watch::Receiver<Arc<WorkSnapshot>>,
    pub(super) api_settings: watch::Receiver<ApiSettings>,
}

/// A command that was carried out, or was already true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub run: Option<RunId>,
    /// The first generation that shows the effect.
    pub generation: u64,
}

/// An order for a work unit that was carried out, or was already true.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkAnswer {
    /// The unit that was named; of a deleted one, what it was.
    pub unit: WorkUnit,
    /// The first generation of the work units that shows the effect.
    pub generation: u64,
}

/// A command that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("it is already running")]
    AlreadyRunning,
    #[error("it is already starting")]
    AlreadyStarting,
    #[error("it is already waiting for its turn to load (max_loading)")]
    AlreadyWaiting,
    #[error("it is not running")]
    NotRunning,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the supervisor is shutting down")]
    ShuttingDown,
}

impl From<Ignored> for CommandError {
    fn from(ignored: Ignored) -> Self {
        match ignored {
            Ignored::AlreadyRunning => Self::AlreadyRunning,
            Ignored::AlreadyStarting => Self::AlreadyStarting,
            Ignored::AlreadyWaiting => Self::AlreadyWaiting,
            Ignored::NotRunning => Self::NotRunning,
        }
    }
}

impl Handle {
    /// Gives a command and returns once it is decided and stored; the work goes on.
    ///
    /// # Errors
    ///
    /// Returns why nothing was changed.
    pub async fn command(&self, command: Command) -> Result<Answer, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(super::actor::Message::Command { command, reply })
            .await?;
        answer.await.map_err(|_| CommandError::ShuttingDown)?
    }

    /// Starts every autostart instance that does not run.
    ///
    /// # Errors
    ///
    /// Returns an error only while the supervisor shuts down.
    pub async fn autostart(&self) -> Result<Answer, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.send(super::actor::Message::Autostart { reply })
            .await?;
        answer.await.map_err(|_| CommandError::ShuttingDown)?
    }

    /// Reads the configurations again and probes these instances, or all, now. Returns when every
    /// look has ended, or after `wait`.
    ///
    /// # Errors
    ///
    /// Returns an error only while the supervisor shuts down.
    pub async fn refresh(
        &self,
        names: Option<Vec<InstanceName>>,
        wait: Duration,
    ) -> Result<(), CommandError> {
        let (reply, looks) = oneshot::channel();
        self.send(super::actor::Message::Refresh { names, reply })
            .await?;
        let looks = looks.await.map_err(|_| CommandError::ShuttingDown)?;
        let all = async {
            for look in looks {
                look.await.ok(); // a probe that ended meanwhile has nothing more to tell
            }
            self.settled().await;
        };
        tokio::time::timeout(wait, all).await.ok(); // a slow probe is not waited for
        Ok(())
    }

    /// Compares every instance with its file as it is now; nothing is changed.
    ///
    /// # Errors
    ///
    /// Returns an error only while the supervisor shuts down.
    pub async fn plans(&self) -> Result<Vec<Plan>, CommandError> {
        let (reply, plans) = oneshot::channel();
        self.send(super::actor::Message::Plan { reply }).await?;
        plans.await.map_err(|_| CommandError::ShuttingDown)
    }

    /// Makes a running instance what its file says: takes over what it can, restarts it if it
    /// must. Returns what was different and the first generation that shows the effect.
    ///
    /// # Errors
    ///
    /// Returns why nothing was changed.
    pub async fn apply(&self, name: InstanceName) -> Result<(Plan, u64), CommandError> {
        let plans = self.plans().await?;
        let Some(plan) = plans.into_iter().find(|plan| plan.name == name) else {
            return Err(CommandError::Denied(Denied::Unknown {
                name: name.to_string(),
            }));
        };
        match plan.step {
            Step::Nothing => {}
            Step::Live => {
                let (reply, read) = oneshot::channel();
                let names = Some(Vec::new());
                self.send(super::actor::Message::Refresh { names, reply })
                    .await?;
                read.await.map_err(|_| CommandError::ShuttingDown)?;
                self.settled().await;
            }
            Step::Restart => {
                let action = Action::Restart(StopMode::Gentle);
                let answer = self.command(Command { name, action }).await?;
                return Ok((plan, answer.generation));
            }
            Step::Repair => {
                let reason = plan.problem.unwrap_or_default();
                return Err(CommandError::Denied(Denied::Broken { reason }));
            }
        }
        let generation = self.snapshot().generation;
        Ok((plan, generation))
    }

    /// Waits until everything decided so far is in the database.
    pub async fn settled(&self) {
        let (reply, done) = oneshot::channel();
        if self
            .send(super::actor::Message::Settle { reply })
            .await
            .is_ok()
        {
            done.await.ok(); // a closed channel means the actor has ended, which is settled too
        }
    }

    /// Returns the present picture.
    #[must_use]
    pub fn snapshot(&self) -> Arc<FleetSnapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Returns the picture as soon as it is newer than `generation`, or after `wait`.
    /// Whoever waits is a watcher: while there is one, runs are measured often.
    pub async fn snapshot_after(&self, generation: u64, wait: Duration) -> Arc<FleetSnapshot> {
        let _seat = self.audience.sit();
        let mut snapshot = self.snapshot.clone();
        let newer = snapshot.wait_for(|picture| picture.generation > generation);
        match tokio::time::timeout(wait, newer).await {
            Ok(Ok(picture)) => Arc::clone(&picture),
            Ok(Err(_)) | Err(_) => self.snapshot(),
        }
    }

    /// Returns what was counted of every instance since this owner started.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<InstanceName, Counts> {
        self.tally.counts()
    }

    /// Returns how the commands of work units ended since this owner started.
    #[must_use]
    pub fn work_ends(&self) -> WorkEnds {
        self.tally.work_ends()
    }

    /// Returns how much was ever logged to stdout and stderr of each of these; `None` where that
    /// cannot be read. Blocking.
    #[must_use]
    pub fn logged(&self, asked: &[(RunPaths, LogFiles)]) -> Vec<Option<[Logged; 2]>> {
        self.logged.of_all(asked)
    }

    /// Returns what the settings say of the API, now and whenever they change.
    #[must_use]
    pub fn api_settings(&self) -> watch::Receiver<ApiSettings> {
        self.api_settings.clone()
    }

    /// Tells, as an event of the whole home, what happened beside the fleet.
    pub async fn announce(&self, level: Level, kind: EventType, message: String) {
        let message = super::actor::Message::Announce {
            level,
            kind,
            message,
        };
        self.inbox.send(message).await.ok(); // nothing is told any more while it shuts down
    }

    /// Returns `ok`, or why the database cannot be used as it should be.
    #[must_use]
    pub fn database(&self) -> String {
        self.database.describe()
    }

    /// Returns the events that are asked for, oldest first; waits up to `wait` for the first one
    /// when events after some number are asked for and there is none yet.
    pub async fn events(&self, filter: &EventFilter, wait: Duration) -> EventPage {
        self.events.page(filter, wait).await
    }

    /// Returns the newest changes of an instance's health and its newest stretches of five minutes,
    /// the present one included; at most `limit` of each.
    pub async fn health_history(&self, name: InstanceName, limit: u32) -> HealthHistory {
        let mut history = self.events.health_history(name.clone(), limit).await;
        self.database.complete(&name, &mut history);
        history
    }

    /// Gives an order for a work unit and returns once it is decided and stored.
    ///
    /// # Errors
    ///
    /// Returns why nothing was changed.
    pub async fn work(&self, order: Order, origin: Origin) -> Result<WorkAnswer, WorkError> {
        let (reply, answer) = oneshot::channel();
        let message = super::actor::Message::Work {
            order,
            origin,
            reply,
        };
        self.inbox
            .send(message)
            .await
            .map_err(|_| WorkError::ShuttingDown)?;
        answer.await.map_err(|_| WorkError::ShuttingDown)?
    }

    /// Returns all work units as they are.
    #[must_use]
    pub fn work_units(&self) -> Arc<WorkSnapshot> {
        Arc::clone(&self.work.borrow())
    }

    /// Returns all work units as soon as they are not those of `generation`, or after `wait`.
    pub async fn work_units_after(&self, generation: u64, wait: Duration) -> Arc<WorkSnapshot> {
        let mut work = self.work.clone();
        // Numbers that fell were given by an earlier owner.
        let newer = work.wait_for(|picture| picture.generation != generation);
        match tokio::time::timeout(wait, newer).await {
            Ok(Ok(picture)) => Arc::clone(&picture),
            Ok(Err(_)) | Err(_) => self.work_units(),
        }
    }

    /// Returns the newest `limit` lines of a work unit's status log, oldest first.
    pub async fn status_log(&self, chunk: Chunk, limit: u32) -> Vec<StatusChange> {
        self.events.status_log(chunk, limit).await
    }

    async fn send(&self, message: super::actor::Message) -> Result<(), CommandError> {
        self.inbox
            .send(message)
            .await
            .map_err(|_| CommandError::ShuttingDown)
    }
}
