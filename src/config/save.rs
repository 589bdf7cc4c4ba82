//! Files are replaced as a whole: a reader sees the old one or the new one, never half of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write {}: {source}", .path.display())]
pub struct SaveError {
    pub path: PathBuf,
    source: io::Error,
}

/// Whether a file that is there may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Replace,
    /// It is an error when the file is there, even if it came a moment ago.
    Keep,
}

/// Writes a file by way of a temporary one beside it; makes its directory. A symbolic link is
/// followed and stays, and the mode of the file that is replaced stays too.
///
/// # Errors
///
/// Returns an error that names the path; then nothing has changed.
pub fn save(path: &Path, text: &str, existing: Existing) -> Result<(), SaveError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_absent| path.to_owned());
    write(&target, text, existing).map_err(|source| SaveError {
        path: path.to_owned(),
        source,
    })
}

fn write(target: &Path, text: &str, existing: Existing) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{:08x}.tmp", fastrand::u32(..)));
    let written = fill(&temporary, target, text).and_then(|()| match existing {
        Existing::Replace => fs::rename(&temporary, target),
        // A hard link fails when its name exists, which a rename does not.
        Existing::Keep => fs::hard_link(&temporary, target),
    });
    if written.is_err() || existing == Existing::Keep {
        fs::remove_file(&temporary).ok(); // it may never have been created
    }
    written?;
    // The rename is in the directory; without this a power cut may still bring the old file back.
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn fill(temporary: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(temporary)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = fs::metadata(target) {
        file.set_permissions(metadata.permissions())?;
    }
    file.sync_all()
}

/// Returns the first name beside a file that is free for its backup: `<name>.bak`, `.bak2` …
#[must_use]
pub fn backup_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (1..)
        .map(|number: u32| match number {
            1 => path.with_file_name(format!("{name}.bak")),
            _ => path.with_file_name(format!("{name}.bak{number}")),
        })
        .find(|candidate| candidate.symlink_metadata().is_err())
        .unwrap_or_else(|| path.with_extension("bak"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_save_keeps_mode_and_link_and_leaves_no_other_file() {
        let dir = tempfile::tempdir().expect("make a temporary directory");
        let real = dir.path().join("real.toml");
        let link = dir.path().join("sub/link.toml");
        save(&real, "old", Existing::Keep).expect("write a new file");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).expect("change the mode");
        fs::create_dir(dir.path().join("sub")).expect("make a folder");
        symlink("../real.toml", &link).expect("link");
        save(&link, "new", Existing::Replace).expect("write by the link");
        assert_eq!(fs::read_to_string(&real).expect("read"), "new");
        assert!(link.is_symlink());
        let mode = fs::metadata(&real).expect("look").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(save(&real, "x", Existing::Keep).is_err());
        assert_eq!(fs::read_to_string(&real).expect("read"), "new");
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 2);
        fs::write(backup_path(&real), "").expect("write a backup");
        assert_eq!(backup_path(&real), dir.path().join("real.toml.bak2"));
    }
}
