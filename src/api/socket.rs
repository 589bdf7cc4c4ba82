//! Reaching a Unix socket whose path may be longer than the 107 bytes an address holds.
//!
//! Long paths are bound and connected through `/proc/self/fd/<state dir>/<socket>`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// `sun_path` less its terminating zero.
const ADDRESS_LIMIT: usize = 107;

/// Connects to the socket, however long its path is.
///
/// # Errors
///
/// Returns the kernel's answer: not found, or refused when nobody listens.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::of(path)?;
    UnixStream::connect(&short.path)
}

/// Binds the socket, replacing a file left by an owner that is gone. Only the holder of the
/// home's lock may call this.
///
/// # Errors
///
/// Returns the kernel's answer.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::of(path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    UnixListener::bind(&short.path)
}

/// A path that fits into an address, and the open folder it may go through.
struct ShortPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= ADDRESS_LIMIT {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a path to a socket",
            ));
        };
        let folder = File::open(parent)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self {
            path: short,
            _folder: Some(folder),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_short_paths_can_be_bound_twice_and_connected() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("a deep folder");
        for parent in [folder.path(), deep.as_path()] {
            let path = parent.join("s.sock");
            let first = bind(&path).expect("bind");
            connect(&path).expect("connect");
            drop(first);
            assert_eq!(
                connect(&path).expect_err("nobody listens").kind(),
                io::ErrorKind::ConnectionRefused
            );
            let _second = bind(&path).expect("bind over the old file");
            connect(&path).expect("connect again");
        }
    }
}
