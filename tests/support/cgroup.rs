//! A memory control group of a test's own, in which the kernel kills for want of memory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{TestHome, wait_until};

/// Bytes that everything in the group has together: enough for an owner, its shims and a server
/// that asks for little.
const LIMIT: &str = "419430400";

/// Groups of this process so far; tests run beside each other.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A memory control group that is removed when it is dropped.
pub(crate) struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes a group below ours, of either version, or says that the test is skipped.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let group = Self::make();
        if group.is_none() {
            super::skipped(test, "no memory control group may be made here");
        }
        group
    }

    fn make() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let (root, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let name = format!("llama-orch-test-{}-{number}", std::process::id());
            let path = PathBuf::from(format!("{root}{path}")).join(name);
            fs::create_dir(&path).ok()?;
            let group = Self { path };
            fs::write(group.path.join(limit), LIMIT).ok()?;
            Some(group)
        })
    }

    /// A command of ours that runs in the group, with all that it starts.
    pub(crate) fn command(&self, home: &TestHome, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("echo $$ > \"$0/cgroup.procs\" && exec \"$@\"")
            .arg(&self.path)
            .arg(env!("CARGO_BIN_EXE_llama-orch"))
            .arg("--home")
            .arg(home.path())
            .args(args);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let procs = self.path.join("cgroup.procs");
        wait_until("nobody is left in the group", || {
            fs::read_to_string(&procs).is_ok_and(|pids| pids.trim().is_empty())
        });
        fs::remove_dir(&self.path).ok();
    }
}
