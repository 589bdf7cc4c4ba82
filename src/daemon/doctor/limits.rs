//! What the kernel allows this user: open files, pipes, processes.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::Case;
use crate::domain::checkup::{Area, Found, Grade};

/// What a supervisor holds of one run: pidfds, spare pipe ends, sockets of probes, log files.
const FILES_PER_INSTANCE: u64 = 12;

/// What a supervisor holds besides.
const FILES: u64 = 64;

/// Pages of the large pipe that a log gets where that is allowed.
const LARGE_PIPE: u64 = 256;

/// Pages of the usual pipe.
const USUAL_PIPE: u64 = 16;

/// Threads and processes of a server under load.
const TASKS_PER_INSTANCE: u64 = 64;

/// The first kernel that tells how a process ended to somebody who is not its parent.
const TELLS_EXITS: (u32, u32) = (6, 15);

pub(super) fn look(case: &Case<'_>, found: &mut Vec<Found>) {
    let instances = case.set.rows.len() as u64;
    open_files(instances, found);
    pipes(instances, found);
    tasks(instances, found);
    kernel(found);
}

fn open_files(instances: u64, found: &mut Vec<Found>) {
    let limit = getrlimit(Resource::Nofile).maximum;
    let needed = instances * FILES_PER_INSTANCE + FILES;
    let text = match limit {
        None => "any number of open files".to_owned(),
        Some(limit) => format!("{limit} open files; {instances} instances need about {needed}"),
    };
    found.push(if limit.is_some_and(|limit| limit < needed) {
        Found::new(Area::Limits, Grade::Error, text)
            .remedy("raise the hard limit: LimitNOFILE=65536 in the unit, or limits.conf")
    } else {
        Found::new(Area::Limits, Grade::Good, text)
    });
}

fn pipes(instances: u64, found: &mut Vec<Found>) {
    // The administrator is not limited.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let Some(pages) = number_in("/proc/sys/fs/pipe-user-pages-soft").filter(|pages| *pages > 0)
    else {
        return;
    };
    let (large, usual) = (instances * 2 * LARGE_PIPE, instances * 2 * USUAL_PIPE);
    let remedy = format!("sysctl fs.pipe-user-pages-soft={}", large.max(pages) * 2);
    if pages < usual {
        let text = format!(
            "{pages} pages of pipes are not enough for {instances} instances: later ones get 8 KiB, \
             which slows a server that logs much"
        );
        found.push(Found::new(Area::Limits, Grade::Warning, text).remedy(remedy));
    } else if pages < large {
        let text = format!(
            "{pages} pages of pipes: after {} instances a log pipe is 64 KiB instead of 1 MiB",
            pages / (2 * LARGE_PIPE)
        );
        found.push(Found::new(Area::Limits, Grade::Note, text).remedy(remedy));
    }
}

fn tasks(instances: u64, found: &mut Vec<Found>) {
    let needed = instances * TASKS_PER_INSTANCE;
    let user = getrlimit(Resource::Nproc).current;
    if user.is_some_and(|limit| limit < needed) && !rustix::process::geteuid().is_root() {
        let text = format!(
            "{} processes and threads are allowed; {instances} busy instances may need {needed}",
            user.unwrap_or_default()
        );
        let remedy = "raise the limit: ulimit -u, or LimitNPROC in the unit";
        found.push(Found::new(Area::Limits, Grade::Warning, text).remedy(remedy));
    }
    let group = own_group().and_then(|path| number_in(&format!("/sys/fs/cgroup{path}/pids.max")));
    if let Some(limit) = group.filter(|limit| *limit < needed) {
        let text = format!(
            "this control group allows {limit} tasks; {instances} busy instances may need {needed}"
        );
        found.push(
            Found::new(Area::Limits, Grade::Warning, text).remedy("TasksMax=infinity in the unit"),
        );
    }
}

fn kernel(found: &mut Vec<Found>) {
    let Ok(release) = fs::read_to_string("/proc/sys/kernel/osrelease") else {
        return;
    };
    let release = release.trim();
    let mut parts = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let (Some(major), Some(minor)) = (parts.next(), parts.next()) else {
        return;
    };
    if (major, minor) < TELLS_EXITS {
        let text = format!(
            "Linux {release}: when shim and supervisor both die, exit codes are lost; 6.15 keeps them"
        );
        found.push(Found::new(Area::Limits, Grade::Note, text));
    }
}

/// Returns the control group of this process, in the unified hierarchy.
pub(super) fn own_group() -> Option<String> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(line.to_owned())
}

fn number_in(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
