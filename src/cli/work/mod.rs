//! `work-unit create|list|show|status|logs|edit|rm`: tracked pieces of agent work.
//!
//! With an owner everything goes through it. Without one, reading reads the database, and a change
//! owns the home for as long as it takes. An owner elsewhere is asked, or nobody is.

pub(super) mod args;
mod print;
mod stopping;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

pub(super) use self::stopping::stop_commands;

use self::args::{
    CreateArgs, EditArgs, Fields, ListArgs, LogsArgs, RmArgs, ShowArgs, StatusArgs, WorkCommand,
};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::target::Target;
use super::{logs, session};
use crate::api::client::{Client, ClientError};
use crate::api::error::ErrorCode;
use crate::api::wire::{
    NewWorkUnit, Role, StatusChangeBody, StopModeBody, WorkAnswerBody, WorkHistoryBody,
    WorkUnitBody, WorkUnitPatch, WorkUnitsBody,
};
use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::domain::instance::InstanceName;
use crate::domain::log::Whose;
use crate::domain::work::{
    Chunk, Phase, Refused, TimeLimit, Waiters, WorkSet, WorkSnapshot, WorkStatus,
};
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
    target: &Target,
    command: &WorkCommand,
    output: &Output,
) -> Result<Exit, CliError> {
    match command {
        WorkCommand::Create(args) => create(target, args, output).await,
        WorkCommand::List(args) => list(target, args, output).await,
        WorkCommand::Show(args) => show(target, args, output).await,
        WorkCommand::Status(args) => status(target, args, output).await,
        WorkCommand::Logs(args) => log(target, args, output).await,
        WorkCommand::Edit(args) => edit(target, args, output).await,
        WorkCommand::Rm(args) => rm(target, args, output).await,
    }
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    unit: WorkUnitBody,
    history: Vec<StatusChangeBody>,
}

async fn create(target: &Target, args: &CreateArgs, output: &Output) -> Result<Exit, CliError> {
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
        worktree: worktree(target, &args.fields)?,
        instance: args.fields.instance.as_ref().map(InstanceName::to_string),
        commands,
        time_limit: args.fields.time_limit.map(TimeLimit::seconds),
    };
    let answer = change(target, async |client| client.create_work_unit(&unit).await).await?;
    let exit = told(&answer, args.json, output, |unit| {
        format!("created {}: {}", unit.chunk, print::stand(unit))
    })?;
    if !unit.commands.is_empty() {
        tell_of_runner(target, output).await?;
    }
    Ok(exit)
}

async fn list(target: &Target, args: &ListArgs, output: &Output) -> Result<Exit, CliError> {
    let body = units(target).await?;
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

async fn show(target: &Target, args: &ShowArgs, output: &Output) -> Result<Exit, CliError> {
    let unit = one(target, &args.chunk).await?;
    let answer = target.client().work_history(&args.chunk, HISTORY).await;
    let history = match (answer, target) {
        (Ok(body), _) => body.changes,
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => {
            stored_history(home, &args.chunk)?.changes
        }
        (Err(error), _) => return Err(error.into()),
    };
    let shown = Shown { unit, history };
    if args.json {
        output.json(&shown)?;
    } else {
        print::whole(&shown.unit, &shown.history, output)?;
    }
    Ok(Exit::Success)
}

async fn log(target: &Target, args: &LogsArgs, output: &Output) -> Result<Exit, CliError> {
    let unit = one(target, &args.chunk).await?;
    if unit.commands.is_empty() {
        output.hint(&format!(
            "{} has no commands; what others write is elsewhere",
            unit.chunk
        ));
    }
    let whose = Whose::Unit(args.chunk.clone());
    match target {
        Target::Here(home) => logs::print(home, whose, &args.how, output).await,
        Target::Elsewhere(remote) => {
            logs::print_remote(&remote.client, whose, &args.how, output).await
        }
    }
}

async fn status(target: &Target, args: &StatusArgs, output: &Output) -> Result<Exit, CliError> {
    if args.status.is_none() && args.phase.is_none() {
        let unit = one(target, &args.chunk).await?;
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
        stop: args.force.then_some(StopModeBody::Kill),
        phase: args.phase.map(|phase| phase.to_string()),
        ..WorkUnitPatch::default()
    };
    patched(target, &args.chunk, &patch, args.json, output).await
}

async fn edit(target: &Target, args: &EditArgs, output: &Output) -> Result<Exit, CliError> {
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
        worktree: replaced(worktree(target, fields)?, args.no_worktree),
        instance: replaced(instance, args.no_instance),
        commands: given.chain(taken).collect(),
        time_limit: replaced(
            fields.time_limit.map(TimeLimit::seconds),
            args.no_time_limit,
        ),
        ..WorkUnitPatch::default()
    };
    if patch == WorkUnitPatch::default() {
        return Err(CliError::new(Exit::Usage, "nothing to change was named")
            .with_hint("llama-orch work-unit edit --help lists what can be"));
    }
    let exit = patched(target, &args.chunk, &patch, args.json, output).await?;
    if patch.commands.values().any(Option::is_some) {
        tell_of_runner(target, output).await?;
    }
    Ok(exit)
}

