//! `devices`: what the machine has, and what each build can compute on.

use super::exit::{CliError, Exit};
use super::output::Output;
use super::target::Target;
use crate::api::wire::{DevicesBody, HostBody};
use crate::config::load;
use crate::daemon::http::build_body;
use crate::domain::readings::HostReadings;
use crate::domain::units::size;
use crate::probes::devices::Asking;
use crate::probes::host::Host;
use crate::supervisor::builds;

const HEADERS: [&str; 6] = ["SOURCE", "DEVICE", "NAME", "FREE", "TOTAL", "BUSY"];

/// Returns how the builds are asked with `--refresh` and without.
pub(super) fn asking(refresh: bool) -> Asking {
    match refresh {
        true => Asking::Anew,
        false => Asking::Once,
    }
}

/// `llama-orch devices`
///
/// # Errors
///
/// Returns an error when an owner elsewhere does not answer or stdout cannot be written.
pub(super) async fn run(
    target: &Target,
    json: bool,
    asking: Asking,
    output: &Output,
) -> Result<Exit, CliError> {
    let body = match (target, asking) {
        (Target::Here(home), _) => DevicesBody {
            host: HostBody::from(&Host::find().look()),
            builds: builds::of(home, &load::load(home), asking)
                .iter()
                .map(build_body)
                .collect(),
        },
        (Target::Elsewhere(remote), Asking::Once | Asking::Never) => {
            remote.client.devices().await?
        }
        (Target::Elsewhere(remote), Asking::Anew) => remote.client.devices_anew().await?,
    };
    tell(&body, json, output)
}

/// Prints what there is to compute on.
fn tell(body: &DevicesBody, json: bool, output: &Output) -> Result<Exit, CliError> {
    if json {
        output.json(body)?;
        return Ok(Exit::Success);
    }
    let rows = rows(&HostReadings::from(&body.host), body);
    let is_for_people = output.stdout_is_terminal || output.stdout_color;
    for line in lines(&rows, is_for_people) {
        output.line(&line)?;
    }
    for build in &body.builds {
        match (&build.asked_at, build.devices.is_empty()) {
            (None, _) => output.say(&format!(
                "{} does not list its devices; it is older, or does not start",
                build.binary
            )),
            (Some(_), true) => output.say(&format!("{} computes on the CPU only", build.binary)),
            (Some(asked), false) => output.say(&format!(
                "{} was asked at {asked}; ask again: llama-orch devices --refresh",
                build.binary
            )),
        }
    }
    if body.builds.is_empty() {
        output.hint("no llama-server was found; name one in binary.path, or put it into PATH");
    }
    Ok(Exit::Success)
}

fn rows(host: &HostReadings, body: &DevicesBody) -> Vec<[String; 6]> {
    let amount = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), size);
    let percent = |busy: Option<f32>| {
        busy.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.0} %"))
    };
    let free = |total: Option<u64>, used: Option<u64>| Some(total?.saturating_sub(used?));
    let memory = [
        "host".to_owned(),
        "-".to_owned(),
        "memory".to_owned(),
        amount(free(host.memory_total, host.memory_used)),
        amount(host.memory_total),
        percent(host.cpu_percent),
    ];
    let readings = host.devices.iter().map(|device| {
        [
            "driver".to_owned(),
            device.label.clone(),
            device.name.clone(),
            amount(free(device.memory_total, device.memory_used)),
            amount(device.memory_total),
            percent(device.busy_percent),
        ]
    });
    let listed = body.builds.iter().flat_map(|build| {
        build.devices.iter().map(|device| {
            [
                build.binary.clone(),
                device.name.clone(),
                device.description.clone(),
                // What was free when the build was asked says nothing about now.
                "-".to_owned(),
                amount(device.total_bytes),
                "-".to_owned(),
            ]
        })
    });
    std::iter::once(memory)
        .chain(readings)
        .chain(listed)
        .collect()
}

fn lines(rows: &[[String; 6]], is_for_people: bool) -> Vec<String> {
    let head = HEADERS.map(str::to_owned);
    let all = std::iter::once(&head).chain(rows);
    if !is_for_people {
        return all.map(|row| row.join("\t")).collect();
    }
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let cells = std::iter::once(&head).chain(rows);
        cells
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    all.map(|row| {
        let cells: [String; 6] = std::array::from_fn(|column| {
            format!("{:<width$}", row[column], width = widths[column])
        });
        cells.join("  ").trim_end().to_owned()
    })
    .collect()
}
