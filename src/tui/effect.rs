//! What `update` wants done, as data; and how it is done without the terminal.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::host::{Host, ImportRequest};
use super::logview::{self, LogEffect};
use super::mailbox::Mailbox;
use super::model::Msg;
use super::model::details::Details;
use super::model::work::{WorkMsg, WorkOrder};
use crate::api::client::{Client, ClientError};
use crate::api::wire::{NewWorkUnit, WorkAnswerBody, WorkUnitPatch};
use crate::domain::instance::InstanceName;
use crate::domain::run::StopMode;
use crate::domain::work::{Chunk, Waiters};

/// What is asked of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Start,
    Stop,
    Restart,
    Kill,
}

/// What becomes of the instances when the dashboard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A daemon looks after them.
    HandOver,
    /// They go on; whoever supervised them besides this process still does.
    Leave,
    /// All are stopped first.
    StopAll,
    /// The terminal is gone: hand over without asking.
    Lost,
}

/// Something to be done outside of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    Command(Command, Vec<InstanceName>),
    /// Ask for picture and events now.
    Refresh,
    Details(InstanceName),
    /// Ask for a look at the installation.
    Checkup,
    /// Look whether these fit into memory, to start them.
    Weigh(Vec<InstanceName>),
    /// Read a crash bundle: the newest, or as many before it.
    Crash {
        name: InstanceName,
        back: usize,
    },
    ExportCrash {
        name: InstanceName,
        folder: PathBuf,
    },
    Import(ImportRequest),
    /// Open the instance's configuration in the editor; needs the terminal.
    Edit(InstanceName),
    Create {
        template: usize,
        name: String,
    },
    /// Look for the models on this machine.
    Models,
    /// Make an instance of a model.
    CreateOf {
        model: PathBuf,
        name: String,
    },
    Copy(String),
    Log(LogEffect),
    Work(WorkOrder),
    WorkHistory(Chunk),
    /// Show a file in the pager; needs the terminal.
    Page(PathBuf),
    Suspend,
    Redraw,
    Mouse(bool),
    HandOver,
    #[cfg(debug_assertions)]
    Panic(super::fault::Thread),
    /// Keep this text for the next visit.
    Remember(String),
    End(Ending),
}

impl Command {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
        }
    }

    /// What is told once it was accepted.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::Restart => "restarting",
            Self::Kill => "killing",
        }
    }
}

/// Slow probes are not waited for longer.
const REFRESH_TIME: Duration = Duration::from_secs(3);

/// A build that is asked for its devices for the first time may take longer; then the start goes on.
const WEIGH_TIME: Duration = Duration::from_secs(3);

/// Lines of a work unit's history that are asked for.
const WORK_HISTORY: u32 = 500;

/// Carries effects out on the runtime; answers arrive in the mailbox.
pub(super) struct Carrier {
    pub(super) host: Arc<dyn Host>,
    pub(super) runtime: Handle,
    pub(super) mailbox: Mailbox,
}

impl Carrier {
    pub(super) fn command(&self, command: Command, names: Vec<InstanceName>) {
        for name in names {
            let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
            self.runtime.spawn(async move {
                let refusal = ask(&host.client(), command, &name).await;
                mailbox.post(Msg::Answered {
                    command,
                    name,
                    refusal,
                });
            });
        }
    }

