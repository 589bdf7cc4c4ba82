//! The last lines of one run, and of no other: for explaining how it ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use super::files_of;

/// Where the output of a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The file that was the live one then, under whatever name it is now.
    pub inode: u64,
    pub offset: u64,
}

/// Returns at most the last `limit` bytes that a run wrote to a log, across rotated files.
///
/// # Errors
///
/// Returns an error when a file that exists cannot be read.
pub fn of_run(log: &Path, start: Start, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for path in files_of(log).iter().rev() {
        // It may have been rotated away since it was listed.
        let Ok(file) = File::open(path) else { continue };
        let data = file.metadata()?;
        let is_first = data.ino() == start.inode;
        let begin = if is_first { start.offset } else { 0 };
        let wanted = (limit - bytes.len()) as u64;
        let from = begin.max(data.len().saturating_sub(wanted));
        let size = usize::try_from(data.len().saturating_sub(from)).unwrap_or(0);
        let mut part = vec![0; size];
        file.read_exact_at(&mut part, from)?;
        part.append(&mut bytes);
        bytes = part;
        if is_first || bytes.len() >= limit {
            break;
        }
    }
    Ok(bytes)
}

/// Cuts output into lines; those of `--log-jsonl` are unwrapped.
#[must_use]
pub fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| unwrapped(line).unwrap_or_else(|| line.to_owned()))
        .collect()
}

/// Returns whether the server writes its log as JSON, which it does on stdout.
#[must_use]
pub fn is_json_log(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.and_then(unwrapped).is_some()
}

/// Reads `{"type":"log",…,"msg":"text\n"}`.
fn unwrapped(line: &str) -> Option<String> {
    if !line.starts_with("{\"type\"") {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(value.get("msg")?.as_str()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, metadata};

    #[test]
    fn only_this_runs_output_is_read_and_rotation_does_not_hide_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("stderr.log");
        fs::write(&log, "earlier\n").expect("write");
        let inode = metadata(&log).expect("metadata").ino();
        let start = Start { inode, offset: 8 };
        fs::write(folder.path().join("other"), "x").expect("write");
        let read = |limit| {
            let bytes = of_run(&log, start, limit).expect("read");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!(read(100), "");
        let mut text = fs::read_to_string(&log).expect("read");
        text.push_str("mine 1\n");
        fs::write(&log, &text).expect("write");
        assert_eq!(read(100), "mine 1\n");
        fs::rename(&log, folder.path().join("stderr.log.1")).expect("rotate");
        fs::write(&log, "mine 2\n").expect("write");
        assert_eq!(read(100), "mine 1\nmine 2\n");
        assert_eq!(read(9), "1\nmine 2\n");
        assert_eq!(read(3), " 2\n");
    }

    #[test]
    fn json_lines_are_unwrapped() {
        let json = br#"{"type":"log","time":8732,"level":"info","msg":"srv  operator(): bye\n"}"#;
        assert!(is_json_log(json));
        assert_eq!(lines(json), ["srv  operator(): bye"]);
        assert!(!is_json_log(b"{\"a\":1}\nplain"));
        assert_eq!(lines(b"{\"type\":1}\nplain"), ["{\"type\":1}", "plain"]);
    }
}
