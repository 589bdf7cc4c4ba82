//! `--host`: the commands over another home's or another machine's owner.
//!
//! Nothing is read here but the token: names are those the owner knows, and what needs files of
//! the home says that it does.

mod act;
mod dashboard;
mod reading;

use std::path::PathBuf;

use super::args::{Cli, Command, DaemonCommand, Selection};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::target::Target;
use super::{daemon, describe, devices, health, plan, work};
use crate::api::client::Client;
use crate::api::client::place::Place;
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;

/// Names the owner when no flag does.
pub(super) const HOST_VARIABLE: &str = "LLAMA_ORCH_HOST";

/// Holds the token itself.
const TOKEN_VARIABLE: &str = "LLAMA_ORCH_TOKEN";

/// Names a file that holds it.
const TOKEN_FILE_VARIABLE: &str = "LLAMA_ORCH_TOKEN_FILE";

/// An owner elsewhere.
pub(super) struct Remote {
    pub(super) client: Client,
    pub(super) place: Place,
}

impl Remote {
    /// Returns where the person wants to ask; `None` for the home here.
    ///
    /// # Errors
    ///
    /// Returns an error when the place or the token cannot be used.
    pub(super) fn chosen(cli: &Cli) -> Result<Option<Self>, CliError> {
        let named = match (&cli.host, &cli.home) {
            (Some(_), Some(_)) => {
                let message = "--home names a home here and --host an owner elsewhere; give one";
                return Err(CliError::new(Exit::Usage, message));
            }
            (Some(text), None) => Some(text.clone()),
            (None, Some(_)) => None,
            (None, None) => variable(HOST_VARIABLE),
        };
        let Some(text) = named else { return Ok(None) };
        let place: Place = text
            .parse()
            .map_err(|error| CliError::new(Exit::Usage, format!("--host: {error}")))?;
        let client = match &place {
            Place::Socket(path) => Client::socket(path),
            Place::Tcp(address) => Client::tcp(address, token(cli.token_file.clone())?),
        };
        Ok(Some(Self { client, place }))
    }

