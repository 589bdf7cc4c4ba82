//! `up`, `down` and `restart`: give the commands, then wait for what becomes of them.

mod remotely;
mod waiting;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use tokio::signal::unix::{SignalKind, signal};

pub(super) use self::remotely::remotely;
use self::waiting::{POLL_TIME, Waiting, Yielded, failure_exit, tell};
use super::args::{DownArgs, Patience, Selection, UpArgs};
use super::exit::{CliError, Exit};
use super::fit;
use super::logs;
use super::offline;
use super::output::Output;
use super::select;
use super::session::{self, Session};
use super::target::Target;
use crate::api::client::{Client, ClientError, pace};
use crate::api::error::ErrorCode;
use crate::api::wire::CommandAnswer;
use crate::config::home::Home;
use crate::config::load;
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::Status;
use crate::domain::run::StopMode;

/// How often a command is given again because the owner went away before it answered.
const OWNER_CHANGES: u32 = 5;

/// Commands under way at once: enough that a fleet is one reading of its files, few enough that
/// others are served meanwhile.
const AT_ONCE: usize = 32;

/// What is asked of each instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Up,
    Down(StopMode),
    Restart(StopMode),
}

/// `llama-orch up`
///
/// # Errors
///
/// Returns the first instance's failure, with the exit code of its kind.
pub(super) async fn up(home: &Home, args: &UpArgs, output: &Output) -> Result<Exit, CliError> {
    if args.no_detach {
        return attached_up(home, args, output).await;
    }
    run(home, &args.selection, Verb::Up, args.patience(), output).await
}

/// `llama-orch restart`
///
/// # Errors
///
/// Returns the first instance's failure, with the exit code of its kind.
pub(super) async fn restart(home: &Home, args: &UpArgs, output: &Output) -> Result<Exit, CliError> {
    let verb = Verb::Restart(stop_mode(args.force));
    run(home, &args.selection, verb, args.patience(), output).await
}

/// `llama-orch down`
///
/// # Errors
///
/// Returns the first instance's failure, with the exit code of its kind.
pub(super) async fn down(home: &Home, args: &DownArgs, output: &Output) -> Result<Exit, CliError> {
    let patience = if args.no_wait {
        Patience::None
    } else {
        Patience::Endless
    };
    run(
        home,
        &args.selection,
        Verb::Down(stop_mode(args.force)),
        patience,
        output,
    )
    .await
}

/// Stops these instances and waits until they are; for `daemon stop --instances`.
///
/// # Errors
///
/// Returns an error when the home can be neither reached nor owned.
pub(super) async fn stop_all(
    home: &Home,
    names: &[InstanceName],
    mode: StopMode,
    output: &Output,
) -> Result<Exit, CliError> {
    if names.is_empty() {
        return Ok(Exit::Success);
    }
    let everything = Selection {
        names: Vec::new(),
        all: true,
        tag: None,
    };
    let mut session = session::act_on(home, names).await?;
    let verb = Verb::Down(mode);
    let patience = Patience::Endless;
    let result = command_all(
        home,
        &mut session,
        names,
        &everything,
        verb,
        patience,
        output,
    )
    .await;
    session.end().await;
    result
}

pub(super) fn stop_mode(force: bool) -> StopMode {
    if force {
        StopMode::Kill
    } else {
        StopMode::Gentle
    }
}

async fn run(
    home: &Home,
    selection: &Selection,
    verb: Verb,
    patience: Patience,
    output: &Output,
) -> Result<Exit, CliError> {
    let set = load::load(home);
    let names = match verb {
        Verb::Up | Verb::Restart(_) => select::all(&set, selection)?,
        Verb::Down(_) => select::to_stop(&set, selection, offline::living(home))?,
    };
    if names.is_empty() {
        output.say("there are no instances in this home");
        return Ok(Exit::Success);
    }
    if !matches!(verb, Verb::Down(_)) {
        fit::warn(home, &set, &names, output).await;
    }
    let mut session = session::act_on(home, &names).await?;
    let owned = session.owned.is_some();
    let result = tokio::select! {
        result = command_all(home, &mut session, &names, selection, verb, patience, output) => result,
        () = interrupted() => Err(CliError::new(Exit::Interrupted, "interrupted; what was begun goes on")),
    };
    let supervised = session.owned.is_none();
    if owned && !supervised && !matches!(verb, Verb::Down(_)) && wants_more(&session, &names).await
    {
        output
            .hint("nobody restarts it if it crashes; start a supervisor: llama-orch daemon start");
    }
    session.end().await;
    result
}

