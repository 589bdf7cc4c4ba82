//! `describe`: everything that is known of one instance.

use std::collections::BTreeMap;

use serde::Serialize;

use super::exit::{CliError, Exit};
use super::output::Output;
use super::table::bytes;
use super::{logs, ps, select};
use crate::api::wire::{EventBody, InstanceBody, ReadingsBody, rfc3339};
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::config::{drift, render, secrets};
use crate::domain::event::EventFilter;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::process::runfiles::{self, RunFile, RunPaths, SpecFile};
use crate::store::Reader;
use crate::supervisor::wall_clock;

/// Events shown at the end.
const EVENTS: u32 = 10;

/// What `describe --json` prints.
#[derive(Debug, Serialize)]
struct Description {
    #[serde(flatten)]
    instance: InstanceBody,
    config_path: String,
    /// The command of the present or last run; secrets masked.
    command: Option<Vec<String>>,
    /// Variables that are not simply inherited; secrets masked.
    environment: BTreeMap<String, String>,
    shim_pid: Option<i32>,
    notes: Vec<String>,
    logs: Vec<String>,
    run_files: String,
    changed: Vec<Changed>,
    findings: Vec<String>,
    events: Vec<EventBody>,
}

/// A field that was another when the run was started.
#[derive(Debug, Serialize)]
struct Changed {
    field: String,
    was: Option<String>,
    now: Option<String>,
}

/// `llama-orch describe`
///
/// # Errors
///
/// Returns an error when the instance is unknown or the owner does not answer as it should.
pub(super) async fn run(
    home: &Home,
    word: &str,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let set = load::load(home);
    let name = select::one(&set, word)?;
    let picture = ps::picture(home).await?;
    let row = picture
        .rows
        .iter()
        .find(|row| row.name == name)
        .ok_or_else(|| CliError::new(Exit::NotFound, format!("no instance is called {name}")))?;
    let body = InstanceBody::from_row(row, wall_clock());
    let description = describe(home, &set, &name, body);
    if json {
        output.json(&description)?;
    } else {
        output.line(&text(&description))?;
    }
    Ok(Exit::Success)
}

fn describe(
    home: &Home,
    set: &ConfigSet,
    name: &InstanceName,
    instance: InstanceBody,
) -> Description {
    let paths = RunPaths::new(home.runs_dir(name));
    let spec_file: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
    let run: Option<RunFile> = runfiles::read(&paths.run()).ok().flatten();
    let run = run.filter(|run| instance.run_id.as_deref() == Some(run.run_id.as_str()));
    let (config_path, findings, spec) = match set.rows.iter().find(|row| match row {
        Ok(loaded) => loaded.spec.name == *name,
        Err(broken) => broken.name == *name,
    }) {
        Some(Ok(loaded)) => (
            loaded.path.display().to_string(),
            &loaded.warnings[..],
            Some(&loaded.spec),
        ),
        Some(Err(broken)) => (
            broken.path.display().to_string(),
            &broken.findings[..],
            None,
        ),
        None => (String::new(), &[][..], None),
    };
    Description {
        config_path,
        command: spec_file.as_ref().map(|file| {
            let program = file.program.display().to_string();
            std::iter::once(program)
                .chain(secrets::mask_args(&file.args))
                .collect()
        }),
        environment: spec_file
            .as_ref()
            .map(|file| environment(file, spec))
            .unwrap_or_default(),
        shim_pid: run.as_ref().map(|run| run.shim.pid),
        notes: run.map(|run| run.notes).unwrap_or_default(),
        logs: logs::paths(home, name)
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        run_files: paths.dir().display().to_string(),
        changed: match (instance.pid, &spec_file, spec) {
            (Some(_), Some(file), Some(spec)) => {
                let changes = drift::drift(&file.config, &drift::static_fields(spec));
                changes
                    .into_iter()
                    .map(|change| Changed {
                        field: change.field,
                        was: change.was,
                        now: change.now,
                    })
                    .collect()
            }
            (_, _, _) => Vec::new(),
        },
        findings: findings
            .iter()
            .map(|finding| render::finding(finding, home.root()))
            .collect(),
        events: events(home, name),
        instance,
    }
}

