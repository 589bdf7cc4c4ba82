//! The commands that only look.

use std::time::Duration;

use super::super::args::{EventsArgs, LogsArgs, PsArgs};
use super::super::exit::{CliError, Exit};
use super::super::output::{Flow, Output};
use super::super::{events, logs, ps};
use super::Remote;
use crate::api::client::pace;
use crate::domain::log::Whose;

/// One long poll.
const WAIT: Duration = Duration::from_secs(20);

/// Without news the watched table is drawn again after this, for its uptimes.
const REDRAW: Duration = Duration::from_secs(1);

pub(super) async fn ps(remote: &Remote, args: PsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut picture = remote.client.instances().await?.to_snapshot();
    loop {
        if args.watch && output.stdout_is_terminal {
            // Home, then clear what is left below: no flicker, and the scrollback stays.
            output.bytes(b"\x1b[H\x1b[J")?;
        }
        let flow = ps::print(&picture, args, output)?;
        if !args.watch || flow == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
        tokio::time::sleep(pace::WATCHING).await;
        let next = remote.client.instances_after(picture.generation, REDRAW);
        picture = next.await?.to_snapshot();
    }
}

pub(super) async fn logs(
    remote: &Remote,
    args: &LogsArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let name = remote.name(&args.name).await?;
    logs::print_remote(&remote.client, Whose::Instance(name), &args.how, output).await
}

pub(super) async fn events(
    remote: &Remote,
    args: &EventsArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let instance = match &args.instance {
        Some(word) => Some(remote.name(word).await?),
        None => None,
    };
    let mut filter = events::filter_for(instance, args)?;
    let printer = events::Printer {
        output,
        json: args.json,
    };
    let mut wait = Duration::ZERO;
    loop {
        let body = remote.client.events(&filter, wait).await?;
        if args.json && !args.follow {
            output.json(&body.events)?;
            return Ok(Exit::Success);
        }
        if printer.print(&body.events)? == Flow::ReaderGone || !args.follow {
            return Ok(Exit::Success);
        }
        filter.since = None;
        filter.after_id = Some(body.last_id);
        wait = WAIT;
    }
}
