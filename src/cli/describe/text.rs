//! `describe` for a person: label and value per line, grouped by what one looks for.

use crate::api::wire::{
    DescriptionBody, EndBody, ExitBody, FitBody, HealthRollupBody, InstanceBody, ReadingsBody,
    RunBody,
};
use crate::cli::health::history;
use crate::config::drift;
use crate::domain::lifecycle::{Desired, Status};
use crate::domain::memory::fit::Verdict;
use crate::domain::units::{short_size, size};

/// Columns before a value.
const LABEL: usize = 13;

/// Stretches of five minutes that are summed up apart from all: an hour.
const RECENT: usize = 12;

/// Lines of label and value.
struct Sheet(Vec<String>);

/// Writes the whole description.
#[must_use]
pub(super) fn text(description: &DescriptionBody) -> String {
    let mut sheet = Sheet(Vec::new());
    state(&mut sheet, description);
    configuration(&mut sheet, description);
    if let Some(memory) = &description.memory {
        fit(&mut sheet, memory);
    }
    for file in &description.ambient {
        let what = match &file.error {
            Some(error) => format!("cannot be read: {error}"),
            None => format!("sets {}", file.keys.join(", ")),
        };
        let text = format!(
            "{} {what}; llama-server reads it before its arguments",
            file.path
        );
        sheet.pair("ambient", &text);
    }
    for change in &description.changed {
        let shown = |value: &Option<String>| {
            value
                .as_deref()
                .map_or_else(|| "unset".to_owned(), drift::shown)
        };
        let text = format!(
            "{}: {} → {}",
            change.field,
            shown(&change.was),
            shown(&change.now)
        );
        sheet.pair("drift", &text);
    }
    if !description.changed.is_empty() {
        let hint = format!(
            "restart with these: llama-orch apply {}",
            description.instance.name
        );
        sheet.pair("", &hint);
    }
    history(&mut sheet, description);
    let mut lines = sheet.0;
    lines.extend(
        description
            .findings
            .iter()
            .map(|finding| format!("\n{finding}")),
    );
    lines.join("\n")
}

impl Sheet {
    fn pair(&mut self, label: &str, value: &str) {
        self.0
            .push(format!("{label:<LABEL$}{value}").trim_end().to_owned());
    }

    fn known(&mut self, label: &str, value: Option<impl ToString>) {
        let text = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        self.pair(label, &text);
    }

    fn if_known(&mut self, label: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.pair(label, &value.to_string());
        }
    }
}

fn state(sheet: &mut Sheet, description: &DescriptionBody) {
    let instance = &description.instance;
    sheet.pair("name", &instance.name);
    if instance.display_name != instance.name {
        sheet.pair("shown as", &instance.display_name);
    }
    if !instance.tags.is_empty() {
        sheet.pair("tags", &instance.tags.join(", "));
    }
    sheet.pair(
        "state",
        &format!("{} (health {})", instance.state, instance.health),
    );
    sheet.if_known("reason", instance.reason.as_ref());
    // What was refused before it became a process has no end that tells the remedy below.
    let refused = instance.autopsy.as_ref().filter(|_| instance.pid.is_none());
    let told = description
        .last_end
        .as_ref()
        .and_then(|end| end.autopsy.as_ref());
    if let Some(autopsy) = refused.filter(|refused| Some(*refused) != told) {
        if is_at_rest(instance) {
            // Nobody wants it to be started any more.
            sheet.pair("before", &autopsy.summary);
        } else {
            sheet.if_known("remedy", autopsy.remedy.as_ref());
        }
    }
    sheet.if_known(
        "loading",
        instance.progress.map(|percent| format!("{percent} %")),
    );
    sheet.pair("wanted", &instance.desired);
    sheet.known("url", instance.url.as_ref());
    let shim = description.shim_pid.map(|pid| format!(" (shim {pid})"));
    let pid = instance
        .pid
        .map(|pid| format!("{pid}{}", shim.unwrap_or_default()));
    sheet.known("pid", pid);
    sheet.known("run", instance.run_id.as_ref());
    sheet.known("started", instance.started_at.as_ref());
    sheet.if_known("starts again", instance.restart_at.as_ref());
    sheet.pair("restarts", &instance.restarts.to_string());
    for note in &description.notes {
        sheet.pair("note", note);
    }
    for (label, text) in measured(&instance.readings) {
        sheet.pair(label, &text);
    }
    if let Some(end) = &description.last_end {
        last_end(sheet, end);
    }
}

/// Whether it is down because somebody wants it so.
fn is_at_rest(instance: &InstanceBody) -> bool {
    let word = Status::Stopped.as_str();
    instance.status == word && instance.desired == Desired::Stopped.as_str()
}

fn last_end(sheet: &mut Sheet, end: &EndBody) {
    let asked = if end.requested { ", as asked" } else { "" };
    let text = format!("{} at {}{asked}", exit(&end.exit), end.ended_at);
    sheet.pair("last end", &text);
    if let Some(autopsy) = end.autopsy.as_ref().filter(|_| !end.requested) {
        sheet.pair("cause", &format!("{}: {}", autopsy.cause, autopsy.summary));
        sheet.if_known("evidence", autopsy.evidence.as_ref());
        sheet.if_known("remedy", autopsy.remedy.as_ref());
    }
}

