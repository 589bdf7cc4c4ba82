//! `logs`: the end of an instance's output, and what is added to it.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use regex::bytes::Regex;

use super::args::{LogsArgs, StreamChoice};
use super::exit::{CliError, Exit};
use super::output::{Flow, Output};
use super::select;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::instance::InstanceName;
use crate::logs::follow::Follower;
use crate::logs::tail::{self, Tail};
use crate::logs::{Line, Stream};

/// New output is looked for this often.
const POLL: Duration = Duration::from_millis(50);

/// How lines are chosen and printed.
struct Printer<'a> {
    output: &'a Output,
    grep: Option<Regex>,
    timestamps: bool,
}

/// `llama-orch logs`
///
/// # Errors
///
/// Returns an error when the instance is unknown, an option is wrong, or a log cannot be read.
pub(super) async fn run(home: &Home, args: &LogsArgs, output: &Output) -> Result<Exit, CliError> {
    let set = load::load(home);
    let name = select::one(&set, &args.name)?;
    let grep = match &args.grep {
        Some(pattern) => Some(
            Regex::new(pattern)
                .map_err(|error| CliError::new(Exit::Usage, format!("--grep: {error}")))?,
        ),
        None => None,
    };
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let choice = if args.stderr {
        StreamChoice::Stderr
    } else {
        args.stream
    };
    let printer = Printer {
        output,
        grep,
        timestamps: args.timestamps,
    };
    let mut followers = Vec::new();
    let mut first: Vec<Line> = Vec::new();
    let mut any = false;
    for (stream, log) in streams(home, &set, &name, choice) {
        let tail: Tail = match since {
            Some(millis) => tail::since(&log, stream, millis)?,
            None => tail::tail(&log, stream, args.tail)?,
        };
        any |= tail.position.is_some();
        first = tail::merge(first, tail.lines);
        followers.push(Follower::new(&log, stream, tail.position)?);
    }
    if !any && !args.follow {
        output.say(&format!("{name} has not logged anything yet"));
        return Ok(Exit::Success);
    }
    let first = match since {
        Some(_) => &first[..],
        None => &first[first.len().saturating_sub(args.tail)..],
    };
    if printer.print(first)? == Flow::ReaderGone || !args.follow {
        return Ok(Exit::Success);
    }
    follow(&mut followers, &printer).await
}

/// Prints what an instance logs from now on, until somebody drops the future; for `--no-detach`.
///
/// # Errors
///
/// Returns an error when a log cannot be read.
pub(super) async fn follow_new(
    home: &Home,
    name: &InstanceName,
    output: &Output,
) -> Result<Exit, CliError> {
    let set = load::load(home);
    let mut followers = Vec::new();
    for (stream, log) in streams(home, &set, name, StreamChoice::Both) {
        let position = tail::tail(&log, stream, 0)?.position;
        followers.push(Follower::new(&log, stream, position)?);
    }
    follow(
        &mut followers,
        &Printer {
            output,
            grep: None,
            timestamps: false,
        },
    )
    .await
}

async fn follow(followers: &mut [Follower], printer: &Printer<'_>) -> Result<Exit, CliError> {
    loop {
        let mut lines = Vec::new();
        for follower in &mut *followers {
            lines = tail::merge(lines, follower.poll()?);
        }
        if lines.is_empty() {
            tokio::time::sleep(POLL).await;
        } else if printer.print(&lines)? == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
    }
}

/// The log files of an instance; a broken configuration's are where they usually are.
fn streams(
    home: &Home,
    set: &ConfigSet,
    name: &InstanceName,
    choice: StreamChoice,
) -> Vec<(Stream, PathBuf)> {
    let logs = set
        .rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .find(|loaded| loaded.spec.name == *name)
        .map(|loaded| {
            (
                loaded.spec.logs.stdout.clone(),
                loaded.spec.logs.stderr.clone(),
            )
        });
    let usual = |file: &str| home.logs_dir(name).join(file);
    let (stdout, stderr) = logs.unwrap_or_else(|| (usual("stdout.log"), usual("stderr.log")));
    match choice {
        StreamChoice::Stdout => vec![(Stream::Stdout, stdout)],
        StreamChoice::Stderr => vec![(Stream::Stderr, stderr)],
        StreamChoice::Both => vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)],
    }
}

/// Reads `10m`, `2h 30m` or an RFC 3339 time into unix milliseconds.
fn parse_since(text: &str) -> Result<u64, CliError> {
    let moment = match text.parse::<jiff::SignedDuration>() {
        Ok(ago) => Timestamp::now().checked_sub(ago).ok(),
        Err(_) => text.parse::<Timestamp>().ok(),
    };
    moment
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .ok_or_else(|| {
            let message = format!("--since {text:?} is neither a duration nor a time");
            CliError::new(Exit::Usage, message)
                .with_hint("for example 10m, 2h, or 2026-11-21T08:00:00Z")
        })
}

impl Printer<'_> {
    fn print(&self, lines: &[Line]) -> Result<Flow, CliError> {
        let mut bytes = Vec::new();
        for line in lines {
            if self
                .grep
                .as_ref()
                .is_some_and(|grep| !grep.is_match(&line.bytes))
            {
                continue;
            }
            if self.timestamps {
                let time = line
                    .at
                    .and_then(|at| Timestamp::from_millisecond(i64::try_from(at).ok()?).ok());
                let time = time.map_or_else(|| "-".to_owned(), |time| format!("{time:.1}"));
                bytes.extend(format!("{time} ").into_bytes());
            }
            bytes.extend(&line.bytes);
            bytes.push(b'\n');
        }
        Ok(if bytes.is_empty() {
            Flow::Continue
        } else {
            self.output.bytes(&bytes)?
        })
    }
}

/// Where the logs of an instance are, for `describe`.
#[must_use]
pub(super) fn paths(home: &Home, set: &ConfigSet, name: &InstanceName) -> Vec<PathBuf> {
    streams(home, set, name, StreamChoice::Both)
        .into_iter()
        .map(|(_, path)| path)
        .collect()
}
