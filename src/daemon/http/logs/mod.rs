//! The routes of logs, of instances and of work units: pages, search, counts, growth, and live.
//! Every answer is bounded and complete before it is sent, so a slow reader holds nothing here.

mod book;
mod live;

use std::time::Duration;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::book::LogBook;

use self::live::LogFollower;
use super::asked::{Known, Name, Question, patience};
use super::{Answered, Failure, Owner};
use crate::api::wire::logs::{
    CountKeys, LogCountBody, LogPageBody, LogQuery, LogSearchBody, LogSizeBody, PageKeys,
    SearchKeys, SizeKeys,
};
use crate::domain::instance::InstanceName;
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
async fn page(headers: HeaderMap, log: Log<InstanceName>) -> Answered<Response> {
    log.page(&headers).await
}

/// The next line that matches, or where to go on looking.
#[utoipa::path(
    get, path = "/instances/{name}/logs/search", tag = "logs",
    params(("name" = String, Path, description = "The instance"), SearchKeys),
    responses((status = 200, body = LogSearchBody))
)]
async fn search(log: Log<InstanceName>) -> Answered<Json<LogSearchBody>> {
    log.search().await
}

/// How many lines match, as far as one answer counts.
#[utoipa::path(
    get, path = "/instances/{name}/logs/count", tag = "logs",
    params(("name" = String, Path, description = "The instance"), CountKeys),
    responses((status = 200, body = LogCountBody))
)]
async fn count(log: Log<InstanceName>) -> Answered<Json<LogCountBody>> {
    log.count().await
}

/// How much there is; with a cursor in `at`, waits for what is written behind it.
#[utoipa::path(
    get, path = "/instances/{name}/logs/size", tag = "logs",
    params(("name" = String, Path, description = "The instance"), SizeKeys),
    responses((status = 200, body = LogSizeBody))
)]
async fn size(log: Log<InstanceName>) -> Answered<Json<LogSizeBody>> {
    log.size().await
}

/// A page of a work unit's log; otherwise as an instance's.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), PageKeys),
    responses((status = 200, description = "Lines, oldest first", content(
        (LogPageBody = "application/json"), (LogPageBody = "text/event-stream")
    )))
)]
async fn unit_page(headers: HeaderMap, log: Log<Chunk>) -> Answered<Response> {
    log.page(&headers).await
}

/// The next line of a work unit's log that matches.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/search", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), SearchKeys),
    responses((status = 200, body = LogSearchBody))
)]
async fn unit_search(log: Log<Chunk>) -> Answered<Json<LogSearchBody>> {
    log.search().await
}

/// How many lines of a work unit's log match.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/count", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), CountKeys),
    responses((status = 200, body = LogCountBody))
)]
async fn unit_count(log: Log<Chunk>) -> Answered<Json<LogCountBody>> {
    log.count().await
}

/// How much a work unit has logged.
#[utoipa::path(
    get, path = "/work-units/{chunk}/logs/size", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), SizeKeys),
    responses((status = 200, body = LogSizeBody))
)]
async fn unit_size(log: Log<Chunk>) -> Answered<Json<LogSizeBody>> {
    log.size().await
}

/// The log that is asked, and the question.
struct Log<N> {
    owner: Owner,
    whose: N,
    query: LogQuery,
}

impl<N: Name> FromRequestParts<Owner> for Log<N> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, owner: &Owner) -> Answered<Self> {
        let Known(whose) = Known::from_request_parts(parts, owner).await?;
        let Question(query) = Question::from_request_parts(parts, owner).await?;
        Ok(Self {
            owner: owner.clone(),
            whose,
            query,
        })
    }
}

impl<N: Into<Whose>> Log<N> {
    async fn page(self, headers: &HeaderMap) -> Answered<Response> {
        let (owner, whose) = (self.owner, self.whose.into());
        if super::live::is_asked(headers) {
            let follower = LogFollower::new(&owner, whose, headers, self.query)?;
            return super::live::answer(&owner, follower);
        }
        let mut query = self.query.to_page()?;
        let until = Instant::now() + patience(self.query.wait_ms, Duration::ZERO);
        let mut begun: Option<(Cursor, bool, bool)> = None;
        loop {
            let asked = query.clone();
            let mut page = owner.logs.ask(&whose, move |log| log.page(&asked)).await?;
            let (start, at_start, lost) =
                *begun.get_or_insert((page.start, page.at_start, page.lost));
            let has_news = page.lost || !page.at_end || query.direction == Direction::Backward;
            if has_news || has_whole_line(&page) || Instant::now() >= until {
                (page.start, page.at_start, page.lost) = (start, at_start, lost || page.lost);
                return Ok(Json(LogPageBody::from(&page)).into_response());
            }
            let (streams, end) = (query.streams, page.end);
            query.at = At::Cursor(end);
            let logs = &owner.logs;
            logs.wait_for_growth(&whose, streams, end, until).await?;
        }
    }

    async fn search(self) -> Answered<Json<LogSearchBody>> {
        let query = self.query.to_search()?;
        let (logs, whose) = (self.owner.logs, self.whose.into());
        let answer = logs.ask(&whose, move |log| log.search(&query)).await?;
        Ok(Json(LogSearchBody::from(answer)))
    }

    async fn count(self) -> Answered<Json<LogCountBody>> {
        let query = self.query.to_count()?;
        let (logs, whose) = (self.owner.logs, self.whose.into());
        let answer = logs.ask(&whose, move |log| log.count(&query)).await?;
        Ok(Json(LogCountBody::from(answer)))
    }

    async fn size(self) -> Answered<Json<LogSizeBody>> {
        let (streams, after) = self.query.to_size()?;
        let (logs, whose) = (self.owner.logs, self.whose.into());
        if let Some(after) = after {
            let until = Instant::now() + patience(self.query.wait_ms, Duration::ZERO);
            logs.wait_for_growth(&whose, streams, after, until).await?;
        }
        let size = logs.ask(&whose, move |log| log.size(streams, after));
        Ok(Json(LogSizeBody::from(size.await?)))
    }
}

fn has_whole_line(page: &Page) -> bool {
    page.lines.iter().any(|line| line.ending == Ending::Whole)
}
