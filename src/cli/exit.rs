//! The exit codes, in one place.

use crate::api::client::ClientError;
use crate::api::error::ErrorCode;

/// How a command ended. The numbers are part of the interface.
// A new code also needs a place in `ALL`, which --help and README.md are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success,
    General,
    NotFound,
    AlreadyRunning,
    PortInUse,
    ExecutableNotFound,
    NotReady,
    NotRunning,
    Daemon,
    Usage,
    Interrupted,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::General,
        Self::NotFound,
        Self::AlreadyRunning,
        Self::PortInUse,
        Self::ExecutableNotFound,
        Self::NotReady,
        Self::NotRunning,
        Self::Daemon,
        Self::Usage,
        Self::Interrupted,
    ];

    /// Returns what a code means, as help and README say it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::General => "general error (an invalid configuration too)",
            Self::NotFound => "no such instance or work unit",
            Self::AlreadyRunning => "already running",
            Self::PortInUse => "port in use",
            Self::ExecutableNotFound => "executable missing",
            Self::NotReady => "not healthy in time",
            Self::NotRunning => "not running",
            Self::Daemon => "daemon error",
            Self::Usage => "usage",
            Self::Interrupted => "interrupted",
        }
    }

    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::General => 1,
            Self::NotFound => 2,
            Self::AlreadyRunning => 3,
            Self::PortInUse => 4,
            Self::ExecutableNotFound => 5,
            Self::NotReady => 7,
            Self::NotRunning => 8,
            Self::Daemon => 10,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Invalid
            | ErrorCode::Forbidden
            | ErrorCode::MethodNotAllowed
            | ErrorCode::TooSlow
            | ErrorCode::TooLarge
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::Conflict
            | ErrorCode::Unprocessable => Self::General,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::AlreadyRunning => Self::AlreadyRunning,
            ErrorCode::PortInUse => Self::PortInUse,
            ErrorCode::ExecutableNotFound => Self::ExecutableNotFound,
            ErrorCode::NotReady => Self::NotReady,
            ErrorCode::NotRunning => Self::NotRunning,
            ErrorCode::Unauthorized
            | ErrorCode::Refused
            | ErrorCode::TooMany
            | ErrorCode::OwnerError => Self::Daemon,
        }
    }
}

/// A command that failed: what to say, what to do, and the exit code.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
    pub hint: Option<String>,
}

impl CliError {
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
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

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let hint = match &error {
            ClientError::Refused(body) if body.code == ErrorCode::Unauthorized => Some(
                "its token: --token-file FILE, LLAMA_ORCH_TOKEN_FILE or LLAMA_ORCH_TOKEN"
                    .to_owned(),
            ),
            ClientError::Refused(body) => body.hint.clone(),
            ClientError::Unreachable { .. } => {
                Some("there, llama-orch daemon status says where it listens".to_owned())
            }
            ClientError::NoOwner { .. } => Some("start one: llama-orch daemon start".to_owned()),
            ClientError::TimedOut { .. } | ClientError::Transport(_) => {
                Some("look at it: llama-orch daemon status".to_owned())
            }
            ClientError::Version { .. } => {
                Some("restart the older side: llama-orch daemon restart".to_owned())
            }
        };
        Self {
            exit: Exit::from(error.code()),
            message: error.to_string(),
            hint,
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::General, error.to_string())
    }
}
