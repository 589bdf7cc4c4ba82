//! The routes of logs, of instances and of work units: pages, search, counts, growth, and live.
//! Every answer is bounded and complete before it is sent, so a slow reader holds nothing here.

mod book;
mod live;

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::book::LogBook;

use self::live::LogFollower;
use super::asked::{Named, Question};
use super::{Answered, Failure, Owner};
use crate::api::LONG_POLL_LIMIT_MS;
use crate::api::error::ErrorCode;
use crate::api::wire::logs::{
    CountKeys, LogCountBody, LogPageBody, LogQuery, LogSearchBody, LogSizeBody, PageKeys,
    SearchKeys, SizeKeys,
};
use crate::domain::log::{At, Cursor, Direction, Ending, Page, Whose};
use crate::domain::work::Chunk;

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(page))
        .routes(routes!(search))
        .routes(routes!(count))
        .routes(routes!(size))
        .routes(routes!(unit_page))
        .routes(routes!(unit_search))
        .routes(routes!(unit_count))
        .routes(routes!(unit_size))
}

/// A page of the log, read from a place in a direction; with `Accept: text/event-stream`, as it is
/// written.
///
/// A stream begins with the last `lines` lines, with what is behind `at` or `Last-Event-ID`, or with
/// the next line; each message is a page, and its id the place behind it.
#[utoipa::path(
    get, path = "/instances/{name}/logs", tag = "logs",
    params(("name" = String, Path, description = "The instance"), PageKeys),
    responses((status = 200, description = "Lines, oldest first", content(
        (LogPageBody = "application/json"), (LogPageBody = "text/event-stream")
    )))
)]
async fn page(
    State(owner): State<Owner>,
    Named(name): Named,
    headers: HeaderMap,
    Question(body): Question<LogQuery>,
) -> Answered<Response> {
    page_of(&owner, Whose::Instance(name), &headers, body).await
}

/// The next line that matches, or where to go on looking.
#[utoipa::path(
    get, path = "/instances/{name}/logs/search", tag = "logs",
    params(("name" = String, Path, description = "The instance"), SearchKeys),
    responses((status = 200, body = LogSearchBody))
)]
async fn search(
    State(owner): State<Owner>,
    Named(name): Named,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSearchBody>> {
    search_of(&owner, &Whose::Instance(name), &body).await
}

/// How many lines match, as far as one answer counts.
#[utoipa::path(
    get, path = "/instances/{name}/logs/count", tag = "logs",
    params(("name" = String, Path, description = "The instance"), CountKeys),
    responses((status = 200, body = LogCountBody))
)]
async fn count(
    State(owner): State<Owner>,
    Named(name): Named,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogCountBody>> {
    count_of(&owner, &Whose::Instance(name), &body).await
}

/// How much there is; with a cursor in `at`, waits for what is written behind it.
#[utoipa::path(
    get, path = "/instances/{name}/logs/size", tag = "logs",
    params(("name" = String, Path, description = "The instance"), SizeKeys),
    responses((status = 200, body = LogSizeBody))
)]
async fn size(
    State(owner): State<Owner>,
    Named(name): Named,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSizeBody>> {
    size_of(&owner, &Whose::Instance(name), &body).await
}

/// A page of a work unit's log; otherwise as an instance's.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), PageKeys),
    responses((status = 200, description = "Lines, oldest first", content(
        (LogPageBody = "application/json"), (LogPageBody = "text/event-stream")
    )))
)]
async fn unit_page(
    State(owner): State<Owner>,
    Unit(chunk): Unit,
    headers: HeaderMap,
    Question(body): Question<LogQuery>,
) -> Answered<Response> {
    page_of(&owner, Whose::Unit(chunk), &headers, body).await
}

/// The next line of a work unit's log that matches.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/search", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), SearchKeys),
    responses((status = 200, body = LogSearchBody))
)]
async fn unit_search(
    State(owner): State<Owner>,
    Unit(chunk): Unit,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSearchBody>> {
    search_of(&owner, &Whose::Unit(chunk), &body).await
}

/// How many lines of a work unit's log match.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/count", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), CountKeys),
    responses((status = 200, body = LogCountBody))
)]
async fn unit_count(
    State(owner): State<Owner>,
    Unit(chunk): Unit,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogCountBody>> {
    count_of(&owner, &Whose::Unit(chunk), &body).await
}

/// How much a work unit has logged.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/size", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), SizeKeys),
    responses((status = 200, body = LogSizeBody))
)]
async fn unit_size(
    State(owner): State<Owner>,
    Unit(chunk): Unit,
    Question(body): Question<LogQuery>,
) -> Answered<Json<LogSizeBody>> {
    size_of(&owner, &Whose::Unit(chunk), &body).await
}

/// The work unit in the path; there is one of that name.
struct Unit(Chunk);

impl FromRequestParts<Owner> for Unit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, owner).await?;
        known_unit(owner, &text).map(Self)
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

async fn page_of(
    owner: &Owner,
    whose: Whose,
    headers: &HeaderMap,
    body: LogQuery,
) -> Answered<Response> {
    if super::live::is_asked(headers) {
        let follower = LogFollower::new(owner, whose, headers, body)?;
        return super::live::answer(owner, follower);
    }
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
            return Ok(Json(LogPageBody::from(&page)).into_response());
        }
        let (streams, end) = (query.streams, page.end);
        query.at = At::Cursor(end);
        owner
            .logs
            .wait_for_growth(&whose, streams, end, until)
            .await?;
    }
}

fn has_whole_line(page: &Page) -> bool {
    page.lines.iter().any(|line| line.ending == Ending::Whole)
}

async fn search_of(owner: &Owner, whose: &Whose, body: &LogQuery) -> Answered<Json<LogSearchBody>> {
    let query = body.to_search()?;
    let answer = owner.logs.ask(whose, move |log| log.search(&query)).await?;
    Ok(Json(LogSearchBody::from(answer)))
}

async fn count_of(owner: &Owner, whose: &Whose, body: &LogQuery) -> Answered<Json<LogCountBody>> {
    let query = body.to_count()?;
    let answer = owner.logs.ask(whose, move |log| log.count(&query)).await?;
    Ok(Json(LogCountBody::from(answer)))
}

async fn size_of(owner: &Owner, whose: &Whose, body: &LogQuery) -> Answered<Json<LogSizeBody>> {
    let (streams, after) = body.to_size()?;
    if let Some(after) = after {
        let until = Instant::now() + waiting_time(body);
        owner
            .logs
            .wait_for_growth(whose, streams, after, until)
            .await?;
    }
    let answer = owner
        .logs
        .ask(whose, move |log| log.size(streams, after))
        .await?;
    Ok(Json(LogSizeBody::from(answer)))
}

fn waiting_time(query: &LogQuery) -> Duration {
    Duration::from_millis(query.wait_ms.unwrap_or(0).min(LONG_POLL_LIMIT_MS))
}
