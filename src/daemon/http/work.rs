//! Work units: each handler only parses, asks the supervisor and converts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::IntoResponses;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Owner;
use super::asked::{Known, LONGEST, Name, Named, Needed, Question, patience};
use super::failure::{Answered, Failure};
use super::peer::Peer;
use crate::api::error::{ErrorBody, ErrorCode};
use crate::api::wire::{
    DeleteQuery, InvalidWork, NewWorkUnit, WorkAnswerBody, WorkHistoryBody, WorkHistoryQuery,
    WorkUnitBody, WorkUnitPatch, WorkUnitsBody, WorkUnitsQuery,
};
use crate::domain::work::{Chunk, Illegal, InvalidChunk, Order, Refused, Waiters, WorkUnit};
use crate::supervisor::handle::WorkAnswer;
use crate::supervisor::work::{Origin, WorkError};

/// Lines of a status log returned when nobody says how many, and at most.
const HISTORY_LIMIT: u32 = 100;
const HISTORY_MOST: u32 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new()
        .routes(routes!(units, create))
        .routes(routes!(unit, change, delete))
        .routes(routes!(history))
}

/// What an order may be answered with when it does not go with what is there.
#[derive(IntoResponses)]
enum Impossible {
    #[expect(dead_code, reason = "it stands for itself in the document")]
    #[response(
        status = 409,
        description = "It does not go with what is there; nothing was changed"
    )]
    Conflict(ErrorBody),
    #[expect(dead_code, reason = "it stands for itself in the document")]
    #[response(
        status = 422,
        description = "It names what is not there, or could never be"
    )]
    Unprocessable(ErrorBody),
}

/// All work units, in the order they were created.
///
/// With `after` it waits until they are not those of that generation any more.
#[utoipa::path(
    get, path = "/work-units", tag = "work", params(WorkUnitsQuery),
    responses((status = 200, body = WorkUnitsBody))
)]
async fn units(
    State(owner): State<Owner>,
    Question(query): Question<WorkUnitsQuery>,
) -> Answered<Json<WorkUnitsBody>> {
    let statuses = query.statuses()?;
    let snapshot = match query.after {
        None => owner.handle.work_units(),
        Some(after) => {
            let wait = patience(query.wait_ms, LONGEST);
            owner.handle.work_units_after(after, wait).await
        }
    };
    Ok(Json(WorkUnitsBody::of(&snapshot, &statuses)))
}

/// One work unit.
#[utoipa::path(
    get, path = "/work-units/{chunk}", tag = "work",
    params(("chunk" = String, Path, description = "The work unit")),
    responses((status = 200, body = WorkUnitBody))
)]
async fn unit(
    State(owner): State<Owner>,
    Named(chunk): Named<Chunk>,
) -> Answered<Json<WorkUnitBody>> {
    let all = owner.handle.work_units();
    let unit = known(&all.units, &chunk)?;
    Ok(Json(WorkUnitBody::of(unit, &all)))
}

/// The newest lines of a work unit's status log, oldest first.
#[utoipa::path(
    get, path = "/work-units/{chunk}/history", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), WorkHistoryQuery),
    responses((status = 200, body = WorkHistoryBody))
)]
async fn history(
    State(owner): State<Owner>,
    Known(chunk): Known<Chunk>,
    Question(query): Question<WorkHistoryQuery>,
) -> Answered<Json<WorkHistoryBody>> {
    let limit = query.limit.unwrap_or(HISTORY_LIMIT).clamp(1, HISTORY_MOST);
    let changes = owner.handle.status_log(chunk, limit).await;
    let changes = changes.iter().map(Into::into).collect();
    Ok(Json(WorkHistoryBody { changes }))
}

/// Creates a work unit: READY, or BLOCKED until every unit it waits for is DONE.
///
/// Commands are taken over the socket only, unless `work.remote_commands` says otherwise.
#[utoipa::path(
    post, path = "/work-units", tag = "work", request_body = NewWorkUnit,
    responses((status = 201, body = WorkAnswerBody), Impossible)
)]
async fn create(
    State(owner): State<Owner>,
    peer: Peer,
    Needed(body): Needed<NewWorkUnit>,
) -> Answered<(StatusCode, Json<WorkAnswerBody>)> {
    let order = Order::Create(body.draft()?);
    let answer = carry_out(&owner, peer, order).await?;
    Ok((StatusCode::CREATED, answer))
}

