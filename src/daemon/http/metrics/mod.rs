//! `/metrics`: the whole fleet in numbers.
//!
//! Every name begins with `llama_orch_` and ends with its unit. What can be made from a counter
//! (rates, shares of time) is left to whoever reads.

mod logs;
mod text;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::text::{Format, Kind, Text};
use super::{Answered, Owner, diagnosis};
use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Health, Status};
use crate::domain::work::{WorkCounts, WorkStatus};
use crate::process::usage;
use crate::supervisor::tally::{Counts, STRETCHES, WorkEnds};

pub(super) fn routes() -> OpenApiRouter<Owner> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// The whole fleet in numbers, as Prometheus reads them; as OpenMetrics for those who accept it.
#[utoipa::path(
    get, path = "/metrics", tag = "fleet",
    responses((status = 200, description = "Names begin with llama_orch_", content(
        (String = "text/plain"), (String = "application/openmetrics-text")
    )))
)]
async fn metrics(State(owner): State<Owner>, headers: HeaderMap) -> Answered<impl IntoResponse> {
    let accepted = headers.get_all(ACCEPT).iter();
    let format = Format::liked_by(accepted.filter_map(|value| value.to_str().ok()));
    let text = diagnosis::blocking(owner, move |home, owner| {
        let mut text = Text::new(format);
        write_owner(&mut text, owner);
        let picture = owner.handle.snapshot();
        write_states(&mut text, &picture);
        write_readings(&mut text, &picture);
        write_counts(&mut text, owner, &picture);
        write_work(&mut text, owner);
        logs::write(&mut text, home, owner, &picture);
        write_host(&mut text, &picture);
        Ok(text.finish())
    });
    Ok(([(CONTENT_TYPE, format.content_type())], text.await?))
}

/// What supervising costs.
fn write_owner(text: &mut Text, owner: &Owner) {
    text.family(
        Kind::Gauge,
        "llama_orch_build_info",
        "The version that answers",
    );
    text.number(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family(
        Kind::Gauge,
        "llama_orch_owner_start_time_seconds",
        "When the owner started, and the counters that it keeps began",
    );
    text.number(&[], owner.started_at);
    let Ok(own) = usage::read(std::process::id().cast_signed()) else {
        return;
    };
    let help = "CPU time of the owner itself";
    text.family(Kind::Counter, "llama_orch_owner_cpu_seconds", help);
    text.number(&[], own.cpu.as_secs_f64());
    let help = "Memory of the owner itself";
    text.family(Kind::Gauge, "llama_orch_owner_resident_memory_bytes", help);
    text.number(&[], own.resident_bytes);
    let open_files = std::fs::read_dir("/proc/self/fd").map(std::iter::Iterator::count);
    text.family(
        Kind::Gauge,
        "llama_orch_owner_open_files",
        "Descriptors of the owner itself",
    );
    text.known(&[], open_files.ok());
}

fn write_states(text: &mut Text, picture: &FleetSnapshot) {
    let help = "1 for what the process of an instance is doing, 0 for everything else";
    text.family(Kind::Gauge, "llama_orch_instance_status", help);
    for row in &picture.rows {
        for (status, word) in Status::NAMES {
            let labels = [("instance", row.name.as_str()), ("status", word)];
            text.number(&labels, u8::from(row.status == status));
        }
    }
    let help = "1 for what the probes say of an instance, 0 for everything else";
    text.family(Kind::Gauge, "llama_orch_instance_health", help);
    for row in &picture.rows {
        for (health, word) in Health::NAMES {
            let labels = [("instance", row.name.as_str()), ("health", word)];
            text.number(&labels, u8::from(row.health == health));
        }
    }
    let help = "Whether an instance is healthy, or was stopped on purpose";
    per_row(text, picture, "llama_orch_instance_ok", help, |row| {
        Some(u8::from(row.is_as_wanted()))
    });
    let help = "When the present run started";
    per_row(
        text,
        picture,
        "llama_orch_instance_start_time_seconds",
        help,
        |row| row.started_at,
    );
}

fn write_readings(text: &mut Text, picture: &FleetSnapshot) {
    let help = "Memory of all processes of the run";
    per_row(
        text,
        picture,
        "llama_orch_instance_resident_memory_bytes",
        help,
        |row| row.readings.rss_bytes,
    );
    let help = "GPU memory of the run, where the driver tells";
    per_row(
        text,
        picture,
        "llama_orch_instance_gpu_memory_bytes",
        help,
        |row| row.readings.vram_bytes,
    );
    let help = "Requests that the server can work on at once";
    per_row(text, picture, "llama_orch_instance_slots", help, |row| {
        row.readings.slots
    });
    let help = "Requests that the server works on";
    per_row(
        text,
        picture,
        "llama_orch_instance_busy_slots",
        help,
        |row| row.readings.busy_slots,
    );
}

fn per_row<T: std::fmt::Display>(
    text: &mut Text,
    picture: &FleetSnapshot,
    name: &'static str,
    help: &str,
    value: impl Fn(&InstanceRow) -> Option<T>,
) {
    text.family(Kind::Gauge, name, help);
    for row in &picture.rows {
        text.known(&[("instance", row.name.as_str())], value(row));
    }
}

/// Counters of instances that are there; one that has gone takes its counts along.
fn write_counts(text: &mut Text, owner: &Owner, picture: &FleetSnapshot) {
    let mut counted = owner.handle.counts();
    let counts: Vec<(&InstanceName, Counts)> = picture
        .rows
        .iter()
        .map(|row| (&row.name, counted.remove(&row.name).unwrap_or_default()))
        .collect();
    let mut each = |name: &'static str, help: &str, value: &dyn Fn(&Counts) -> f64| {
        text.family(Kind::Counter, name, help);
        for (instance, counts) in &counts {
            text.number(&[("instance", instance.as_str())], value(counts));
        }
    };
    each(
        "llama_orch_instance_starts",
        "Runs that were started",
        &|counts| counts.starts as f64,
    );
    let help = "Starts after an end that nobody asked for";
    each("llama_orch_instance_restarts", help, &|counts| {
        counts.restarts as f64
    });
    let help = "CPU time of all processes of the runs";
    each("llama_orch_instance_cpu_seconds", help, &|counts| {
        counts.cpu_seconds.total()
    });
    let help = "Tokens of prompts, as the server counts them";
    each("llama_orch_instance_prompt_tokens", help, &|counts| {
        counts.prompt_tokens.total()
    });
    let help = "Tokens generated, as the server counts them";
    each("llama_orch_instance_generated_tokens", help, &|counts| {
        counts.generated_tokens.total()
    });
    text.family(
        Kind::Counter,
        "llama_orch_instance_exits",
        "Runs that ended, by cause",
    );
    for (instance, counts) in &counts {
        for (cause, count) in &counts.ends {
            text.number(&[("instance", instance.as_str()), ("cause", cause)], count);
        }
    }
    let help = "Probes, by what they found";
    text.family(Kind::Counter, "llama_orch_instance_probes", help);
    for (instance, counts) in &counts {
        for (health, count) in &counts.probes {
            text.number(
                &[("instance", instance.as_str()), ("health", health)],
                count,
            );
        }
    }
    let help = "How long answered probes took";
    text.family(
        Kind::Histogram,
        "llama_orch_instance_probe_duration_seconds",
        help,
    );
    for (instance, counts) in &counts {
        let instance = ("instance", instance.as_str());
        let answers = &counts.answers;
        let mut so_far = 0;
        for (bound, within) in STRETCHES.iter().zip(answers.within) {
            so_far += within;
            text.sample(
                "_bucket",
                &[instance, ("le", &format!("{bound:?}"))],
                so_far,
            );
        }
        text.sample("_bucket", &[instance, ("le", "+Inf")], answers.count);
        text.sample("_sum", &[instance], answers.seconds);
        text.sample("_count", &[instance], answers.count);
    }
}

