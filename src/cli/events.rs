//! `events`: what happened, from the owner, or from the database when nobody owns the home.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::EventsArgs;
use super::exit::{CliError, Exit};
use super::output::{Flow, Output, Paint, json_line, paint};
use super::{logs, select};
use crate::api::client::{Client, ClientError};
use crate::api::wire::{EventBody, EventsBody};
use crate::config::home::Home;
use crate::config::load;
use crate::daemon::http::event_body;
use crate::domain::event::{EventFilter, EventType, Level};
use crate::domain::instance::InstanceName;
use crate::store::Reader;

/// Events shown when nothing says how many.
const DEFAULT_COUNT: u32 = 100;

/// Events read at once; with --since there may be more of them than anybody reads.
const MOST: u32 = 10_000;

/// How long one question of a follower waits for the next event.
const WAIT: Duration = Duration::from_secs(25);

/// Without an owner the database is looked at this often.
const POLL: Duration = Duration::from_millis(500);

/// An owner that went away is looked for again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// Who answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Owner,
    Database,
}

/// `llama-orch events`
///
/// # Errors
///
/// Returns an error when the instance is unknown, an option is wrong, or nobody can tell.
pub(super) async fn run(home: &Home, args: &EventsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut filter = filter(home, args)?;
    let printer = Printer {
        output,
        json: args.json,
    };
    let (first, _) = page(home, &filter, Duration::ZERO).await?;
    if !args.follow {
        if args.json {
            output.json(&first.events)?;
        } else if first.events.is_empty() {
            output.say("nothing has happened that was asked for");
        } else {
            printer.print(&first.events)?;
        }
        return Ok(Exit::Success);
    }
    if printer.print(&first.events)? == Flow::ReaderGone {
        return Ok(Exit::Success);
    }
    filter.since = None;
    filter.after_id = Some(first.last_id);
    filter.limit = Some(MOST);
    follow(home, filter, &printer).await
}

async fn follow(
    home: &Home,
    mut filter: EventFilter,
    printer: &Printer<'_>,
) -> Result<Exit, CliError> {
    loop {
        let (body, source) = match page(home, &filter, WAIT).await {
            Ok(answer) => answer,
            // The home is changing hands; whoever has it next goes on where this one ended.
            Err(error) if error.exit == Exit::Daemon => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if printer.print(&body.events)? == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
        // Numbers that fell were given by a new database: its events are all news.
        let began_anew = filter.after_id.is_some_and(|after| body.last_id < after);
        filter.after_id = Some(if began_anew { 0 } else { body.last_id });
        if source == Source::Database && body.events.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }
}

fn filter(home: &Home, args: &EventsArgs) -> Result<EventFilter, CliError> {
    let instance = args
        .instance
        .as_deref()
        .map(|word| instance(home, word))
        .transpose()?;
    filter_for(instance, args)
}

/// Turns the options into what is asked, of an instance that was found already.
///
/// # Errors
///
/// Returns an error when a time is none.
pub(super) fn filter_for(
    instance: Option<InstanceName>,
    args: &EventsArgs,
) -> Result<EventFilter, CliError> {
    let since = args
        .since
        .as_deref()
        .map(logs::parse_since)
        .transpose()?
        .map(|millis| millis as f64 / 1000.0);
    let usual = if since.is_some() { MOST } else { DEFAULT_COUNT };
    Ok(EventFilter {
        instance,
        level: args.level.as_deref().and_then(Level::parse),
        kinds: args
            .kinds
            .iter()
            .filter_map(|word| EventType::parse(word))
            .collect(),
        since,
        limit: Some(args.tail.unwrap_or(usual).clamp(1, MOST)),
        ..EventFilter::default()
    })
}

/// Finds an instance; one whose folder is gone may still have events.
fn instance(home: &Home, word: &str) -> Result<InstanceName, CliError> {
    let unknown = match select::one(&load::load(home), word) {
        Ok(name) => return Ok(name),
        Err(error) => error,
    };
    let Ok(name) = InstanceName::parse(word) else {
        return Err(unknown);
    };
    let filter = EventFilter {
        instance: Some(name.clone()),
        limit: Some(1),
        ..EventFilter::default()
    };
    match stored(home, &filter)?.events.is_empty() {
        true => Err(unknown),
        false => Ok(name),
    }
}

async fn page(
    home: &Home,
    filter: &EventFilter,
    wait: Duration,
) -> Result<(EventsBody, Source), CliError> {
    match Client::socket(&home.socket()).events(filter, wait).await {
        Ok(body) => Ok((body, Source::Owner)),
        Err(ClientError::NoOwner { .. }) => Ok((stored(home, filter)?, Source::Database)),
        Err(error) => Err(error.into()),
    }
}

/// Reads the events from the database, changing nothing.
fn stored(home: &Home, filter: &EventFilter) -> Result<EventsBody, CliError> {
    let unreadable =
        |error: crate::store::StoreError| CliError::new(Exit::General, error.to_string());
    let Some(reader) = Reader::open(&home.database()).map_err(unreadable)? else {
        return Ok(EventsBody {
            events: Vec::new(),
            last_id: filter.after_id.unwrap_or(0),
        });
    };
    let events = reader.events(filter).map_err(unreadable)?;
    let last_id = events.last().map_or(0, |event| event.id);
    Ok(EventsBody {
        events: events.iter().map(event_body).collect(),
        last_id: last_id.max(filter.after_id.unwrap_or(0)),
    })
}

/// How events are printed.
pub(super) struct Printer<'a> {
    pub(super) output: &'a Output,
    pub(super) json: bool,
}

impl Printer<'_> {
    pub(super) fn print(&self, events: &[EventBody]) -> Result<Flow, CliError> {
        if events.is_empty() {
            return Ok(Flow::Continue);
        }
        let lines: Vec<String> = events.iter().map(|event| self.text(event)).collect();
        Ok(self.output.line(&lines.join("\n"))?)
    }

    fn text(&self, event: &EventBody) -> String {
        let name = event.instance.as_deref().unwrap_or("-");
        let (kind, message) = (&event.event_type, one_line(&event.message));
        if self.json {
            return json_line(event);
        }
        if !self.output.stdout_is_terminal && !self.output.stdout_color {
            return [&event.ts, &event.level, name, kind, &message].join("\t");
        }
        let level = format!("{:<7}", event.level.to_uppercase());
        let color = match Level::parse(&event.level) {
            Some(Level::Error) => Paint::Bad,
            Some(Level::Warning) => Paint::Busy,
            Some(Level::Info) | None => Paint::Dim,
        };
        let level = paint(self.output.stdout_color, color, &level);
        format!(
            "{} {level} {name:<16} {kind:<18} {message}",
            local(&event.ts)
        )
    }
}

/// A server's last words may hold anything; on a terminal they must stay words.
fn one_line(message: &str) -> String {
    let harmless = |letter: char| if letter.is_control() { ' ' } else { letter };
    message.chars().map(harmless).collect()
}

/// Writes a time as the clock on the wall shows it.
pub(super) fn local(ts: &str) -> String {
    ts.parse::<Timestamp>().map_or_else(
        |_| ts.to_owned(),
        |time| {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}
