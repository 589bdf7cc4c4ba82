//! `work-unit create|list|show|status|logs|edit|rm`: tracked pieces of agent work.
//!
//! With an owner everything goes through it. Without one, reading reads the database, and a change
//! owns the home for as long as it takes.

pub(super) mod args;
mod print;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use self::args::{
    CreateArgs, EditArgs, Fields, ListArgs, LogsArgs, RmArgs, ShowArgs, StatusArgs, WorkCommand,
};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session;
use crate::api::client::{Client, ClientError};
use crate::api::error::ErrorCode;
use crate::api::wire::{
    NewWorkUnit, StatusChangeBody, WorkAnswerBody, WorkHistoryBody, WorkUnitBody, WorkUnitPatch,
    WorkUnitsBody,
};
use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::domain::instance::InstanceName;
use crate::domain::log::Whose;
use crate::domain::work::{Chunk, Phase, Refused, Waiters, WorkSet, WorkSnapshot, WorkStatus};
use crate::store::Reader;

/// A change is asked for again this often when the owner went away before it took the request.
const OWNER_CHANGES: u32 = 5;

/// Lines of history that `show` tells.
const HISTORY: u32 = 50;

/// Runs a line given with `--command`.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// `llama-orch work-unit …`
///
/// # Errors
///
/// Returns the refusal, or why nobody answered.
pub(super) async fn run(
    home: &Home,
    command: &WorkCommand,
    output: &Output,
) -> Result<Exit, CliError> {
    match command {
        WorkCommand::Create(args) => create(home, args, output).await,
        WorkCommand::List(args) => list(home, args, output).await,
        WorkCommand::Show(args) => show(home, args, output).await,
        WorkCommand::Status(args) => status(home, args, output).await,
        WorkCommand::Logs(args) => logs(home, args, output).await,
        WorkCommand::Edit(args) => edit(home, args, output).await,
        WorkCommand::Rm(args) => rm(home, args, output).await,
    }
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    unit: WorkUnitBody,
    history: Vec<StatusChangeBody>,
}

async fn create(home: &Home, args: &CreateArgs, output: &Output) -> Result<Exit, CliError> {
    let mut commands = lines(&args.fields);
    if !args.program.is_empty() {
        let phase = args.phase.to_string();
        if commands.insert(phase, args.program.clone()).is_some() {
            let message = format!("phase {} has two commands", args.phase);
            return Err(CliError::new(Exit::Usage, message)
                .with_hint("give a program after --, or --command, not both"));
        }
    }
    let unit = NewWorkUnit {
        chunk: args.chunk.to_string(),
        phase: Some(args.phase.to_string()),
        blocked_by: args
            .fields
            .blocked_by
            .iter()
            .map(Chunk::to_string)
            .collect(),
        worktree: worktree(&args.fields)?,
        instance: args.fields.instance.as_ref().map(InstanceName::to_string),
        commands,
    };
    let answer = change(home, async |client| client.create_work_unit(&unit).await).await?;
    let exit = told(&answer, args.json, output, |unit| {
        format!("created {}: {}", unit.chunk, print::stand(unit))
    })?;
    if !unit.commands.is_empty() {
        tell_of_runner(home, output).await?;
    }
    Ok(exit)
}

async fn list(home: &Home, args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let body = units(home).await?;
    let asked = |unit: &&WorkUnitBody| {
        let status = WorkStatus::parse(&unit.status);
        args.status.is_empty() || status.is_some_and(|status| args.status.contains(&status))
    };
    let chosen: Vec<&WorkUnitBody> = body.units.iter().filter(asked).collect();
    if args.json {
        output.json(&chosen)?;
    } else if body.units.is_empty() {
        output.say("no work units");
        output.hint("create one: llama-orch work-unit create NAME");
    } else if chosen.is_empty() {
        output.say("no work unit has that status");
    } else {
        print::table(&chosen, output)?;
    }
    Ok(Exit::Success)
}

async fn show(home: &Home, args: &ShowArgs, output: &Output) -> Result<Exit, CliError> {
    let unit = one(home, &args.chunk).await?;
    let client = Client::socket(&home.socket());
    let history = match client.work_history(&args.chunk, HISTORY).await {
        Ok(body) => body.changes,
        Err(ClientError::NoOwner { .. }) => stored_history(home, &args.chunk)?.changes,
        Err(error) => return Err(error.into()),
    };
    let shown = Shown { unit, history };
    if args.json {
        output.json(&shown)?;
    } else {
        print::whole(&shown.unit, &shown.history, output)?;
    }
    Ok(Exit::Success)
}

