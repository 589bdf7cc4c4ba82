//! Reads the header of a model file in GGUF, and nothing after it.
//!
//! A model comes from strangers, so the file is taken as hostile: every count and length in it is
//! checked against the file's own size and the limits in `reader.rs` before anything is allocated,
//! long texts and lists are skipped, and no arithmetic can overflow. What is wrong costs an error.

mod error;
mod reader;
mod split;

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

pub use self::error::{GgufError, HeaderError};
use crate::domain::gguf::ModelHeader;

/// Reads the header of a model; of a split one, of all its files.
///
/// # Errors
///
/// Returns which file cannot be used, and why: it is no GGUF, damaged, or shorter than its header
/// says.
pub fn read(path: &Path) -> Result<ModelHeader, GgufError> {
    let first = read_file(path)?;
    let parts = split::parts(path, &first).map_err(|error| GgufError::new(path, error))?;
    let mut model = first;
    for part in parts {
        let next = read_file(&part)?;
        model.tensors.extend(next.tensors);
        model.file_size = model.file_size.saturating_add(next.file_size);
        model.files += 1;
    }
    Ok(model)
}

/// Reads the header of one file, from whatever can be read like one.
///
/// # Errors
///
/// Returns why the bytes are no header, or say more than there is.
pub fn read_header<R: Read + Seek>(source: R) -> Result<ModelHeader, HeaderError> {
    reader::header(source)
}

/// Opens a model to be read; whatever else has such a name is refused before it is opened.
///
/// # Errors
///
/// Returns an error when it is no regular file or cannot be read.
pub fn open(path: &Path) -> Result<File, HeaderError> {
    // A pipe would keep the reader waiting for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(HeaderError::NotAFile);
    }
    Ok(File::open(path)?)
}

fn read_file(path: &Path) -> Result<ModelHeader, GgufError> {
    open(path)
        .and_then(read_header)
        .map_err(|error| GgufError::new(path, error))
}

#[cfg(test)]
mod tests;
