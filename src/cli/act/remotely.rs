//! The commands over an owner elsewhere: nobody here can take its place, so it is waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::super::args::{Patience, Selection};
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::session::Session;
use super::waiting::{Waiting, Yielded};
use super::{AT_ONCE, Given, Verb, command, interrupted};
use crate::api::client::Client;
use crate::domain::instance::InstanceName;

/// An owner that went away is asked again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// So often in a row, then it is given up.
const TRIES: u32 = 30;

/// Gives the command for every name and waits for what becomes of it.
///
/// # Errors
///
/// Returns an error when the owner does not answer.
pub(in crate::cli) async fn remotely(
    client: &Client,
    names: &[InstanceName],
    selection: &Selection,
    verb: Verb,
    patience: Patience,
    output: &Output,
) -> Result<Exit, CliError> {
    let asked = names.iter().map(|name| async move {
        let answer = command(client, name, verb).await;
        (name.clone(), answer)
    });
    let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut given = Given::default();
    for (name, answer) in answers {
        given.take(name, answer, selection, output);
    }
    if patience == Patience::None {
        return Ok(given.failed.unwrap_or(Exit::Success));
    }
    let mut waiting = Waiting {
        underway: given.underway,
        verb,
        seen: given.generation,
        failed: None,
        told: BTreeMap::new(),
    };
    let session = Session::asking(client.clone());
    let waited = tokio::select! {
        waited = wait(&session, &mut waiting, patience, output) => waited,
        () = interrupted() => {
            let message = "interrupted; what was begun goes on";
            Err(CliError::new(Exit::Interrupted, message))
        }
    };
    waited?;
    Ok(given.failed.or(waiting.failed).unwrap_or(Exit::Success))
}

/// Waits for every outcome; an owner that went away is waited for, up to a minute.
///
/// # Errors
///
/// Returns an error when the owner does not come back.
pub(super) async fn wait(
    session: &Session,
    waiting: &mut Waiting,
    patience: Patience,
    output: &Output,
) -> Result<(), CliError> {
    let mut tries = 0;
    while let Yielded::Yes = waiting.wait(session, patience, output).await? {
        match session.client.status().await {
            Ok(_) => tries = 0,
            Err(error) if tries == TRIES => return Err(error.into()),
            Err(error) => {
                if tries == 0 {
                    output.say(&format!(
                        "{error}; asking again every {} s",
                        AGAIN.as_secs()
                    ));
                }
                tries += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
        // The next owner counts anew.
        waiting.seen = 0;
    }
    Ok(())
}