/// Of some dozen inherited variables only those matter that are ours or llama.cpp's.
fn environment(file: &SpecFile, spec: Option<&InstanceSpec>) -> BTreeMap<String, String> {
    let prefixes = ["LLAMA_", "GGML_", "CUDA_", "HIP_", "ROCR_", "SIM_"];
    let configured = |name: &String| spec.is_some_and(|spec| spec.env.contains_key(name));
    file.env
        .iter()
        .filter(|(name, _)| {
            prefixes.iter().any(|prefix| name.starts_with(prefix)) || configured(name)
        })
        .map(|(name, value)| (name.clone(), secrets::mask_variable(name, value)))
        .collect()
}

fn events(home: &Home, name: &InstanceName) -> Vec<EventBody> {
    let filter = EventFilter {
        instance: Some(name.clone()),
        limit: Some(EVENTS),
        ..EventFilter::default()
    };
    Reader::open(&home.database())
        .ok()
        .flatten()
        .and_then(|reader| reader.events(&filter).ok())
        .unwrap_or_default()
        .iter()
        .map(|event| EventBody {
            id: event.id,
            ts: rfc3339(event.at),
            instance: event.instance.clone(),
            level: event.level.to_string(),
            event_type: event.kind.clone(),
            message: event.message.clone(),
        })
        .collect()
}

/// What was measured of the run, as far as it is known.
fn measured(readings: &ReadingsBody) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let cpu = readings
        .cpu_percent
        .map(|percent| format!("{percent:.1} % of a core"));
    lines.extend(cpu.map(|text| ("cpu", text)));
    let memory = match (
        readings.rss_bytes.map(bytes),
        readings.vram_bytes.map(bytes),
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

fn text(description: &Description) -> String {
    let instance = &description.instance;
    let dash = || "-".to_owned();
    let mut lines = Vec::new();
    let mut pair = |label: &str, value: String| lines.push(format!("{label:<13}{value}"));
    pair("name", instance.name.clone());
    pair(
        "state",
        format!("{} (health {})", instance.state, instance.health),
    );
    if let Some(reason) = &instance.reason {
        pair("reason", reason.clone());
    }
    if let Some(autopsy) = &instance.autopsy {
        pair("cause", format!("{}: {}", autopsy.cause, autopsy.summary));
        if let Some(evidence) = &autopsy.evidence {
            pair("evidence", evidence.clone());
        }
        if let Some(remedy) = &autopsy.remedy {
            pair("remedy", remedy.clone());
        }
    }
    pair("wanted", instance.desired.clone());
    pair("url", instance.url.clone().unwrap_or_else(dash));
    let pid = instance.pid.map_or_else(dash, |pid| pid.to_string());
    let shim = description
        .shim_pid
        .map_or_else(String::new, |pid| format!(" (shim {pid})"));
    pair("pid", format!("{pid}{shim}"));
    pair("run", instance.run_id.clone().unwrap_or_else(dash));
    pair("started", instance.started_at.clone().unwrap_or_else(dash));
    for (label, value) in measured(&instance.readings) {
        pair(label, value);
    }
    pair("restarts", instance.restarts.to_string());
    if let Some(exit) = instance.exit {
        let how = match (exit.code, exit.signal) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "unknown".to_owned(),
        };
        pair("last exit", how);
    }
    pair("model", instance.model.clone());
    pair(
        "backend",
        format!("{} {}", instance.backend, instance.device),
    );
    pair("config", description.config_path.clone());
    if let Some(command) = &description.command {
        pair("command", command.join(" "));
    }
    for (name, value) in &description.environment {
        pair("env", format!("{name}={value}"));
    }
    for path in &description.logs {
        pair("log", path.clone());
    }
    pair("run files", description.run_files.clone());
    for note in &description.notes {
        pair("note", note.clone());
    }
    for change in &description.changed {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
        pair(
            "drift",
            format!(
                "{}: {} → {}",
                change.field,
                shown(&change.was),
                shown(&change.now)
            ),
        );
    }
    if !description.changed.is_empty() {
        pair(
            "",
            format!("restart to apply: llama-orch restart {}", instance.name),
        );
    }
    for event in &description.events {
        pair(
            "event",
            format!("{} {} {}", event.ts, event.level, event.message),
        );
    }
    lines.extend(
        description
            .findings
            .iter()
            .map(|finding| format!("\n{finding}")),
    );
    lines.join("\n")
}
