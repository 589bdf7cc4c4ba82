//! Waiting for what becomes of commands: each outcome is told once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::args::Patience;
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session::Session;
use super::Verb;
use crate::api::client::pace;
use crate::api::wire::FleetBody;
use crate::domain::autopsy::{Autopsy, Cause};
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Failure, Health, Status};

/// One long poll while waiting; the loop asks again.
pub(super) const POLL_TIME: Duration = Duration::from_secs(20);

/// Whether one instance has come where it was sent.
enum Progress {
    Underway,
    Done(String),
    Failed(Exit, String),
    /// A supervisor that stays will try again.
    FailedForNow(Exit, String),
}

/// Instances that a command was given for and whose outcome is not known yet.
pub(super) struct Waiting {
    pub(super) underway: Vec<InstanceName>,
    pub(super) verb: Verb,
    /// The first picture that may be looked at shows the commands' effect.
    pub(super) seen: u64,
    pub(super) failed: Option<Exit>,
    /// Tenths of a load that were told of.
    pub(super) told: BTreeMap<InstanceName, u8>,
}

/// Whether the home changed hands while we waited.
pub(super) enum Yielded {
    Yes,
    No,
}

impl Waiting {
    /// Waits for every instance and tells each outcome once.
    pub(super) async fn wait(
        &mut self,
        session: &Session,
        patience: Patience,
        output: &Output,
    ) -> Result<Yielded, CliError> {
        let deadline = match patience {
            Patience::AtMost(limit) => Some(tokio::time::Instant::now() + limit),
            Patience::None | Patience::Endless => None,
        };
        let mut after = self.seen.saturating_sub(1);
        while !self.underway.is_empty() {
            let left = deadline.map_or(POLL_TIME, |deadline| {
                deadline
                    .saturating_duration_since(tokio::time::Instant::now())
                    .min(POLL_TIME)
            });
            let body: FleetBody = tokio::select! {
                body = session.client.instances_after(after, left) => match body {
                    Ok(body) => body,
                    // A command that owned the home has done its work; somebody else will.
                    Err(error) if error.is_vanished_owner() => return Ok(Yielded::Yes),
                    Err(error) => return Err(error.into()),
                },
                () = session.yielded() => return Ok(Yielded::Yes),
            };
            after = body.generation;
            let rest = pace::waiting(body.instances.len());
            self.look(&body.to_snapshot().rows, session, output);
            let late = deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
            if late && !self.underway.is_empty() {
                for name in &self.underway {
                    output.error(&format!("{name}: not there in time; it goes on without us"));
                }
                self.failed.get_or_insert(Exit::NotReady);
                break;
            }
            if !self.underway.is_empty() {
                tokio::time::sleep(rest).await;
            }
        }
        Ok(Yielded::No)
    }

    fn look(&mut self, rows: &[InstanceRow], session: &Session, output: &Output) {
        let (verb, failed, told) = (self.verb, &mut self.failed, &mut self.told);
        self.underway.retain(|name| {
            let row = rows.iter().find(|row| row.name == *name);
            let progress = match progress(row, verb) {
                // We are about to leave, and nobody comes after us.
                Progress::FailedForNow(exit, text) if session.owned.is_some() => {
                    Progress::Failed(exit, text)
                }
                Progress::FailedForNow(exit, text) => {
                    Progress::Failed(exit, format!("{text}; it will be tried again"))
                }
                settled => settled,
            };
            match progress {
                Progress::Underway => {
                    if let Some((percent, activity)) = row.and_then(loading)
                        && told.insert(name.clone(), percent / 10) < Some(percent / 10)
                    {
                        output.say(&format!("{name}: loading {percent} %, {activity}"));
                    }
                    true
                }
                Progress::Done(text) => {
                    output.say(&format!("{name}: {text}"));
                    false
                }
                Progress::Failed(exit, text) | Progress::FailedForNow(exit, text) => {
                    output.error(&format!("{name}: {text}"));
                    if let Some(autopsy) = row.and_then(|row| row.autopsy.as_ref()) {
                        tell(autopsy, output);
                    }
                    failed.get_or_insert(exit);
                    false
                }
            }
        });
    }
}

/// How far a load has come, where that is known.
fn loading(row: &InstanceRow) -> Option<(u8, &str)> {
    Some((row.progress?, row.reason.as_deref()?))
}

/// Shows what an explanation rests on and what to do about it.
pub(super) fn tell(autopsy: &Autopsy, output: &Output) {
    if let Some(evidence) = &autopsy.evidence {
        output.say(&format!("  {evidence}"));
    }
    if let Some(remedy) = &autopsy.remedy {
        output.hint(remedy);
    }
}

fn progress(row: Option<&InstanceRow>, verb: Verb) -> Progress {
    let Some(row) = row else {
        return Progress::Failed(Exit::NotFound, "it is gone".to_owned());
    };
    let reason = || {
        row.reason
            .clone()
            .unwrap_or_else(|| "no reason was given".to_owned())
    };
    match (verb, row.status) {
        (Verb::Down(_), Status::Stopped) => {
            let how = row
                .exit
                .map_or_else(String::new, |exit| format!(" ({exit})"));
            Progress::Done(format!("stopped{how}"))
        }
        (Verb::Down(_), Status::Failed) => Progress::Failed(Exit::General, reason()),
        (
            Verb::Down(_),
            Status::Starting | Status::Running | Status::Stopping | Status::Backoff,
        ) => Progress::Underway,
        (Verb::Up | Verb::Restart(_), Status::Running) if row.health == Health::Healthy => {
            let url = row
                .url()
                .map_or_else(String::new, |url| format!(" at {url}"));
            Progress::Done(format!("ready{url} (pid {})", row.pid.unwrap_or_default()))
        }
        (Verb::Up | Verb::Restart(_), Status::Failed) => {
            Progress::Failed(failure_exit(row.failure), reason())
        }
        (Verb::Up | Verb::Restart(_), Status::Backoff) => {
            let cause = row.autopsy.as_ref().map(|autopsy| autopsy.cause);
            let exit = match cause {
                Some(Cause::PortInUse) => Exit::PortInUse,
                Some(_) | None => Exit::NotReady,
            };
            Progress::FailedForNow(exit, reason())
        }
        // A start during a stop is remembered, and done when the stop is.
        (Verb::Up, Status::Stopping) if row.desired == Desired::Running => Progress::Underway,
        (Verb::Up, Status::Stopped | Status::Stopping) => {
            Progress::Failed(Exit::General, "it was stopped meanwhile".to_owned())
        }
        (Verb::Restart(_), Status::Stopped) => {
            Progress::Failed(Exit::General, "it was stopped meanwhile".to_owned())
        }
        (Verb::Up | Verb::Restart(_), Status::Starting | Status::Running)
        | (Verb::Restart(_), Status::Stopping) => Progress::Underway,
    }
}

pub(super) fn failure_exit(failure: Option<Failure>) -> Exit {
    match failure {
        Some(Failure::PortInUse) => Exit::PortInUse,
        Some(Failure::ExecutableNotFound) => Exit::ExecutableNotFound,
        Some(Failure::InvalidConfig) => Exit::General,
        Some(Failure::Crashed) => Exit::NotReady,
        Some(Failure::AddressUnusable | Failure::Busy | Failure::Resources | Failure::Other)
        | None => Exit::General,
    }
}
