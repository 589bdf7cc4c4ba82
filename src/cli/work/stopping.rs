//! The commands of work units stopped as a whole, for `daemon stop --instances`.

use std::time::Duration;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session;
use crate::api::client::Client;
use crate::api::wire::{StopModeBody, WorkUnitBody, WorkUnitPatch};
use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::domain::run::StopMode;
use crate::domain::work::{Chunk, WorkStatus};
use crate::supervisor::work::launch::GRACE;

/// What is told of a unit whose command was stopped, and of one whose command was killed.
const STOPPED: &str = "its command was stopped together with the daemon";
const KILLED: &str = "its command was killed together with the daemon, as it was asked for";

/// From the end by force until the end is known.
const SLACK: Duration = Duration::from_secs(10);

/// Stops every command that runs and waits until it has ended. Its unit needs attention then: how
/// far it came is for a person to see.
///
/// # Errors
///
/// Returns an error when the home can be neither reached nor owned.
pub(in crate::cli) async fn stop_commands(
    home: &Home,
    mode: StopMode,
    output: &Output,
) -> Result<Exit, CliError> {
    let session = session::act_on(home, &[]).await?;
    let patience = Settings::load(home).supervisor.stop_grace.unwrap_or(GRACE) + SLACK;
    let result = stop_through(&session.client, mode, patience, output).await;
    session.end().await;
    result
}

async fn stop_through(
    client: &Client,
    mode: StopMode,
    patience: Duration,
    output: &Output,
) -> Result<Exit, CliError> {
    let mut body = client.work_units().await?;
    let running = WorkStatus::Running.to_string();
    for unit in body.units.iter().filter(|unit| runs(unit)) {
        let reason = match (unit.status == running, mode) {
            (true, StopMode::Gentle) => Some(STOPPED),
            (true, StopMode::Kill) => Some(KILLED),
            // It is being stopped already, and somebody said why.
            (false, StopMode::Gentle) => continue,
            (false, StopMode::Kill) => None,
        };
        let patch = WorkUnitPatch {
            status: Some(WorkStatus::NeedsAttention.to_string()),
            reason: reason.map(str::to_owned),
            stop: Some(StopModeBody::from(mode)),
            ..WorkUnitPatch::default()
        };
        if let Ok(chunk) = Chunk::parse(&unit.chunk) {
            client.change_work_unit(&chunk, &patch).await?;
        }
    }
    let mut open: Vec<String> = body
        .units
        .iter()
        .filter(|unit| runs(unit))
        .map(|unit| unit.chunk.clone())
        .collect();
    let how = match mode {
        StopMode::Gentle => "stopped",
        StopMode::Kill => "killed",
    };
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        open.retain(|chunk| {
            let over = !body
                .units
                .iter()
                .any(|unit| unit.chunk == *chunk && runs(unit));
            if over {
                output.say(&format!("{chunk}: its command is {how}"));
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