async fn logs(home: &Home, args: &LogsArgs, output: &Output) -> Result<Exit, CliError> {
    let unit = one(home, &args.chunk).await?;
    if unit.commands.is_empty() {
        output.hint(&format!(
            "{} has no commands; what others write is elsewhere",
            unit.chunk
        ));
    }
    let whose = Whose::Unit(args.chunk.clone());
    super::logs::print(home, whose, &args.how, output).await
}

async fn status(home: &Home, args: &StatusArgs, output: &Output) -> Result<Exit, CliError> {
    if args.status.is_none() && args.phase.is_none() {
        let unit = one(home, &args.chunk).await?;
        if args.json {
            output.json(&unit)?;
        } else {
            output.line(&unit.status)?;
            output.say(&format!("{}: {}", unit.chunk, print::stand(&unit)));
        }
        return Ok(Exit::Success);
    }
    let patch = WorkUnitPatch {
        status: args.status.map(|status| status.to_string()),
        reason: args.reason.clone(),
        phase: args.phase.map(|phase| phase.to_string()),
        ..WorkUnitPatch::default()
    };
    patched(home, &args.chunk, &patch, args.json, output).await
}

async fn edit(home: &Home, args: &EditArgs, output: &Output) -> Result<Exit, CliError> {
    let fields = &args.fields;
    let names: Vec<String> = fields.blocked_by.iter().map(Chunk::to_string).collect();
    let given = lines(fields)
        .into_iter()
        .map(|(phase, argv)| (phase, Some(argv)));
    let taken = args
        .no_command
        .iter()
        .map(|phase| (phase.to_string(), None));
    let instance = fields.instance.as_ref().map(InstanceName::to_string);
    let patch = WorkUnitPatch {
        blocked_by: (args.no_blocked_by || !names.is_empty()).then_some(names),
        worktree: replaced(worktree(fields)?, args.no_worktree),
        instance: replaced(instance, args.no_instance),
        commands: given.chain(taken).collect(),
        ..WorkUnitPatch::default()
    };
    if patch == WorkUnitPatch::default() {
        return Err(CliError::new(Exit::Usage, "nothing to change was named")
            .with_hint("llama-orch work-unit edit --help lists what can be"));
    }
    let exit = patched(home, &args.chunk, &patch, args.json, output).await?;
    if patch.commands.values().any(Option::is_some) {
        tell_of_runner(home, output).await?;
    }
    Ok(exit)
}

async fn rm(home: &Home, args: &RmArgs, output: &Output) -> Result<Exit, CliError> {
    let waiters = match args.force {
        false => Waiters::Keep,
        true => Waiters::Release,
    };
    let mut gone = Vec::new();
    for chunk in &args.chunks {
        let answer = change(home, async |client| {
            client.delete_work_unit(chunk, waiters).await
        });
        let unit = answer.await?.unit;
        if !args.json {
            output.say(&format!("deleted {}; it was {}", unit.chunk, unit.status));
        }
        gone.push(unit);
    }
    if args.json {
        output.json(&gone)?;
    }
    Ok(Exit::Success)
}

async fn patched(
    home: &Home,
    chunk: &Chunk,
    patch: &WorkUnitPatch,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let answer = change(home, async |client| {
        client.change_work_unit(chunk, patch).await
    })
    .await?;
    told(&answer, json, output, |unit| {
        format!("{}: {}", unit.chunk, print::stand(unit))
    })
}

fn told(
    answer: &WorkAnswerBody,
    json: bool,
    output: &Output,
    words: impl FnOnce(&WorkUnitBody) -> String,
) -> Result<Exit, CliError> {
    if json {
        output.json(&answer.unit)?;
    } else {
        output.say(&words(&answer.unit));
    }
    Ok(Exit::Success)
}

