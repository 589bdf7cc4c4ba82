//! What a server binary says of itself, asked once per build and remembered.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::devices::Asking;
use super::flags::{Flag, Flags};

/// A binary that does not answer within this is not asked again.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The help of a current llama-server has about 60 kB.
const ANSWER_LIMIT: u64 = 1 << 20;

/// Builds that are remembered; more than anybody has.
const BUILDS: usize = 64;

/// What shells and the dynamic linker end with when there is nothing to run.
const CANNOT_RUN: [i32; 2] = [126, 127];

/// SIGILL: built for another processor.
const SIGILL: i32 = 4;

/// One build of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// `None` when its help is none that we understand: then nothing is known of its flags.
    pub flags: Option<Flags>,
    /// What follows `version:` in its answer to `--version`.
    pub version: Option<String>,
}

/// It cannot be run at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program} cannot run: {why}")]
pub struct CannotRun {
    pub program: String,
    pub why: String,
}

/// Every binary that was ever asked: `state/binaries.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    #[serde(default)]
    paths: BTreeMap<String, Content>,
    #[serde(default)]
    builds: BTreeMap<String, BuildFile>,
}

/// What was at a path. Device, inode, size and change time say whether it must be read again.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    stamp: String,
    hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct BuildFile {
    #[serde(default)]
    flags: Option<Vec<FlagFile>>,
    #[serde(default)]
    version: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FlagFile {
    names: Vec<String>,
    #[serde(default)]
    values: usize,
    #[serde(default)]
    removed: Option<String>,
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) stdout: String,
    stderr: String,
    /// `None` when it had to be killed.
    status: Option<ExitStatus>,
}

impl Build {
    /// Returns whether its help surely lists this flag.
    #[must_use]
    pub fn knows(&self, flag: &str) -> bool {
        self.flags.as_ref().is_some_and(|flags| flags.knows(flag))
    }
}

/// Returns what a build says of itself; it is asked when its content was never seen before.
///
/// # Errors
///
/// Returns why it cannot be run.
pub fn build(
    state_dir: &Path,
    program: &Path,
    prefix: &[String],
    asking: Asking,
) -> Result<Build, CannotRun> {
    let cache = state_dir.join("binaries.json");
    let mut known: Known = fs::read(&cache)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let path = program.display().to_string();
    let stamp = stamp(program).unwrap_or_default();
    let seen = known
        .paths
        .get(&path)
        .filter(|content| content.stamp == stamp);
    let hash = match seen {
        Some(content) => content.hash.clone(),
        None => content_hash(program, prefix, &stamp),
    };
    let was_seen = seen.is_some();
    let remembered = known.builds.get(&hash).map(Build::from);
    match (asking, remembered) {
        (Asking::Never, build) => return Ok(build.unwrap_or_default()),
        (Asking::Once, Some(build)) => {
            if !was_seen {
                known.paths.insert(path, Content { stamp, hash });
                remember(&cache, &known);
            }
            return Ok(build);
        }
        // Libraries beside an unchanged binary may have changed.
        (Asking::Once, None) | (Asking::Anew, _) => {}
    }
    let build = question(program, prefix)?;
    if known.builds.len() >= BUILDS {
        known = Known::default();
    }
    known.builds.insert(hash.clone(), BuildFile::from(&build));
    known.paths.insert(path, Content { stamp, hash });
    remember(&cache, &known);
    Ok(build)
}

/// Asks a binary for its flags and its version.
fn question(program: &Path, prefix: &[String]) -> Result<Build, CannotRun> {
    let help = match ask(program, prefix, "--help") {
        Ok(help) => help,
        Err(error) => return Err(cannot_run(program, error.to_string())),
    };
    if let Some(why) = help.cannot_run() {
        return Err(cannot_run(program, why));
    }
    let flags = Flags::parse(&help.stdout);
    // What does not know its own flags may take the question for an order to start.
    let version = flags.as_ref().filter(|flags| flags.knows("--version"));
    let version = version.and_then(|_| ask(program, prefix, "--version").ok());
    Ok(Build {
        flags,
        version: version.and_then(|answer| answer.version()),
    })
}

fn cannot_run(program: &Path, why: String) -> CannotRun {
    CannotRun {
        program: program.display().to_string(),
        why,
    }
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

/// Returns what stands for the content of a program. Our own, which comes with a prefix, changes
/// too often to be read through, and a file that cannot be read has no copies to be shared with.
fn content_hash(program: &Path, prefix: &[String], stamp: &str) -> String {
    if prefix.is_empty()
        && let Ok(hash) = hash(program)
    {
        return hash;
    }
    format!("{stamp} {}", prefix.join(" "))
}

/// Hashes a file in two lanes of 64 bits; it only has to tell builds apart, not to resist anybody.
fn hash(program: &Path) -> io::Result<String> {
    let mut file = File::open(program)?;
    let mut block = vec![0; 1 << 20];
    let (mut first, mut second) = (0xcbf2_9ce4_8422_2325_u64, 0x9e37_79b9_7f4a_7c15_u64);
    let mut length = 0_u64;
    loop {
        let read = fill(&mut file, &mut block)?;
        length += read as u64;
        for chunk in block[..read].chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(word);
            first = (first ^ word)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(29);
            second = second
                .wrapping_add(word)
                .wrapping_mul(0xff51_afd7_ed55_8ccd);
            second ^= second >> 32;
        }
        if read < block.len() {
            return Ok(format!("{length:x}-{first:016x}{second:016x}"));
        }
    }
}

