//! The exit codes, in one place.

use std::error::Error;
use std::io;
use std::path::Path;

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

    /// An error with all its causes; what the system refused comes with what to do about it.
    #[must_use]
    pub fn chain(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut hint = None;
        let mut cause = Some(error);
        while let Some(error) = cause {
            let words = error.to_string();
            // Some errors tell their cause themselves.
            if !message.ends_with(&words) {
                message = format!("{message}: {words}");
            }
            let refused = error.downcast_ref::<io::Error>();
            hint = hint.or_else(|| hint_for(refused?.kind()));
            cause = error.source();
        }
        Self {
            exit,
            message,
            hint,
        }
    }

    /// Says what was being done to which file.
    #[must_use]
    pub fn about(mut self, verb: &str, path: &Path) -> Self {
        self.message = format!("{verb} {}: {}", path.display(), self.message);
        self
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
            ClientError::TimedOut { .. } | ClientError::Transport(_) => Some(
                "if it hangs, end it: llama-orch daemon stop --force (instances keep running)"
                    .to_owned(),
            ),
            ClientError::Version { .. } => {
                Some("restart the older side: llama-orch daemon restart".to_owned())
            }
            ClientError::OtherBuild(other) => Some(other.remedy().to_owned()),
        };
        Self {
            exit: Exit::from(error.code()),
            message: error.to_string(),
            hint,
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::chain(Exit::General, &error)
    }
}

/// What a person can do where the system refuses.
fn hint_for(kind: io::ErrorKind) -> Option<String> {
    let hint = match kind {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "this user may not do that; --home DIR or LLAMA_ORCH_HOME choose another home, \
             and llama-orch doctor looks at this one"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there; llama-orch doctor says what logs may take"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("open the door")]
        Short(#[source] io::Error),
        #[error("open the door: {0}")]
        Long(#[source] io::Error),
    }

    #[test]
    fn a_cause_is_told_once_and_what_the_system_refuses_comes_with_a_hint() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for error in [Outer::Short(denied()), Outer::Long(denied())] {
            let told = CliError::chain(Exit::Daemon, &error);
            assert_eq!(told.message, "open the door: permission denied");
            assert!(told.hint.is_some_and(|hint| hint.contains("--home")));
        }
        let odd = CliError::from(io::Error::other("odd"));
        assert_eq!((odd.message.as_str(), odd.hint), ("odd", None));
    }
}
