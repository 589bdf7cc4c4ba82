//! Failures on their way out, all in one shape: code, message, hint.

use axum::Json;
use axum::extract::Request;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::error::{self, ErrorBody, ErrorCode};
use crate::supervisor::decision::Denied;
use crate::supervisor::handle::CommandError;

/// A failure on its way out as JSON.
#[derive(Debug)]
pub struct Failure(pub(in crate::daemon) ErrorBody);

pub(in crate::daemon) type Answered<T> = Result<T, Failure>;

impl Failure {
    pub(in crate::daemon) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(code, message))
    }
}

/// What is answered where nothing is.
pub(super) async fn no_such_route(request: Request) -> Failure {
    let message = error::no_such_route(request.uri().path());
    Failure(ErrorBody::new(ErrorCode::NotFound, message).with_hint("GET / lists all there is"))
}

/// What is answered where something is that is asked for in another way.
pub(super) async fn no_such_method(request: Request) -> Failure {
    let message = format!(
        "{} cannot be asked for with {}",
        request.uri().path(),
        request.method()
    );
    Failure(
        ErrorBody::new(ErrorCode::MethodNotAllowed, message)
            .with_hint("the header Allow of this answer says how"),
    )
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::Invalid, rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ErrorCode::Invalid, rejection.body_text())
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            _ => ErrorCode::Invalid,
        };
        Self::new(code, rejection.body_text())
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let code = match &error {
            CommandError::AlreadyRunning
            | CommandError::AlreadyStarting
            | CommandError::AlreadyWaiting => ErrorCode::AlreadyRunning,
            CommandError::NotRunning => ErrorCode::NotRunning,
            CommandError::Denied(Denied::Unknown { .. }) => ErrorCode::NotFound,
            CommandError::Denied(Denied::Broken { .. }) => ErrorCode::Invalid,
            CommandError::ShuttingDown => ErrorCode::OwnerError,
        };
        let failure = Self::new(code, error.to_string());
        match error {
            CommandError::Denied(Denied::Broken { .. }) => {
                let hint = "llama-orch config validate shows every mistake with its line";
                Self(failure.0.with_hint(hint))
            }
            CommandError::AlreadyRunning
            | CommandError::AlreadyStarting
            | CommandError::AlreadyWaiting
            | CommandError::NotRunning
            | CommandError::Denied(Denied::Unknown { .. })
            | CommandError::ShuttingDown => failure,
        }
    }
}