fn write_work(text: &mut Text, owner: &Owner) {
    let counts = WorkCounts::of(&owner.handle.work_units().units);
    text.family(
        Kind::Gauge,
        "llama_orch_work_units",
        "Work units, by status",
    );
    for (status, word) in WorkStatus::NAMES {
        text.number(&[("status", word)], counts.with(status));
    }
    let WorkEnds { succeeded, failed } = owner.handle.work_ends();
    text.family(
        Kind::Counter,
        "llama_orch_work_unit_ends",
        "Commands of work units that ended, by whether with exit code 0",
    );
    text.number(&[("end", "succeeded")], succeeded);
    text.number(&[("end", "failed")], failed);
}

/// The machine, as far as somebody had it measured lately.
fn write_host(text: &mut Text, picture: &FleetSnapshot) {
    let host = &picture.host;
    text.family(
        Kind::Gauge,
        "llama_orch_host_memory_used_bytes",
        "Memory of the machine in use",
    );
    text.known(&[], host.memory_used);
    text.family(
        Kind::Gauge,
        "llama_orch_host_memory_bytes",
        "Memory of the machine",
    );
    text.known(&[], host.memory_total);
    let mut each = |name: &'static str, help: &str, value: &dyn Fn(usize) -> Option<f64>| {
        text.family(Kind::Gauge, name, help);
        for (number, device) in host.devices.iter().enumerate() {
            let labels = [
                ("device", device.label.as_str()),
                ("name", device.name.as_str()),
            ];
            text.known(&labels, value(number));
        }
    };
    let devices = &host.devices;
    each(
        "llama_orch_gpu_memory_used_bytes",
        "Memory of a GPU in use",
        &|number| devices[number].memory_used.map(|bytes| bytes as f64),
    );
    each(
        "llama_orch_gpu_memory_bytes",
        "Memory of a GPU",
        &|number| devices[number].memory_total.map(|bytes| bytes as f64),
    );
    each(
        "llama_orch_gpu_busy_ratio",
        "Share of the time that a GPU works",
        &|number| {
            devices[number]
                .busy_percent
                .map(|percent| f64::from(percent) / 100.0)
        },
    );
    each(
        "llama_orch_gpu_temperature_celsius",
        "How hot a GPU is",
        &|number| devices[number].temperature.map(f64::from),
    );
}
