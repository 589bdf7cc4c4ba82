//! `llama-orch`: the dashboard over the supervisor, in this process or elsewhere.
//!
//! The dashboard's thread draws and is a client; this task keeps whoever supervises within its
//! reach: it owns the home if nobody does, hands it over when asked, and finds the next owner when
//! one vanishes.

mod demo;
mod host;
mod import;
mod models;
mod preferences;
mod templates;
pub(super) mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

pub(super) use self::demo::demo;
pub(super) use self::preferences::{environment, load as preferences};
pub(super) use self::watch::Watch;

use self::host::DashboardHost;
use super::daemon;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session::{self, Session};
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::supervisor::Scope;
use crate::tui::{self, Ending, Mailbox, Msg, Setting, Supervisor};

/// An owner that vanished is looked for again after this.
const RETRY: Duration = Duration::from_millis(500);

/// What a lost terminal leaves for the hand-over. A daemon that was started goes on by itself and
/// takes the home as soon as it is free; whoever closed the terminal expects us gone.
const LAST_WILL_TIME: Duration = Duration::from_secs(2);

/// How the dashboard is opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening {
    /// Show only this instance's events at first.
    pub(super) events_for: Option<InstanceName>,
    pub(super) ascii: bool,
    /// What to tell at the beginning.
    pub(super) notices: Vec<String>,
    /// The home goes when the dashboard does: everything in it is stopped first.
    pub(super) temporary: bool,
}

/// Signals that this process lives through, or ends by in its own way.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    resize: Signal,
}

/// Shows the dashboard until it is left, then says what keeps running.
///
/// # Errors
///
/// Returns an error when the home can be neither owned nor reached, or there is no terminal.
pub(super) async fn run(home: &Home, opening: Opening, output: &Output) -> Result<Exit, CliError> {
    output.needs_screen()?;
    super::tracing::to_dashboard();
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: signal(SignalKind::hangup())?,
        resize: signal(SignalKind::window_change())?,
    };
    let mailbox = Mailbox::new()?;
    let session = session::open(home, Role::Dashboard, Scope::Fleet).await?;
    let host = Arc::new(DashboardHost::new(home.clone(), session.client.clone()));
    let temporary = opening.temporary;
    let ended = start_thread(home, opening, &mailbox, &host)?;
    let watch = Watch::start(&session.client, &mailbox);
    let mut keeper = Keeper {
        home,
        session,
        host,
        mailbox,
        watch,
        temporary,
    };
    let ending = keeper.keep(ended, &mut signals).await;
    keeper.leave(ending, output).await
}

/// Starts the dashboard's own thread; its end arrives in the channel.
fn start_thread(
    home: &Home,
    opening: Opening,
    mailbox: &Mailbox,
    host: &Arc<DashboardHost>,
) -> io::Result<oneshot::Receiver<io::Result<Ending>>> {
    let (send, receive) = oneshot::channel();
    let setting = Setting {
        host: Arc::clone(host) as Arc<dyn tui::host::Host>,
        runtime: tokio::runtime::Handle::current(),
        mailbox: mailbox.clone(),
        preferences: preferences::load(home, opening),
        environment: preferences::environment(),
        home: home.root().display().to_string(),
        place: None,
        panic_report: panic_report(home),
    };
    std::thread::Builder::new()
        .name(tui::THREAD.to_owned())
        .spawn(move || {
            send.send(tui::run(setting)).ok(); // nobody waits after a lost terminal
        })?;
    Ok(receive)
}

/// Keeps the dashboard's view of the fleet up to date and somebody in charge of it.
struct Keeper<'a> {
    home: &'a Home,
    session: Session,
    host: Arc<DashboardHost>,
    mailbox: Mailbox,
    watch: Watch,
    temporary: bool,
}

/// What woke the keeper.
enum Woken {
    Ended(Ending),
    Failed(String),
    OwnerGone(String),
    Yielded,
    Terminated,
    HungUp,
    Resized,
    Interrupted,
}

