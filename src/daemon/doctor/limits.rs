//! What the kernel allows this user: open files, pipes, processes.

use super::{Case, Sources, User};
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
    open_files(case, found);
    pipes(case, found);
    tasks(case, found);
    kernel(case.sources(), found);
}

fn open_files(case: &Case<'_>, found: &mut Vec<Found>) {
    let limit = case.sources().open_files;
    let needed = case.set.rows.len() as u64 * FILES_PER_INSTANCE + FILES;
    let text = match limit {
        None => "any number of open files".to_owned(),
        Some(limit) => {
            let instances = case.instances();
            format!("{limit} open files; about {needed} are needed for {instances}")
        }
    };
    found.push(if limit.is_some_and(|limit| limit < needed) {
        Found::new(Area::Limits, Grade::Error, text)
            .remedy("raise the hard limit: LimitNOFILE=65536 in the unit, or limits.conf")
    } else {
        Found::new(Area::Limits, Grade::Good, text)
    });
}

fn pipes(case: &Case<'_>, found: &mut Vec<Found>) {
    let sources = case.sources();
    let instances = case.set.rows.len() as u64;
    if sources.user == User::Administrator {
        return;
    }
    let pages = sources.number("/proc/sys/fs/pipe-user-pages-soft");
    let Some(pages) = pages.filter(|pages| *pages > 0) else {
        return;
    };
    let (large, usual) = (instances * 2 * LARGE_PIPE, instances * 2 * USUAL_PIPE);
    let remedy = format!("sysctl fs.pipe-user-pages-soft={}", large.max(pages) * 2);
    if pages < usual {
        let text = format!(
            "{pages} pages of pipes are not enough for {}: later ones get 8 KiB, which slows a server \
             that logs much",
            case.instances()
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

fn tasks(case: &Case<'_>, found: &mut Vec<Found>) {
    let sources = case.sources();
    let needed = case.set.rows.len() as u64 * TASKS_PER_INSTANCE;
    let user = sources.tasks;
    if user.is_some_and(|limit| limit < needed) && sources.user == User::Other {
        let text = format!(
            "{} processes and threads are allowed; {} may need {needed} when busy",
            user.unwrap_or_default(),
            case.instances()
        );
        let remedy = "raise the limit: ulimit -u, or LimitNPROC in the unit";
        found.push(Found::new(Area::Limits, Grade::Warning, text).remedy(remedy));
    }
    let group = sources
        .own_group()
        .and_then(|path| sources.number(&format!("/sys/fs/cgroup{path}/pids.max")));
    if let Some(limit) = group.filter(|limit| *limit < needed) {
        let text = format!(
            "this control group allows {limit} tasks; {} may need {needed} when busy",
            case.instances()
        );
        found.push(
            Found::new(Area::Limits, Grade::Warning, text).remedy("TasksMax=infinity in the unit"),
        );
    }
}

fn kernel(sources: &Sources, found: &mut Vec<Found>) {
    let Some(release) = sources.text("/proc/sys/kernel/osrelease") else {
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
