//! Finds the model files on this machine: where people and other programs keep them.
//!
//! Each place is walked within limits, every `.gguf` file in it is read as far as its header goes,
//! and what is no model (a projector, an adapter, a further part of a split one) is left out. A file
//! that is reached by several ways is told once, by the first. Nothing is written, and what cannot
//! be read is told, not skipped in silence. Blocking: a few milliseconds for each model.

mod ollama;
pub mod places;
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use self::places::Place;
use super::gguf;
use crate::domain::model_file::{Content, ModelFacts, ModelFile, Store};

/// What was found, and what could not be looked at.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// By place, then by group and name.
    pub models: Vec<ModelFile>,
    /// Sentences without a full stop.
    pub notes: Vec<String>,
}

/// A file with what its place says of it.
struct Candidate {
    name: String,
    group: String,
    path: PathBuf,
    /// The projector that its store keeps with it.
    projector: Option<PathBuf>,
}

/// Which file it is, whatever it is called.
type Identity = (u64, u64);

/// Looks at these places, in their order.
#[must_use]
pub fn find(places: &[Place]) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for place in places {
        let mut candidates = match place.store {
            Store::Ollama => ollama::candidates(&place.folder, &mut found.notes),
            Store::Home
            | Store::Folder
            | Store::HuggingFace
            | Store::LlamaCpp
            | Store::LmStudio => walk::candidates(&place.folder, &mut found.notes),
        };
        candidates.sort_by(|one, other| {
            (&one.group, &one.name, &one.path).cmp(&(&other.group, &other.name, &other.path))
        });
        look(place.store, candidates, &mut seen, &mut found.models);
    }
    found
}

/// Reads the candidates of one place.
fn look(
    store: Store,
    candidates: Vec<Candidate>,
    seen: &mut BTreeSet<Identity>,
    models: &mut Vec<ModelFile>,
) {
    let mut projectors: Vec<PathBuf> = Vec::new();
    let first = models.len();
    for candidate in candidates {
        if !identity(&candidate.path).is_none_or(|identity| seen.insert(identity)) {
            continue;
        }
        let (content, bytes, facts) = match gguf::read(&candidate.path) {
            Ok(header) => (
                Content::of(&header),
                header.file_size,
                Ok(ModelFacts::of(&header)),
            ),
            Err(error) => {
                let bytes = fs::metadata(&candidate.path).map_or(0, |metadata| metadata.len());
                (Content::Model, bytes, Err(error.error.to_string()))
            }
        };
        match content {
            Content::Model => models.push(ModelFile {
                name: candidate.name,
                group: candidate.group,
                store,
                path: candidate.path,
                bytes,
                facts,
                projector: candidate.projector,
            }),
            Content::Projector => projectors.push(candidate.path),
            Content::Other => {}
        }
    }
    for model in &mut models[first..] {
        if model.projector.is_none() && has_a_folder_per_model(store) {
            model.projector = beside(&model.path, &projectors);
        }
    }
}

/// Whether what lies in one folder belongs together.
fn has_a_folder_per_model(store: Store) -> bool {
    match store {
        Store::HuggingFace | Store::LmStudio => true,
        Store::Home | Store::Folder | Store::LlamaCpp | Store::Ollama => false,
    }
}

/// Returns the projector in a model's folder; of several the one in half precision, which is what
/// they are published in.
fn beside(model: &Path, projectors: &[PathBuf]) -> Option<PathBuf> {
    let is_half = |path: &&&PathBuf| {
        let name = path.to_string_lossy().to_lowercase();
        name.contains("f16") && !name.contains("bf16")
    };
    let of_folder: Vec<&PathBuf> = projectors
        .iter()
        .filter(|path| path.parent() == model.parent())
        .collect();
    let half = of_folder.iter().find(is_half);
    half.or(of_folder.first()).map(|path| (*path).clone())
}

/// Returns which file a path leads to.
fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
