//! What was logged, and what the logs take.

use std::path::Path;

use super::super::Owner;
use super::text::{Kind, Text};
use crate::config::home::Home;
use crate::domain::fleet::FleetSnapshot;
use crate::logs::{self, LogFiles};
use crate::process::log_counts::Logged;
use crate::process::runfiles::RunPaths;
use crate::supervisor::log_files::{self, Finder};

/// The streams in the order in which everything about logs names them.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// Whose logs they are: a label with its value.
type Whose<'a> = (&'static str, &'a str);

/// What is known of the logs of one instance or work unit.
struct Found<'a> {
    whose: Whose<'a>,
    files: &'a LogFiles,
    logged: Option<[Logged; 2]>,
}

pub(super) fn write(text: &mut Text, home: &Home, owner: &Owner, picture: &FleetSnapshot) {
    let work = owner.handle.work_units();
    let finder = Finder::new(home);
    let instances = picture.rows.iter().map(|row| {
        let paths = RunPaths::new(home.runs_dir(&row.name));
        let whose = ("instance", row.name.as_str());
        (whose, (paths, finder.of(&row.name)))
    });
    // A unit that never ran a command has no logs, and most have none any more or not yet.
    let units = work.units.iter().filter_map(|unit| {
        let paths = RunPaths::new(home.work_run_dir(&unit.chunk));
        let whose = ("unit", unit.chunk.as_str());
        paths
            .log_counts()
            .exists()
            .then(|| (whose, (paths, log_files::of_unit(home, &unit.chunk))))
    });
    let (whose, asked): (Vec<Whose<'_>>, Vec<(RunPaths, LogFiles)>) =
        instances.chain(units).unzip();
    let logged = owner.handle.logged(&asked);
    let found: Vec<Found<'_>> = whose
        .into_iter()
        .zip(&asked)
        .zip(logged)
        .map(|((whose, (_, files)), logged)| Found {
            whose,
            files,
            logged,
        })
        .collect();
    let (instances, units) = found.split_at(picture.rows.len());
    let help =
        "Bytes written to the logs of an instance, rotated ones included, since it first ran";
    written(
        text,
        "llama_orch_instance_log_written_bytes",
        help,
        instances,
    );
    let help = "Bytes of logs of an instance that the disk did not take, since it first ran";
    dropped(
        text,
        "llama_orch_instance_log_dropped_bytes",
        help,
        instances,
    );
    size(text, instances);
    let help = "Bytes written to the logs of a work unit's commands";
    written(text, "llama_orch_work_unit_log_written_bytes", help, units);
    let help = "Bytes of logs of a work unit's commands that the disk did not take";
    dropped(text, "llama_orch_work_unit_log_dropped_bytes", help, units);
}

fn written(text: &mut Text, name: &'static str, help: &str, found: &[Found<'_>]) {
    count(text, name, help, found, |logged| logged.written);
}

fn dropped(text: &mut Text, name: &'static str, help: &str, found: &[Found<'_>]) {
    count(text, name, help, found, |logged| logged.dropped);
}

fn count(
    text: &mut Text,
    name: &'static str,
    help: &str,
    found: &[Found<'_>],
    value: impl Fn(&Logged) -> u64,
) {
    text.family(Kind::Counter, name, help);
    for Found { whose, logged, .. } in found {
        for (stream, logged) in STREAMS.iter().zip(logged.iter().flatten()) {
            text.number(&[*whose, ("stream", stream)], value(logged));
        }
    }
}

fn size(text: &mut Text, instances: &[Found<'_>]) {
    let help = "What the logs of an instance take on the disk, rotated ones included";
    text.family(Kind::Gauge, "llama_orch_instance_log_size_bytes", help);
    let kept = |log: &Path| -> u64 {
        let files = logs::files_of(log).into_iter();
        files
            .map(|file| std::fs::metadata(file).map_or(0, |file| file.len()))
            .sum()
    };
    for Found { whose, files, .. } in instances {
        for (stream, log) in STREAMS.iter().zip([&files.stdout, &files.stderr]) {
            text.number(&[*whose, ("stream", stream)], kept(log));
        }
    }
}
