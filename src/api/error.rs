//! What can go wrong in a request: one code for the wire, the HTTP status and the exit code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The kinds of failure a caller can tell apart.
// A new code also needs a row in `ErrorCode::TABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    Invalid,
    /// No token, or not the right one.
    Unauthorized,
    /// Whoever asks may not, whatever they show.
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The request was not there in time.
    TooSlow,
    TooLarge,
    UnsupportedMediaType,
    /// What is asked for does not go with what is there.
    Conflict,
    /// What is asked for names something that is not there, or could never be.
    Unprocessable,
    AlreadyRunning,
    PortInUse,
    ExecutableNotFound,
    NotReady,
    NotRunning,
    /// Others may ask for it, but it is not done.
    Refused,
    /// As many ask already as can be served.
    TooMany,
    /// Also what a code of a later version is taken for.
    #[serde(other)]
    OwnerError,
}

impl ErrorCode {
    /// Code, HTTP status, exit code.
    const TABLE: [(Self, u16, u8); 18] = [
        (Self::Invalid, 400, 1),
        (Self::Unauthorized, 401, 10),
        (Self::Forbidden, 403, 1),
        (Self::NotFound, 404, 2),
        (Self::MethodNotAllowed, 405, 1),
        (Self::TooSlow, 408, 1),
        (Self::TooLarge, 413, 1),
        (Self::UnsupportedMediaType, 415, 1),
        (Self::Conflict, 409, 1),
        (Self::Unprocessable, 422, 1),
        (Self::AlreadyRunning, 409, 3),
        (Self::PortInUse, 409, 4),
        (Self::ExecutableNotFound, 422, 5),
        (Self::NotReady, 503, 7),
        (Self::NotRunning, 409, 8),
        (Self::Refused, 409, 10),
        (Self::TooMany, 429, 10),
        (Self::OwnerError, 500, 10),
    ];

    /// Returns the HTTP status of an answer with this code.
    #[must_use]
    pub fn http_status(self) -> u16 {
        self.row().1
    }

    /// Returns the exit code of a command that failed with this code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        self.row().2
    }

    fn row(self) -> (Self, u16, u8) {
        Self::TABLE
            .into_iter()
            .find(|(code, _, _)| *code == self)
            .unwrap_or((Self::OwnerError, 500, 10))
    }
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, ToSchema)]
#[error("{message}")]
pub struct ErrorBody {
    pub code: ErrorCode,
    pub message: String,
    /// What to do next, when there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorBody {
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Returns what an owner says where nothing is; by it a client knows an owner that lacks something.
#[must_use]
pub fn no_such_route(path: &str) -> String {
    format!("there is no {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table_at_its_documented_exit_code() {
        let documented = [
            (ErrorCode::Invalid, 1),
            (ErrorCode::Unauthorized, 10),
            (ErrorCode::Forbidden, 1),
            (ErrorCode::NotFound, 2),
            (ErrorCode::MethodNotAllowed, 1),
            (ErrorCode::TooSlow, 1),
            (ErrorCode::TooLarge, 1),
            (ErrorCode::UnsupportedMediaType, 1),
            (ErrorCode::Conflict, 1),
            (ErrorCode::Unprocessable, 1),
            (ErrorCode::AlreadyRunning, 3),
            (ErrorCode::PortInUse, 4),
            (ErrorCode::ExecutableNotFound, 5),
            (ErrorCode::NotReady, 7),
            (ErrorCode::NotRunning, 8),
            (ErrorCode::Refused, 10),
            (ErrorCode::TooMany, 10),
            (ErrorCode::OwnerError, 10),
        ];
        for (code, exit) in documented {
            assert_eq!(code.exit_code(), exit);
            assert_eq!(code.row().0, code);
        }
    }

    #[test]
    fn a_code_of_a_later_version_is_still_an_error_with_its_message() {
        let text = r#"{"code": "too_clever", "message": "no"}"#;
        let body: ErrorBody = serde_json::from_str(text).expect("a body");
        assert_eq!(body, ErrorBody::new(ErrorCode::OwnerError, "no"));
        let text = serde_json::to_string(&body).expect("a body");
        assert_eq!(text, r#"{"code":"owner_error","message":"no"}"#);
    }
}
