//! The memory fit of one instance: finds its program, its model and its devices, then lets the
//! domain judge. Blocking; asks a build for its devices at most once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::domain::device::ListedDevice;
use crate::domain::gguf::{Endian, ModelHeader};
use crate::domain::instance::{Backend, Binary, InstanceName, InstanceSpec};
use crate::domain::memory::estimate::{self, Inputs};
use crate::domain::memory::fit::{self, Fit, Reach, Room, Verdict, judge};
use crate::domain::memory::flags::{Devices, Flags};
use crate::domain::readings::HostReadings;
use crate::probes::devices::{self, Asking};
use crate::probes::gguf;
use crate::probes::host::Host;
use crate::process::argv::{self, FitFlag};
use crate::process::program;
use crate::process::runfiles::{self, RunPaths, SpecFile};

/// The variables that hide devices from a server, with the kind of device they count.
const VISIBILITY: [(&str, &str); 4] = [
    ("CUDA_VISIBLE_DEVICES", "CUDA"),
    ("GGML_VK_VISIBLE_DEVICES", "Vulkan"),
    ("HIP_VISIBLE_DEVICES", "ROCm"),
    ("HIP_VISIBLE_DEVICES", "HIP"),
];

/// The name of the place that is no device.
const HOST: &str = "host";

/// What the instance is held against.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub home: &'a Home,
    pub host: &'a HostReadings,
    pub asking: Asking,
    pub holding: Holding,
    /// What servers that start first will take.
    pub promised: Option<&'a Places>,
}

/// Bytes by the name of their place.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<String, u64>);

/// Whether the instance already holds what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    Nothing,
    /// It runs, so that its own memory counts as free.
    Everything,
}

/// Judges whether an instance will fit, as its configuration is now.
#[must_use]
pub fn of(spec: &InstanceSpec, around: Surroundings<'_>) -> Fit {
    if spec.binary == Binary::Simulated {
        return Fit {
            verdict: Verdict::Fits,
            ..Fit::unknown("the simulated server takes next to nothing")
        };
    }
    let env = argv::environment(spec, std::iter::empty());
    let args = argv::arguments(spec, None, FitFlag::Unknown);
    let flags = Flags::read(&args, &env);
    match read(spec, &flags, around) {
        Ok(files) => with_files(spec, &flags, &env, &files, around),
        Err(reason) => Fit::unknown(reason.0),
    }
}

/// Finds the longest context that an instance could have, whatever its configuration says.
///
/// # Errors
///
/// Returns why there is nothing to add up, as a person would say it.
pub fn reach(spec: &InstanceSpec, around: Surroundings<'_>) -> Result<Reach, String> {
    let env = argv::environment(spec, std::iter::empty());
    let args = argv::arguments(spec, None, FitFlag::Unknown);
    let flags = Flags::read(&args, &env);
    let files = read(spec, &flags, around).map_err(|reason| reason.0)?;
    let (reach, _) = held_against(spec, &flags, &env, &files, around, fit::reach);
    reach.ok_or_else(|| "the header does not tell the model's layers and context".to_owned())
}

/// Judges several instances, each as if those before it had been started.
#[must_use]
pub fn in_turn<'a>(
    home: &Home,
    host: &HostReadings,
    asked: impl IntoIterator<Item = (&'a InstanceSpec, Holding)>,
) -> Vec<(InstanceName, Fit)> {
    let mut promised = Places::default();
    let mut judged = Vec::new();
    for (spec, holding) in asked {
        let around = Surroundings {
            home,
            host,
            asking: Asking::Once,
            holding,
            promised: Some(&promised),
        };
        let fit = of(spec, around);
        // What will not fit takes nothing for long.
        if holding == Holding::Nothing && fit.verdict != Verdict::WillNotFit {
            for place in &fit.places {
                promised.add(&place.room.name, place.need.total());
            }
        }
        judged.push((spec.name.clone(), fit));
    }
    judged
}

/// Returns why a start is refused: the home's settings say that what will not fit is not started.
#[must_use]
pub fn refusal(home: &Home, spec: &InstanceSpec) -> Option<String> {
    if !Settings::load(home).memory_refuse {
        return None;
    }
    let around = Surroundings {
        home,
        host: &Host::find().look(),
        asking: Asking::Once,
        holding: Holding::Nothing,
        promised: None,
    };
    let fit = of(spec, around);
    match fit.verdict {
        Verdict::WillNotFit => Some(format!(
            "it will not fit into memory: {}; {}, or allow it: [memory] refuse = false in {}",
            fit.summary,
            fit.remedy.as_deref().unwrap_or("make room"),
            home.settings_file().display()
        )),
        Verdict::Fits | Verdict::Tight | Verdict::Unknown => None,
    }
}

