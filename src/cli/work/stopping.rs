//! The commands of work units stopped as a whole, for `daemon stop --instances`.

use std::time::Duration;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session;
use crate::api::client::Client;
use crate::api::wire::{WorkUnitBody, WorkUnitPatch};
use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::domain::work::{Chunk, WorkStatus};
use crate::supervisor::work::launch::GRACE;

/// What is told of a unit whose command was stopped.
const REASON: &str = "its command was stopped together with the daemon";

/// From the end by force until the end is known.
const SLACK: Duration = Duration::from_secs(10);

/// Stops every command that runs and waits until it has ended. Its unit needs attention then: how
/// far it came is for a person to see.
///
/// # Errors
///
/// Returns an error when the home can be neither reached nor owned.
pub(in crate::cli) async fn stop_commands(home: &Home, output: &Output) -> Result<Exit, CliError> {
    let session = session::act_on(home, &[]).await?;
    let patience = Settings::load(home).supervisor.stop_grace.unwrap_or(GRACE) + SLACK;
    let result = stop_through(&session.client, patience, output).await;
    session.end().await;
    result
}

async fn stop_through(
    client: &Client,
    patience: Duration,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut body = client.work_units().await?;
    let patch = WorkUnitPatch {
        status: Some(WorkStatus::NeedsAttention.to_string()),
        reason: Some(REASON.to_owned()),
        ..WorkUnitPatch::default()
    };
    let running = WorkStatus::Running.to_string();
    for unit in body.units.iter().filter(|unit| runs(unit)) {
        // Another one is being stopped already.
        if let (true, Ok(chunk)) = (unit.status == running, Chunk::parse(&unit.chunk)) {
            client.change_work_unit(&chunk, &patch).await?;
        }
    }
    let mut open: Vec<String> = body
        .units
        .iter()
        .filter(|unit| runs(unit))
        .map(|unit| unit.chunk.clone())
        .collect();
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        open.retain(|chunk| {
            let over = !body
                .units
                .iter()
                .any(|unit| unit.chunk == *chunk && runs(unit));
            if over {
                output.say(&format!("{chunk}: its command is stopped"));
                output.hint(&format!(
                    "run it again: llama-orch work-unit status {chunk} READY"
                ));
            }
            !over
        });
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if open.is_empty() {
            return Ok(Exit::Success);
        }
        if left.is_zero() {
            for chunk in &open {
                output.error(&format!("{chunk}: its command has not ended in time"));
            }
            return Ok(Exit::General);
        }
        body = client.work_units_after(body.generation, left).await?;
    }
}

/// Whether a process of the owner's may be alive for it.
fn runs(unit: &WorkUnitBody) -> bool {
    unit.run_id.is_some()
}
