//! What can go wrong in a request: one code for the wire, the HTTP status and the exit code.

use serde::{Deserialize, Serialize};

/// The kinds of failure a caller can tell apart.
// A new code also needs a row in `ErrorCode::TABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    Invalid,
    NotFound,
    AlreadyRunning,
    PortInUse,
    ExecutableNotFound,
    NotReady,
    NotRunning,
    OwnerError,
}

impl ErrorCode {
    /// Code, HTTP status, exit code.
    const TABLE: [(Self, u16, u8); 8] = [
        (Self::Invalid, 400, 1),
        (Self::NotFound, 404, 2),
        (Self::AlreadyRunning, 409, 3),
        (Self::PortInUse, 409, 4),
        (Self::ExecutableNotFound, 422, 5),
        (Self::NotReady, 503, 7),
        (Self::NotRunning, 409, 8),
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table_at_its_documented_exit_code() {
        let documented = [
            (ErrorCode::Invalid, 1),
            (ErrorCode::NotFound, 2),
            (ErrorCode::AlreadyRunning, 3),
            (ErrorCode::PortInUse, 4),
            (ErrorCode::ExecutableNotFound, 5),
            (ErrorCode::NotReady, 7),
            (ErrorCode::NotRunning, 8),
            (ErrorCode::OwnerError, 10),
        ];
        for (code, exit) in documented {
            assert_eq!(code.exit_code(), exit);
            assert_eq!(code.row().0, code);
        }
    }
}
