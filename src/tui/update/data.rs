//! What arrives from the supervisor and from the program around.

use super::super::effect::{Command, Effect};
use super::super::host::{Change, ConfigReport};
use super::super::model::details::Details;
use super::super::model::dialog::{Button, Dialog, Question};
use super::super::model::fleet::Changed;
use super::super::model::notice::{Kind, Underway};
use super::super::model::{Dirty, Model, Pane, Supervisor};
use super::super::panics::Panicked;
use super::{quit, tell};
use crate::domain::event::{Event, Level};
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Health, Status};
use crate::domain::units;

pub(super) fn tick(model: &mut Model) {
    model.notices.expire(model.now.mono);
    model.soil(Dirty::Now);
}

pub(super) fn picture(model: &mut Model, snapshot: Box<FleetSnapshot>) -> Vec<Effect> {
    if let Some(waiting) = &mut model.frozen {
        *waiting = Some(snapshot);
        return Vec::new();
    }
    let first = !model.fleet.known;
    outdate_details(model, &snapshot);
    let changed = model.fleet.take(*snapshot, model.now.wall);
    model.soil(match changed {
        Changed::Readings => Dirty::AtTick,
        Changed::States | Changed::Instances => Dirty::Soon,
    });
    if changed != Changed::Readings || model.table.depends_on_readings() {
        model.table.arrange(&model.fleet);
    }
    if first
        && let Some(name) = model.feed.only.clone()
        && model.fleet.row(&name).is_some()
    {
        model.table.cursor = Some(name);
        model.table.arrange(&model.fleet);
    }
    outcomes(model);
    quit::leave_when_stopped(model)
}

/// A new run has a new command; a changed configuration has another drift. What is known is shown
/// until the new is there.
fn outdate_details(model: &mut Model, snapshot: &FleetSnapshot) {
    let fleet = &model.fleet;
    // Details are kept of the few that were looked at, and a picture may hold thousands of rows.
    let changed = model.details.names().filter(|name| {
        let place = fleet.place(name);
        let new = place.and_then(|place| snapshot.rows.get(place));
        match (fleet.row(name), new.filter(|row| row.name == **name)) {
            (Some(old), Some(new)) => {
                // The command of a run is in its files by the time that its pid is known.
                (&old.run, old.pid) != (&new.run, new.pid)
                    || old.drift != new.drift
                    || old.broken != new.broken
                    || old.reason != new.reason
            }
            (_, _) => true,
        }
    });
    let changed: Vec<InstanceName> = changed.cloned().collect();
    model.details.outdate(changed);
}

/// Tells how commands ended whose effect is now seen.
fn outcomes(model: &mut Model) {
    let mut told = Vec::new();
    for (name, underway) in &model.notices.underway {
        let Some(row) = model.fleet.row(name) else {
            told.push((name.clone(), Kind::Bad, format!("{name} is gone")));
            continue;
        };
        let took = units::duration(model.now.mono - underway.since);
        if let Some((kind, text)) = outcome(row, underway.command, &took) {
            told.push((name.clone(), kind, text));
        }
    }
    for (name, kind, text) in told {
        model.notices.underway.remove(&name);
        model.notices.tell(kind, text, model.now.mono);
        model.soil(Dirty::Soon);
    }
}

fn outcome(row: &InstanceRow, command: Command, took: &str) -> Option<(Kind, String)> {
    let name = &row.name;
    let reason = || {
        row.reason
            .clone()
            .unwrap_or_else(|| "no reason was given".to_owned())
    };
    match (command, row.status) {
        (Command::Start | Command::Restart, Status::Running) if row.health == Health::Healthy => {
            let place = row
                .url()
                .map_or_else(String::new, |url| format!(" at {url}"));
            Some((Kind::Good, format!("{name}: ready{place} after {took}")))
        }
        (_, Status::Failed) => Some((Kind::Bad, format!("{name}: failed: {}", reason()))),
        (Command::Start | Command::Restart, Status::Backoff) => Some((
            Kind::Bad,
            format!("{name}: {}; it will be tried again", reason()),
        )),
        (Command::Stop | Command::Kill, Status::Stopped) => {
            let how = row
                .exit
                .map_or_else(String::new, |exit| format!(" ({exit})"));
            Some((Kind::Good, format!("{name}: stopped{how} after {took}")))
        }
        (Command::Start, Status::Stopped) => {
            Some((Kind::Info, format!("{name}: it was stopped meanwhile")))
        }
        (Command::Restart, Status::Stopped)
        | (
            Command::Start | Command::Restart,
            Status::Starting | Status::Running | Status::Stopping,
        )
        | (
            Command::Stop | Command::Kill,
            Status::Starting | Status::Running | Status::Stopping | Status::Backoff,
        ) => None,
    }
}

pub(super) fn events(model: &mut Model, events: Vec<Event>) -> Vec<Effect> {
    let first = model.feed.events.is_empty();
    let fresh = model.feed.add(events);
    if fresh.is_empty() {
        return Vec::new();
    }
    // What happened before we came is history, not news.
    if !first {
        if model.focus == Pane::Events {
            model.feed.unseen = 0;
        } else {
            model.notices.watch(&fresh);
            announce(model, &fresh);
        }
    } else {
        model.feed.unseen = 0;
    }
    model.soil(Dirty::Soon);
    Vec::new()
}

