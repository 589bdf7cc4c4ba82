//! `doctor`: what is wrong with the installation, and what to do about it.

use super::exit::{CliError, Exit};
use super::output::{Output, Paint, paint};
use crate::api::client::{Client, ClientError};
use crate::api::wire::CheckupBody;
use crate::config::home::Home;
use crate::daemon::doctor::{self, OwnerSeen, Patient, Sources};
use crate::domain::checkup::{Found, Grade};
use crate::probes::host::Host;
use crate::supervisor::wall_clock;

/// The longest word of an area and of a grade.
const AREA: usize = 11;
const GRADE: usize = 7;

/// `llama-orch doctor`: exit 0 when nothing is broken, 1 when something is.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) async fn run(home: &Home, json: bool, output: &Output) -> Result<Exit, CliError> {
    let owner = match Client::socket(&home.socket()).status().await {
        Ok(status) => OwnerSeen::Answers {
            pid: status.pid,
            database: status.database,
            api: status.tcp.and_then(|tcp| tcp.problem),
        },
        Err(ClientError::NoOwner { .. }) => OwnerSeen::Nobody,
        Err(error) => OwnerSeen::Broken {
            why: error.to_string(),
        },
    };
    let found = doctor::examine(&Patient {
        home,
        host: &Host::find().look(),
        owner,
        now: wall_clock(),
        sources: &Sources::here(),
    });
    let worst = found.iter().map(|one| one.grade).max();
    if json {
        output.json(&CheckupBody::of(&found))?;
    } else {
        for one in &found {
            output.line(&line(one, output))?;
        }
        output.say(match worst {
            Some(Grade::Error) => "something does not work; the lines above say what to do",
            Some(Grade::Warning) => "it works, with warnings",
            Some(Grade::Note | Grade::Good) | None => "all is well",
        });
    }
    Ok(match worst {
        Some(Grade::Error) => Exit::General,
        Some(Grade::Warning | Grade::Note | Grade::Good) | None => Exit::Success,
    })
}

fn line(one: &Found, output: &Output) -> String {
    if !output.stdout_is_terminal && !output.stdout_color {
        let remedy = one.remedy.as_deref().unwrap_or_default();
        return format!("{}\t{}\t{}\t{remedy}", one.grade, one.area, one.text);
    }
    let color = match one.grade {
        Grade::Good => Paint::Good,
        Grade::Note => Paint::Dim,
        Grade::Warning => Paint::Busy,
        Grade::Error => Paint::Bad,
    };
    let grade = format!("{:<GRADE$}", one.grade.to_string());
    let grade = paint(output.stdout_color, color, &grade);
    let area = one.area.to_string();
    let remedy = one.remedy.as_ref().map_or_else(String::new, |remedy| {
        let indent = " ".repeat(GRADE + AREA + 4);
        format!(
            "\n{indent}{}",
            paint(output.stdout_color, Paint::Strong, &format!("→ {remedy}"))
        )
    });
    format!("{grade}  {area:<AREA$}  {}{remedy}", one.text)
}
