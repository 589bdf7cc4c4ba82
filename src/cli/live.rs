//! The live table: what `llama-orch` shows in a terminal.
//!
//! It owns the home if nobody does, and is a client of the owner otherwise.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::exit::{CliError, Exit};
use super::output::{Flow, Output, Paint, paint};
use super::session;
use super::table::{self, TableStyle};
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::lifecycle::Status;
use crate::supervisor::{Scope, wall_clock};

/// Uptimes are drawn again this often.
const REDRAW: Duration = Duration::from_secs(1);

/// Shows the fleet until Ctrl-C, then says what keeps running.
///
/// # Errors
///
/// Returns an error when the home can be neither owned nor reached.
pub(super) async fn run(home: &Home, output: &Output) -> Result<Exit, CliError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut session = session::open(home, Role::Dashboard, Scope::Fleet).await?;
    let mut seen = 0;
    loop {
        let client = session.client.clone();
        let news = tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
            () = session.yielded() => None,
            news = client.instances_after(seen, REDRAW) => Some(news),
        };
        match news {
            Some(Ok(body)) => {
                let snapshot = body.to_snapshot();
                seen = snapshot.generation;
                if draw(&snapshot, home, session.owned.is_some(), output)? == Flow::ReaderGone {
                    break;
                }
            }
            // Another process wants the home: it gets it.
            None => {
                session.hand_over(home).await;
                seen = 0;
            }
            // The owner went away: whoever is there next, ourselves if need be.
            Some(Err(_)) => {
                session.end().await;
                session = session::open(home, Role::Dashboard, Scope::Fleet).await?;
                seen = 0;
            }
        }
    }
    let supervised = session.owned.is_none();
    let last = session
        .client
        .instances()
        .await
        .map(|body| body.to_snapshot());
    session.end().await;
    if let Ok(snapshot) = last {
        farewell(&snapshot, supervised, output);
    }
    Ok(Exit::Success)
}

fn draw(
    snapshot: &FleetSnapshot,
    home: &Home,
    owned: bool,
    output: &Output,
) -> Result<Flow, CliError> {
    let supervisor = if owned {
        "supervised by this process"
    } else {
        "supervised by a daemon"
    };
    let style = TableStyle::Aligned {
        color: output.stdout_color,
    };
    let mut lines = vec![format!(
        "llama-orch  {}  {supervisor}  Ctrl-C leaves",
        home.root().display()
    )];
    lines.push(String::new());
    lines.extend(table::draw(&snapshot.rows, style, wall_clock()));
    for row in &snapshot.rows {
        if let (true, Some(reason)) = (
            row.broken || matches!(row.status, Status::Failed | Status::Backoff),
            &row.reason,
        ) {
            lines.push(paint(
                output.stdout_color,
                Paint::Bad,
                &format!("{}: {reason}", row.name),
            ));
        }
    }
    Ok(output.bytes(format!("\x1b[H\x1b[J{}\n", lines.join("\n")).as_bytes())?)
}

fn farewell(snapshot: &FleetSnapshot, supervised: bool, output: &Output) {
    let running: Vec<&str> = snapshot
        .rows
        .iter()
        .filter(|row| row.status.is_live())
        .map(|row| row.name.as_str())
        .collect();
    if running.is_empty() {
        output.say("nothing keeps running");
        return;
    }
    output.say(&format!("still running: {}", running.join(", ")));
    if supervised {
        output.say("a daemon looks after them");
    } else {
        output.say("nobody restarts them now; to have that: llama-orch daemon start");
    }
    output.say("to stop them: llama-orch down --all");
}
