//! The commands that do something.

use super::super::act::{self, Verb};
use super::super::args::{DownArgs, Patience, Selection, UpArgs};
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::Remote;

pub(super) async fn up(remote: &Remote, args: &UpArgs, output: &Output) -> Result<Exit, CliError> {
    if args.no_detach {
        return Err(super::elsewhere("up --no-detach"));
    }
    give(remote, &args.selection, Verb::Up, args.patience(), output).await
}

pub(super) async fn restart(
    remote: &Remote,
    args: &UpArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let verb = Verb::Restart(act::stop_mode(args.force));
    give(remote, &args.selection, verb, args.patience(), output).await
}

pub(super) async fn down(
    remote: &Remote,
    args: &DownArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let patience = if args.no_wait {
        Patience::None
    } else {
        Patience::Endless
    };
    let verb = Verb::Down(act::stop_mode(args.force));
    give(remote, &args.selection, verb, patience, output).await
}

async fn give(
    remote: &Remote,
    selection: &Selection,
    verb: Verb,
    patience: Patience,
    output: &Output,
) -> Result<Exit, CliError> {
    let names = remote.names(selection).await?;
    if names.is_empty() {
        output.say("there are no instances in that home");
        return Ok(Exit::Success);
    }
    act::remotely(&remote.client, &names, selection, verb, patience, output).await
}
