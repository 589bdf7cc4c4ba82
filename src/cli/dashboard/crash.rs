//! A crash bundle as the dashboard shows it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::config::home::Home;
use crate::domain::instance::InstanceName;
use crate::domain::units::size;
use crate::supervisor::crashes;
use crate::tui::host::{CrashBundle, HostError};

/// Lines of the log that are shown; the file has more.
const LAST_WORDS: usize = 12;

/// Events and changes of health that are shown.
const HISTORY: usize = 10;

/// Reads the bundle that has `back` newer ones.
pub(super) fn read(
    home: &Home,
    name: &InstanceName,
    back: usize,
) -> Result<Option<CrashBundle>, HostError> {
    let bundles = crashes::of(home, name);
    let Some(folder) = bundles.get(back) else {
        return Ok(None);
    };
    let file = folder.join("about.json");
    let trouble = |error: &dyn std::fmt::Display| {
        HostError(format!("its crash bundle cannot be read: {error}"))
    };
    let text = fs::read_to_string(&file).map_err(|error| trouble(&error))?;
    let about: Value = serde_json::from_str(&text).map_err(|error| trouble(&error))?;
    let lines = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let stderr = lines("stderr.log");
    // A server that writes JSON lines writes them to stdout.
    let words_file = if stderr.is_empty() && has_text(&folder.join("stdout.log")) {
        "stdout.log"
    } else {
        "stderr.log"
    };
    Ok(Some(CrashBundle {
        back,
        count: bundles.len(),
        ended_at: seconds(&about["ended_at"]).unwrap_or_default(),
        summary: words(&about["summary"]).unwrap_or_else(|| "no cause is known".to_owned()),
        remedy: words(&about["remedy"]),
        evidence: words(&about["evidence"]),
        facts: facts(&about),
        last_words: end(lines(words_file), LAST_WORDS),
        words_file: words_file.to_owned(),
        events: end(lines("events.txt"), HISTORY),
        health: end(lines("health.txt"), HISTORY),
        folder: folder.clone(),
    }))
}

fn has_text(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

fn end(mut lines: Vec<String>, limit: usize) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(limit))
}

fn words(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn seconds(value: &Value) -> Option<f64> {
    let time: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(time.as_millisecond() as f64 / 1000.0)
}

/// Everything else that is known, each with its label.
fn facts(about: &Value) -> Vec<(String, String)> {
    let listed = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(words).collect()
    };
    let program = words(&about["program"]).unwrap_or_default();
    let command = std::iter::once(program).chain(listed(&about["args"]));
    let variables = about["environment"].as_object().into_iter().flatten();
    let variables: Vec<String> = variables
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    let ran = match (words(&about["started_at"]), words(&about["ended_at"])) {
        (Some(started), Some(ended)) => Some(format!("{started} to {ended}")),
        (_, _) => None,
    };
    let rows = [
        ("exit", exit(&about["exit"])),
        ("ran", ran),
        ("pid", about["pid"].as_u64().map(|pid| pid.to_string())),
        ("command", Some(command.collect::<Vec<_>>().join(" "))),
        ("env", Some(variables.join(" "))),
        ("build", words(&about["build"])),
        ("machine", Some(machine(&about["machine"]))),
        ("notes", Some(listed(&about["notes"]).join("; "))),
    ];
    rows.into_iter()
        .filter_map(|(label, text)| Some((label.to_owned(), text?)))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn exit(exit: &Value) -> Option<String> {
    let core = match exit["core"].as_bool() {
        Some(true) => ", core dumped",
        Some(false) | None => "",
    };
    let how = match (exit["code"].as_i64(), exit["signal"].as_i64()) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => return None,
    };
    Some(how + core)
}

/// The memory of the machine and of its devices when it ended.
fn machine(machine: &Value) -> String {
    let used = |place: &Value| {
        let used = place["memory_used_bytes"].as_u64()?;
        let total = place["memory_total_bytes"].as_u64()?;
        Some(format!("{} of {} used", size(used), size(total)))
    };
    let devices = machine["devices"].as_array().into_iter().flatten();
    let devices = devices.filter_map(|device| {
        let label = device["label"].as_str()?;
        Some(format!("{label} {}", used(device)?))
    });
    let host = used(machine).map(|text| format!("memory {text}"));
    host.into_iter()
        .chain(devices)
        .collect::<Vec<_>>()
        .join(", ")
}
