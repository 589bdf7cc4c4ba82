//! A walk through a folder of model files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Candidate, Identity, identity};

/// Deeper than any store nests its files.
const DEPTH_LIMIT: usize = 10;

/// More entries than any collection of models has; a folder with more holds something else, too.
const ENTRIES_LIMIT: usize = 50_000;

/// How the Hugging Face cache begins the folder of a repository: `models--owner--name`.
const REPOSITORY: &str = "models--";

/// Where that cache keeps each revision's files under their names.
const SNAPSHOTS: &str = "snapshots";

/// One walk, with what it has used up.
struct Walk<'a> {
    root: &'a Path,
    entries: usize,
    /// Folders that were entered: a link may lead back.
    entered: BTreeSet<Identity>,
    candidates: Vec<Candidate>,
    notes: &'a mut Vec<String>,
}

/// Returns every first `.gguf` file below a folder.
pub(super) fn candidates(root: &Path, notes: &mut Vec<String>) -> Vec<Candidate> {
    let mut walk = Walk {
        root,
        entries: 0,
        entered: BTreeSet::new(),
        candidates: Vec::new(),
        notes,
    };
    walk.enter(root, DEPTH_LIMIT);
    if walk.entries >= ENTRIES_LIMIT {
        let root = root.display();
        walk.notes.push(format!(
            "{root} has more than {ENTRIES_LIMIT} entries; the rest of them was not looked at"
        ));
    }
    walk.candidates
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path, depth: usize) {
        if depth == 0 || !identity(folder).is_some_and(|folder| self.entered.insert(folder)) {
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.notes.push(format!("{}: {error}", folder.display()));
                return;
            }
        };
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries >= ENTRIES_LIMIT {
                return;
            }
            let path = entry.path();
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // A link counts as what it leads to; one that leads nowhere is nothing.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() && !is_hidden => self.enter(&path, depth - 1),
                Ok(metadata) if metadata.is_file() => self.candidates.extend(self.file(path)),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn file(&self, path: PathBuf) -> Option<Candidate> {
        let is_gguf = path.extension()?.eq_ignore_ascii_case("gguf");
        let stem = path.file_stem()?.to_string_lossy().into_owned();
        let name = first_part(&stem).filter(|_| is_gguf)?.to_owned();
        Some(Candidate {
            name,
            group: group(self.root, &path),
            path,
            projector: None,
        })
    }
}

/// Returns the name of a model by the stem of its file: without the number of its part, and
/// nothing for a part that is not the first.
fn first_part(stem: &str) -> Option<&str> {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let split = stem.rsplit_once("-of-").and_then(|(rest, count)| {
        let (name, number) = rest.rsplit_once('-')?;
        (is_number(count) && is_number(number)).then_some((name, number))
    });
    match split {
        Some((name, "00001")) => Some(name),
        Some(_) => None,
        None => Some(stem),
    }
}

/// Returns what a file belongs to: its repository, else the folders between the root and it.
fn group(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let folders = below.parent().unwrap_or(Path::new(""));
    let names: Vec<_> = folders
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let repository = names.iter().enumerate().find_map(|(place, name)| {
        let repository = name.strip_prefix(REPOSITORY)?;
        (names.get(place + 1)? == SNAPSHOTS).then(|| repository.replacen("--", "/", 1))
    });
    repository.unwrap_or_else(|| names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_part_of_a_split_model_stands_for_it() {
        let rows = [
            ("a-Q4_K_M", Some("a-Q4_K_M")),
            ("a-00001-of-00003", Some("a")),
            ("a-00002-of-00003", None),
            ("best-of-3", Some("best-of-3")),
        ];
        for (stem, expected) in rows {
            assert_eq!(first_part(stem), expected, "{stem}");
        }
    }

    #[test]
    fn a_file_belongs_to_its_repository_or_its_folders() {
        let rows = [
            ("x.gguf", ""),
            ("owner/repo/x.gguf", "owner/repo"),
            ("models--owner--a--b/snapshots/0123/Q4/x.gguf", "owner/a--b"),
            ("models--owner--repo/x.gguf", "models--owner--repo"),
        ];
        for (path, expected) in rows {
            let root = Path::new("/root");
            assert_eq!(group(root, &root.join(path)), expected, "{path}");
        }
    }
}