/// Returns whether one of these runs, or is to run again: what somebody should look after.
async fn wants_more(session: &Session, names: &[InstanceName]) -> bool {
    let Ok(body) = session.client.instances().await else {
        return false;
    };
    body.to_snapshot().rows.iter().any(|row| {
        let lives = match row.status {
            Status::Starting | Status::Running | Status::Backoff => true,
            Status::Stopped | Status::Stopping | Status::Failed => false,
        };
        lives && names.contains(&row.name)
    })
}

async fn interrupted() {
    match signal(SignalKind::interrupt()) {
        Ok(mut interrupt) => {
            interrupt.recv().await;
        }
        // Without the signal, Ctrl-C ends the process as it always does.
        Err(_) => std::future::pending().await,
    }
}

async fn command_all(
    home: &Home,
    session: &mut Session,
    names: &[InstanceName],
    selection: &Selection,
    verb: Verb,
    patience: Patience,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut given = Given::default();
    for (name, answer) in give(home, session, names, verb).await? {
        given.take(name, answer, selection, output);
    }
    let mut first_failure = given.failed;
    if patience != Patience::None {
        let waiting = Waiting {
            underway: given.underway,
            verb,
            seen: given.generation,
            failed: None,
            told: BTreeMap::new(),
        };
        let failed = wait_for_all(home, session, waiting, patience, output).await?;
        first_failure = first_failure.or(failed);
    }
    Ok(first_failure.unwrap_or(Exit::Success))
}

/// What became of giving the commands.
#[derive(Default)]
struct Given {
    underway: Vec<InstanceName>,
    /// The first picture that shows the effect of all of them.
    generation: u64,
    failed: Option<Exit>,
}

impl Given {
    fn take(
        &mut self,
        name: InstanceName,
        answer: Result<CommandAnswer, ClientError>,
        selection: &Selection,
        output: &Output,
    ) {
        match answer {
            Ok(answer) => {
                self.generation = self.generation.max(answer.generation);
                self.underway.push(name);
            }
            Err(error) if skipped(&error, selection) => output.say(&format!("{name}: {error}")),
            Err(error) => {
                let error = CliError::from(error);
                output.error(&format!("{name}: {}", error.message));
                if let Some(hint) = &error.hint {
                    output.hint(hint);
                }
                self.failed.get_or_insert(error.exit);
            }
        }
    }
}

/// Gives the command for every name, some at a time, again when the owner goes away; the answers
/// come in the order of the names.
async fn give(
    home: &Home,
    session: &mut Session,
    names: &[InstanceName],
    verb: Verb,
) -> Result<Vec<(InstanceName, Result<CommandAnswer, ClientError>)>, CliError> {
    let mut answers = Vec::new();
    let mut open = names.to_vec();
    for change in 0..=OWNER_CHANGES {
        let client = &session.client;
        let asked = std::mem::take(&mut open)
            .into_iter()
            .map(|name| async move {
                let answer = command(client, &name, verb).await;
                (name, answer)
            });
        let round: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        for (name, answer) in round {
            if change < OWNER_CHANGES && answer.as_ref().is_err_and(ClientError::is_vanished_owner)
            {
                open.push(name);
            } else {
                answers.push((name, answer));
            }
        }
        if open.is_empty() {
            break;
        }
        reopen(home, session, names).await?;
    }
    Ok(answers)
}

/// Waits for every outcome, whoever owns the home meanwhile.
async fn wait_for_all(
    home: &Home,
    session: &mut Session,
    mut waiting: Waiting,
    patience: Patience,
    output: &Output,
) -> Result<Option<Exit>, CliError> {
    let names = waiting.underway.clone();
    while let Yielded::Yes = waiting.wait(session, patience, output).await? {
        if session.owned.is_some() {
            // A daemon takes the home over; it goes on, and so do we, as its client.
            session.hand_over(home).await;
        } else {
            reopen(home, session, &names).await?;
        }
        waiting.seen = 0;
    }
    Ok(waiting.failed)
}

