//! The predecessor's list of installed builds, `bins/registry.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What the server's executable is called.
const EXECUTABLES: [&str; 2] = ["llama-server", "llama-server.exe"];

/// The builds that can be named by `binary.binary_id`.
#[derive(Debug)]
pub(super) struct Registry {
    file: PathBuf,
    bins: PathBuf,
    content: Result<Vec<Build>, String>,
}

#[derive(Debug)]
struct Build {
    id: String,
    path: String,
    executables: Vec<String>,
}

/// A build cannot be found.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistryError {
    #[error("names a build, but {file} {reason}")]
    Unusable { file: PathBuf, reason: String },
    #[error("names build {id:?}, which is not in {file}")]
    Unknown {
        id: String,
        file: PathBuf,
        known: Vec<String>,
    },
    #[error("names build {id:?}, whose llama-server is missing in {directory}")]
    Missing { id: String, directory: PathBuf },
}

impl RegistryError {
    /// Returns what to do about it.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Unusable { .. } | Self::Missing { .. } => {
                "set binary.path instead, or install the build again".to_owned()
            }
            Self::Unknown { known, .. } if known.is_empty() => {
                "no build is installed; set binary.path instead".to_owned()
            }
            Self::Unknown { known, .. } => format!("installed are {}", known.join(", ")),
        }
    }
}

impl Registry {
    /// Reads the registry; what is wrong with it is told when an instance needs it.
    pub(super) fn read(file: PathBuf, bins: PathBuf) -> Self {
        let content = match fs::read(&file) {
            Ok(bytes) => builds(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err("does not exist".to_owned())
            }
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        Self {
            file,
            bins,
            content,
        }
    }

    /// Returns the executable of a build, and never that of another one.
    ///
    /// # Errors
    ///
    /// Returns why the build cannot be used.
    pub(super) fn resolve(&self, id: &str) -> Result<PathBuf, RegistryError> {
        let builds = self
            .content
            .as_ref()
            .map_err(|reason| RegistryError::Unusable {
                file: self.file.clone(),
                reason: reason.clone(),
            })?;
        let build =
            builds
                .iter()
                .find(|build| build.id == id)
                .ok_or_else(|| RegistryError::Unknown {
                    id: id.to_owned(),
                    file: self.file.clone(),
                    known: builds.iter().map(|build| build.id.clone()).collect(),
                })?;
        let directory = self.bins.join(build.path.replace('\\', "/"));
        build
            .candidates(&directory)
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| RegistryError::Missing {
                id: id.to_owned(),
                directory,
            })
    }
}

impl Build {
    /// Returns where the executable may be: the path itself, a listed one, or the usual name.
    fn candidates(&self, directory: &Path) -> Vec<PathBuf> {
        let listed = self
            .executables
            .iter()
            .map(|listed| directory.join(listed.replace('\\', "/")))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| EXECUTABLES.iter().any(|known| name == *known))
            });
        std::iter::once(directory.to_owned())
            .chain(listed)
            .chain(EXECUTABLES.iter().map(|name| directory.join(name)))
            .collect()
    }
}

fn builds(bytes: &[u8]) -> Result<Vec<Build>, String> {
    let file: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
    let binaries = file
        .get("binaries")
        .and_then(Value::as_array)
        .ok_or("holds no list \"binaries\"")?;
    // An entry that is no build is passed over: the others can still be used.
    Ok(binaries.iter().filter_map(build).collect())
}

fn build(entry: &Value) -> Option<Build> {
    let id = entry.get("id")?.as_str()?.to_owned();
    let path = entry.get("path")?.as_str()?.to_owned();
    let executables = entry.get("executables").and_then(Value::as_array);
    Some(Build {
        id,
        path,
        executables: executables
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_resolves_to_its_executable_or_not_at_all() {
        let dir = tempfile::tempdir().expect("make a temporary directory");
        let bins = dir.path().to_owned();
        for file in [
            "one/llama-server",
            "two/build/bin/llama-server",
            "three.bin",
        ] {
            let path = bins.join(file);
            fs::create_dir_all(path.parent().expect("the path has a folder")).expect("make it");
            fs::write(path, "").expect("write an executable");
        }
        let text = r#"{"binaries": [ 5, {"id": "broken"},
            {"id": "one", "path": "one", "executables": []},
            {"id": "two", "path": "two", "executables": ["llama-cli", "build\\bin\\llama-server"]},
            {"id": "three", "path": "three.bin"},
            {"id": "gone", "path": "gone", "executables": ["llama-server"]} ]}"#;
        fs::write(bins.join("registry.json"), text).expect("write the registry");
        let registry = Registry::read(bins.join("registry.json"), bins.clone());
        let rows = [
            ("one", Ok("one/llama-server")),
            ("two", Ok("two/build/bin/llama-server")),
            ("three", Ok("three.bin")),
            ("gone", Err("is missing")),
            ("four", Err("is not in")),
            ("broken", Err("is not in")),
        ];
        for (id, expected) in rows {
            match (registry.resolve(id), expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path, bins.join(expected)),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                }
                (found, _) => unreachable!("{id} gave {found:?}"),
            }
        }
    }
}
