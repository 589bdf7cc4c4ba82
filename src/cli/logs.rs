//! `logs`: the end of an instance's output, and what is added to it. The owner is asked for pages;
//! without one the same reader is asked here.

use std::time::Duration;

use jiff::Timestamp;

use super::args::{LogOptions, LogsArgs, StreamChoice};
use super::exit::{CliError, Exit};
use super::output::{Flow, Output};
use super::select;
use super::session;
use crate::api::client::{Client, ClientError};
use crate::config::home::Home;
use crate::config::load;
use crate::domain::instance::InstanceName;
use crate::domain::log::{
    At, Case, Cursor, Direction, Ending, LogLine, Page, PageQuery, Pattern, Streams, Whose,
};
use crate::logs::{LINE_LIMIT, LogError, PAGE_LINES, Reader};
use crate::supervisor::log_files;

/// Without an owner, new output is looked for this often.
const POLL: Duration = Duration::from_millis(100);

/// How long one question of a follower waits for new output.
const WAIT: Duration = Duration::from_secs(25);

/// Who reads the files.
enum Source {
    Owner(Client),
    Here,
}

/// A log, as the arguments choose it.
struct Log {
    source: Source,
    /// Also used when an owner vanishes: a cursor means the same to both. The files of an owner
    /// elsewhere are not here.
    reader: Option<Reader>,
    whose: Whose,
    streams: Streams,
    filter: Option<Pattern>,
}

/// How lines are printed.
#[derive(Clone, Copy)]
struct Printer<'a> {
    output: &'a Output,
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
    print(home, Whose::Instance(name), &args.how, output).await
}

/// Prints a log as the options choose it, and follows it when they say so.
///
/// # Errors
///
/// Returns an error when an option is wrong or the log cannot be read.
pub(super) async fn print(
    home: &Home,
    whose: Whose,
    args: &LogOptions,
    output: &Output,
) -> Result<Exit, CliError> {
    let source = match session::owner_of(home).await? {
        Some(client) => Source::Owner(client),
        None => Source::Here,
    };
    let reader = Reader::new(log_files::of_whom(home, &whose));
    print_from(source, Some(reader), whose, args, output).await
}

/// As [`print()`], of an owner elsewhere.
///
/// # Errors
///
/// Returns an error when an option is wrong or the owner does not answer.
pub(super) async fn print_remote(
    client: &Client,
    whose: Whose,
    args: &LogOptions,
    output: &Output,
) -> Result<Exit, CliError> {
    let source = Source::Owner(client.clone());
    print_from(source, None, whose, args, output).await
}

async fn print_from(
    source: Source,
    reader: Option<Reader>,
    whose: Whose,
    args: &LogOptions,
    output: &Output,
) -> Result<Exit, CliError> {
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let streams = match (args.stderr, args.stream) {
        (true, _) | (false, StreamChoice::Stderr) => Streams::Stderr,
        (false, StreamChoice::Stdout) => Streams::Stdout,
        (false, StreamChoice::Both) => Streams::Both,
    };
    let filter = args.grep.as_ref();
    let filter = filter.map(|text| Pattern::new(text, Case::Sensitive));
    let mut log = Log {
        source,
        reader,
        whose: whose.clone(),
        streams,
        filter,
    };
    let printer = Printer {
        output,
        timestamps: args.timestamps,
    };
    let unfinished = if args.follow {
        // Its whole line comes when there is one.
        Unfinished::Hide
    } else {
        Unfinished::Show
    };
    let (end, flow) = match since {
        Some(millis) => since_then(&mut log, millis, printer, unfinished).await?,
        None => tail(&mut log, args.tail, printer, unfinished).await?,
    };
    if end == Cursor::default() && !args.follow {
        output.say(&format!("{whose} has not logged anything yet"));
    }
    if flow == Flow::ReaderGone || !args.follow {
        return Ok(Exit::Success);
    }
    follow(&mut log, end, printer).await
}

/// Prints what an instance logs from now on, until somebody drops the future; for `--no-detach`.
///
/// # Errors
///
/// Returns an error when a log cannot be read.
pub(super) async fn follow_new(
    home: &Home,
    client: &Client,
    name: &InstanceName,
    output: &Output,
) -> Result<Exit, CliError> {
    let source = Source::Owner(client.clone());
    let mut log = Log::new(home, source, Whose::from(name), Streams::Both, None);
    let end = log.page(At::End, Direction::Backward, 0, Duration::ZERO);
    let end = end.await?.end;
    let printer = Printer {
        output,
        timestamps: false,
    };
    follow(&mut log, end, printer).await
}

/// Whether a line that has no end yet is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    Show,
    Hide,
}

