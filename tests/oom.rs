//! A server that the kernel kills for its memory: needs a memory control group of our own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{TestHome, wait_until};

/// Bytes that the owner, the shim and the server have together.
const LIMIT: &str = "419430400";

/// A memory control group that is removed when it is dropped.
struct Group {
    path: PathBuf,
}

impl Group {
    /// Makes a group below ours, of either version; `None` where we may not.
    fn new() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let (root, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let name = format!("llama-orch-test-{}", std::process::id());
            let path = PathBuf::from(format!("{root}{path}")).join(name);
            fs::create_dir(&path).ok()?;
            let group = Self { path };
            fs::write(group.path.join(limit), LIMIT).ok()?;
            Some(group)
        })
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

#[test]
fn a_server_that_the_kernel_kills_for_memory_is_named_so() {
    let Some(group) = Group::new() else {
        crate::support::skipped(
            "a_server_that_the_kernel_kills_for_memory_is_named_so",
            "no memory control group may be made here",
        );
        return;
    };
    let home = TestHome::new();
    home.simulated(
        "a",
        &["--sim-rss-mib", "4000", "--sim-load-time", "0ms"],
        "restart_policy.max_retries = 0",
    );
    let up = Command::new("sh")
        .arg("-c")
        .arg("echo $$ > \"$0/cgroup.procs\" && exec \"$@\"")
        .arg(&group.path)
        .arg(env!("CARGO_BIN_EXE_llama-orch"))
        .arg("--home")
        .arg(home.path())
        .args(["up", "a"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&up.stderr);
    assert!(
        said.contains("killed by the kernel because memory ran out"),
        "{said}"
    );
    assert!(said.contains("oom_kill 1 in "), "{said}");
    assert_eq!(home.row("a")["autopsy"]["cause"], "oom_killed");
    drop(home);
}

#[test]
fn a_stop_while_it_loads_is_a_stop_and_no_crash() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "10m"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    home.wait_for("a", "running", |row| row["pid"].is_i64());
    home.ok(&["down", "a"]);
    let row = home.wait_state("a", "stopped");
    assert_eq!(row["autopsy"]["cause"], "stopped", "{row}");
    assert_eq!(row["exit"]["signal"], 15, "{row}");
    assert_eq!(home.run(&["bundle", "a"]).code, 1);
    home.ok(&["daemon", "stop"]);
}
