//! The kernel's counters of OOM kills.

use std::fs;
use std::path::{Path, PathBuf};

use super::runfiles::OomFile;

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The whole machine's counter, for a system without a memory control group.
const MACHINE: &str = "/proc/vmstat";

/// Returns the counter that covers this process and what it starts, with what it says now. The
/// kernel counts every kill in the control group of its victim.
#[must_use]
pub fn counter() -> Option<OomFile> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let files = candidates(&groups);
    files.into_iter().find_map(|file| {
        let kills = kills(&file)?;
        Some(OomFile { file, kills })
    })
}

/// Returns what a counter says now; `None` when it is gone.
#[must_use]
pub fn kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
}

/// Lists the files that may count, by `/proc/self/cgroup`: the second version of control groups
/// (`0::/path`), the first (`4:memory:/path`), then the machine.
fn candidates(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if number == "0" && controllers.is_empty() {
            files.push(PathBuf::from(format!("{CGROUPS}{path}/memory.events")));
        } else if controllers.split(',').any(|name| name == "memory") {
            files.push(PathBuf::from(format!(
                "{CGROUPS}/memory{path}/memory.oom_control"
            )));
        }
    }
    files.push(PathBuf::from(MACHINE));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_are_found() {
        let groups = "8:pids:/\n4:cpu,memory:/a/b\n0::/user.slice/x.service\n";
        let found: Vec<String> = candidates(groups)
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        assert_eq!(
            found,
            [
                "/sys/fs/cgroup/memory/a/b/memory.oom_control",
                "/sys/fs/cgroup/user.slice/x.service/memory.events",
                "/proc/vmstat",
            ]
        );
    }

    #[test]
    fn this_machine_counts() {
        let counter = counter().expect("Linux counts OOM kills somewhere");
        assert!(kills(&counter.file).is_some_and(|now| now >= counter.kills));
        assert_eq!(kills(Path::new("/nowhere")), None);
    }
}
