//! Every question to the kernel that std and rustix leave to us: `/proc` and pidfds.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::domain::exit::ExitStatus;
use crate::domain::run::ProcessId;

/// What `/proc/PID/stat` says, as far as we need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` …
    pub state: char,
    pub parent: i32,
    /// Field 22: clock ticks since boot; with the pid it names a process for ever.
    pub start_ticks: u64,
    /// Field 52: the wait word of a zombie; 0 while the process lives or when we may not know.
    pub exit_word: i32,
}

/// Returns the id of this boot; pids and start ticks mean nothing in another one.
///
/// # Errors
///
/// Returns an error when `/proc` is not there.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// Fills `bytes` with what nobody can guess.
///
/// # Errors
///
/// Returns the kernel's answer.
pub fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += getrandom(rest, GetRandomFlags::empty())?;
    }
    Ok(())
}

/// Where the reading of a small file begins: more than a `stat`, and than most environments.
const SMALL: usize = 4096;

/// Reads a file of `/proc` that is one record, such as `stat` or `environ`, with as few calls as
/// possible: none of them tells its size, and in a fleet they are read by the thousand.
///
/// # Errors
///
/// Returns an error when the process is gone or belongs to somebody else.
pub fn read_record(path: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; SMALL];
    let mut filled = 0;
    loop {
        filled += match file.read(&mut bytes[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            read => read?,
        };
        if filled < bytes.len() {
            bytes.truncate(filled);
            return Ok(bytes);
        }
        bytes.resize(2 * filled, 0);
    }
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
///
/// Returns an error when the process is gone.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let bytes = read_record(&format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood")))
}

/// The second field is the command in parentheses and may itself hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // `fields[0]` is field 3 of proc(5).
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        start_ticks: field(22)?.parse().ok()?,
        exit_word: field(52).and_then(|word| word.parse().ok()).unwrap_or(0),
    })
}

/// Returns the process's identity as of now.
///
/// # Errors
///
/// Returns an error when the process is gone.
pub fn identity(pid: i32) -> io::Result<ProcessId> {
    Ok(ProcessId {
        pid,
        start_ticks: stat(pid)?.start_ticks,
    })
}

/// Returns how long ago the process began, the time included that the machine was suspended.
///
/// # Errors
///
/// Returns an error when the kernel does not tell how long it has been up.
pub fn age(process: ProcessId) -> io::Result<Duration> {
    let text = String::from_utf8(read_record("/proc/uptime")?).map_err(io::Error::other)?;
    let up = text
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    let up = up.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let up = up.ok_or_else(|| io::Error::other("/proc/uptime is not understood"))?;
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let begun = Duration::from_millis(process.start_ticks * 1000 / ticks);
    Ok(up.saturating_sub(begun))
}

/// Returns device and inode of the process's executable.
///
/// # Errors
///
/// Returns an error when the process is gone or belongs to somebody else.
pub fn executable(pid: i32) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(format!("/proc/{pid}/exe"))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Returns the value of one variable in the process's environment at its start.
///
/// # Errors
///
/// Returns an error when the process is gone or belongs to somebody else.
pub fn environment_variable(pid: i32, name: &str) -> io::Result<Option<String>> {
    let bytes = read_record(&format!("/proc/{pid}/environ"))?;
    let prefix = format!("{name}=");
    Ok(bytes
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(prefix.as_bytes()))
        .map(|value| String::from_utf8_lossy(value).into_owned()))
}

/// Returns whether a process of ours may have this directory as its own.
///
/// # Errors
///
/// Returns why it may not.
pub fn may_enter(directory: &Path) -> io::Result<()> {
    rustix::fs::access(directory, rustix::fs::Access::EXEC_OK).map_err(io::Error::from)
}

/// Lists the pids in `/proc`.
///
/// # Errors
///
/// Returns an error when `/proc` cannot be read.
pub fn all_pids() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
    Ok(entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// Lists the direct children of this process, zombies included.
#[must_use]
pub fn own_children() -> Vec<i32> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for task in tasks.filter_map(Result::ok) {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            text.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    children
}

/// Opens a pidfd; the pid may have been reused, so prove it afterwards.
///
/// # Errors
///
/// Returns `NotFound` when there is no such process, and other errors of the kernel as they are.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH => io::Error::from(io::ErrorKind::NotFound),
        other => other.into(),
    })
}

/// Sends a signal through a pidfd whose identity was verified.
///
/// # Errors
///
/// Returns `NotFound` when the process is gone.
pub fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    pidfd_send_signal(pidfd, signal).map_err(|errno| match errno {
        rustix::io::Errno::SRCH => io::Error::from(io::ErrorKind::NotFound),
        other => other.into(),
    })
}

/// Returns whether the process behind the pidfd still runs (a zombie does not).
#[must_use]
pub fn is_alive(pidfd: impl AsFd) -> bool {
    !readable_within(&pidfd, Duration::ZERO)
}

