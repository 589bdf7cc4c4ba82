//! `ps` and `--ps`: the table once, or again whenever it changes.

use std::time::Duration;

use super::args::PsArgs;
use super::exit::{CliError, Exit};
use super::offline;
use super::output::{Flow, Output};
use super::session;
use super::table::{self, TableStyle};
use crate::api::client::pace;
use crate::api::wire::InstanceBody;
use crate::config::home::Home;
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::lifecycle::Status;
use crate::supervisor::wall_clock;

/// Without news the watched table is drawn again after this, for its uptimes.
const REDRAW: Duration = Duration::from_secs(1);

/// `llama-orch ps`
///
/// # Errors
///
/// Returns an error when the owner does not answer as it should.
pub(super) async fn run(home: &Home, args: PsArgs, output: &Output) -> Result<Exit, CliError> {
    if args.watch {
        return watch(home, args, output).await;
    }
    let snapshot = picture(home).await?;
    print(&snapshot, args, output)?;
    Ok(Exit::Success)
}

/// Returns the fleet as its owner sees it, or as the files and the kernel show it.
///
/// # Errors
///
/// Returns an error when the owner does not answer as it should.
pub(super) async fn picture(home: &Home) -> Result<FleetSnapshot, CliError> {
    let client = crate::api::client::Client::socket(&home.socket());
    match client.instances().await {
        Ok(body) => Ok(body.to_snapshot()),
        Err(crate::api::client::ClientError::NoOwner { .. }) => Ok(offline::picture(home)),
        Err(error) => Err(error.into()),
    }
}

/// Prints a picture once.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn print(
    snapshot: &FleetSnapshot,
    args: PsArgs,
    output: &Output,
) -> Result<Flow, CliError> {
    let now = wall_clock();
    let rows: Vec<InstanceRow> = snapshot
        .rows
        .iter()
        .filter(|row| !args.running || row.status != Status::Stopped)
        .cloned()
        .collect();
    if args.json {
        let bodies: Vec<InstanceBody> = rows
            .iter()
            .map(|row| InstanceBody::from_row(row, now))
            .collect();
        return Ok(output.json(&bodies)?);
    }
    if rows.is_empty() {
        output.say(if snapshot.rows.is_empty() {
            "no instances yet; llama-orch init NAME --model FILE makes one, llama-orch demo shows some"
        } else {
            "nothing runs; llama-orch ps shows the stopped ones"
        });
        // A program that reads the table still gets its head.
        if output.stdout_is_terminal {
            return Ok(Flow::Continue);
        }
    }
    let style = if output.stdout_is_terminal || output.stdout_color {
        TableStyle::Aligned {
            color: output.stdout_color,
        }
    } else {
        TableStyle::Tabs
    };
    let text = table::draw(&rows, style, now).join("\n");
    let flow = output.line(&text)?;
    for row in rows
        .iter()
        .filter(|row| row.broken || row.status == Status::Failed)
    {
        if let Some(reason) = &row.reason {
            output.say(&format!("{}: {reason}", row.name));
        }
    }
    for row in rows.iter().filter(|row| row.drift) {
        let name = &row.name;
        output.say(&format!(
            "{name}: its file has changed since it was started; llama-orch plan shows what a restart \
             changes"
        ));
    }
    Ok(flow)
}

async fn watch(home: &Home, args: PsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut seen = 0;
    loop {
        let snapshot = match session::owner_of(home).await? {
            Some(client) => client.instances_after(seen, REDRAW).await?.to_snapshot(),
            None => {
                tokio::time::sleep(REDRAW).await;
                offline::picture(home)
            }
        };
        seen = snapshot.generation;
        if output.stdout_is_terminal {
            // Home, then clear what is left below: no flicker, and the scrollback stays.
            output.bytes(b"\x1b[H\x1b[J")?;
        }
        if print(&snapshot, args, output)? == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
        tokio::time::sleep(pace::WATCHING).await;
    }
}
