//! `health`: looks at instances now; the exit code says the result.

pub(super) mod history;

use std::collections::BTreeMap;
use std::time::Duration;

use super::args::HealthArgs;
use super::exit::{CliError, Exit};
use super::offline;
use super::output::{Flow, Output, Paint, json_line, paint};
use super::target::Target;
use crate::api::client::{ClientError, pace};
use crate::api::wire::InstanceHealthBody;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::supervisor::probe_once;

/// A probe may take a minute, a person waits less.
const PATIENCE: Duration = Duration::from_secs(20);

/// One long poll of a watcher.
const WAIT: Duration = Duration::from_secs(20);

/// Without an owner, a watcher probes this often.
const PAUSE: Duration = Duration::from_secs(2);

/// Changes, and stretches of five minutes, that are shown when nothing says how many.
const HISTORY: u32 = 12;

/// `llama-orch health`
///
/// # Errors
///
/// Returns an error when the instance is unknown or the owner does not answer as it should.
pub(super) async fn run(
    target: &Target,
    args: &HealthArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let chosen = target.chosen(args.name.as_deref()).await?;
    if let (Some(name), true) = (&chosen, args.history) {
        let history = history::of(target, name, args.tail.unwrap_or(HISTORY)).await?;
        history::print(&history, args.json, output)?;
        return Ok(Exit::Success);
    }
    let rows = rows(&look(target, chosen.as_ref()).await?, chosen.as_ref());
    if let (Some(name), true) = (&chosen, rows.is_empty()) {
        let message = format!("no instance is called {name}");
        return Err(CliError::new(Exit::NotFound, message));
    }
    let printer = Printer {
        output,
        json: args.json,
    };
    if args.watch {
        return watch(target, chosen.as_ref(), rows, &printer).await;
    }
    printer.all(&rows)?;
    Ok(verdict(&rows, chosen.is_some()))
}

/// The first instance that is not as it should be decides; one that was stopped on purpose is only
/// wrong when it was named.
fn verdict(rows: &[InstanceRow], named: bool) -> Exit {
    let of = |row: &InstanceRow| match (row.status, row.health) {
        (Status::Starting | Status::Running | Status::Stopping, Health::Healthy) => Exit::Success,
        (Status::Starting | Status::Running | Status::Stopping, _) => Exit::NotReady,
        (Status::Stopped, _) if !named && row.desired == Desired::Stopped => Exit::Success,
        (Status::Stopped | Status::Backoff | Status::Failed, _) => Exit::NotRunning,
    };
    rows.iter()
        .map(of)
        .find(|exit| *exit != Exit::Success)
        .unwrap_or(Exit::Success)
}

fn rows(picture: &FleetSnapshot, chosen: Option<&InstanceName>) -> Vec<InstanceRow> {
    let wanted = |row: &&InstanceRow| chosen.is_none_or(|name| row.name == *name);
    picture.rows.iter().filter(wanted).cloned().collect()
}

/// Has the owner probe now, or probes from here when there is none.
async fn look(target: &Target, chosen: Option<&InstanceName>) -> Result<FleetSnapshot, CliError> {
    let names = chosen.map(std::slice::from_ref);
    match (target.client().refresh(names, PATIENCE).await, target) {
        (Ok(body), _) => Ok(body.to_snapshot()),
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => {
            Ok(look_ourselves(home, &load::load(home), chosen).await)
        }
        (Err(error), _) => Err(error.into()),
    }
}

async fn look_ourselves(
    home: &Home,
    set: &ConfigSet,
    chosen: Option<&InstanceName>,
) -> FleetSnapshot {
    let mut picture = offline::picture_of(home, set);
    let specs = set.rows.iter().filter_map(|row| row.as_ref().ok());
    let specs: BTreeMap<_, _> = specs
        .map(|loaded| (loaded.spec.name.clone(), &loaded.spec))
        .collect();
    let looks = picture.rows.iter_mut().map(|row| {
        let spec = specs.get(&row.name).copied();
        async move {
            let wanted = chosen.is_none_or(|name| row.name == *name);
            let (true, true, Some(spec)) = (wanted, row.status.is_live(), spec) else {
                return;
            };
            let (health, detail) = probe_once(spec, row, home).await;
            row.health = health;
            row.reason = detail.or(row.reason.take());
            if row.status == Status::Starting && health == Health::Healthy {
                row.status = Status::Running;
            }
        }
    });
    futures_util::future::join_all(looks).await;
    picture
}

