//! `describe`: everything that is known of one instance.

mod text;

use super::exit::{CliError, Exit};
use super::health::history;
use super::offline;
use super::output::Output;
use super::target::Target;
use crate::api::client::ClientError;
use crate::api::wire::{DescriptionBody, InstanceBody};
use crate::config::home::Home;
use crate::daemon::describe::{ROLLUPS, Subject, describe};
use crate::domain::instance::InstanceName;
use crate::probes::host::Host;
use crate::supervisor::wall_clock;

/// `llama-orch describe`
///
/// # Errors
///
/// Returns an error when the instance is unknown or the owner does not answer as it should.
pub(super) async fn run(
    target: &Target,
    word: &str,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let name = target.instance(word).await?;
    let description = description(target, &name, output).await?;
    if json {
        output.json(&description)?;
    } else {
        output.line(&text::text(&description))?;
    }
    Ok(Exit::Success)
}

/// Returns what is known of an instance, from its owner if there is one.
///
/// # Errors
///
/// As [`run`].
pub(super) async fn description(
    target: &Target,
    name: &InstanceName,
    output: &Output,
) -> Result<DescriptionBody, CliError> {
    match (target.client().describe(name).await, target) {
        (Ok(body), _) => Ok(body),
        (Err(ClientError::NoOwner { .. }), Target::Here(home)) => unowned(home, name),
        (Err(ClientError::OtherBuild(other)), Target::Here(home)) => {
            output.warning(&format!("{other}; this is from the files"));
            output.hint(other.remedy());
            unowned(home, name)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Describes an instance of a home that nobody owns.
fn unowned(home: &Home, name: &InstanceName) -> Result<DescriptionBody, CliError> {
    let picture = offline::picture(home);
    let row = picture
        .rows
        .iter()
        .find(|row| row.name == *name)
        .ok_or_else(|| CliError::new(Exit::NotFound, format!("no instance is called {name}")))?;
    let subject = Subject {
        home,
        host: &Host::find().look(),
        instance: InstanceBody::from_row(row, wall_clock()),
        // Without it everything else is still worth showing.
        health: history::stored(home, name, ROLLUPS).unwrap_or_default(),
    };
    Ok(describe(name, subject))
}
