//! Which directory is the home, and where things are inside it.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::domain::instance::InstanceName;
use crate::domain::work::Chunk;

/// The environment variable that names the home.
pub const HOME_VARIABLE: &str = "LLAMA_ORCH_HOME";

/// The directory's name below the platform's data directory.
const DATA_DIR_NAME: &str = "llama-orch";

/// The folder of work units among those of instances; an instance may be called so too.
const WORK: &str = "work";

/// The directory that holds `instances/ state/ logs/ bins/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
    origin: HomeOrigin,
}

/// The rule that chose the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HomeOrigin {
    /// `--home`.
    Flag,
    /// `LLAMA_ORCH_HOME`.
    Environment,
    /// The nearest directory above the current one that holds instances.
    Ancestor,
    /// Below the platform's data directory.
    DataDirectory,
    /// What an owner was started with, long ago and by whatever rule.
    Owner,
}

/// No home could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error("home {path} ({origin}) is not a directory")]
    NotADirectory { path: PathBuf, origin: HomeOrigin },
    #[error("home {path} ({origin}) cannot be read")]
    Unreadable {
        path: PathBuf,
        origin: HomeOrigin,
        source: std::io::Error,
    },
    #[error("the platform's data directory is unknown; name a home with --home or {HOME_VARIABLE}")]
    NoDataDirectory,
    #[error("the current directory is unknown; name a home with --home or {HOME_VARIABLE}")]
    NoCurrentDirectory { source: std::io::Error },
}

/// Chooses the home: `flag`, else `environment`, else the nearest ancestor of the current directory
/// whose `instances/` holds at least one config file, else the platform's data directory.
///
/// The directory need not exist yet. The system is asked only for what the rule needs: a home with
/// a full path is found from a directory that was removed, too.
///
/// # Errors
///
/// Returns an error when the chosen path exists and is not a directory, or a rule needs a directory
/// that the system does not name.
fn resolve(
    flag: Option<PathBuf>,
    environment: Option<OsString>,
    cwd: impl FnOnce() -> Result<PathBuf, HomeError>,
    data_dir: impl FnOnce() -> Result<PathBuf, HomeError>,
) -> Result<Home, HomeError> {
    let named = flag
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| (path, HomeOrigin::Flag))
        .or_else(|| {
            environment
                .filter(|text| !text.is_empty())
                .map(|text| (PathBuf::from(text), HomeOrigin::Environment))
        });
    if let Some((root, origin)) = named {
        let root = match root.is_absolute() {
            true => root,
            false => cwd()?.join(root),
        };
        return Home::open(&root, origin);
    }
    match cwd()?.ancestors().find(|folder| holds_instances(folder)) {
        Some(folder) => Home::open(folder, HomeOrigin::Ancestor),
        None => Home::open(&data_dir()?, HomeOrigin::DataDirectory),
    }
}

/// Chooses the home from this process's environment, current and data directory.
///
/// # Errors
///
/// Returns an error when the chosen path is no directory, or a rule needs a directory that the
/// system does not name.
pub fn resolve_here(flag: Option<PathBuf>) -> Result<Home, HomeError> {
    let cwd = || env::current_dir().map_err(|source| HomeError::NoCurrentDirectory { source });
    resolve(flag, env::var_os(HOME_VARIABLE), cwd, data_dir)
}

/// Returns the home of a user who never chose one.
///
/// # Errors
///
/// Returns an error when the user has no home directory.
pub fn data_dir() -> Result<PathBuf, HomeError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_error| HomeError::NoDataDirectory)?;
    Ok(strategy.data_dir().join(DATA_DIR_NAME))
}

fn holds_instances(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory.join("instances")) else {
        return false;
    };
    entries.flatten().any(|entry| {
        ["config.toml", "config.json"]
            .iter()
            .any(|file| entry.path().join(file).is_file())
    })
}

