//! One log file of a run: where the bytes go, rotation, and what happens when the disk is full.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::count::Count;
use super::index::{self, Index};
use crate::process::runfiles::LogStartFile;

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The live file of one stream.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
    rotation: u32,
    index: Index,
    count: Count,
    gap: Option<Gap>,
    dropped: u64,
    made_room: bool,
}

/// A stretch of output that could not be written.
#[derive(Debug)]
struct Gap {
    bytes: u64,
    reason: String,
    tried: Instant,
}

/// Whether bytes can be written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writable {
    Yes,
    /// The disk was full a moment ago; bytes are to be dropped and counted.
    No,
}

impl LogFile {
    pub(super) fn open(
        path: &Path,
        limit: u64,
        rotation: u32,
        mut count: Count,
    ) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let (file, size) = open_at_end(path)?;
        count.begin(size);
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limit: limit.max(1),
            rotation,
            index: Index::open(path),
            count,
            gap: None,
            dropped: 0,
            made_room: false,
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns where the next byte goes, in a way that survives rotation.
    pub(super) fn start(&self) -> Option<LogStartFile> {
        let inode = self.file.metadata().ok()?.ino();
        Some(LogStartFile {
            inode,
            offset: self.size,
        })
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Bytes that fit before the file must be rotated.
    pub(super) fn room(&self) -> u64 {
        self.limit.saturating_sub(self.size)
    }

    /// Bytes that fit while the end of a line of usual length still fits behind them.
    pub(super) fn comfortable_room(&self, reserve: u64) -> u64 {
        self.room().saturating_sub(reserve.min(self.limit / 2))
    }

    /// Finds its place again when somebody truncated or deleted the file, and notes the time.
    pub(super) fn prepare(&mut self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        let before = self.size;
        if metadata.nlink() == 0 {
            (self.file, self.size) = open_at_end(&self.path)?;
            self.index = Index::open(&self.path);
            self.count.moved(before, self.size);
        } else if metadata.len() < self.size {
            self.size = self.file.seek(SeekFrom::End(0))?;
            self.count.moved(before, self.size);
        }
        self.index.note(self.size);
        Ok(())
    }

    /// Counts bytes that another call put into [`LogFile::file`].
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.size += bytes as u64;
    }

    /// Returns whether the file ends with a whole line.
    pub(super) fn at_line_start(&self) -> bool {
        let mut last = [0];
        self.size == 0
            || (self
                .file
                .read_at(&mut last, self.size - 1)
                .is_ok_and(|read| read == 1)
                && last[0] == b'\n')
    }

    /// Moves the file aside and opens a new one. The oldest goes before anything is added, so
    /// the files together never exceed their limit.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let before = self.size;
        self.count.moving(before);
        let rotated = self.move_aside();
        self.count.moved(before, self.size);
        rotated
    }

    fn move_aside(&mut self) -> io::Result<()> {
        for number in (1..self.rotation).rev() {
            let (from, to) = (
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            );
            rename_if_there(&from, &to)?;
            rename_if_there(&index::path_of(&from), &index::path_of(&to))?;
        }
        let first = numbered(&self.path, 1);
        if self.rotation == 0 {
            fs::remove_file(&self.path)?;
            fs::remove_file(index::path_of(&self.path)).ok(); // there may be none
        } else {
            rename_if_there(&self.path, &first)?;
            rename_if_there(&index::path_of(&self.path), &index::path_of(&first))?;
        }
        (self.file, self.size) = open_at_end(&self.path)?;
        self.index = Index::open(&self.path);
        self.made_room = false;
        Ok(())
    }

    /// Deletes our own oldest rotated file, once until the next rotation; returns whether one went.
    pub(super) fn make_room(&mut self) -> bool {
        let already = std::mem::replace(&mut self.made_room, true);
        !already
            && (1..=self.rotation).rev().any(|number| {
                let path = numbered(&self.path, number);
                fs::remove_file(index::path_of(&path)).ok(); // times of lines that go as well
                fs::remove_file(&path).is_ok()
            })
    }

    /// Begins or extends a gap of bytes that nobody will see.
    pub(super) fn drop_bytes(&mut self, bytes: usize, error: &io::Error) {
        self.dropped += bytes as u64;
        if bytes > 0 {
            self.count.dropped(bytes as u64);
        }
        let gap = self.gap.get_or_insert_with(|| Gap {
            bytes: 0,
            reason: error.to_string(),
            tried: Instant::now(),
        });
        gap.bytes += bytes as u64;
    }

    /// Tells readers what was dropped until now, if that is not known yet.
    pub(super) fn tell_drops(&mut self) {
        self.count.catch_up();
    }

    /// Returns whether to write or to drop; after a gap this writes the line that names it.
    pub(super) fn writable(&mut self) -> Writable {
        let Some(gap) = &mut self.gap else {
            return Writable::Yes;
        };
        if gap.tried.elapsed() < RETRY {
            return Writable::No;
        }
        gap.tried = Instant::now();
        let line = format!(
            "[llama-orch] {} bytes of log are missing here: {}\n",
            gap.bytes, gap.reason
        );
        let line = if self.at_line_start() {
            line
        } else {
            format!("\n{line}")
        };
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => {
                self.size += line.len() as u64;
                self.gap = None;
                Writable::Yes
            }
            Err(_) => {
                // Part of the line may have got through; the next try must not follow it.
                self.file.set_len(self.size).ok();
                self.file.seek(SeekFrom::Start(self.size)).ok();
                Writable::No
            }
        }
    }

    /// Writes the line about a gap at the very end, if the disk has room again, and ends the count.
    pub(super) fn close(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.tried = gap.tried.checked_sub(RETRY).unwrap_or(gap.tried);
            self.writable();
        }
        self.count.end(self.size);
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A server may log what it is asked, so its logs are for this user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Not O_APPEND: splice refuses such a target.
fn open_at_end(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    // A rotation would rename a device away from all others who use it.
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let size = file.seek(SeekFrom::End(0))?;
    Ok((file, size))
}