async fn rm(target: &Target, args: &RmArgs, output: &Output) -> Result<Exit, CliError> {
    let waiters = match args.force {
        false => Waiters::Keep,
        true => Waiters::Release,
    };
    let mut gone = Vec::new();
    for chunk in &args.chunks {
        let answer = change(target, async |client| {
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
    target: &Target,
    chunk: &Chunk,
    patch: &WorkUnitPatch,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let answer = change(target, async |client| {
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
async fn tell_of_runner(target: &Target, output: &Output) -> Result<(), CliError> {
    let owner = match (target.client().status().await, target) {
        (Ok(status), _) => Some(status),
        (Err(ClientError::NoOwner { .. }), Target::Here(_)) => None,
        (Err(error), _) => return Err(error.into()),
    };
    // One that owns the home for a single command runs none, whatever the settings say.
    let runs = owner.filter(|owner| owner.role != Role::Command);
    let places = match (&runs, target) {
        (Some(owner), _) if owner.work_max_parallel.is_some() => owner.work_max_parallel,
        (_, Target::Here(home)) => Some(Settings::load(home).work.max_parallel),
        // An older owner does not say.
        (_, Target::Elsewhere(_)) => None,
    };
    if places == Some(0) {
        output.hint("no command is run yet: set work.max_parallel in orchestrator.toml");
    } else if runs.is_none() {
        output.hint("no command is run without an owner: llama-orch daemon start");
    }
    Ok(())
}

/// Has the owner make a change, or owns the home for it.
async fn change<T>(
    target: &Target,
    ask: impl AsyncFn(&Client) -> Result<T, ClientError>,
) -> Result<T, CliError> {
    // An owner elsewhere that is away has nobody here to wait for.
    let mut tries = match target {
        Target::Here(_) => OWNER_CHANGES,
        Target::Elsewhere(_) => 1,
    };
    loop {
        let session = session::act_through(target, &[]).await?;
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

async fn units(target: &Target) -> Result<WorkUnitsBody, CliError> {
    match (target.client().work_units().await, target) {
        (Ok(body), _) => Ok(body),
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => stored(home),
        (Err(error), _) => Err(error.into()),
    }
}

async fn one(target: &Target, chunk: &Chunk) -> Result<WorkUnitBody, CliError> {
    match (target.client().work_unit(chunk).await, target) {
        (Ok(unit), _) => Ok(unit),
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => {
            let mut units = stored(home)?.units.into_iter();
            let found = units.find(|unit| unit.chunk == chunk.as_str());
            found.ok_or_else(|| {
                let refused = Refused::Unknown(chunk.clone());
                let hint = refused.hint().unwrap_or_default();
                CliError::new(Exit::NotFound, refused.to_string()).with_hint(hint)
            })
        }
        (Err(error), _) => Err(error.into()),
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
fn worktree(target: &Target, fields: &Fields) -> Result<Option<String>, CliError> {
    let Some(path) = &fields.worktree else {
        return Ok(None);
    };
    let absolute: PathBuf = match (target, path.canonicalize()) {
        (Target::Elsewhere(_), _) if path.is_absolute() => path.clone(),
        (Target::Elsewhere(remote), _) => {
            let message = format!(
                "--worktree {} says nothing on the machine of {}",
                path.display(),
                remote.place
            );
            return Err(CliError::new(Exit::Usage, message)
                .with_hint("over --host it is an absolute path of that machine"));
        }
        (Target::Here(_), Ok(path)) => path,
        // One that is still to be made has no other name yet.
        (Target::Here(_), Err(_)) => std::path::absolute(path)?,
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
fn replaced<T>(value: Option<T>, none: bool) -> Option<Option<T>> {
    match (value, none) {
        (Some(value), _) => Some(Some(value)),
        (None, true) => Some(None),
        (None, false) => None,
    }
}
