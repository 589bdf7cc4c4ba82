//! Arguments, printing and exit codes.

mod act;
mod args;
mod bundle;
mod columns;
mod config;
mod connect;
mod daemon;
mod dashboard;
mod describe;
mod devices;
mod doctor;
mod events;
pub mod exit;
mod fit;
mod health;
pub mod help;
mod hints;
mod import;
mod init;
mod install;
mod logs;
mod models;
mod offline;
mod orphans;
pub mod output;
mod plan;
mod ps;
mod remote;
mod select;
mod session;
mod shell;
mod suggest;
mod table;
mod tar;
mod target;
mod tracing;
mod work;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{FromArgMatches as _, Parser as _};

use args::{Cli, Command, DashboardArgs};
use exit::{CliError, Exit};
use hints::Meant;
use output::{ColorChoice, Output};
use target::Target;

use crate::config::home::{self, Home};

/// Runs the program; returns its exit code.
#[must_use]
pub fn main(args: &[OsString]) -> u8 {
    // The two that run for as long as a server does come first and bring nothing else along.
    match args.get(1).and_then(|arg| arg.to_str()) {
        Some("shim") => return crate::process::shim::main(&args[2..]),
        Some("sim") => return crate::sim::main(args[2..].to_vec()),
        Some(_) | None => {}
    }
    // For the report of a panic; errors are told in our own words.
    color_eyre::install().ok(); // installed already, by a test
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut output = Output::new(cli.color);
    let result = Target::of(&cli).and_then(|target| {
        output.meant = Meant::of(&cli, &target);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let result = runtime.block_on(dispatch(&cli, &target, &output));
        // A blocking call that still runs (a launch) must not hold the process; its run is adopted.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(exit) => exit.code(),
        Err(error) => {
            output.error(&error.message);
            if let Some(hint) = &error.hint {
                output.hint(hint);
            }
            error.exit.code()
        }
    }
}

/// What every help ends with is put together only for those who ask: it takes longer than a `ps`.
fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args).or_else(|error| {
        if error.kind() != ErrorKind::DisplayHelp {
            return Err(error);
        }
        let matches = help::command().try_get_matches_from(args)?;
        Cli::from_arg_matches(&matches)
    })
}

fn usage(error: &clap::Error) -> u8 {
    let output = Output::new(ColorChoice::Auto);
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.line(error.to_string().trim_end()).ok(); // nobody reads it
            Exit::Success.code()
        }
        _ => {
            output.say(error.to_string().trim_end());
            Exit::Usage.code()
        }
    }
}

fn resolve(cli: &Cli) -> Result<Home, CliError> {
    home::resolve_here(cli.home.clone()).map_err(|error| CliError::chain(Exit::General, &error))
}

async fn dispatch(cli: &Cli, target: &Target, output: &Output) -> Result<Exit, CliError> {
    let home = match target {
        Target::Here(home) => home,
        Target::Elsewhere(remote) => return remote::dispatch(cli, target, remote, output).await,
    };
    if cli.daemon {
        return daemon::foreground(home, cli.autostart).await;
    }
    if cli.ps {
        return ps::run(home, cli.ps_options, output).await;
    }
    match &cli.command {
        None if output.has_screen() => open_dashboard(&cli.dashboard, home, output).await,
        Some(Command::Dashboard(args)) => open_dashboard(args, home, output).await,
        Some(Command::Demo { ascii }) => dashboard::demo(*ascii, output).await,
        None => {
            let exit = ps::run(home, cli.ps_options, output).await?;
            output
                .hint("in a terminal, llama-orch shows the fleet live; --help lists the commands");
            Ok(exit)
        }
        Some(Command::Ps(args)) => ps::run(home, *args, output).await,
        Some(Command::Up(args)) => act::up(home, args, output).await,
        Some(Command::Down(args)) => act::down(home, args, output).await,
        Some(Command::Restart(args)) => act::restart(home, args, output).await,
        Some(Command::Logs(args)) => logs::run(home, args, output).await,
        Some(Command::Describe(args)) => describe::run(target, &args.name, args.json, output).await,
        Some(Command::Connect(args)) => connect::run(home, target, args, output).await,
        Some(Command::Devices { json, refresh }) => {
            devices::run(target, *json, devices::asking(*refresh), output).await
        }
        Some(Command::Models(args)) => models::run(home, args, output),
        Some(Command::Doctor { json }) => doctor::run(home, *json, output).await,
        Some(Command::Events(args)) => events::run(home, args, output).await,
        Some(Command::Health(args)) => health::run(target, args, output).await,
        Some(Command::Plan(args)) => plan::plan(target, args, output).await,
        Some(Command::Apply(args)) => plan::apply(target, args, output).await,
        Some(Command::Daemon(command)) => daemon::run(home, command.clone(), output).await,
        Some(Command::Bundle(args)) => bundle::run(home, args, output),
        Some(Command::Orphans(args)) => orphans::run(home, args, output).await,
        Some(Command::WorkUnit(command)) => work::run(target, command, output).await,
        Some(Command::Init(args)) => init::run(home, args, output),
        Some(Command::Config(command)) => config::run(home, command, output),
        Some(Command::Import(command)) => import::run(home, command, output),
        Some(Command::Completions { shell }) => shell::completions(*shell, output),
        Some(Command::Man { dir }) => shell::man(dir.as_deref(), output),
        Some(Command::InstallService(args)) => install::install(home, args, output).await,
        // Answered before the arguments were parsed.
        Some(Command::Shim { .. } | Command::Sim { .. }) => Ok(Exit::Usage),
    }
}

async fn open_dashboard(
    args: &DashboardArgs,
    home: &Home,
    output: &Output,
) -> Result<Exit, CliError> {
    let opening = dashboard::Opening {
        events_for: args.events_for.clone(),
        ascii: args.ascii,
        ..dashboard::Opening::default()
    };
    dashboard::run(home, opening, output).await
}
