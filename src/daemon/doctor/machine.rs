//! The environment of servers, the clock and the GPUs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{Access, access};

use super::{Case, Sources};
use crate::domain::checkup::{Area, Found, Grade};
use crate::domain::instance::Backend;
use crate::process::ambient;

/// No clock that is right shows an earlier time: 1 January 2026.
const EARLIEST: f64 = 1_767_225_600.0;

/// Clocks of file systems and of this machine differ by less.
const CLOCK_SLACK: f64 = 120.0;

pub(super) fn look(case: &Case<'_>, found: &mut Vec<Found>) {
    environment(case.sources(), found);
    let newest = newest_change(&case.state_dir);
    found.push(clock(case.patient.now, newest, &case.state_dir));
    devices(case, found);
}

fn environment(sources: &Sources, found: &mut Vec<Found>) {
    let variable = |name: &str| sources.variable(name).map(str::to_owned);
    let files = ambient::files(&sources.root, variable);
    let variables = ambient::flag_variables(sources.variables.keys().cloned());
    if files.is_empty() && variables.is_empty() {
        let text = "nothing but the command line reaches a server";
        found.push(Found::new(Area::Environment, Grade::Good, text));
    }
    for file in files {
        let path = file.path.display();
        let one = match file.unreadable {
            Some(error) => Found::new(
                Area::Environment,
                Grade::Warning,
                format!("{path} cannot be read here, and llama-server reads it: {error}"),
            ),
            None if file.keys.is_empty() => Found::new(
                Area::Environment,
                Grade::Note,
                format!("{path} sets nothing"),
            ),
            None => Found::new(
                Area::Environment,
                Grade::Warning,
                format!(
                    "every llama-server reads {path}, which sets {}",
                    file.keys.join(", ")
                ),
            ),
        };
        found.push(one.remedy(format!(
            "move what an instance needs into its args, and the file away: mv {path} {path}.old"
        )));
    }
    if !variables.is_empty() {
        let text = format!(
            "{} are taken out of every server's environment",
            variables.join(", ")
        );
        let remedy = "put what an instance needs into its [env] or args";
        found.push(Found::new(Area::Environment, Grade::Note, text).remedy(remedy));
    }
}

/// Judges the clock by the newest change in a folder that only this program writes.
fn clock(now: f64, newest: Option<f64>, folder: &Path) -> Found {
    if now < EARLIEST {
        let text = "the clock shows a time before this program was written";
        return Found::new(Area::Clock, Grade::Error, text)
            .remedy("set it: timedatectl set-ntp true");
    }
    match newest {
        Some(newest) if newest > now + CLOCK_SLACK => {
            let text = format!(
                "the clock was {} s ahead when {} was last written",
                (newest - now).round(),
                folder.display()
            );
            Found::new(Area::Clock, Grade::Warning, text)
                .remedy("times shown may be wrong; restarts and delays do not follow this clock")
        }
        Some(_) | None => Found::new(Area::Clock, Grade::Good, "plausible"),
    }
}

fn newest_change(folder: &Path) -> Option<f64> {
    fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .filter_map(|time| time.duration_since(UNIX_EPOCH).ok())
        .map(|age| age.as_secs_f64())
        .max_by(f64::total_cmp)
}

fn devices(case: &Case<'_>, found: &mut Vec<Found>) {
    let readings = &case.patient.host.devices;
    for reading in readings {
        let text = format!("{}: {}", reading.label, reading.name);
        found.push(Found::new(Area::Devices, Grade::Good, text));
    }
    let uses_gpu: Vec<&str> = case
        .specs()
        .filter(|spec| spec.gpu.backend != Backend::Cpu)
        .map(|spec| spec.name.as_str())
        .collect();
    let sources = case.sources();
    let has_nvidia = sources.exists("/proc/driver/nvidia");
    if has_nvidia && !cfg!(feature = "nvml") {
        let text = "this build does not read NVIDIA GPUs: their memory stays unknown";
        let remedy = "cargo install --path . --features nvml";
        found.push(Found::new(Area::Devices, Grade::Note, text).remedy(remedy));
    }
    for node in render_nodes(sources) {
        if access(&node, Access::READ_OK | Access::WRITE_OK).is_err() && !uses_gpu.is_empty() {
            let text = format!("{} may not be opened by this user", node.display());
            found.push(
                Found::new(Area::Devices, Grade::Warning, text).remedy(
                    "join its group: sudo usermod -aG render,video $USER, then log in anew",
                ),
            );
        }
    }
    if readings.is_empty() && !has_nvidia {
        let grade = match uses_gpu.is_empty() {
            true => Grade::Good,
            false => Grade::Warning,
        };
        let text = match uses_gpu.is_empty() {
            true => "no GPU, and none is asked for".to_owned(),
            false => format!("no GPU can be read, and {} want one", uses_gpu.join(", ")),
        };
        let one = Found::new(Area::Devices, grade, text);
        found.push(match grade {
            Grade::Good => one,
            _ => one.remedy("llama-orch devices shows what each build sees"),
        });
    }
}

fn render_nodes(sources: &Sources) -> Vec<PathBuf> {
    let mut nodes = sources.files(&sources.path("/dev/dri"));
    nodes.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("renderD")
    });
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_was_written_before() {
        let rows = [
            (EARLIEST - 1.0, None, Grade::Error),
            (EARLIEST + 1e6, None, Grade::Good),
            (EARLIEST + 1e6, Some(EARLIEST), Grade::Good),
            (EARLIEST + 1e6, Some(EARLIEST + 1e6 + 60.0), Grade::Good),
            (EARLIEST + 1e6, Some(EARLIEST + 2e6), Grade::Warning),
        ];
        for (now, newest, grade) in rows {
            let found = clock(now, newest, Path::new("/h/state"));
            assert_eq!(found.grade, grade, "{now} {newest:?}");
            assert_eq!(found.remedy.is_some(), grade > Grade::Good);
        }
    }
}