/// Waits until an instance that restarts is ready again, or has failed.
///
/// # Errors
///
/// Returns an error when the owner cannot be reached.
pub(super) async fn until_ready(
    target: &Target,
    session: &mut Session,
    name: &InstanceName,
    generation: u64,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut waiting = Waiting {
        underway: vec![name.clone()],
        verb: Verb::Restart(StopMode::Gentle),
        seen: generation,
        failed: None,
        told: BTreeMap::new(),
    };
    let patience = Patience::Endless;
    let failed = match target {
        Target::Here(home) => wait_for_all(home, session, waiting, patience, output).await?,
        Target::Elsewhere(_) => {
            remotely::wait(session, &mut waiting, patience, output).await?;
            waiting.failed
        }
    };
    Ok(failed.unwrap_or(Exit::Success))
}

/// Lets go of the home, or of an owner that is gone, and finds whoever is there now.
async fn reopen(
    home: &Home,
    session: &mut Session,
    names: &[InstanceName],
) -> Result<(), CliError> {
    std::mem::replace(session, Session::client_of(home))
        .end()
        .await;
    *session = session::act_on(home, names).await?;
    Ok(())
}

/// A no-op is an error for a named instance, and nothing to speak of for all of them.
fn skipped(error: &ClientError, selection: &Selection) -> bool {
    selection.names.is_empty()
        && matches!(
            error.code(),
            ErrorCode::AlreadyRunning | ErrorCode::NotRunning
        )
}

async fn command(
    client: &Client,
    name: &InstanceName,
    verb: Verb,
) -> Result<CommandAnswer, ClientError> {
    match verb {
        Verb::Up => client.start(name).await,
        Verb::Down(mode) => client.stop(name, mode).await,
        Verb::Restart(mode) => client.restart(name, mode).await,
    }
}

/// `up --no-detach`: shows the log until Ctrl-C, then stops the instance.
async fn attached_up(home: &Home, args: &UpArgs, output: &Output) -> Result<Exit, CliError> {
    let set = load::load(home);
    let names = select::all(&set, &args.selection)?;
    let [name] = names.as_slice() else {
        return Err(CliError::new(
            Exit::Usage,
            "--no-detach takes exactly one instance",
        ));
    };
    fit::warn(home, &set, &names, output).await;
    let session = session::act_on(home, &names).await?;
    let result = follow_until_end(home, &session, name, output).await;
    session.end().await;
    result
}

async fn follow_until_end(
    home: &Home,
    session: &Session,
    name: &InstanceName,
    output: &Output,
) -> Result<Exit, CliError> {
    let client = &session.client;
    let answer = client.start(name).await.map_err(CliError::from)?;
    output.say(&format!("{name}: starting; Ctrl-C stops it"));
    let follow = logs::follow_new(home, client, name, output);
    tokio::select! {
        ended = until_down(client, name, answer.generation) => {
            let row = ended?;
            output.error(&format!("{name}: {}", row.reason.as_deref().unwrap_or("it ended")));
            if let Some(autopsy) = &row.autopsy {
                tell(autopsy, output);
            }
            Ok(failure_exit(row.failure))
        }
        failed = follow => failed,
        () = interrupted() => {
            output.say(&format!("{name}: stopping"));
            let answer = client.stop(name, StopMode::Gentle).await.map_err(CliError::from)?;
            let mut waiting = Waiting {
                underway: vec![name.clone()],
                verb: Verb::Down(StopMode::Gentle),
                seen: answer.generation,
                failed: None,
                told: BTreeMap::new(),
            };
            waiting.wait(session, Patience::Endless, output).await?;
            Ok(Exit::Interrupted)
        }
    }
}

/// Waits until the instance neither runs nor will be started again.
async fn until_down(
    client: &Client,
    name: &InstanceName,
    generation: u64,
) -> Result<InstanceRow, CliError> {
    let mut seen = generation.saturating_sub(1);
    loop {
        let body = client.instances_after(seen, POLL_TIME).await?;
        seen = body.generation;
        let row = body
            .to_snapshot()
            .rows
            .into_iter()
            .find(|row| row.name == *name);
        match row {
            Some(row) if matches!(row.status, Status::Stopped | Status::Failed) => return Ok(row),
            Some(_) => tokio::time::sleep(pace::WATCHING).await,
            None => return Err(CliError::new(Exit::NotFound, format!("{name} is gone"))),
        }
    }
}
