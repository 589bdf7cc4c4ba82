//! What can go wrong with the database, and which kind of trouble each error is.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// A failure of the state database; the message fits after "failed to" or stands alone.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{during} state database {}: {source}", path.display())]
    Sqlite {
        during: &'static str,
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("{during} {}: {source}", path.display())]
    File {
        during: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("read damaged state database {}: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },
    #[error(
        "write state database of version {found}: this program knows versions up to {known}, so it only reads it"
    )]
    Newer { found: i64, known: i64 },
    #[error("store {what}: {source}")]
    Refused {
        what: &'static str,
        source: rusqlite::Error,
    },
    #[error("use the state database now: {why}")]
    Unavailable { why: String },
    #[error("store {rows} rows before closing: {why}")]
    Unsaved { rows: usize, why: String },
    #[error("start the database thread: {0}")]
    Thread(io::Error),
    #[error("use the state database: it is closed")]
    Closed,
}

/// What an SQLite error says about the way on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The file is damaged and must be replaced.
    Corrupt,
    /// The machine is in the way; the same write may work later.
    Environment,
    /// This one write can never work.
    Write,
}

impl StoreError {
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Sqlite { source, .. } | Self::Refused { source, .. } => trouble(source),
            Self::Corrupt { .. } => Trouble::Corrupt,
            Self::File { .. }
            | Self::Newer { .. }
            | Self::Unavailable { .. }
            | Self::Unsaved { .. }
            | Self::Thread(_)
            | Self::Closed => Trouble::Environment,
        }
    }

    /// Returns the cause in words for a banner.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Sqlite { source, .. } | Self::Refused { source, .. } => why(source),
            Self::File { .. }
            | Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Unavailable { .. }
            | Self::Unsaved { .. }
            | Self::Thread(_)
            | Self::Closed => self.to_string(),
        }
    }
}

pub(super) fn trouble(error: &rusqlite::Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Corrupt,
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OperationInterrupted,
        ) => Trouble::Environment,
        _ => Trouble::Write,
    }
}

/// Whether the same connection can be expected to work again once the cause is gone.
pub(super) fn connection_survives(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

pub(super) fn why(error: &rusqlite::Error) -> String {
    let known = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::ReadOnly) => "the database cannot be written",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the database cannot be opened"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "the database is locked by another program"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk fails",
        _ => return error.to_string(),
    };
    format!("{known} ({error})")
}