fn configuration(sheet: &mut Sheet, description: &DescriptionBody) {
    let instance = &description.instance;
    let model = description.paths.model.as_ref().unwrap_or(&instance.model);
    sheet.pair("model", model);
    sheet.pair(
        "backend",
        &format!("{} {}", instance.backend, instance.device),
    );
    sheet.pair("config", &description.config_path);
    sheet.if_known("build", description.build.as_ref());
    if let Some(command) = &description.command {
        sheet.pair("command", &command.join(" "));
    }
    if let Some(command) = &description.next_command {
        sheet.pair("next command", &command.join(" "));
    }
    for (name, value) in &description.environment {
        sheet.pair("env", &format!("{name}={value}"));
    }
    for path in &description.paths.logs {
        sheet.pair("log", path);
    }
    sheet.pair("run files", &description.paths.run_files);
    if let Some(crash) = &description.paths.newest_crash {
        sheet.pair("crash bundle", crash);
    }
}

fn fit(sheet: &mut Sheet, fit: &FitBody) {
    let phrase = Verdict::parse(&fit.verdict).map_or("unknown", Verdict::phrase);
    sheet.pair("fit", &format!("{phrase}: {}", fit.summary));
    for place in fit.places.iter().filter(|place| place.need_bytes > 0) {
        let parts = [
            ("weights", place.weights_bytes),
            ("cache", place.cache_bytes),
            ("state", place.state_bytes),
            ("working memory", place.compute_bytes),
            ("other", place.other_bytes),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(what, bytes)| format!("{what} {}", size(*bytes)))
            .collect();
        sheet.pair("", &format!("{}: {}", place.name, parts.join(", ")));
    }
    sheet.if_known("", fit.remedy.as_ref());
    for note in &fit.notes {
        sheet.pair("", note);
    }
}

fn history(sheet: &mut Sheet, description: &DescriptionBody) {
    for run in &description.runs {
        sheet.pair("past run", &run_line(run));
    }
    probes(sheet, &description.health_rollups);
    for change in &description.health_history {
        let error = change.error.as_ref().map(|error| format!(": {error}"));
        let text = format!(
            "{} {}{}",
            change.ts,
            change.health,
            error.unwrap_or_default()
        );
        sheet.pair("health", &text);
    }
    for event in &description.events {
        sheet.pair(
            "event",
            &format!("{} {} {}", event.ts, event.level, event.message),
        );
    }
}

/// Sums the newest stretches up, and all that were read if there are more.
fn probes(sheet: &mut Sheet, rollups: &[HealthRollupBody]) {
    let since = |part: &[HealthRollupBody]| {
        let first = part.first()?;
        Some(format!(
            "since {}: {}",
            first.started_at,
            history::sum(part)
        ))
    };
    let recent = &rollups[rollups.len().saturating_sub(RECENT)..];
    sheet.if_known("probes", since(recent));
    if recent.len() < rollups.len() {
        sheet.if_known("", since(rollups));
    }
}

fn run_line(run: &RunBody) -> String {
    let pid = run
        .pid
        .map_or_else(String::new, |pid| format!(" pid {pid}"));
    match (&run.ended_at, &run.exit) {
        (Some(ended), Some(how)) => {
            let cause = run.cause.as_ref().map(|cause| format!(" ({cause})"));
            let cause = cause.unwrap_or_default();
            format!("{} to {ended}{pid}: {}{cause}", run.started_at, exit(how))
        }
        (_, _) => format!("{} until now{pid}", run.started_at),
    }
}

fn exit(exit: &ExitBody) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// What was measured of the run, as far as it is known.
fn measured(readings: &ReadingsBody) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let cpu = readings
        .cpu_percent
        .map(|percent| format!("{percent:.1} % of a core"));
    lines.extend(cpu.map(|text| ("cpu", text)));
    let memory = match (
        readings.rss_bytes.map(short_size),
        readings.vram_bytes.map(short_size),
    ) {
        (Some(rss), Some(vram)) => Some(format!("{rss} resident, {vram} on the GPU")),
        (Some(rss), None) => Some(format!("{rss} resident")),
        (None, vram) => vram.map(|vram| format!("{vram} on the GPU")),
    };
    lines.extend(memory.map(|text| ("memory", text)));
    if let (Some(busy), Some(slots)) = (readings.busy_slots, readings.slots) {
        lines.push(("slots", format!("{busy} of {slots} busy")));
    }
    let rates = readings
        .tokens_per_second
        .zip(readings.prompt_tokens_per_second);
    lines.extend(rates.map(|(generated, prompt)| {
        let text = format!("{generated:.1} tokens/s, prompt {prompt:.1} tokens/s");
        ("work", text)
    }));
    lines
}
