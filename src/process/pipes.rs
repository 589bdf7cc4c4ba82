//! The read ends of a run's log pipes, opened anew through the processes that hold them.
//!
//! A process may send its output elsewhere (`exec 2>errors`), or one stream into the other
//! (`exec 2>&1`), so what its descriptors 1 and 2 are says nothing for sure. A pipe is known by its
//! inode, whatever its number is, and each stream is looked for on its own.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::os;
use crate::domain::run::ProcessId;

/// One of the two pipes of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The descriptor that the server was started with.
    pub(super) number: u8,
    /// Absent for runs of older shims, which did not say: then the descriptor is trusted.
    pub(super) inode: Option<u64>,
}

/// Opens the pipe through this process; `None` when the process does not hold it.
///
/// # Errors
///
/// Returns an error when the process is gone, is another one, or may not be looked into.
pub(super) fn through(process: ProcessId, wanted: Wanted) -> io::Result<Option<OwnedFd>> {
    let found = held_by(process.pid, wanted)?;
    // Still the same process, if only its zombie: then what was opened before was its own.
    if os::identity(process.pid)? == process {
        Ok(found)
    } else {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

/// As [`through`], for a process that is known by something else.
pub(super) fn held_by(pid: i32, wanted: Wanted) -> io::Result<Option<OwnedFd>> {
    let folder = format!("/proc/{pid}/fd");
    let usual = Path::new(&folder).join(wanted.number.to_string());
    match (open(&usual), wanted.inode) {
        (Ok((pipe, found)), Some(inode)) if found == inode => return Ok(Some(pipe)),
        (Ok((pipe, _)), None) => return Ok(Some(pipe)),
        (Err(error), None) => return Err(error),
        (Ok(_) | Err(_), Some(_)) => {}
    }
    let Some(inode) = wanted.inode else {
        return Ok(None);
    };
    let name = format!("pipe:[{inode}]");
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let is_it = fs::read_link(&path).is_ok_and(|target| target.as_os_str() == name.as_str());
        if is_it
            && let Ok((pipe, found)) = open(&path)
            && found == inode
        {
            return Ok(Some(pipe));
        }
    }
    Ok(None)
}

/// Opens the read end of a pipe through either end of it; returns its inode, too.
fn open(path: &Path) -> io::Result<(OwnedFd, u64)> {
    // Nothing but a pipe may be opened: opening a device or a terminal can have effects.
    if !fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::other("the server's output is no pipe"));
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let data = file.metadata()?;
    match data.file_type().is_fifo() {
        true => Ok((file.into(), data.ino())),
        false => Err(io::Error::other("the server's output is no pipe")),
    }
}
