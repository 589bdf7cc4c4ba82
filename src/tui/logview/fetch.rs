//! Carrying out what the view wants, through the client.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use super::SHOWN_BYTES;
use super::ask::{Ask, Collect, LogEffect, LogMsg, Question, Save, Until};
use super::text;
use crate::api::client::{Client, ClientError};
use crate::domain::log::{At, Direction, Ending, LogLine, PageQuery};
use crate::tui::format;

/// Growth is waited for this long in one question, so that a log that is no longer looked at is
/// soon no longer asked for.
const WATCH: Duration = Duration::from_secs(10);

/// At most ten times a second is told that a log grew.
const SPACING: Duration = Duration::from_millis(100);

/// An owner that does not answer is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

/// Lines of one page when whole logs are read.
const BULK_LINES: usize = 5000;

/// The longest line that is copied or saved whole.
const LINE_BYTES: usize = 1 << 20;

/// Terminals refuse to take much more than this into the clipboard.
const COPY_BYTES: usize = 1 << 20;

/// Carries an effect out. `Copy` is done by the dashboard itself.
pub(in crate::tui) async fn carry(effect: LogEffect, client: Client) -> Option<LogMsg> {
    match effect {
        LogEffect::Ask(ask) => Some(answer(ask, &client).await),
        LogEffect::Collect(collect) => Some(match collected(&collect, &client).await {
            Ok((text, lines)) => LogMsg::Collected(text, lines),
            Err(error) => LogMsg::Told(format!("copy: {error}")),
        }),
        LogEffect::Save(save) => Some(LogMsg::Told(match saved(&save, &client).await {
            Ok(told) => told,
            Err(SaveError::Client(error)) => format!("save: {error}"),
            Err(SaveError::File(error)) => format!("save to {}: {error}", save.path.display()),
        })),
        LogEffect::Copy(_) => None,
    }
}

async fn answer(ask: Ask, client: &Client) -> LogMsg {
    let Ask {
        whose,
        ticket,
        question,
    } = ask;
    let waits = question.is_watch();
    let answer = match question {
        Question::Page(part, query) => client
            .log_page(&whose, &query, Duration::ZERO)
            .await
            .map(|page| LogMsg::Page(ticket, part, Box::new(page))),
        Question::Search(query) => client
            .log_search(&whose, &query)
            .await
            .map(|search| LogMsg::Search(ticket, search)),
        Question::Count(query) => client
            .log_count(&whose, &query)
            .await
            .map(|count| LogMsg::Count(ticket, count)),
        Question::Watch(streams, after) => {
            let wait = after.map_or(Duration::ZERO, |_| WATCH);
            let size = client.log_size(&whose, streams, after, wait).await;
            // Lines that come meanwhile are told of together.
            tokio::time::sleep(after.map_or(Duration::ZERO, |_| SPACING)).await;
            size.map(|size| LogMsg::Size(ticket, size))
        }
    };
    match answer {
        Ok(msg) => msg,
        Err(error) => {
            if waits {
                tokio::time::sleep(RETRY).await;
            }
            LogMsg::Failed(ticket, error.to_string())
        }
    }
}

async fn collected(collect: &Collect, client: &Client) -> Result<(String, usize), ClientError> {
    let mut copied = String::new();
    let mut lines = 0;
    let mut at = At::Cursor(collect.from);
    loop {
        let query = PageQuery {
            streams: collect.streams,
            at,
            direction: Direction::Forward,
            lines: match collect.until {
                Until::Lines(count) => count.saturating_sub(lines),
                Until::Line(_) => BULK_LINES,
            },
            line_bytes: LINE_BYTES,
            filter: collect.filter.clone(),
        };
        let page = client
            .log_page(&collect.whose, &query, Duration::ZERO)
            .await?;
        for line in &page.lines {
            if collect.until == Until::Lines(lines) || copied.len() > COPY_BYTES {
                return Ok((copied, lines));
            }
            copied.push_str(&text::shown(&line.bytes).plain);
            copied.push('\n');
            lines += 1;
            if collect.until == Until::Line(line.place) {
                return Ok((copied, lines));
            }
        }
        if page.at_end {
            return Ok((copied, lines));
        }
        at = At::Cursor(page.end);
    }
}

/// Why a log was not saved.
enum SaveError {
    Client(ClientError),
    File(io::Error),
}

impl From<io::Error> for SaveError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

async fn saved(save: &Save, client: &Client) -> Result<String, SaveError> {
    let mut file = BufWriter::new(create(&save.path)?);
    let mut lines = 0;
    let mut at = save.from.map_or(At::Start, At::Cursor);
    loop {
        let query = PageQuery {
            streams: save.streams,
            at,
            direction: Direction::Forward,
            lines: BULK_LINES,
            line_bytes: LINE_BYTES,
            filter: save.filter.clone(),
        };
        let page = client
            .log_page(&save.whose, &query, Duration::ZERO)
            .await
            .map_err(SaveError::Client)?;
        let whole = |line: &&LogLine| line.ending == Ending::Whole;
        for line in page.lines.iter().filter(whole) {
            file.write_all(&line.bytes)?;
            file.write_all(b"\n")?;
            lines += 1;
        }
        if page.at_end {
            break;
        }
        at = At::Cursor(page.end);
    }
    file.flush()?;
    let path = fs::canonicalize(&save.path).unwrap_or_else(|_| save.path.clone());
    let count = format::count(lines);
    Ok(format!("saved {count} lines to {}", path.display()))
}

/// Never writes over a file that is there.
fn create(path: &Path) -> io::Result<File> {
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            io::Error::new(error.kind(), "the file exists already; choose another name")
        }
        _ => error,
    })
}

const _: () = assert!(
    SHOWN_BYTES <= LINE_BYTES,
    "a copied line is never shorter than it is shown"
);
