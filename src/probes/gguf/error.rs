//! What can be wrong with a model file.

use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used as a model.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub struct GgufError {
    pub path: PathBuf,
    pub error: HeaderError,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not a file")]
    NotAFile,
    #[error("is empty")]
    Empty,
    #[error("is no GGUF model: it begins with \"{found}\" instead of \"GGUF\"")]
    Magic { found: String },
    #[error("has GGUF version {version}; versions 2 and 3 can be read")]
    Version { version: u32 },
    #[error(
        "is truncated: its header needs {wanted} bytes at byte {at}, and the file has only {size}"
    )]
    HeaderCut { at: u64, wanted: u64, size: u64 },
    #[error("is truncated: it has {size} bytes of {expected}, {} are missing", .expected - .size)]
    Truncated { expected: u64, size: u64 },
    #[error("is damaged: {what} at byte {at}")]
    Damaged { what: String, at: u64 },
    #[error("is not believable: {what}, and the limit is {limit}")]
    Excessive { what: String, limit: u64 },
    #[error("is part {part} of {count}; a model is named by its first part, {first}")]
    NotFirst {
        part: u32,
        count: u32,
        first: String,
    },
    #[error(
        "is the first of {count} parts, but its name does not end in -00001-of-{count:05}.gguf"
    )]
    PartName { count: u64 },
}

impl GgufError {
    pub(super) fn new(path: &Path, error: HeaderError) -> Self {
        Self {
            path: path.to_owned(),
            error,
        }
    }
}

impl HeaderError {
    /// Returns whether the file ends before its contents do, as a broken download does.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(
            self,
            Self::Empty | Self::HeaderCut { .. } | Self::Truncated { .. }
        )
    }
}
