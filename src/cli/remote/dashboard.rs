//! The dashboard over an owner elsewhere: a client and nothing else.
//!
//! When the owner goes away it is asked again, later and later, and the time until then is shown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::super::args::DashboardArgs;
use super::super::dashboard::{Opening, Watch, environment, panic_report, preferences, watch};
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::tracing;
use super::Remote;
use crate::api::client::Client;
use crate::api::client::place::Place;
use crate::config::home;
use crate::tui::host::{Files, Host, HostError, Later};
use crate::tui::{self, Mailbox, Msg, Setting, Supervisor};

/// The first pause before an owner that went away is asked again; each later one is twice as long.
const FIRST_PAUSE: u64 = 1;

/// Seconds; the longest of these pauses.
const LONGEST_PAUSE: u64 = 30;

/// Shows the dashboard until it is left.
///
/// # Errors
///
/// Returns an error when the owner does not answer at first, or there is no terminal.
pub(super) async fn run(
    remote: &Remote,
    args: &DashboardArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    output.needs_screen()?;
    let status = remote.client.status().await?;
    tracing::to_dashboard();
    let mailbox = Mailbox::new()?;
    // How a person likes it is kept here, whatever is looked at.
    let here = home::resolve_here(None)
        .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
    let opening = Opening {
        events_for: args.events_for.clone(),
        ascii: args.ascii,
        ..Opening::default()
    };
    let setting = Setting {
        host: Arc::new(Elsewhere {
            client: remote.client.clone(),
            elsewhere: elsewhere(&remote.place, &status.home),
        }),
        runtime: tokio::runtime::Handle::current(),
        mailbox: mailbox.clone(),
        preferences: preferences(&here, opening),
        environment: environment(),
        home: status.home,
        place: Some(remote.place.to_string()),
        panic_report: panic_report(&here),
    };
    let (send, mut ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(tui::THREAD.to_owned())
        .spawn(move || {
            send.send(tui::run(setting)).ok(); // nobody waits after a lost terminal
        })?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut resize = signal(SignalKind::window_change())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let following = follow(&remote.client, &mailbox);
    tokio::pin!(following);
    loop {
        tokio::select! {
            end = &mut ended => {
                let why = match end {
                    Ok(Ok(_)) => {
                        output.say("instances there are as they were");
                        return Ok(Exit::Success);
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "its thread ended by a panic".to_owned(),
                };
                return Err(CliError::new(Exit::General, format!("the dashboard failed: {why}")));
            }
            () = &mut following => {}
            _ = terminate.recv() => mailbox.post(Msg::Terminated),
            _ = hangup.recv() => mailbox.post(Msg::Lost),
            _ = resize.recv() => mailbox.wake(),
            // In raw mode Ctrl-C is a key.
            _ = interrupt.recv() => {}
        }
    }
}

/// Says where the files of the home are, and how one gets at them.
fn elsewhere(place: &Place, home: &str) -> String {
    match place {
        Place::Socket(_) if Path::new(home).is_dir() => {
            format!("over --host no files are touched; llama-orch --home {home} does it")
        }
        Place::Socket(_) | Place::Tcp(_) => {
            format!("the files are on the machine of {place}, in {home}; log in there")
        }
    }
}

/// Keeps the view up to date for ever.
async fn follow(client: &Client, mailbox: &Mailbox) {
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match client.status().await {
            Ok(status) => {
                pause = FIRST_PAUSE;
                watch::introduce(watch::other(&status), &status, mailbox);
                Watch::start(client, mailbox).broken().await
            }
            Err(error) => error.to_string(),
        };
        for left in (1..=pause).rev() {
            let why = format!("{why}; again in {left} s");
            mailbox.post(Msg::Supervisor(Supervisor::Gone { why }));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the dashboard asks of the program around it, where the files are elsewhere.
struct Elsewhere {
    client: Client,
    /// Why nothing is done with the files of the home from here.
    elsewhere: String,
}

impl Host for Elsewhere {
    fn client(&self) -> Client {
        self.client.clone()
    }

    fn files(&self) -> Result<&dyn Files, HostError> {
        Err(HostError(self.elsewhere.clone()))
    }

    fn hand_over(&self) -> Later<Result<(), HostError>> {
        Box::pin(std::future::ready(Err(HostError(
            "the owner is another process; it goes on".to_owned(),
        ))))
    }

    fn remember(&self, _: &str) {}
}