async fn watch(
    target: &Target,
    chosen: Option<&InstanceName>,
    first: Vec<InstanceRow>,
    printer: &Printer<'_>,
) -> Result<Exit, CliError> {
    let client = target.client();
    let mut seen = 0;
    let mut shown: Vec<InstanceHealthBody> = Vec::new();
    let mut present = first;
    let mut away = false;
    loop {
        let bodies: Vec<InstanceHealthBody> =
            present.iter().map(InstanceHealthBody::from).collect();
        let news: Vec<InstanceRow> = present
            .iter()
            .zip(&bodies)
            .filter(|(_, body)| !shown.contains(body))
            .map(|(row, _)| row.clone())
            .collect();
        if printer.changes(&news)? == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
        shown = bodies;
        tokio::time::sleep(pace::WATCHING).await;
        present = match (client.instances_after(seen, WAIT).await, target) {
            (Ok(body), _) => {
                seen = body.generation;
                rows(&body.to_snapshot(), chosen)
            }
            (Err(ClientError::NoOwner { .. }), Target::Here(home)) => {
                tokio::time::sleep(PAUSE).await;
                seen = 0;
                let picture = look_ourselves(home, &load::load(home), chosen).await;
                rows(&picture, chosen)
            }
            (Err(error), _) if error.is_vanished_owner() => {
                if !away {
                    away = true;
                    let every = PAUSE.as_secs();
                    printer
                        .output
                        .say(&format!("{error}; asking again every {every} s"));
                }
                tokio::time::sleep(PAUSE).await;
                // The next owner counts anew.
                seen = 0;
                continue;
            }
            (Err(error), _) => return Err(error.into()),
        };
        away = false;
    }
}

struct Printer<'a> {
    output: &'a Output,
    json: bool,
}

impl Printer<'_> {
    fn all(&self, rows: &[InstanceRow]) -> Result<Flow, CliError> {
        if self.json {
            let bodies: Vec<InstanceHealthBody> =
                rows.iter().map(InstanceHealthBody::from).collect();
            return Ok(self.output.json(&bodies)?);
        }
        if rows.is_empty() {
            self.output.say("there are no instances in this home");
        }
        self.changes(rows)
    }

    /// Prints rows one per line, as they come.
    fn changes(&self, rows: &[InstanceRow]) -> Result<Flow, CliError> {
        if rows.is_empty() {
            return Ok(Flow::Continue);
        }
        let width = rows.iter().map(|row| row.name.as_str().len()).max();
        let lines: Vec<String> = rows
            .iter()
            .map(|row| self.text(row, width.unwrap_or(0)))
            .collect();
        Ok(self.output.line(&lines.join("\n"))?)
    }

    fn text(&self, row: &InstanceRow, width: usize) -> String {
        if self.json {
            return json_line(&InstanceHealthBody::from(row));
        }
        let reason = row.reason.as_deref().unwrap_or("");
        if !self.output.stdout_is_terminal && !self.output.stdout_color {
            return format!(
                "{}\t{}\t{}\t{reason}",
                row.name,
                row.state_word(),
                row.health
            );
        }
        let color = match (row.status, row.health) {
            (Status::Running, Health::Healthy) => Paint::Good,
            (Status::Stopped, _) => Paint::Dim,
            (Status::Failed, _) | (_, Health::Unhealthy | Health::Error) => Paint::Bad,
            (_, _) => Paint::Busy,
        };
        let word = paint(
            self.output.stdout_color,
            color,
            &format!("{:<10}", row.state_word()),
        );
        format!("{:<width$}  {word}  {reason}", row.name.as_str())
            .trim_end()
            .to_owned()
    }
}
