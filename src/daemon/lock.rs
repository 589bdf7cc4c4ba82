//! The lock that makes one process the owner of a home.
//!
//! `state/daemon.pid` is flock'ed for as long as the owner lives; the kernel releases it however
//! the owner ends. The file is never unlinked or renamed by us; its text is only a label.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The home's lock, held; dropping it gives the home up.
#[derive(Debug)]
pub struct OwnerLock {
    file: File,
    words: String,
}

/// The outcome of trying to become the owner.
#[derive(Debug)]
pub enum Attempt {
    Owned(OwnerLock),
    /// Somebody else holds it; the label they wrote, for people.
    Taken {
        label: String,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("lock {}", .path.display())]
pub struct LockError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl OwnerLock {
    /// Tries to lock `<state>/daemon.pid` without waiting, making the folder (0700) if needed.
    ///
    /// # Errors
    ///
    /// Returns an error when the file cannot be made or locked for a reason other than being held.
    pub fn try_take(state_dir: &Path, pid_file: &Path) -> Result<Attempt, LockError> {
        let fail = |source| LockError {
            path: pid_file.to_owned(),
            source,
        };
        make_private(state_dir).map_err(fail)?;
        loop {
            let file = open(pid_file).map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let label = fs::read_to_string(pid_file).unwrap_or_default();
                    return Ok(Attempt::Taken {
                        label: label.trim().to_owned(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            if still_there(&file, pid_file).map_err(fail)? {
                return Ok(Attempt::Owned(Self::of(file)));
            }
        }
    }

    /// Waits until the present owner gives the lock up; blocks the thread.
    ///
    /// # Errors
    ///
    /// Returns an error when the file cannot be made or locked.
    pub fn wait(state_dir: &Path, pid_file: &Path) -> Result<Self, LockError> {
        let fail = |source| LockError {
            path: pid_file.to_owned(),
            source,
        };
        make_private(state_dir).map_err(fail)?;
        loop {
            let file = open(pid_file).map_err(fail)?;
            file.lock().map_err(fail)?;
            if still_there(&file, pid_file).map_err(fail)? {
                return Ok(Self::of(file));
            }
        }
    }

    fn of(file: File) -> Self {
        Self {
            file,
            words: String::new(),
        }
    }

    /// Returns whether this is the file that others find, and lock, at the path. What cannot be
    /// looked at is taken to be there.
    #[must_use]
    pub fn is_at(&self, pid_file: &Path) -> bool {
        still_there(&self.file, pid_file).unwrap_or(true)
    }

    /// Returns who holds the lock, as it was written.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// Writes who holds the lock, for people who look at the file.
    ///
    /// # Errors
    ///
    /// Returns an error when the file cannot be written (a full disk): the lock is held anyway.
    pub fn label(&mut self, text: &str) -> io::Result<()> {
        text.clone_into(&mut self.words);
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{text}")
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        self.file.set_len(0).ok(); // only a label; the kernel's lock is what counts
    }
}

/// Makes the state folder, readable by its user alone.
///
/// # Errors
///
/// Returns the kernel's answer.
pub fn make_private(state_dir: &Path) -> io::Result<()> {
    if state_dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Somebody may have deleted the file between our open and our lock; then we hold a ghost.
fn still_there(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(present) => Ok((held.dev(), held.ino()) == (present.dev(), present.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_holds_it_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = folder.path().join("state");
        let file = state.join("daemon.pid");
        let Attempt::Owned(mut lock) = OwnerLock::try_take(&state, &file).expect("first") else {
            unreachable!("nobody else holds a new file");
        };
        lock.label("4711 daemon").expect("label");
        let Attempt::Taken { label } = OwnerLock::try_take(&state, &file).expect("second") else {
            unreachable!("the first still holds it");
        };
        assert_eq!(label, "4711 daemon");
        drop(lock);
        // A process that another test starts holds the descriptor until its exec: so it is waited for.
        let next = OwnerLock::wait(&state, &file).expect("third");
        assert!(next.is_at(&file));
        assert_eq!(fs::metadata(&state).expect("state").mode() & 0o777, 0o700);
    }
}
