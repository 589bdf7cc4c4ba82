//! The home's folders, files and configuration, who owns it, and its database.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Access, access, statfs, statvfs};

use super::{Case, OwnerSeen};
use crate::config::finding::Severity;
use crate::domain::checkup::{Area, Found, Grade};
use crate::domain::units::size;
use crate::store::Reader;
use crate::supervisor::work::launch as work;

/// Below this a disk is as good as full.
const DISK_FULL: u64 = 100 << 20;

/// Below this a disk will be full soon.
const DISK_LOW: u64 = 2 << 30;

/// File systems whose locks other machines may not see, by their number in `statfs`.
const NETWORK: [(i64, &str); 4] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0x517b, "SMB"),
    (0x0102_1997, "9P"),
];

pub(super) fn look(case: &Case<'_>, found: &mut Vec<Found>) {
    folders(case, found);
    configuration(case, found);
    owner(case, found);
    database(case, found);
    disk(case, found);
}

fn folders(case: &Case<'_>, found: &mut Vec<Found>) {
    let home = case.patient.home;
    let root = home.root();
    let mut say = |grade, text: String, remedy: &str| {
        let one = Found::new(Area::Home, grade, text);
        found.push(if remedy.is_empty() {
            one
        } else {
            one.remedy(remedy)
        });
    };
    if !root.is_dir() {
        let text = format!("{} ({}) does not exist", root.display(), home.origin());
        say(
            Grade::Warning,
            text,
            "make the first instance: llama-orch init NAME --model FILE",
        );
        return;
    }
    let text = format!("{} ({})", root.display(), home.origin());
    say(Grade::Good, text, "");
    if access(root, Access::WRITE_OK).is_err() {
        let text = format!("{} cannot be written by this user", root.display());
        let remedy = format!("chown -R $USER {}", root.display());
        say(Grade::Error, text, &remedy);
    }
    let file_system = statfs(root)
        .ok()
        .and_then(|stat| NETWORK.iter().find(|(known, _)| *known == stat.f_type));
    if let Some((_, name)) = file_system {
        let text = format!("the home is on {name}, where the owner's lock may not hold");
        say(
            Grade::Warning,
            text,
            "put the home on a local disk: --home DIR",
        );
    }
    let own = rustix::process::geteuid().as_raw();
    for (path, mode) in [(case.state_dir.clone(), 0o700), (home.socket(), 0o600)] {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let remedy = format!("chmod {mode:o} {}", path.display());
        if metadata.mode() & 0o777 & !mode != 0 {
            let text = format!(
                "{} can be opened by others (mode {:o})",
                path.display(),
                metadata.mode() & 0o777
            );
            say(Grade::Error, text, &remedy);
        }
        if metadata.uid() != own {
            let text = format!("{} belongs to user {}", path.display(), metadata.uid());
            say(
                Grade::Error,
                text,
                "run llama-orch as that user, or chown the home",
            );
        }
    }
}

fn configuration(case: &Case<'_>, found: &mut Vec<Found>) {
    let broken: Vec<String> = case
        .set
        .rows
        .iter()
        .filter_map(|row| row.as_ref().err())
        .map(|broken| broken.name.to_string())
        .collect();
    if !broken.is_empty() {
        let text = format!("{} cannot be used", broken.join(", "));
        found.push(
            Found::new(Area::Config, Grade::Error, text).remedy("llama-orch config validate"),
        );
    }
    let worst = case
        .set
        .all_findings()
        .map(|finding| finding.severity)
        .max();
    let count = case.set.all_findings().count();
    match worst {
        None => {
            let text = format!("{}, nothing to complain of", case.instances());
            found.push(Found::new(Area::Config, Grade::Good, text));
        }
        Some(Severity::Error) => {}
        Some(Severity::Warning | Severity::Lint) => {
            let settings = if count == 1 { "setting" } else { "settings" };
            let text = format!("{count} doubtful {settings} in the configuration");
            found.push(
                Found::new(Area::Config, Grade::Warning, text).remedy("llama-orch config lint"),
            );
        }
    }
}

