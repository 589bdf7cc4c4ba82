//! `llama-orch demo`: a temporary home whose simulated fleet shows every state there is.

mod fleet;
mod folder;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use self::folder::{Left, stop_everything};

use self::fleet::{DRIFTED, FLEET, write};
use self::folder::Folder;

use super::{Opening, run};
use crate::api::client::{Client, pace};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Output;
use crate::config::home::{Home, HomeOrigin};
use crate::domain::lifecycle::{Health, Status};

/// The longest the drifted instance is waited for.
const DRIFT_TIME: Duration = Duration::from_secs(120);

/// The supervisor of this process is looked for again after this, until it listens.
const RETRY: Duration = Duration::from_millis(100);

/// How long one question for the fleet waits.
const POLL: Duration = Duration::from_secs(5);

/// Opens the dashboard over the demo, and leaves nothing of it behind.
///
/// # Errors
///
/// As the dashboard.
pub(in crate::cli) async fn demo(ascii: bool, output: &Output) -> Result<Exit, CliError> {
    output.needs_screen()?;
    let swept = folder::sweep().await;
    let folder = Folder::create()?;
    // Another program on the port of one instance: this one.
    let stranger = TcpListener::bind("127.0.0.1:0")?;
    let port = stranger.local_addr()?.port();
    for (order, instance) in FLEET.iter().enumerate() {
        write(&folder.path, instance, order, port, instance.parallel)?;
    }
    let home = Home::open(&folder.path, HomeOrigin::Flag)
        .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
    let drift = tokio::spawn(drift(home.clone(), folder.path.clone(), port));
    let mut notices = vec![format!(
        "A demo: {} simulated servers in every state there is. q ends it and removes it all.",
        FLEET.len()
    )];
    match swept {
        0 => {}
        1 => notices.push("what was left of a demo that was killed is gone now".to_owned()),
        many => notices.push(format!(
            "what was left of {many} demos that were killed is gone now"
        )),
    }
    let opening = Opening {
        ascii,
        temporary: true,
        notices,
        ..Opening::default()
    };
    let result = run(&home, opening, output).await;
    drift.abort();
    drop(stranger);
    if result.is_ok() {
        output.say("the demo is over; nothing of it is left");
    }
    result
}

/// Changes a file while its instance runs.
async fn drift(home: Home, folder: PathBuf, port: u16) {
    let client = Client::socket(&home.socket());
    let ready = async {
        let mut seen = 0;
        loop {
            let Ok(body) = client.instances_after(seen, POLL).await else {
                tokio::time::sleep(RETRY).await;
                continue;
            };
            seen = body.generation;
            let is_ready = body.to_snapshot().rows.iter().any(|row| {
                row.name.as_str() == DRIFTED
                    && (row.status, row.health) == (Status::Running, Health::Healthy)
            });
            if is_ready {
                return;
            }
            tokio::time::sleep(pace::WATCHING).await;
        }
    };
    if tokio::time::timeout(DRIFT_TIME, ready).await.is_ok()
        && let Some(order) = FLEET.iter().position(|instance| instance.name == DRIFTED)
    {
        let instance = &FLEET[order];
        if let Err(error) = write(&folder, instance, order, port, instance.parallel * 2) {
            tracing::warn!(%error, "change the drifted demo instance");
        }
        client.refresh(None, POLL).await.ok(); // the owner sees the file by itself, too
    }
}