impl Home {
    /// Wraps a directory; a symbolic link is followed, so that one home has one name.
    ///
    /// # Errors
    ///
    /// Returns an error when the path exists and is not a directory.
    pub fn open(path: &Path, origin: HomeOrigin) -> Result<Self, HomeError> {
        let root = match fs::canonicalize(path) {
            Ok(root) => root,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => without_dots(path),
            Err(source) => {
                return Err(HomeError::Unreadable {
                    path: path.to_owned(),
                    origin,
                    source,
                });
            }
        };
        if root.exists() && !root.is_dir() {
            return Err(HomeError::NotADirectory { path: root, origin });
        }
        Ok(Self { root, origin })
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn origin(&self) -> HomeOrigin {
        self.origin
    }

    #[must_use]
    pub fn instances_dir(&self) -> PathBuf {
        self.root.join("instances")
    }

    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The files of every run, a directory per instance.
    #[must_use]
    pub fn all_runs_dir(&self) -> PathBuf {
        self.state_dir().join("runs")
    }

    /// The files of one instance's run.
    #[must_use]
    pub fn runs_dir(&self, name: &InstanceName) -> PathBuf {
        self.all_runs_dir().join(name.as_str())
    }

    /// The files of the runs of work units, a directory per unit.
    #[must_use]
    pub fn work_runs_dir(&self) -> PathBuf {
        self.all_runs_dir().join(WORK)
    }

    /// Where a folder per run may be.
    #[must_use]
    pub fn run_folders(&self) -> [PathBuf; 2] {
        [self.all_runs_dir(), self.work_runs_dir()]
    }

    /// The files of one work unit's run.
    #[must_use]
    pub fn work_run_dir(&self, chunk: &Chunk) -> PathBuf {
        self.work_runs_dir().join(work_folder(chunk))
    }

    /// The logs of work units, a directory per unit that ever ran a command.
    #[must_use]
    pub fn all_work_logs_dir(&self) -> PathBuf {
        self.root.join("logs").join(WORK)
    }

    /// Where the commands of a work unit log.
    #[must_use]
    pub fn work_logs_dir(&self, chunk: &Chunk) -> PathBuf {
        self.all_work_logs_dir().join(work_folder(chunk))
    }

    #[must_use]
    pub fn crashes_dir(&self, name: &InstanceName) -> PathBuf {
        self.state_dir().join("crashes").join(name.as_str())
    }

    /// Where an instance logs unless its configuration says otherwise.
    #[must_use]
    pub fn logs_dir(&self, name: &InstanceName) -> PathBuf {
        self.root.join("logs").join(name.as_str())
    }

    #[must_use]
    pub fn daemon_logs_dir(&self) -> PathBuf {
        self.root.join("logs").join("daemon")
    }

    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state_dir().join("state.sqlite")
    }

    /// The file whose lock the owner holds.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.state_dir().join("daemon.pid")
    }

    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.state_dir().join("llama-orch.sock")
    }

    /// The token of the API beside the socket, unless the settings name another file.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.state_dir().join("api-token")
    }

    #[must_use]
    pub fn bins_dir(&self) -> PathBuf {
        self.root.join("bins")
    }

    /// The predecessor's list of installed builds.
    #[must_use]
    pub fn registry_file(&self) -> PathBuf {
        self.bins_dir().join("registry.json")
    }

    #[must_use]
    pub fn models_dir(&self) -> PathBuf {
        self.root.join("models")
    }

    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("orchestrator.toml")
    }

    #[must_use]
    pub fn autostart_file(&self) -> PathBuf {
        self.root.join("autostart.json")
    }
}

/// Names a unit's folder. The files of a run and logs have a dot in their names, and those of an
/// instance called `work` lie beside these folders; no unit's name has a plus.
fn work_folder(chunk: &Chunk) -> String {
    if chunk.as_str().contains('.') {
        format!("{chunk}+")
    } else {
        chunk.to_string()
    }
}

/// Resolves `.` and `..` by text; for paths that do not exist and so hold no links.
fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::Prefix(_)
            | std::path::Component::RootDir
            | std::path::Component::Normal(_) => clean.push(component),
        }
    }
    clean
}