/// Prints the last lines; returns where a follower goes on.
async fn tail(
    log: &mut Log,
    count: usize,
    printer: Printer<'_>,
    unfinished: Unfinished,
) -> Result<(Cursor, Flow), CliError> {
    let mut lines: Vec<LogLine> = Vec::new();
    let mut end = None;
    let mut at = At::End;
    loop {
        let wanted = count.saturating_sub(lines.len()).min(PAGE_LINES);
        let mut page = log
            .page(at, Direction::Backward, wanted, Duration::ZERO)
            .await?;
        let end = *end.get_or_insert(page.end);
        page.lines.append(&mut lines);
        lines = page.lines;
        if unfinished == Unfinished::Hide {
            lines.retain(|line| line.ending == Ending::Whole);
        }
        if page.at_start || lines.len() >= count {
            let surplus = lines.len().saturating_sub(count);
            return Ok((end, printer.print(&lines[surplus..])?));
        }
        at = At::Cursor(page.start);
    }
}

/// Prints what was written since a time.
async fn since_then(
    log: &mut Log,
    millis: u64,
    printer: Printer<'_>,
    unfinished: Unfinished,
) -> Result<(Cursor, Flow), CliError> {
    let mut at = At::Time(millis);
    loop {
        let mut page = log
            .page(at, Direction::Forward, PAGE_LINES, Duration::ZERO)
            .await?;
        if unfinished == Unfinished::Hide {
            page.lines.retain(|line| line.ending == Ending::Whole);
        }
        let flow = printer.print(&page.lines)?;
        if page.at_end || flow == Flow::ReaderGone {
            return Ok((page.end, flow));
        }
        at = At::Cursor(page.end);
    }
}

async fn follow(log: &mut Log, from: Cursor, printer: Printer<'_>) -> Result<Exit, CliError> {
    let mut at = At::Cursor(from);
    loop {
        let mut page = log.page(at, Direction::Forward, PAGE_LINES, WAIT).await?;
        page.lines.retain(|line| line.ending == Ending::Whole);
        if page.lost {
            let message = "lines are missing here: they were rotated away before they were read";
            printer.output.warning(message);
        }
        if printer.print(&page.lines)? == Flow::ReaderGone {
            return Ok(Exit::Success);
        }
        at = At::Cursor(page.end);
    }
}

impl Log {
    fn new(
        home: &Home,
        source: Source,
        whose: Whose,
        streams: Streams,
        filter: Option<Pattern>,
    ) -> Self {
        Self {
            source,
            reader: Some(Reader::new(log_files::of_whom(home, &whose))),
            whose,
            streams,
            filter,
        }
    }

    /// Reads a page; at the end, waits for a line.
    async fn page(
        &mut self,
        at: At,
        direction: Direction,
        lines: usize,
        wait: Duration,
    ) -> Result<Page, CliError> {
        let query = PageQuery {
            streams: self.streams,
            at,
            direction,
            lines,
            line_bytes: LINE_LIMIT,
            filter: self.filter.clone(),
        };
        if let Source::Owner(client) = &self.source {
            match client.log_page(&self.whose, &query, wait).await {
                Err(ClientError::NoOwner { .. } | ClientError::Transport(_))
                    if self.reader.is_some() =>
                {
                    // It went away; the files are still here.
                    self.source = Source::Here;
                }
                Err(ClientError::Refused(body)) => return Err(self.refused(body.into())),
                answer => return Ok(answer?),
            }
        }
        let Some(reader) = &self.reader else {
            let message = "the log is elsewhere, and its owner does not answer";
            return Err(CliError::new(Exit::Daemon, message));
        };
        let until = tokio::time::Instant::now() + wait;
        loop {
            let page = reader.page(&query).map_err(|error| self.wrong(&error))?;
            let has_line = page.lines.iter().any(|line| line.ending == Ending::Whole);
            let is_over = tokio::time::Instant::now() >= until;
            if has_line || is_over || page.lost || !page.at_end || direction == Direction::Backward
            {
                return Ok(page);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The owner names the pattern; the person knows it as an option.
    fn refused(&self, error: ClientError) -> CliError {
        let error = CliError::from(error);
        match &self.filter {
            Some(filter) if error.message.contains(&format!("{:?}", filter.text)) => {
                CliError::new(Exit::Usage, format!("--grep: {}", error.message))
            }
            Some(_) | None => error,
        }
    }

    fn wrong(&self, error: &LogError) -> CliError {
        match error {
            LogError::Pattern { .. } => CliError::new(Exit::Usage, format!("--grep: {error}")),
            LogError::Io(_) => CliError::new(Exit::General, format!("{}: {error}", self.whose)),
        }
    }
}

/// Reads `10m`, `2h 30m` or an RFC 3339 time into unix milliseconds.
pub(super) fn parse_since(text: &str) -> Result<u64, CliError> {
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
    fn print(&self, lines: &[LogLine]) -> Result<Flow, CliError> {
        let mut bytes = Vec::new();
        for line in lines {
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
            self.output.log(&bytes)?
        })
    }
}