impl Keeper<'_> {
    async fn keep(
        &mut self,
        mut ended: oneshot::Receiver<io::Result<Ending>>,
        signals: &mut Signals,
    ) -> Result<Ending, String> {
        self.introduce().await;
        loop {
            let woken = tokio::select! {
                end = &mut ended => match end {
                    Ok(Ok(ending)) => Woken::Ended(ending),
                    Ok(Err(error)) => Woken::Failed(error.to_string()),
                    Err(_) => Woken::Failed(format!(
                        "its thread panicked; the report is in {}",
                        panic_report(self.home).display()
                    )),
                },
                () = self.session.yielded() => Woken::Yielded,
                why = self.watch.broken() => Woken::OwnerGone(why),
                _ = signals.terminate.recv() => Woken::Terminated,
                _ = signals.hangup.recv() => Woken::HungUp,
                _ = signals.resize.recv() => Woken::Resized,
                _ = signals.interrupt.recv() => Woken::Interrupted,
            };
            match woken {
                Woken::Ended(ending) => return Ok(ending),
                Woken::Failed(why) => return Err(why),
                Woken::OwnerGone(why) => self.find_owner(why).await,
                Woken::Yielded => {
                    self.session.hand_over(self.home).await;
                    self.reached().await;
                }
                Woken::Terminated => self.mailbox.post(Msg::Terminated),
                Woken::HungUp => self.mailbox.post(Msg::Lost),
                Woken::Resized => self.mailbox.wake(),
                // In raw mode Ctrl-C is a key. As a signal it is meant for the editor or pager
                // that has the terminal at the moment.
                Woken::Interrupted => {}
            }
        }
    }

    /// Somebody else supervises: from now on all questions go there.
    async fn reached(&mut self) {
        self.host.set_client(self.session.client.clone());
        self.watch = Watch::start(&self.session.client, &self.mailbox);
        self.introduce().await;
    }

    /// Says who supervises.
    async fn introduce(&mut self) {
        let Ok(status) = self.session.client.status().await else {
            return; // told by the next picture
        };
        let supervisor = match &self.session.owned {
            Some(_) => Supervisor::InProcess,
            None => watch::other(&status),
        };
        watch::introduce(supervisor, &status, &self.mailbox);
    }

    /// The owner went away: whoever is there next, ourselves if need be.
    async fn find_owner(&mut self, why: String) {
        self.mailbox.post(Msg::Supervisor(Supervisor::Gone { why }));
        let gone = std::mem::replace(&mut self.session, Session::client_of(self.home));
        gone.end().await;
        match session::open(self.home, Role::Dashboard, Scope::Fleet).await {
            Ok(session) => {
                self.session = session;
                self.reached().await;
            }
            Err(error) => {
                self.mailbox.post(Msg::Failed(error.message));
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Does what was chosen about the instances, and says it.
    async fn leave(
        mut self,
        ending: Result<Ending, String>,
        output: &Output,
    ) -> Result<Exit, CliError> {
        if self.temporary {
            if demo::stop_everything(&self.session.client).await == demo::Left::Something {
                output.warning(
                    "not everything of it has stopped; llama-orch orphans shows what is left",
                );
            }
            self.session.end().await;
            return told(ending);
        }
        let owned = self.session.owned.is_some();
        // Nobody was asked, so nothing may become worse for the instances.
        if matches!(ending, Ok(Ending::Lost) | Err(_)) && owned {
            self.last_will().await;
        }
        let supervised = self.session.owned.is_none();
        let last = self.session.client.instances().await;
        self.session.end().await;
        if let Ok(body) = last {
            farewell(&body.to_snapshot(), supervised, output);
        }
        told(ending)
    }

    /// The terminal or the dashboard is gone: a daemon takes over, and this process goes.
    async fn last_will(&mut self) {
        let started = daemon::start_detached(self.home);
        let deadline = tokio::time::sleep(LAST_WILL_TIME);
        tokio::pin!(started, deadline);
        loop {
            tokio::select! {
                _ = &mut started => return, // told in the daemon's log if it failed
                () = &mut deadline => return,
                () = self.session.yielded() => self.session.hand_over(self.home).await,
            }
        }
    }
}

/// Where panics are reported.
pub(super) fn panic_report(home: &Home) -> PathBuf {
    home.daemon_logs_dir().join("dashboard-panics.txt")
}

fn told(ending: Result<Ending, String>) -> Result<Exit, CliError> {
    match ending {
        Ok(Ending::HandOver | Ending::Leave | Ending::StopAll | Ending::Lost) => Ok(Exit::Success),
        Err(why) => {
            let message = format!("the dashboard failed: {why}");
            Err(CliError::new(Exit::General, message)
                .with_hint("instances are not affected; llama-orch ps shows them"))
        }
    }
}

fn farewell(snapshot: &FleetSnapshot, supervised: bool, output: &Output) {
    let running: Vec<&str> = snapshot
        .rows
        .iter()
        .filter(|row| row.status.is_live())
        .map(|row| row.name.as_str())
        .collect();
    if running.is_empty() {
        output.say("nothing keeps running");
        return;
    }
    output.say(&format!("still running: {}", running.join(", ")));
    if supervised {
        output.say("a daemon looks after them; llama-orch shows them again");
    } else {
        output.say("nobody restarts them now; to have that: llama-orch daemon start");
    }
    output.say("to stop them: llama-orch down --all");
}
