//! The routes of logs, of instances and of work units: pages, search, counts, growth. Every answer is bounded and complete before
//! it is sent, so a slow reader holds nothing here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::http::asked::{Named, Question};
use super::http::{Answered, Failure, Owner};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::logs::{LogCountBody, LogPageBody, LogQuery, LogSearchBody, LogSizeBody};
use crate::config::home::Home;
use crate::domain::log::{At, Cursor, Direction, Ending, Page, Streams, Whose};
use crate::domain::work::Chunk;
use crate::logs::{LogError, Reader};
use crate::supervisor::log_files;

/// Logs read at once; more questions wait, so that searches leave time for everything else.
const PLACES: usize = 2;

/// A log that is waited for is looked at this often: a look costs microseconds, while being told
/// of every write would cost a wake-up per write in a flood.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// The readers of all logs; each keeps only its counts of lines.
#[derive(Clone)]
pub struct LogBook {
    home: Home,
    readers: Arc<Mutex<HashMap<Whose, Arc<Reader>>>>,
    places: Arc<Semaphore>,
}

pub(super) fn routes() -> Router<Owner> {
    Router::new()
        .route("/instances/{name}/logs", get(page))
        .route("/instances/{name}/logs/search", get(search))
        .route("/instances/{name}/logs/count", get(count))
        .route("/instances/{name}/logs/size", get(size))
        .route("/work-units/{chunk}/logs", get(page))
        .route("/work-units/{chunk}/logs/search", get(search))
        .route("/work-units/{chunk}/logs/count", get(count))
        .route("/work-units/{chunk}/logs/size", get(size))
}

/// The instance or the work unit in the path; there is one of that name.
struct LogOf(Whose);

impl FromRequestParts<Owner> for LogOf {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        if parts.uri.path().starts_with("/work-units/") {
            let Path(text) = Path::<String>::from_request_parts(parts, owner).await?;
            return known_unit(owner, &text).map(|chunk| Self(Whose::Unit(chunk)));
        }
        let Named(name) = Named::from_request_parts(parts, owner).await?;
        Ok(Self(Whose::Instance(name)))
    }
}

fn known_unit(owner: &Owner, text: &str) -> Answered<Chunk> {
    let unknown = || {
        let message = format!("no work unit is called {text:?}");
        Failure::new(ErrorCode::NotFound, message)
    };
    let chunk = Chunk::parse(text).map_err(|_| unknown())?;
    let picture = owner.handle.work_units();
    match picture.units.iter().any(|unit| unit.chunk == chunk) {
        true => Ok(chunk),
        false => Err(unknown()),
    }
}

async fn page(
    State(owner): State<Owner>,
    LogOf(whose): LogOf,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogPageBody>> {
    let mut query = body.to_page()?;
    let until = Instant::now() + waiting_time(&body);
    let mut begun: Option<(Cursor, bool, bool)> = None;
    loop {
        let asked = query.clone();
        let mut page = owner.logs.ask(&whose, move |log| log.page(&asked)).await?;
        let (start, at_start, lost) = *begun.get_or_insert((page.start, page.at_start, page.lost));
        let has_news = page.lost || !page.at_end || query.direction == Direction::Backward;
        if has_news || has_whole_line(&page) || Instant::now() >= until {
            (page.start, page.at_start, page.lost) = (start, at_start, lost || page.lost);
            return Ok(Json(LogPageBody::from(&page)));
        }
        let (streams, end) = (query.streams, page.end);
        query.at = At::Cursor(end);
        wait_for_growth(&owner.logs, &whose, streams, end, until).await?;
    }
}

fn has_whole_line(page: &Page) -> bool {
    page.lines.iter().any(|line| line.ending == Ending::Whole)
}

async fn search(
    State(owner): State<Owner>,
    LogOf(whose): LogOf,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSearchBody>> {
    let query = body.to_search()?;
    let answer = owner
        .logs
        .ask(&whose, move |log| log.search(&query))
        .await?;
    Ok(Json(LogSearchBody::from(answer)))
}

async fn count(
    State(owner): State<Owner>,
    LogOf(whose): LogOf,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogCountBody>> {
    let query = body.to_count()?;
    let answer = owner.logs.ask(&whose, move |log| log.count(&query)).await?;
    Ok(Json(LogCountBody::from(answer)))
}

async fn size(
    State(owner): State<Owner>,
    LogOf(whose): LogOf,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSizeBody>> {
    let (streams, after) = body.to_size()?;
    if let Some(after) = after {
        let until = Instant::now() + waiting_time(&body);
        wait_for_growth(&owner.logs, &whose, streams, after, until).await?;
    }
    let answer = owner
        .logs
        .ask(&whose, move |log| log.size(streams, after))
        .await?;
    Ok(Json(LogSizeBody::from(answer)))
}

fn waiting_time(query: &LogQuery) -> Duration {
    Duration::from_millis(query.wait_ms.unwrap_or(0).min(LONG_POLL_LIMIT_MS))
}

async fn wait_for_growth(
    logs: &LogBook,
    whose: &Whose,
    streams: Streams,
    after: Cursor,
    until: Instant,
) -> Answered<()> {
    while Instant::now() < until {
        let grown = logs
            .ask(whose, move |log| log.grown(streams, &after))
            .await?;
        if grown {
            break;
        }
        tokio::time::sleep_until(until.min(Instant::now() + LOOK_PAUSE)).await;
    }
    Ok(())
}

impl LogBook {
    #[must_use]
    pub fn new(home: Home) -> Self {
        Self {
            home,
            readers: Arc::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }

    /// Asks one log, off the thread that everything else runs on.
    async fn ask<T: Send + 'static>(
        &self,
        whose: &Whose,
        question: impl FnOnce(&Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Answered<T> {
        let _place = self.places.acquire().await;
        let (book, whose) = (self.clone(), whose.clone());
        let asked = tokio::task::spawn_blocking(move || question(&book.reader(&whose))).await;
        match asked {
            Ok(answer) => Ok(answer?),
            Err(error) => {
                let message = format!("reading the log failed: {error}");
                Err(Failure(ErrorBody::new(ErrorCode::OwnerError, message)))
            }
        }
    }

    fn reader(&self, whose: &Whose) -> Arc<Reader> {
        let files = log_files::of_whom(&self.home, whose);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = readers.get(whose).filter(|reader| *reader.files() == files);
        match known {
            Some(reader) => Arc::clone(reader),
            None => {
                let reader = Arc::new(Reader::new(files));
                readers.insert(whose.clone(), Arc::clone(&reader));
                reader
            }
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let code = match &error {
            LogError::Pattern { .. } => ErrorCode::Invalid,
            LogError::Io(_) => ErrorCode::OwnerError,
        };
        Self(ErrorBody::new(code, error.to_string()))
    }
}
