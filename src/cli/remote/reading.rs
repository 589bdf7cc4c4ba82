//! The commands that only look.

use std::time::Duration;

use super::super::args::{EventsArgs, HealthArgs, LogsArgs, PlanArgs, PsArgs};
use super::super::exit::{CliError, Exit};
use super::super::output::{Flow, Output};
use super::super::{devices, events, health, logs, plan, ps};
use super::Remote;
use crate::api::client::pace;
use crate::domain::log::Whose;

/// One long poll.
const WAIT: Duration = Duration::from_secs(20);

/// Without news the watched table is drawn again after this, for its uptimes.
const REDRAW: Duration = Duration::from_secs(1);

/// A probe may take a minute, a person waits less.
const PATIENCE: Duration = Duration::from_secs(20);

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

pub(super) async fn health(
    remote: &Remote,
    args: &HealthArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let chosen = match &args.name {
        Some(word) => Some(remote.name(word).await?),
        None => None,
    };
    if args.watch {
        return Err(super::elsewhere("health --watch"));
    }
    let names = chosen.as_ref().map(std::slice::from_ref);
    let picture = remote.client.refresh(names, PATIENCE).await?.to_snapshot();
    health::tell(&picture, chosen.as_ref(), args.json, output)
}

pub(super) async fn plan(
    remote: &Remote,
    args: &PlanArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut plans = remote.client.plans().await?.plans;
    if let Some(word) = &args.name {
        let name = remote.name(word).await?;
        plans.retain(|plan| plan.instance == name.as_str());
    }
    plan::tell(&plans, args.json, output)
}

pub(super) async fn devices(
    remote: &Remote,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    devices::tell(&remote.client.devices().await?, json, output)
}
