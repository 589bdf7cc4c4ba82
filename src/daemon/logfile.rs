//! The daemon's own log, rotated by size.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes before the log is rotated.
const SIZE_LIMIT: u64 = 10 << 20;

/// Rotated files kept beside the live one.
const KEPT: u32 = 3;

/// A log file that several threads may write to; a full disk loses lines, never the daemon.
#[derive(Clone)]
pub struct LogFile {
    open: Arc<Mutex<Open>>,
}

struct Open {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl LogFile {
    /// Opens `<folder>/daemon.log` for appending, making the folder if needed.
    ///
    /// # Errors
    ///
    /// Returns the kernel's answer.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with_limit(folder, SIZE_LIMIT)
    }

    fn with_limit(folder: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let path = folder.join("daemon.log");
        let (file, size) = append(&path)?;
        Ok(Self {
            open: Arc::new(Mutex::new(Open {
                path,
                file,
                size,
                limit,
            })),
        })
    }
}

fn append(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Open {
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev() {
            if numbered(number).exists() {
                fs::rename(numbered(number), numbered(number + 1))?;
            }
        }
        fs::rename(&self.path, numbered(1))?;
        (self.file, self.size) = append(&self.path)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.size > 0 && open.size + line.len() as u64 > open.limit {
            open.rotate()?;
        }
        open.file.write_all(line)?;
        open.size += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_moves_aside_and_three_old_ones_are_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut log = LogFile::with_limit(folder.path(), 10).expect("open");
        for number in 0..12 {
            writeln!(log, "line {number:03}").expect("write");
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
        assert_eq!(read("daemon.log"), "line 011\n");
        assert_eq!(read("daemon.log.1"), "line 010\n");
        assert_eq!(read("daemon.log.3"), "line 008\n");
        assert!(!folder.path().join("daemon.log.4").exists());
    }
}