/// Changes a work unit; what is absent stays.
///
/// `RUNNING` takes it up, for one caller only: `already_running` tells the others.
#[utoipa::path(
    patch, path = "/work-units/{chunk}", tag = "work",
    params(("chunk" = String, Path, description = "The work unit")),
    request_body = WorkUnitPatch,
    responses((status = 200, body = WorkAnswerBody), Impossible)
)]
async fn change(
    State(owner): State<Owner>,
    peer: Peer,
    Named(chunk): Named<Chunk>,
    Needed(body): Needed<WorkUnitPatch>,
) -> Answered<Json<WorkAnswerBody>> {
    let order = Order::Edit(chunk, body.edit()?);
    carry_out(&owner, peer, order).await
}

/// Deletes a work unit; one that others wait for only when it is DONE, or with `force`.
#[utoipa::path(
    delete, path = "/work-units/{chunk}", tag = "work",
    params(("chunk" = String, Path, description = "The work unit"), DeleteQuery),
    responses((status = 200, body = WorkAnswerBody), super::openapi::Refusals)
)]
async fn delete(
    State(owner): State<Owner>,
    peer: Peer,
    Named(chunk): Named<Chunk>,
    Question(query): Question<DeleteQuery>,
) -> Answered<Json<WorkAnswerBody>> {
    let waiters = match query.force {
        false => Waiters::Keep,
        true => Waiters::Release,
    };
    let order = Order::Delete(chunk, waiters);
    carry_out(&owner, peer, order).await
}

impl Name for Chunk {
    fn read(text: &str) -> Answered<Self> {
        let unknown = |error: InvalidChunk| Failure::new(ErrorCode::NotFound, error.to_string());
        Self::parse(text).map_err(unknown)
    }

    fn present(self, owner: &Owner) -> Answered<Self> {
        known(&owner.handle.work_units().units, &self)?;
        Ok(self)
    }
}

async fn carry_out(owner: &Owner, peer: Peer, order: Order) -> Answered<Json<WorkAnswerBody>> {
    let origin = match peer.is_own_user() {
        true => Origin::Here,
        false => Origin::Remote,
    };
    let WorkAnswer { unit, generation } = owner.handle.work(order, origin).await?;
    let all = owner.handle.work_units();
    Ok(Json(WorkAnswerBody {
        unit: WorkUnitBody::of(&unit, &all),
        generation,
    }))
}

fn known<'a>(units: &'a [WorkUnit], chunk: &Chunk) -> Answered<&'a WorkUnit> {
    let found = units.iter().find(|unit| unit.chunk == *chunk);
    found.ok_or_else(|| Failure::from(WorkError::from(Refused::Unknown(chunk.clone()))))
}

impl From<InvalidWork> for Failure {
    fn from(error: InvalidWork) -> Self {
        Self::new(ErrorCode::Invalid, error.to_string())
    }
}

impl From<WorkError> for Failure {
    fn from(error: WorkError) -> Self {
        let body = ErrorBody::new(code(&error), error.to_string());
        Self(match error.hint() {
            Some(hint) => body.with_hint(hint),
            None => body,
        })
    }
}

fn code(error: &WorkError) -> ErrorCode {
    match error {
        WorkError::Refused(refused) => match refused {
            Refused::Unknown(_) => ErrorCode::NotFound,
            Refused::Illegal {
                why: Illegal::Taken,
                ..
            } => ErrorCode::AlreadyRunning,
            Refused::Exists { .. }
            | Refused::Illegal { .. }
            | Refused::WaitedFor { .. }
            | Refused::TooMany => ErrorCode::Conflict,
            Refused::UnknownBlocker { .. } | Refused::Circular(_) => ErrorCode::Unprocessable,
            Refused::NeedlessReason | Refused::NeedlessStop => ErrorCode::Invalid,
        },
        WorkError::UnknownInstance(_) => ErrorCode::Unprocessable,
        WorkError::OnlyHere { .. } => ErrorCode::Forbidden,
        WorkError::ShuttingDown => ErrorCode::OwnerError,
    }
}