    /// Finds the instances that are meant, in the table's order.
    pub(super) async fn names(&self, selection: &Selection) -> Result<Vec<InstanceName>, CliError> {
        let rows = self.client.instances().await?.to_snapshot().rows;
        if selection.names.is_empty() {
            let tagged = |row: &&InstanceRow| {
                let mut wanted = selection.tag.iter();
                wanted.all(|tag| row.tags.contains(tag))
            };
            let names: Vec<_> = rows
                .iter()
                .filter(tagged)
                .map(|row| row.name.clone())
                .collect();
            return match (&selection.tag, names.is_empty()) {
                (Some(tag), true) => {
                    let message = format!("no instance has the tag {tag:?}");
                    Err(CliError::new(Exit::NotFound, message))
                }
                (_, _) => Ok(names),
            };
        }
        let mut chosen = Vec::new();
        for word in &selection.names {
            let name = among(&rows, word)?;
            if !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        Ok(chosen)
    }

    /// Finds the instance that a word means.
    pub(super) async fn name(&self, word: &str) -> Result<InstanceName, CliError> {
        let rows = self.client.instances().await?.to_snapshot().rows;
        among(&rows, word)
    }
}

fn among(rows: &[InstanceRow], word: &str) -> Result<InstanceName, CliError> {
    let by_name = rows.iter().find(|row| row.name.as_str() == word);
    let mut by_display = rows.iter().filter(|row| row.display_name == word);
    let found = by_name.or_else(|| match (by_display.next(), by_display.next()) {
        (Some(row), None) => Some(row),
        (_, _) => None,
    });
    found.map(|row| row.name.clone()).ok_or_else(|| {
        CliError::new(Exit::NotFound, format!("no instance is called {word:?}"))
            .with_hint("llama-orch ps lists what there is")
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Reads the token: a file that is named comes before the variable.
fn token(flag: Option<PathBuf>) -> Result<Option<String>, CliError> {
    let file = flag.or_else(|| variable(TOKEN_FILE_VARIABLE).map(PathBuf::from));
    let Some(file) = file else {
        return Ok(variable(TOKEN_VARIABLE));
    };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let message = format!("read the token file {}: {error}", file.display());
        CliError::new(Exit::General, message)
    })?;
    Ok(Some(text.trim().to_owned()))
}

/// Does what was typed, or says why it is not done from here.
///
/// # Errors
///
/// Returns an error as the command does on its own home.
pub(super) async fn dispatch(
    cli: &Cli,
    target: &Target,
    remote: &Remote,
    output: &Output,
) -> Result<Exit, CliError> {
    if cli.daemon {
        return Err(elsewhere("--daemon"));
    }
    if cli.ps {
        return reading::ps(remote, cli.ps_options, output).await;
    }
    match &cli.command {
        None if output.has_screen() => dashboard::run(remote, &cli.dashboard, output).await,
        Some(Command::Dashboard(args)) => dashboard::run(remote, args, output).await,
        None => reading::ps(remote, cli.ps_options, output).await,
        Some(Command::Ps(args)) => reading::ps(remote, *args, output).await,
        Some(Command::Up(args)) => act::up(remote, args, output).await,
        Some(Command::Down(args)) => act::down(remote, args, output).await,
        Some(Command::Restart(args)) => act::restart(remote, args, output).await,
        Some(Command::Logs(args)) => reading::logs(remote, args, output).await,
        Some(Command::Events(args)) => reading::events(remote, args, output).await,
        Some(Command::Health(args)) => health::run(target, args, output).await,
        Some(Command::Plan(args)) => plan::plan(target, args, output).await,
        Some(Command::Apply(args)) => plan::apply(target, args, output).await,
        Some(Command::Describe(args)) => describe::run(target, &args.name, args.json, output).await,
        Some(Command::Devices { json, refresh }) => {
            devices::run(target, *json, devices::asking(*refresh), output).await
        }
        Some(Command::WorkUnit(command)) => work::run(target, command, output).await,
        Some(Command::Daemon(DaemonCommand::Status { json })) => {
            daemon::tell_status(&remote.client.status().await?, *json, output)?;
            Ok(Exit::Success)
        }
        Some(Command::Daemon(DaemonCommand::Autostart)) => {
            remote.client.autostart().await?;
            output.say("autostart instances are starting");
            Ok(Exit::Success)
        }
        Some(Command::Completions { shell }) => super::shell::completions(*shell, output),
        Some(Command::Man { dir }) => super::shell::man(dir.as_deref(), output),
        Some(other) => Err(elsewhere(word_of(other))),
    }
}

/// Refuses what needs the files or the processes of this machine.
fn elsewhere(command: &str) -> CliError {
    let message =
        format!("{command} works on files and processes of this machine, not over --host");
    CliError::new(Exit::Usage, message).with_hint("log in there and run it on its home")
}

fn word_of(command: &Command) -> &'static str {
    match command {
        Command::Bundle(_) => "bundle",
        Command::Config(_) => "config",
        Command::Connect(_) => "connect",
        Command::Daemon(_) => "daemon",
        Command::Demo { .. } => "demo",
        Command::Doctor { .. } => "doctor",
        Command::Import(_) => "import",
        Command::Init(_) => "init",
        Command::InstallService(_) => "install-service",
        Command::Models(_) => "models",
        Command::Orphans(_) => "orphans",
        // Every other one is done.
        Command::Apply(_)
        | Command::Completions { .. }
        | Command::Dashboard(_)
        | Command::Describe(_)
        | Command::Devices { .. }
        | Command::Down(_)
        | Command::Events(_)
        | Command::Health(_)
        | Command::Logs(_)
        | Command::Man { .. }
        | Command::Plan(_)
        | Command::Ps(_)
        | Command::Restart(_)
        | Command::Shim { .. }
        | Command::Sim { .. }
        | Command::Up(_)
        | Command::WorkUnit(_) => "it",
    }
}