/// Fills the block, or as much of it as the file still has.
fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Runs `<program> <flag>` to its end; kills it when it takes too long.
pub(super) fn ask(program: &Path, prefix: &[String], flag: &str) -> io::Result<Answer> {
    let mut child = Command::new(program)
        .args(prefix)
        .arg(flag)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = child.stdout.take().map(reader);
    let stderr = child.stderr.take().map(reader);
    let group = Pid::from_child(&child);
    let pidfd = rustix::process::pidfd_open(group, rustix::process::PidfdFlags::empty());
    let ended = pidfd.is_ok_and(|pidfd| {
        let limit = Timespec {
            tv_sec: ANSWER_TIME.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
    });
    if !ended {
        // Not reaped yet, so the number still names its group and no other.
        kill_process_group(group, Signal::KILL).ok(); // it may just have ended
    }
    let status = child.wait()?;
    Ok(Answer {
        stdout: text(stdout),
        stderr: text(stderr),
        status: ended.then_some(status),
    })
}

type Reader = thread::JoinHandle<Vec<u8>>;

fn reader(pipe: impl io::Read + Send + 'static) -> Reader {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.take(ANSWER_LIMIT).read_to_end(&mut bytes).ok(); // what came before counts
        bytes
    })
}

fn text(reader: Option<Reader>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

impl Answer {
    /// Returns why the program cannot run anywhere here; that it failed otherwise says little.
    fn cannot_run(&self) -> Option<String> {
        use std::os::unix::process::ExitStatusExt as _;
        let status = self.status?;
        if status.signal() == Some(SIGILL) {
            return Some("it was built for another processor (SIGILL)".to_owned());
        }
        if !status.code().is_some_and(|code| CANNOT_RUN.contains(&code)) {
            return None;
        }
        let last = self
            .stderr
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty());
        Some(last.unwrap_or("it says nothing").trim().to_owned())
    }

    fn version(&self) -> Option<String> {
        let lines = self.stderr.lines().chain(self.stdout.lines());
        let mut versions = lines.filter_map(|line| line.trim().strip_prefix("version:"));
        versions.next().map(|version| version.trim().to_owned())
    }
}

impl From<&BuildFile> for Build {
    fn from(file: &BuildFile) -> Self {
        let flag = |flag: &FlagFile| Flag {
            names: flag.names.clone(),
            values: flag.values,
            removed: flag.removed.clone(),
        };
        let flags = file
            .flags
            .as_ref()
            .map(|flags| flags.iter().map(flag).collect());
        Self {
            flags: flags.map(Flags::new),
            version: file.version.clone(),
        }
    }
}

impl From<&Build> for BuildFile {
    fn from(build: &Build) -> Self {
        let flag = |flag: &Flag| FlagFile {
            names: flag.names.clone(),
            values: flag.values,
            removed: flag.removed.clone(),
        };
        let flags = build.flags.as_ref();
        Self {
            flags: flags.map(|flags| flags.all().iter().map(flag).collect()),
            version: build.version.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    /// A program that counts how often it was asked.
    fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
        let path = folder.join(name);
        let text = format!(
            "#!/bin/sh\necho x >> {}/asked\n{script}\n",
            folder.display()
        );
        fs::write(&path, text).expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    fn asked(folder: &Path) -> usize {
        let text = fs::read_to_string(folder.join("asked")).unwrap_or_default();
        text.lines().count()
    }

    #[test]
    fn a_build_is_asked_once_wherever_it_lies_and_again_when_it_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let help = (0..30).map(|number| format!("--flag-{number} N   text\\n"));
        let help: String = help.collect();
        let script = format!(
            "case $1 in --help) printf -- '{help}--host H  t\\n--port N  t\\n--version  t\\n';; \
             --version) echo 'version: 7 (abc)' >&2;; esac"
        );
        let path = program(folder.path(), "one", &script);
        let look = |path: &Path, asking| build(folder.path(), path, &[], asking).expect("it runs");
        let first = look(&path, Asking::Once);
        assert_eq!(first.version.as_deref(), Some("7 (abc)"));
        assert!(
            first
                .flags
                .as_ref()
                .is_some_and(|flags| flags.knows("--flag-29"))
        );
        assert_eq!(asked(folder.path()), 2);
        assert_eq!(look(&path, Asking::Once), first);
        // A copy is the same build.
        let copy = folder.path().join("copy");
        fs::copy(&path, &copy).expect("copy");
        assert_eq!(look(&copy, Asking::Once), first);
        assert_eq!(asked(folder.path()), 2);
        look(&path, Asking::Anew);
        assert_eq!(asked(folder.path()), 4);
        fs::remove_file(&path).expect("remove");
        let changed = program(folder.path(), "one", &format!("{script}\n# changed"));
        look(&changed, Asking::Once);
        assert_eq!(asked(folder.path()), 6);
    }

    #[test]
    fn what_cannot_run_says_why_and_what_only_fails_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = "echo 'error while loading shared libraries: libx.so: no' >&2; exit 127";
        let rows = [
            (
                missing,
                Some("error while loading shared libraries: libx.so: no"),
            ),
            ("exit 127", Some("it says nothing")),
            (
                "kill -ILL $$",
                Some("it was built for another processor (SIGILL)"),
            ),
            ("echo what >&2; exit 1", None),
            ("exit 0", None),
        ];
        for (number, (script, expected)) in rows.into_iter().enumerate() {
            let path = program(folder.path(), &format!("p{number}"), script);
            let found = build(folder.path(), &path, &[], Asking::Once);
            let why = found.as_ref().err().map(|error| error.why.as_str());
            assert_eq!(why, expected, "{script}");
            if let Ok(build) = found {
                assert_eq!(build.flags, None);
            }
        }
        let text = folder.path().join("text");
        fs::write(&text, "no program").expect("write");
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).expect("chmod");
        let error = build(folder.path(), &text, &[], Asking::Once).expect_err("no program");
        assert!(error.why.contains("format"), "{error}");
    }
}