impl fmt::Display for HomeOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("chosen by --home"),
            Self::Environment => write!(f, "chosen by {HOME_VARIABLE}"),
            Self::Ancestor => f.write_str("found above the current directory"),
            Self::DataDirectory => f.write_str("the usual place"),
            Self::Owner => f.write_str("given to its owner"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        _dir: tempfile::TempDir,
        root: PathBuf,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().expect("make a temporary directory");
        let root = fs::canonicalize(dir.path()).expect("resolve the temporary directory");
        for folder in [
            "flag",
            "environment",
            "project/instances/a",
            "project/deep/er",
            "data",
        ] {
            fs::create_dir_all(root.join(folder)).expect("make a folder");
        }
        fs::write(root.join("project/instances/a/config.toml"), "").expect("write a config");
        fs::create_dir_all(root.join("project/deep/instances/empty")).expect("make a folder");
        fs::write(root.join("file"), "").expect("write a file");
        Place { _dir: dir, root }
    }

    #[test]
    fn the_first_rule_that_applies_chooses_the_home() {
        let place = place();
        let rows = [
            (
                Some("flag"),
                Some("environment"),
                "project",
                "flag",
                HomeOrigin::Flag,
            ),
            (
                None,
                Some("environment"),
                "project",
                "environment",
                HomeOrigin::Environment,
            ),
            (
                None,
                Some(""),
                "project/deep/er",
                "project",
                HomeOrigin::Ancestor,
            ),
            (None, None, "project", "project", HomeOrigin::Ancestor),
            (None, None, "flag", "data", HomeOrigin::DataDirectory),
            (
                Some("flag/../new"),
                None,
                "project",
                "new",
                HomeOrigin::Flag,
            ),
        ];
        for (flag, environment, cwd, expected, origin) in rows {
            let home = resolve(
                flag.map(|name| place.root.join(name)),
                environment.map(|name| match name {
                    "" => OsString::new(),
                    name => place.root.join(name).into_os_string(),
                }),
                || Ok(place.root.join(cwd)),
                || Ok(place.root.join("data")),
            )
            .expect("resolve the home");
            assert_eq!(home.root(), place.root.join(expected));
            assert_eq!(home.origin(), origin);
        }
    }

    #[test]
    fn a_relative_home_is_below_the_current_directory() {
        let place = place();
        let home = resolve(
            Some("deep".into()),
            None,
            || Ok(place.root.join("project")),
            || Err(HomeError::NoDataDirectory),
        )
        .expect("resolve the home");
        assert_eq!(home.root(), place.root.join("project/deep"));
    }

    #[test]
    fn a_home_with_a_full_path_needs_neither_a_current_nor_a_data_directory() {
        let place = place();
        let gone = || {
            Err(HomeError::NoCurrentDirectory {
                source: std::io::ErrorKind::NotFound.into(),
            })
        };
        let path = place.root.join("flag");
        let nowhere = || Err(HomeError::NoDataDirectory);
        let rows = [
            (Some(path.clone()), None),
            (None, Some(path.clone().into_os_string())),
        ];
        for (flag, environment) in rows {
            let home = resolve(flag, environment, gone, nowhere).expect("a home");
            assert_eq!(home.root(), path);
        }
        let error = resolve(None, None, gone, nowhere).expect_err("no rule can answer");
        assert!(error.to_string().contains("--home"), "{error}");
    }

    #[test]
    fn a_unit_and_an_instance_called_work_share_no_file() {
        let home = Home::open(Path::new("/h"), HomeOrigin::Flag).expect("a path");
        let chunk = |name: &str| Chunk::parse(name).expect("a name");
        let rows = [
            ("parser", "parser"),
            ("spec.json", "spec.json+"),
            ("stdout.log.1", "stdout.log.1+"),
        ];
        for (name, folder) in rows {
            let runs = home.all_runs_dir().join("work");
            assert_eq!(home.work_run_dir(&chunk(name)), runs.join(folder));
            let logs = home.root().join("logs").join("work");
            assert_eq!(home.work_logs_dir(&chunk(name)), logs.join(folder));
        }
    }

    #[test]
    fn a_file_is_no_home() {
        let place = place();
        let cwd = || Ok(place.root.clone());
        let error = resolve(Some("file".into()), None, cwd, || Ok(PathBuf::from("/")))
            .expect_err("a file was taken for a home");
        assert!(error.to_string().ends_with("is not a directory"), "{error}");
    }
}