fn owner(case: &Case<'_>, found: &mut Vec<Found>) {
    found.push(match &case.patient.owner {
        OwnerSeen::Answers { pid, .. } => Found::new(
            Area::Owner,
            Grade::Good,
            format!("a supervisor runs (pid {pid})"),
        ),
        OwnerSeen::Broken { why } => {
            let text = format!("the supervisor does not answer as it should: {why}");
            Found::new(Area::Owner, Grade::Error, text)
                .remedy("llama-orch daemon restart (instances keep running)")
        }
        OwnerSeen::Nobody => {
            let text = "no supervisor runs: nobody restarts what crashes";
            Found::new(Area::Owner, Grade::Note, text).remedy("llama-orch daemon start")
        }
    });
    if let OwnerSeen::Answers { api: Some(why), .. } = &case.patient.owner {
        let text = format!("the API is not as [api] says: {why}");
        let remedy = "correct what is named there; it is followed at once";
        found.push(Found::new(Area::Owner, Grade::Error, text).remedy(remedy));
    }
    let socket = case.patient.home.socket();
    let is_other = fs::symlink_metadata(&socket).is_ok_and(|file| !file.file_type().is_socket());
    if is_other {
        let text = format!("{} is no socket", socket.display());
        let remedy = format!("rm {}", socket.display());
        found.push(Found::new(Area::Owner, Grade::Error, text).remedy(remedy));
    }
}

fn database(case: &Case<'_>, found: &mut Vec<Found>) {
    if let OwnerSeen::Answers { database, .. } = &case.patient.owner
        && database != "ok"
    {
        let text = format!("the supervisor cannot use it as it should: {database}");
        let remedy = "make room or repair the disk; changes wait in memory until then";
        found.push(Found::new(Area::Database, Grade::Error, text).remedy(remedy));
    }
    let path = case.patient.home.database();
    let moved_aside = "end the supervisor and start it again: a damaged file is moved aside and \
                       rebuilt";
    let one = match Reader::open(&path) {
        Ok(None) => Found::new(
            Area::Database,
            Grade::Good,
            "none yet; the first start makes it",
        ),
        Ok(Some(reader)) => match reader.damage() {
            Ok(None) => {
                let bytes = fs::metadata(&path).map_or(0, |file| file.len());
                Found::new(
                    Area::Database,
                    Grade::Good,
                    format!("sound, {}", size(bytes)),
                )
            }
            Ok(Some(damage)) => {
                let text = format!("{} is damaged: {damage}", path.display());
                Found::new(Area::Database, Grade::Error, text).remedy(moved_aside)
            }
            Err(error) => {
                Found::new(Area::Database, Grade::Error, told(&error)).remedy(moved_aside)
            }
        },
        Err(error) => Found::new(Area::Database, Grade::Error, told(&error)).remedy(moved_aside),
    };
    found.push(one);
}

fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn disk(case: &Case<'_>, found: &mut Vec<Found>) {
    let Some(free) = free_on(case.patient.home.root()) else {
        return;
    };
    // Both streams of each, the live file and the rotated ones.
    let most = |size: u64, rotation: u32| {
        let files = u64::from(rotation).saturating_add(1);
        size.saturating_mul(files).saturating_mul(2)
    };
    let of_instances = case
        .specs()
        .map(|spec| most(spec.logs.max_size, spec.logs.rotation));
    let units = fs::read_dir(case.patient.home.all_work_logs_dir())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let logs = of_instances
        .chain(units.map(|_| most(work::LOG_SIZE, work::ROTATION)))
        .fold(0, u64::saturating_add);
    found.push(room(free, logs));
}

/// Judges the free bytes of the disk by what the logs may still take.
fn room(free: u64, logs: u64) -> Found {
    let text = format!("{} free; logs may take {}", size(free), size(logs));
    let remedy = "delete what is not needed, or lower logs.max_size_mb and logs.rotation";
    if free < DISK_FULL {
        Found::new(Area::Disk, Grade::Error, format!("as good as full: {text}")).remedy(remedy)
    } else if free < DISK_LOW || free < logs {
        Found::new(Area::Disk, Grade::Warning, format!("full soon: {text}")).remedy(remedy)
    } else {
        Found::new(Area::Disk, Grade::Good, text)
    }
}

fn free_on(path: &Path) -> Option<u64> {
    let stat = path.ancestors().find_map(|place| statvfs(place).ok())?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_the_logs_may_still_take() {
        let rows = [
            (50 << 20, 0, Grade::Error, "as good as full: 50 MiB free"),
            (1 << 30, 0, Grade::Warning, "full soon: 1.0 GiB free"),
            (5 << 30, 9 << 30, Grade::Warning, "logs may take 9.0 GiB"),
            (
                9 << 30,
                5 << 30,
                Grade::Good,
                "9.0 GiB free; logs may take 5.0 GiB",
            ),
        ];
        for (free, logs, grade, text) in rows {
            let found = room(free, logs);
            assert_eq!(found.grade, grade, "{free} {logs}");
            assert!(found.text.contains(text), "{}", found.text);
            assert_eq!(found.remedy.is_some(), grade > Grade::Good);
        }
    }
}
