//! Which executable an instance runs.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::domain::instance::Binary;

/// An executable and the arguments that come before the instance's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub prefix: Vec<String>,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("no {name} in PATH ({path})")]
    NotInPath { name: String, path: String },
    #[error("the executable {} does not exist", .path.display())]
    Missing { path: PathBuf },
    #[error("{} cannot be executed", .path.display())]
    NotExecutable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("find our own executable")]
    Own(#[source] io::Error),
}

/// Finds the executable of an instance.
///
/// # Errors
///
/// Returns what was looked for and where.
pub fn resolve(binary: &Binary) -> Result<Program, ProgramError> {
    match binary {
        Binary::Simulated => {
            let path = env::current_exe().map_err(ProgramError::Own)?;
            Ok(Program {
                path: replaced(path),
                prefix: vec!["sim".to_owned()],
            })
        }
        Binary::File(path) => {
            check(path)?;
            Ok(Program {
                path: path.clone(),
                prefix: Vec::new(),
            })
        }
        Binary::InPath(name) => {
            let path = env::var_os("PATH").unwrap_or_default();
            match search(name, &path) {
                Some(found) => Ok(Program {
                    path: found,
                    prefix: Vec::new(),
                }),
                None => Err(ProgramError::NotInPath {
                    name: name.clone(),
                    path: path.to_string_lossy().into_owned(),
                }),
            }
        }
    }
}

/// Finds the program that a command's first word names, as a shell in `cwd` would: one with a slash
/// is a path, another is looked up in `path`.
///
/// # Errors
///
/// Returns what was looked for and where.
pub fn find(word: &str, cwd: &Path, path: &str) -> Result<PathBuf, ProgramError> {
    if word.contains('/') {
        let file = cwd.join(word);
        check(&file)?;
        return Ok(file);
    }
    search(word, OsStr::new(path)).ok_or_else(|| ProgramError::NotInPath {
        name: word.to_owned(),
        path: path.to_owned(),
    })
}

/// The kernel marks a program whose file an upgrade replaced; the new file does as well.
fn replaced(path: PathBuf) -> PathBuf {
    let text = path.to_string_lossy();
    match text.strip_suffix(" (deleted)").map(PathBuf::from) {
        Some(successor) if !path.exists() && successor.exists() => successor,
        Some(_) | None => path,
    }
}

fn search(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| check(candidate).is_ok())
}

fn check(path: &Path) -> Result<(), ProgramError> {
    let refuse = |source| ProgramError::NotExecutable {
        path: path.to_owned(),
        source,
    };
    if !path.exists() {
        return Err(ProgramError::Missing {
            path: path.to_owned(),
        });
    }
    if path.is_dir() {
        return Err(refuse(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    access(path, Access::EXEC_OK).map_err(|errno| refuse(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_is_named() {
        assert!(matches!(
            resolve(&Binary::File(PathBuf::from("/nonexistent/llama-server"))),
            Err(ProgramError::Missing { .. })
        ));
        assert!(matches!(
            resolve(&Binary::File(PathBuf::from("/etc/passwd"))),
            Err(ProgramError::NotExecutable { .. })
        ));
        assert!(matches!(
            resolve(&Binary::InPath("no-such-llama-server".to_owned())),
            Err(ProgramError::NotInPath { .. })
        ));
        assert!(resolve(&Binary::InPath("sh".to_owned())).is_ok());
    }

    #[test]
    fn a_commands_first_word_is_found_as_a_shell_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let found = |word: &str| {
            find(word, folder.path(), "/usr/bin:/bin").map_err(|error| error.to_string())
        };
        assert!(found("sh").is_ok_and(|path| path.ends_with("sh")));
        assert_eq!(found("/bin/sh"), Ok(PathBuf::from("/bin/sh")));
        let missing = folder.path().join("./run.sh");
        assert_eq!(
            found("./run.sh"),
            Err(format!(
                "the executable {} does not exist",
                missing.display()
            ))
        );
        let unknown = "no no-such-tool in PATH (/usr/bin:/bin)";
        assert_eq!(found("no-such-tool"), Err(unknown.to_owned()));
    }

    #[test]
    fn a_replaced_program_is_found_under_its_name() {
        let rows = [
            ("/bin/sh (deleted)", "/bin/sh"),
            ("/nonexistent/a (deleted)", "/nonexistent/a (deleted)"),
            ("/bin/sh", "/bin/sh"),
        ];
        for (told, expected) in rows {
            assert_eq!(replaced(PathBuf::from(told)), PathBuf::from(expected));
        }
    }
}
