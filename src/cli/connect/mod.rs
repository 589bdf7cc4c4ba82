//! `connect`: what a client needs to talk to an instance, as lines to copy, or as the environment of
//! a program that is run right away.

mod opencode;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::{Args, ValueEnum};

use super::act;
use super::args::{Selection, UpArgs};
use super::describe::description;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::target::Target;
use crate::api::wire::DescriptionBody;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::connection::{Connection, NO_KEY};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::Health;
use crate::probes::http::Key;
use crate::supervisor::Endpoint;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A program after -- gets OPENAI_BASE_URL, OPENAI_API_KEY and LLAMA_ORCH_INSTANCE, and for Anthropic's\nclients ANTHROPIC_BASE_URL, ANTHROPIC_AUTH_TOKEN and ANTHROPIC_MODEL. Keys are given to it, and never\nprinted: lines say where a key is read.\n\nExamples:\n  eval \"$(llama-orch connect coder)\"\n  llama-orch connect coder --for curl | sh\n  llama-orch connect coder --for opencode > opencode.json\n  llama-orch connect coder --up -- python agent.py"
)]
pub(super) struct ConnectArgs {
    /// The instance
    name: String,
    /// What the lines are for: variables of OpenAI's or Anthropic's clients, a request, a file
    #[arg(long = "for", value_enum, default_value_t, value_name = "CLIENT")]
    client: ClientKind,
    /// Start the instance when it is not running, and wait until it is ready
    #[arg(long)]
    up: bool,
    /// Run this program instead of printing lines
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "client")]
    program: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ClientKind {
    #[default]
    Openai,
    Anthropic,
    Curl,
    Opencode,
}

/// `llama-orch connect …`
///
/// # Errors
///
/// Returns an error when the instance is unknown, cannot be used or does not run, or the program
/// cannot be run.
pub(super) async fn run(
    home: &Home,
    target: &Target,
    args: &ConnectArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let name = target.instance(&args.name).await?;
    let mut body = description(target, &name, output).await?;
    if args.up && body.connection().is_none() {
        let exit = act::up(home, &until_ready(&name), output).await?;
        if exit != Exit::Success {
            return Ok(exit);
        }
        body = description(target, &name, output).await?;
    }
    let Some(connection) = body.connection() else {
        return Err(not_running(&body));
    };
    if body.instance.health != Health::Healthy.as_str() {
        let words = &body.instance.state;
        output.warning(&format!("{name} is not ready: {words}"));
    }
    let set = load::load(home);
    let spec = spec(&set, &name)?;
    if !args.program.is_empty() {
        let endpoint = Endpoint::of(spec, body.instance.port, home.root());
        let key = endpoint.and_then(|endpoint| endpoint.key);
        return Err(replaced_by(&args.program, key.as_ref(), &connection));
    }
    print(args.client, spec, &connection, output)?;
    Ok(Exit::Success)
}

/// What `up NAME` is.
fn until_ready(name: &InstanceName) -> UpArgs {
    UpArgs {
        selection: Selection {
            names: vec![name.to_string()],
            all: false,
            tag: None,
        },
        wait: None,
        no_wait: false,
        force: false,
        no_detach: false,
    }
}

fn not_running(body: &DescriptionBody) -> CliError {
    let name = &body.instance.name;
    let message = format!("{name} is not running: {}", body.instance.state);
    CliError::new(Exit::NotRunning, message).with_hint(format!(
        "start it: llama-orch up {name}, or let it be started: llama-orch connect {name} --up"
    ))
}

fn spec<'a>(set: &'a ConfigSet, name: &InstanceName) -> Result<&'a InstanceSpec, CliError> {
    let found = set.rows.iter().find_map(|row| match row {
        Ok(loaded) if loaded.spec.name == *name => Some(Ok(&loaded.spec)),
        Err(broken) if broken.name == *name => Some(Err(broken.reason())),
        Ok(_) | Err(_) => None,
    });
    match found {
        Some(Ok(spec)) => Ok(spec),
        Some(Err(why)) => Err(CliError::new(Exit::General, format!("{name}: {why}"))
            .with_hint("llama-orch config validate points at it")),
        None => Err(CliError::new(
            Exit::NotFound,
            format!("{name} has no configuration any more"),
        )),
    }
}

fn print(
    client: ClientKind,
    spec: &InstanceSpec,
    connection: &Connection,
    output: &Output,
) -> Result<(), CliError> {
    let over_socket = |client: &str| {
        if connection.socket.is_some() {
            output.warning(&format!(
                "{} listens on a socket, which most of {client}'s clients cannot use",
                spec.name
            ));
        }
    };
    match client {
        ClientKind::Openai => {
            over_socket("OpenAI");
            output.line(&connection.openai().join("\n"))?;
        }
        ClientKind::Anthropic => {
            over_socket("Anthropic");
            output.line(&connection.anthropic().join("\n"))?;
        }
        ClientKind::Curl => {
            output.line(&connection.curl())?;
        }
        ClientKind::Opencode => {
            output.json(&opencode::configuration(spec, connection))?;
        }
    }
    Ok(())
}

/// Becomes the program, whose exit code is then ours; returns why that failed.
fn replaced_by(program: &[String], key: Option<&Key>, connection: &Connection) -> CliError {
    let Some((word, args)) = program.split_first() else {
        return CliError::new(Exit::Usage, "no program is named after --");
    };
    let key = key.map_or(NO_KEY, Key::reveal);
    let mut command = Command::new(word);
    command
        .args(args)
        .env("OPENAI_BASE_URL", &connection.base_url)
        .env("OPENAI_API_KEY", key)
        .env("ANTHROPIC_BASE_URL", connection.root_url())
        .env("ANTHROPIC_AUTH_TOKEN", key)
        .env("ANTHROPIC_MODEL", &connection.model)
        .env("LLAMA_ORCH_INSTANCE", &connection.model);
    if let Some(socket) = &connection.socket {
        command.env("LLAMA_ORCH_INSTANCE_SOCKET", socket);
    }
    let error = command.exec();
    CliError::new(Exit::ExecutableNotFound, format!("run {word}: {error}"))
}