/// Tells errors where the alert cannot be seen because one pane has the whole screen.
fn announce(model: &mut Model, events: &[Event]) {
    if !model.areas().alert.is_empty() {
        return;
    }
    for event in events.iter().filter(|event| event.level == Level::Error) {
        let name = event.instance.as_ref().map(|name| format!("{name} "));
        let message = model.local(event.message.lines().next().unwrap_or_default());
        let text = format!("{}{message}", name.unwrap_or_default());
        model.notices.tell(Kind::Bad, text, model.now.mono);
    }
}

pub(super) fn supervisor(model: &mut Model, supervisor: Supervisor) -> Vec<Effect> {
    if model.supervisor == supervisor {
        return Vec::new();
    }
    let text = match (&model.supervisor, &supervisor) {
        (Supervisor::Unknown, _) | (_, Supervisor::Unknown | Supervisor::Gone { .. }) => None,
        (_, Supervisor::InProcess) => Some("this dashboard supervises the fleet now".to_owned()),
        (_, Supervisor::Other { pid, .. }) => {
            Some(format!("process {pid} supervises the fleet now"))
        }
    };
    // Another owner may know what the one before could not tell.
    model.details.outdate_all();
    model.supervisor = supervisor;
    model.soil(Dirty::Now);
    text.map_or_else(Vec::new, |text| tell(model, Kind::Info, text))
}

pub(super) fn answered(
    model: &mut Model,
    command: Command,
    name: &InstanceName,
    refusal: Option<String>,
) -> Vec<Effect> {
    match refusal {
        Some(why) => {
            let text = format!("{name}: cannot {}: {why}", command.verb());
            tell(model, Kind::Bad, text)
        }
        None => {
            let underway = Underway {
                command,
                since: model.now.mono,
            };
            model.notices.underway.insert(name.clone(), underway);
            tell(model, Kind::Info, format!("{name}: {}", command.doing()))
        }
    }
}

pub(super) fn details(
    model: &mut Model,
    name: InstanceName,
    answer: Result<Box<Details>, String>,
) -> Vec<Effect> {
    model.details.take(name, answer.map(|details| *details));
    model.soil(Dirty::Soon);
    Vec::new()
}

/// Tells what an edit means: what is wrong, or what a restart would change.
pub(super) fn edited(model: &mut Model, name: &InstanceName, report: &ConfigReport) -> Vec<Effect> {
    model.details.outdate([name.clone()]);
    model.soil(Dirty::Now);
    if !report.usable {
        let mut lines = report.findings.clone();
        lines.push(String::new());
        lines.push("What runs goes on as it was. e opens the editor again.".to_owned());
        let lines = lines
            .iter()
            .flat_map(|text| text.lines().map(str::to_owned))
            .collect();
        model.dialogs.push(Dialog::Text {
            title: format!("{name}: this configuration cannot be used"),
            lines,
            scroll: 0,
        });
        return vec![Effect::Refresh];
    }
    let live = model
        .fleet
        .row(name)
        .is_some_and(|row| row.status.is_live());
    if !live || report.changes.is_empty() {
        let text = match report.findings.first() {
            Some(warning) => format!("{name}: usable, with a warning: {warning}"),
            None if live => format!("{name}: nothing that runs has to change"),
            None => format!("{name}: the configuration is good; s starts it"),
        };
        tell(model, Kind::Good, text);
        return vec![Effect::Refresh];
    }
    let mut lines: Vec<String> = report.changes.iter().map(change_line).collect();
    lines.push(String::new());
    lines.push(
        "The running process does not know this yet. A restart cuts off requests under way."
            .to_owned(),
    );
    model.dialogs.push(Dialog::Question(Question {
        title: format!("Restart {name} to apply?"),
        lines,
        yes: "Restart".to_owned(),
        chosen: Button::Cancel,
        effects: vec![Effect::Command(Command::Restart, vec![name.clone()])],
    }));
    vec![Effect::Refresh]
}

pub(in crate::tui) fn change_line(change: &Change) -> String {
    format!("{}: {} → {}", change.field, change.was, change.now)
}

pub(super) fn created(model: &mut Model, result: Result<InstanceName, String>) -> Vec<Effect> {
    match result {
        Ok(name) => {
            tell(
                model,
                Kind::Good,
                format!("{name}: created; its configuration is in the editor"),
            );
            model.table.cursor = Some(name.clone());
            vec![Effect::Edit(name)]
        }
        Err(why) => tell(model, Kind::Bad, why),
    }
}

/// Stops the picture, or shows the newest one again.
pub(super) fn freeze(model: &mut Model) -> Vec<Effect> {
    match model.frozen.take() {
        None => {
            model.frozen = Some(None);
            Vec::new()
        }
        Some(None) => Vec::new(),
        Some(Some(snapshot)) => picture(model, snapshot),
    }
}

pub(super) fn panicked(model: &mut Model, panicked: &Panicked) -> Vec<Effect> {
    let report = panicked.report.as_ref().map_or_else(String::new, |path| {
        format!("; the report is in {}", path.display())
    });
    let text = format!("a panic, and the rest goes on: {}{report}", panicked.text);
    tell(model, Kind::Bad, text)
}