/// Waits until the descriptor is readable; for a pidfd: until the process has ended.
#[must_use]
pub fn readable_within(fd: &impl AsFd, time: Duration) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    matches!(poll(&mut fds, Some(&limit)), Ok(ready) if ready > 0)
}

/// `struct pidfd_info` of linux/pidfd.h, first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// Asks for, and says that there is, an exit code (kernel 6.15).
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: rustix::ioctl::Opcode =
    rustix::ioctl::opcode::read_write::<PidfdInfo>(0xFF, 11);

/// Returns how the process behind the pidfd ended, if it was reaped and the kernel remembers.
#[must_use]
#[expect(unsafe_code, reason = "rustix has no wrapper of PIDFD_GET_INFO")]
pub fn exit_of_reaped(pidfd: impl AsFd) -> Option<ExitStatus> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the opcode carries the size of `PidfdInfo`, which the kernel fills and never exceeds.
    let asked = unsafe {
        let request = rustix::ioctl::Updater::<PIDFD_GET_INFO, PidfdInfo>::new(&mut info);
        rustix::ioctl::ioctl(pidfd, request)
    };
    let known = asked.is_ok() && info.mask & PIDFD_INFO_EXIT != 0;
    known.then(|| ExitStatus::from_wait_word(info.exit_code))
}

/// Gives memory that is free in this process back to the kernel. What a burst of starts needed on
/// many threads is kept for good by the C library else: more than the whole rest of an idle owner.
#[expect(unsafe_code, reason = "neither std nor rustix has malloc_trim")]
pub fn give_memory_back() {
    // SAFETY: it takes a number, and the C library lets any thread call it at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns how a process that is not our child ended: from its zombie, or from the kernel's memory
/// of a reaped one.
#[must_use]
pub fn exit_of_stranger(process: ProcessId, pidfd: impl AsFd) -> Option<ExitStatus> {
    exit_of_zombie(process).or_else(|| exit_of_reaped(pidfd))
}

/// Returns how an ended process that nobody reaped yet has ended.
#[must_use]
pub fn exit_of_zombie(process: ProcessId) -> Option<ExitStatus> {
    let owner = fs::metadata(format!("/proc/{}", process.pid)).ok()?.uid();
    let stat = stat(process.pid).ok()?;
    let is_its_zombie = stat.start_ticks == process.start_ticks && stat.state == 'Z';
    // Strangers are shown 0, which must not be taken for a clean exit.
    let user = rustix::process::geteuid();
    let may_know = user.is_root() || user.as_raw() == owner;
    (is_its_zombie && may_know).then(|| ExitStatus::from_wait_word(stat.exit_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let numbers: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let text = format!("77 (a) b (c)) S {}", numbers.join(" "));
        let stat = parse_stat(&text).expect("a good line");
        assert_eq!(
            stat,
            Stat {
                state: 'S',
                parent: 4,
                start_ticks: 22,
                exit_word: 52
            }
        );
        assert_eq!(parse_stat("77 (x"), None);
    }

    #[test]
    fn a_record_is_read_whole_however_long_it_is() {
        let long = "x".repeat(3 * SMALL);
        let mut child = std::process::Command::new("/bin/cat")
            .env("LONG", &long)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat runs");
        let pid = child.id().cast_signed();
        let path = format!("/proc/{pid}/environ");
        // A spawn returns a moment before the new program's environment is in its place.
        let deadline = Instant::now() + Duration::from_secs(60);
        while fs::read(&path).expect("ours").is_empty() {
            assert!(Instant::now() < deadline, "it has no environment");
            std::thread::yield_now();
        }
        assert_eq!(
            read_record(&path).expect("ours"),
            fs::read(&path).expect("ours")
        );
        let found = environment_variable(pid, "LONG").expect("ours");
        assert_eq!(found, Some(long));
        drop(child.stdin.take());
        child.wait().expect("reap");
        assert!(read_record(&path).is_err());
    }

    #[test]
    fn the_exit_of_a_child_is_known_before_and_after_it_was_reaped() {
        for (script, expected) in [
            ("exit 7", ExitStatus::Code(7)),
            ("kill -9 $$", ExitStatus::Signal(9)),
        ] {
            let mut child = std::process::Command::new("/bin/sh")
                .args(["-c", script])
                .spawn()
                .expect("sh runs");
            let pid = i32::try_from(child.id()).expect("a pid");
            let process = identity(pid).expect("an unreaped child");
            let pidfd = open_pidfd(pid).expect("a pidfd");
            assert!(readable_within(&pidfd, Duration::from_secs(10)));
            assert_eq!(exit_of_stranger(process, &pidfd), Some(expected));
            child.wait().expect("reap");
            // Kernels before 6.15 do not remember; a wrong answer is worse than none.
            let remembered = exit_of_stranger(process, &pidfd);
            assert!(remembered.is_none() || remembered == Some(expected));
        }
    }
}