    pub(super) fn refresh(&self) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            match host.client().refresh(None, REFRESH_TIME).await {
                Ok(body) => mailbox.post(Msg::Picture(Box::new(body.to_snapshot()))),
                Err(error) => mailbox.post(Msg::Failed(format!("refresh: {error}"))),
            }
        });
    }

    pub(super) fn checkup(&self) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let answer = host.client().doctor().await;
            let found = answer.map(|body| body.to_findings());
            mailbox.post(Msg::Checkup(found.map_err(|error| told(&error))));
        });
    }

    /// Asks whether these will fit; nobody waits long for the answer, a start least of all.
    pub(super) fn weigh(&self, names: Vec<InstanceName>) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let client = host.client();
            let asked = tokio::time::timeout(WEIGH_TIME, client.fits(&names)).await;
            let fits = match asked {
                Ok(Ok(body)) => body.to_fits(),
                // Whoever cannot tell does not stand in the way; the start itself will be told.
                Ok(Err(_)) | Err(_) => Vec::new(),
            };
            mailbox.post(Msg::Weighed(names, fits));
        });
    }

    /// Asks for everything that is known of an instance.
    pub(super) fn details(&self, name: InstanceName) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let answer = host.client().describe(&name).await;
            let details = answer.map(|body| Box::new(Details::from(&body)));
            let details = details.map_err(|error| told(&error));
            mailbox.post(Msg::Details(name, details));
        });
    }

    pub(super) fn crash(&self, name: InstanceName, back: usize) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let kept = host.client().crash(&name, back).await;
            let kept = kept.map(Box::new).map_err(|error| told(&error));
            mailbox.post(Msg::Crash { name, back, kept });
        });
    }

    pub(super) fn log(&self, effect: LogEffect) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            if let Some(msg) = logview::carry(effect, host.client()).await {
                mailbox.post(Msg::Log(msg));
            }
        });
    }

    pub(super) fn work(&self, order: WorkOrder) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let answer = order_work(&host.client(), order).await;
            let told = answer.map_err(|error| error.to_string());
            mailbox.post(Msg::Work(WorkMsg::Answered(told)));
        });
    }

    pub(super) fn work_history(&self, chunk: Chunk) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let answer = host.client().work_history(&chunk, WORK_HISTORY).await;
            let changes = answer.map(|body| body.changes);
            let changes = changes.map_err(|error| error.to_string());
            mailbox.post(Msg::Work(WorkMsg::History(chunk, changes)));
        });
    }

    pub(super) fn hand_over(&self) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn(async move {
            let trouble = host.hand_over().await.err();
            mailbox.post(Msg::HandedOver(trouble.map(|error| error.to_string())));
        });
    }

    /// Does something that reads or writes files, off the dashboard's thread.
    pub(super) fn blocking(&self, work: impl FnOnce(&dyn Host) -> Option<Msg> + Send + 'static) {
        let (host, mailbox) = (Arc::clone(&self.host), self.mailbox.clone());
        self.runtime.spawn_blocking(move || {
            if let Some(msg) = work(host.as_ref()) {
                mailbox.post(msg);
            }
        });
    }
}

/// Says why there is no answer, and what to do where an older owner is the reason.
fn told(error: &ClientError) -> String {
    match error {
        ClientError::OtherBuild(other) => format!("{other}; {}", other.remedy()),
        other => other.to_string(),
    }
}

/// Asks for a change of a work unit; returns what was done in words.
async fn order_work(client: &Client, order: WorkOrder) -> Result<String, ClientError> {
    let stands = |answer: &WorkAnswerBody| {
        let unit = &answer.unit;
        format!("{}: {} in phase {}", unit.chunk, unit.status, unit.phase)
    };
    match order {
        WorkOrder::Create(chunk) => {
            let unit = NewWorkUnit {
                chunk: chunk.to_string(),
                ..NewWorkUnit::default()
            };
            let answer = client.create_work_unit(&unit).await?;
            Ok(format!("created {}", stands(&answer)))
        }
        WorkOrder::Move {
            chunk,
            status,
            reason,
        } => {
            let patch = WorkUnitPatch {
                status: Some(status.to_string()),
                reason,
                ..WorkUnitPatch::default()
            };
            Ok(stands(&client.change_work_unit(&chunk, &patch).await?))
        }
        WorkOrder::Phase { chunk, phase } => {
            let patch = WorkUnitPatch {
                phase: Some(phase),
                ..WorkUnitPatch::default()
            };
            Ok(stands(&client.change_work_unit(&chunk, &patch).await?))
        }
        WorkOrder::Remove(chunk) => {
            let answer = client.delete_work_unit(&chunk, Waiters::Release).await?;
            Ok(format!("removed {}", answer.unit.chunk))
        }
    }
}

/// Sends a command; returns why it was refused.
async fn ask(client: &Client, command: Command, name: &InstanceName) -> Option<String> {
    let answer = match command {
        Command::Start => client.start(name).await,
        Command::Stop => client.stop(name, StopMode::Gentle).await,
        Command::Restart => client.restart(name, StopMode::Gentle).await,
        Command::Kill => client.stop(name, StopMode::Kill).await,
    };
    answer.err().map(|error| error.to_string())
}
