//! What a server binary says of itself, asked once per build and remembered.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// A binary that does not answer within this is not asked again.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The help of a current llama-server has about 60 kB.
const ANSWER_LIMIT: u64 = 1 << 20;

/// The help of every binary that was ever asked: `state/binaries.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    #[serde(default)]
    binaries: BTreeMap<String, About>,
}

/// One build. Device, inode, size and change time stand for its content: hashing some hundred
/// megabytes at each start would cost more than asking.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    stamp: String,
    flags: Vec<String>,
}

/// Returns whether the binary's help knows this flag; a binary without a help knows none.
#[must_use]
pub fn knows_flag(state_dir: &Path, program: &Path, prefix: &[String], flag: &str) -> bool {
    let Some(stamp) = stamp(program) else {
        return false;
    };
    let cache = state_dir.join("binaries.json");
    let mut known: Known = fs::read(&cache)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let key = program.display().to_string();
    if let Some(about) = known
        .binaries
        .get(&key)
        .filter(|about| about.stamp == stamp)
    {
        return about.flags.iter().any(|known| known == flag);
    }
    let flags = flags_in(&ask(program, prefix, "--help").unwrap_or_default());
    let knows = flags.iter().any(|known| known == flag);
    known.binaries.insert(key, About { stamp, flags });
    remember(&cache, &known);
    knows
}

/// Returns what changes whenever the program does.
pub(super) fn stamp(program: &Path) -> Option<String> {
    let metadata = fs::metadata(program).ok()?;
    Some(format!(
        "{}:{}:{}:{}.{}",
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec()
    ))
}

/// Writes what was learnt of all builds.
pub(super) fn remember<T: Serialize>(cache: &Path, known: &T) {
    let temporary = cache.with_extension(format!("tmp{}", fastrand::u32(..)));
    let Ok(bytes) = serde_json::to_vec(known) else {
        return;
    };
    // Only a cache: if it cannot be kept, the binary is asked again.
    if fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, cache))
        .is_err()
    {
        fs::remove_file(&temporary).ok(); // it may never have been created
    }
}

/// Runs `<program> <flag>` and returns what it prints; kills it when it takes too long.
pub(super) fn ask(program: &Path, prefix: &[String], flag: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(prefix)
        .arg(flag)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    let group = Pid::from_raw(child.id().cast_signed())?;
    let stdout = child.stdout.take()?;
    let mut text = Vec::new();
    let reader = std::thread::spawn(move || {
        stdout.take(ANSWER_LIMIT).read_to_end(&mut text).ok()?;
        Some(text)
    });
    let ended = rustix::process::pidfd_open(group, rustix::process::PidfdFlags::empty()).is_ok_and(
        |pidfd| {
            let limit = Timespec {
                tv_sec: ANSWER_TIME.as_secs().cast_signed(),
                tv_nsec: 0,
            };
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
        },
    );
    if !ended {
        // Not reaped yet, so the number still names its group and no other.
        kill_process_group(group, Signal::KILL).ok(); // it may just have ended
    }
    child.wait().ok()?;
    let text = reader.join().ok()??;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Finds the flags: the first word of each comma-separated part of a line that begins with a dash.
fn flags_in(help: &str) -> Vec<String> {
    let mut flags: Vec<String> = help
        .lines()
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split(','))
        .filter_map(|part| part.split_whitespace().next())
        .filter(|word| word.starts_with('-'))
        .map(str::to_owned)
        .collect();
    flags.sort();
    flags.dedup();
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_a_help_text() {
        let help = "usage\n-h,    --help, --usage    print -x\n-fit,  --fit [on|off]   adjust\n      more -y\n";
        assert_eq!(flags_in(help), ["--fit", "--help", "--usage", "-fit", "-h"]);
    }
}