/// The files that a server will load.
struct Files {
    model: ModelHeader,
    draft: Option<ModelHeader>,
    mmproj: u64,
    loras: u64,
}

/// Why there is nothing to add up, as a person would say it.
struct Unreadable(String);

fn read(spec: &InstanceSpec, flags: &Flags, around: Surroundings<'_>) -> Result<Files, Unreadable> {
    let Some(model) = &flags.model else {
        let reason = if spec.router {
            "a router loads models as they are asked for"
        } else {
            "the server fetches its model itself, so that no header is here to read"
        };
        return Err(Unreadable(reason.to_owned()));
    };
    // The server's own directory is the home.
    let place = |file: &str| -> PathBuf { around.home.root().join(file) };
    let header = |file: &Path| gguf::read(file).map_err(|error| Unreadable(error.to_string()));
    let model = header(&place(model))?;
    if model.endian == Endian::Big && cfg!(target_endian = "little") {
        let reason = "the model is big-endian, which llama-server refuses on this machine";
        return Err(Unreadable(reason.to_owned()));
    }
    let draft = match &flags.draft {
        Some(draft) => Some(header(&place(&draft.model))?),
        None => None,
    };
    let bytes = |file: &String| header(&place(file)).map(|header| header.tensor_bytes());
    let mmproj = flags.mmproj.as_ref().map_or(Ok(0), bytes)?;
    let mut loras = 0_u64;
    for file in &flags.loras {
        loras = loras.saturating_add(bytes(file)?);
    }
    Ok(Files {
        model,
        draft,
        mmproj,
        loras,
    })
}

fn with_files(
    spec: &InstanceSpec,
    flags: &Flags,
    env: &BTreeMap<String, String>,
    files: &Files,
    around: Surroundings<'_>,
) -> Fit {
    let (mut fit, note) = held_against(spec, flags, env, files, around, judge);
    fit.notes.extend(note);
    fit
}

/// Asks something of what the files need and of what there is; with it comes what is uncertain.
fn held_against<T>(
    spec: &InstanceSpec,
    flags: &Flags,
    env: &BTreeMap<String, String>,
    files: &Files,
    around: Surroundings<'_>,
    ask: impl FnOnce(&Inputs<'_>, &Room, &[Room]) -> T,
) -> (T, Option<String>) {
    let readings = around.host;
    let total = readings.memory_total;
    let mut host = Room {
        name: HOST.to_owned(),
        free: total
            .zip(readings.memory_used)
            .map(|(total, used)| total.saturating_sub(used)),
        total,
    };
    let (mut rooms, note) = rooms(spec, flags, env, around);
    let shares = shares(&rooms);
    let inputs = files.inputs(flags, &shares);
    let held = match around.holding {
        Holding::Everything => held(spec, around),
        Holding::Nothing => Places::default(),
    };
    for room in std::iter::once(&mut host).chain(&mut rooms) {
        held.give_back(room);
        if let Some(promised) = around.promised {
            promised.take_from(room);
        }
    }
    (ask(&inputs, &host, &rooms), note)
}

/// Returns what a running instance holds: by the command it was started with, which may be another
/// than its files say now. Weights mapped from a file count as free already.
fn held(spec: &InstanceSpec, around: Surroundings<'_>) -> Places {
    let paths = RunPaths::new(around.home.runs_dir(&spec.name));
    let started: Option<SpecFile> = runfiles::read(&paths.spec()).ok().flatten();
    let (args, env) = match started {
        Some(file) => (file.args, file.env),
        None => (
            argv::arguments(spec, None, FitFlag::Unknown),
            argv::environment(spec, std::iter::empty()),
        ),
    };
    let flags = Flags::read(&args, &env);
    let mut held = Places::default();
    let Ok(files) = read(spec, &flags, around) else {
        return held;
    };
    let (rooms, _) = rooms(spec, &flags, &env, around);
    let shares = shares(&rooms);
    if let Some(estimate) = estimate::estimate(&files.inputs(&flags, &shares)) {
        held.add(HOST, estimate.host.total().saturating_sub(estimate.mapped));
        for (room, need) in rooms.iter().zip(&estimate.devices) {
            held.add(&room.name, need.total());
        }
    }
    held
}

/// By these, weights are spread over the devices.
fn shares(rooms: &[Room]) -> Vec<f64> {
    rooms
        .iter()
        .map(|room| room.free.or(room.total).unwrap_or(1) as f64)
        .collect()
}

impl Files {
    fn inputs<'a>(&'a self, flags: &'a Flags, shares: &'a [f64]) -> Inputs<'a> {
        Inputs {
            model: &self.model,
            draft: self.draft.as_ref(),
            mmproj: self.mmproj,
            loras: self.loras,
            flags,
            shares,
        }
    }
}

