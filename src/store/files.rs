//! The files around the database: backups, damaged files moved aside, and which file is ours.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;

use super::error::StoreError;

/// Which file a connection has open, as far as its path can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

/// What became of the file a connection has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Same,
    Gone,
    Replaced,
}

/// Why a copy of the database is made; part of its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// One of the few newest that are kept.
    Backup { version: i64 },
    /// The Python llama-orch's database before it was taken over; never deleted.
    Predecessor { version: i64 },
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // Only stat: opening and closing the file here would drop SQLite's locks on it.
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    pub(super) fn look(self, path: &Path) -> Place {
        match Self::of(path) {
            Ok(now) if now == self => Place::Same,
            Ok(_) => Place::Replaced,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Gone,
            // Whatever hides the file, the next write will say it better.
            Err(_) => Place::Same,
        }
    }
}

/// Returns the wall clock in unix seconds.
pub(super) fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

pub(super) fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// Returns `<path><suffix>`, a file beside the database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a compact copy of the database beside it and returns where.
pub(super) fn copy(
    connection: &Connection,
    path: &Path,
    copy: Copy,
) -> Result<PathBuf, StoreError> {
    let label = match copy {
        Copy::Backup { version } => format!(".backup-v{version}-"),
        Copy::Predecessor { version } => format!(".predecessor-v{version}-"),
    };
    let target = free_name(path, &label);
    // A half-written copy must not look like a good one.
    let temporary = beside(&target, ".tmp");
    vacuum_into(connection, path, &temporary)?;
    fs::rename(&temporary, &target).map_err(|source| StoreError::File {
        during: "rename backup to",
        path: target.clone(),
        source,
    })?;
    Ok(target)
}

/// Writes what the connection sees to a new file, readable by its owner only.
pub(super) fn vacuum_into(
    connection: &Connection,
    path: &Path,
    target: &Path,
) -> Result<(), StoreError> {
    remove(target)?;
    // As bytes, because a path need not be UTF-8.
    connection
        .execute(
            "VACUUM INTO CAST(?1 AS TEXT)",
            [target.as_os_str().as_bytes()],
        )
        .map_err(|source| StoreError::Sqlite {
            during: "back up",
            path: path.to_owned(),
            source,
        })?;
    restrict(target);
    Ok(())
}

/// Keeps the database to its owner; the folder above is private already.
pub(super) fn restrict(path: &Path) {
    // Best effort: a file system without modes is no reason to fail.
    fs::set_permissions(path, Permissions::from_mode(0o600)).ok();
}

/// Returns the backups, newest first.
pub(super) fn backups(path: &Path) -> Vec<PathBuf> {
    numbered(path, ".backup-v")
}

/// Deletes all but the newest backups.
pub(super) fn keep_newest_backups(path: &Path, keep: usize) {
    for old in backups(path).into_iter().skip(keep) {
        fs::remove_file(old).ok(); // an old backup left behind costs only space
    }
}

/// Moves a damaged database out of the way, with what belongs to it, and returns where.
pub(super) fn move_aside(path: &Path, keep: usize) -> Result<PathBuf, StoreError> {
    let target = free_name(path, ".corrupt-");
    // The database goes first: a journal without its database is harmless, the reverse is not.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match fs::rename(beside(path, suffix), beside(&target, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(StoreError::File {
                    during: "move aside",
                    path: beside(path, suffix),
                    source,
                });
            }
        }
    }
    for old in numbered(path, ".corrupt-").into_iter().skip(keep) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            fs::remove_file(beside(&old, suffix)).ok(); // most have no journal
        }
    }
    Ok(target)
}

/// Puts a copy of `backup` in the database's place.
pub(super) fn restore(backup: &Path, path: &Path) -> Result<(), StoreError> {
    let temporary = beside(path, ".restore");
    let failed = |source| StoreError::File {
        during: "restore",
        path: backup.to_owned(),
        source,
    };
    fs::copy(backup, &temporary).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

/// Deletes a file; a missing one is fine.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::File {
            during: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}

fn free_name(path: &Path, label: &str) -> PathBuf {
    let mut millis = unix_millis();
    loop {
        let candidate = beside(path, &format!("{label}{millis}"));
        if !candidate.exists() {
            return candidate;
        }
        millis += 1;
    }
}

/// Returns the files `<path><label>…<milliseconds>`, newest first.
fn numbered(path: &Path, label: &str) -> Vec<PathBuf> {
    let Some((parent, name)) = path.parent().zip(path.file_name()) else {
        return Vec::new();
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let prefix = format!("{}{label}", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(i64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            let number = file.strip_prefix(&prefix)?.rsplit('-').next()?.parse();
            Some((number.ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, file)| file).collect()
}
