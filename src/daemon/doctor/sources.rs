//! Where the checks read what this machine and this process say of themselves. A test reads from a
//! folder of its own, so that each finding can be made to appear.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, geteuid, getrlimit};

/// What is looked at besides the home.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `/`, or a folder that stands for it.
    pub root: PathBuf,
    pub user: User,
    /// The hard limit of open files; `None` without one.
    pub open_files: Option<u64>,
    /// The limit of processes and threads of this user; `None` without one.
    pub tasks: Option<u64>,
    /// The environment of this process.
    pub variables: BTreeMap<String, String>,
}

/// Whom nothing is denied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Administrator,
    Other,
}

impl Sources {
    /// This machine and this process.
    #[must_use]
    pub fn here() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        Self {
            root: PathBuf::from("/"),
            user: match geteuid().is_root() {
                true => User::Administrator,
                false => User::Other,
            },
            open_files: getrlimit(Resource::Nofile).maximum,
            tasks: getrlimit(Resource::Nproc).current,
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
                .collect(),
        }
    }

    /// Returns where a path of the machine is read.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.trim().parse().ok()
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns the files of a folder of the machine, sorted.
    pub(super) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files
    }

    /// Returns the control group of this process, in the unified hierarchy.
    pub(super) fn own_group(&self) -> Option<String> {
        let text = self.text("/proc/self/cgroup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(line.to_owned())
    }
}