impl Places {
    fn add(&mut self, place: &str, bytes: u64) {
        let sum = self.0.entry(place.to_owned()).or_default();
        *sum = sum.saturating_add(bytes);
    }

    fn of(&self, room: &Room) -> u64 {
        self.0.get(&room.name).copied().unwrap_or(0)
    }

    fn take_from(&self, room: &mut Room) {
        room.free = room.free.map(|free| free.saturating_sub(self.of(room)));
    }

    fn give_back(&self, room: &mut Room) {
        let limit = room.total.unwrap_or(u64::MAX);
        room.free = room
            .free
            .map(|free| free.saturating_add(self.of(room)).min(limit));
    }
}

/// Returns the devices that the server will use, and what is uncertain about them.
fn rooms(
    spec: &InstanceSpec,
    flags: &Flags,
    env: &BTreeMap<String, String>,
    around: Surroundings<'_>,
) -> (Vec<Room>, Option<String>) {
    if flags.devices == Devices::None {
        return (Vec::new(), None);
    }
    // A build for the CPU is not asked: it would only say that there is none.
    let asking = match (spec.gpu.backend, around.asking) {
        (Backend::Cpu, _) => Asking::Never,
        (_, asking) => asking,
    };
    let list = program::resolve(&spec.binary).ok().and_then(|program| {
        let state_dir = around.home.state_dir();
        devices::listed(&state_dir, &program.path, &program.prefix, asking)
    });
    let readings = &around.host.devices;
    if let Some(list) = list {
        let rooms = visible(&list.devices, flags, env).map(|device| {
            let reading = device.reading(readings);
            Room {
                name: device.name.clone(),
                free: reading.and_then(|reading| {
                    Some(reading.memory_total?.saturating_sub(reading.memory_used?))
                }),
                total: device.total,
            }
        });
        return (rooms.collect(), None);
    }
    if spec.gpu.backend == Backend::Cpu {
        return (Vec::new(), None);
    }
    let number = spec.gpu.device_id;
    let reading = usize::try_from(number)
        .ok()
        .and_then(|index| readings.get(index));
    let room = Room {
        name: format!("GPU{number}"),
        free: reading
            .and_then(|reading| Some(reading.memory_total?.saturating_sub(reading.memory_used?))),
        total: reading.and_then(|reading| reading.memory_total),
    };
    let note = "the build does not list its devices; one is assumed".to_owned();
    (vec![room], Some(note))
}

/// Keeps the devices that flags and variables leave.
fn visible<'a>(
    devices: &'a [ListedDevice],
    flags: &Flags,
    env: &BTreeMap<String, String>,
) -> impl Iterator<Item = &'a ListedDevice> {
    let named = match &flags.devices {
        Devices::Named(names) => Some(names.clone()),
        Devices::Every | Devices::None => None,
    };
    let limits: Vec<(&str, Vec<usize>)> = VISIBILITY
        .iter()
        .filter_map(|(variable, kind)| {
            let numbers: Result<Vec<usize>, _> = env
                .get(*variable)?
                .split(',')
                .map(|number| number.trim().parse())
                .collect();
            // A device can also be named by its identifier, which cannot be matched here.
            Some((*kind, numbers.ok()?))
        })
        .collect();
    devices.iter().filter(move |device| match &named {
        Some(names) => names.contains(&device.name),
        None => limits
            .iter()
            .find(|(kind, _)| *kind == device.kind())
            .is_none_or(|(_, numbers)| {
                device
                    .number()
                    .is_none_or(|number| numbers.contains(&number))
            }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_those_that_flags_and_variables_leave() {
        let devices: Vec<ListedDevice> = ["CUDA0", "CUDA1", "Vulkan0", "BLAS"]
            .map(|name| ListedDevice {
                name: name.to_owned(),
                description: String::new(),
                total: None,
                free: None,
            })
            .into();
        let rows = [
            ("", "", "CUDA0 CUDA1 Vulkan0 BLAS"),
            ("", "CUDA_VISIBLE_DEVICES=1", "CUDA1 Vulkan0 BLAS"),
            (
                "",
                "CUDA_VISIBLE_DEVICES=GPU-8f2",
                "CUDA0 CUDA1 Vulkan0 BLAS",
            ),
            ("", "GGML_VK_VISIBLE_DEVICES=3", "CUDA0 CUDA1 BLAS"),
            ("-dev CUDA1", "CUDA_VISIBLE_DEVICES=0", "CUDA1"),
        ];
        for (args, variables, expected) in rows {
            let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let env: BTreeMap<String, String> = variables
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let flags = Flags::read(&args, &env);
            let found: Vec<&str> = visible(&devices, &flags, &env)
                .map(|device| device.name.as_str())
                .collect();
            assert_eq!(found.join(" "), expected, "{variables}");
        }
    }
}