/// Says what is missing for a command to be run at all.
async fn tell_of_runner(home: &Home, output: &Output) -> Result<(), CliError> {
    if Settings::load(home).work.max_parallel == 0 {
        output.hint("no command is run yet: set work.max_parallel in orchestrator.toml");
    } else if session::owner_of(home).await?.is_none() {
        output.hint("no command is run without an owner: llama-orch daemon start");
    }
    Ok(())
}

/// Has the owner make a change, or owns the home for it.
async fn change<T>(
    home: &Home,
    ask: impl AsyncFn(&Client) -> Result<T, ClientError>,
) -> Result<T, CliError> {
    let mut tries = OWNER_CHANGES;
    loop {
        let session = session::act_on(home, &[]).await?;
        let answer = ask(&session.client).await;
        session.end().await;
        tries -= 1;
        match answer {
            // Nothing was taken: whoever has the home next is asked.
            Err(ClientError::NoOwner { .. }) if tries > 0 => {}
            Err(ClientError::Refused(body)) if tries > 0 && body.code == ErrorCode::OwnerError => {}
            answer => return Ok(answer?),
        }
    }
}

async fn units(home: &Home) -> Result<WorkUnitsBody, CliError> {
    match Client::socket(&home.socket()).work_units().await {
        Ok(body) => Ok(body),
        Err(ClientError::NoOwner { .. }) => stored(home),
        Err(error) => Err(error.into()),
    }
}

async fn one(home: &Home, chunk: &Chunk) -> Result<WorkUnitBody, CliError> {
    match Client::socket(&home.socket()).work_unit(chunk).await {
        Ok(unit) => Ok(unit),
        Err(ClientError::NoOwner { .. }) => {
            let mut units = stored(home)?.units.into_iter();
            let found = units.find(|unit| unit.chunk == chunk.as_str());
            found.ok_or_else(|| {
                let refused = Refused::Unknown(chunk.clone());
                let hint = refused.hint().unwrap_or_default();
                CliError::new(Exit::NotFound, refused.to_string()).with_hint(hint)
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the units from the database, changing nothing.
fn stored(home: &Home) -> Result<WorkUnitsBody, CliError> {
    let units = match reader(home)? {
        Some(reader) => reader.work_units().map_err(unreadable)?,
        None => Vec::new(),
    };
    // As an owner would show them.
    let set = WorkSet::load(units, crate::supervisor::wall_clock()).set;
    let snapshot = WorkSnapshot {
        units: set.in_order().into_iter().cloned().collect(),
        ..WorkSnapshot::default()
    };
    Ok(WorkUnitsBody::of(&snapshot, &[]))
}

fn stored_history(home: &Home, chunk: &Chunk) -> Result<WorkHistoryBody, CliError> {
    let changes = match reader(home)? {
        Some(reader) => reader.status_log(chunk, HISTORY).map_err(unreadable)?,
        None => Vec::new(),
    };
    let changes = changes.iter().map(Into::into).collect();
    Ok(WorkHistoryBody { changes })
}

fn reader(home: &Home) -> Result<Option<Reader>, CliError> {
    Reader::open(&home.database()).map_err(unreadable)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn unreadable(error: crate::store::StoreError) -> CliError {
    CliError::new(Exit::General, error.to_string())
}

/// The commands given as lines for the shell.
fn lines(fields: &Fields) -> BTreeMap<String, Vec<String>> {
    let argv = |(phase, line): &(Phase, String)| {
        let words = SHELL.into_iter().chain([line.as_str()]);
        (phase.to_string(), words.map(str::to_owned).collect())
    };
    fields.command.iter().map(argv).collect()
}

/// Makes the path absolute: the owner works in another folder.
fn worktree(fields: &Fields) -> Result<Option<String>, CliError> {
    let Some(path) = &fields.worktree else {
        return Ok(None);
    };
    // One that is still to be made has no other name yet.
    let absolute: PathBuf = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => std::path::absolute(path)?,
    };
    match absolute.into_os_string().into_string() {
        Ok(text) => Ok(Some(text)),
        Err(path) => {
            let message = format!("{} is not UTF-8", path.display());
            Err(CliError::new(Exit::General, message))
        }
    }
}

/// A new value, none, or what it was.
fn replaced(value: Option<String>, none: bool) -> Option<Option<String>> {
    match (value, none) {
        (Some(value), _) => Some(Some(value)),
        (None, true) => Some(None),
        (None, false) => None,
    }
}
