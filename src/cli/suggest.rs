//! Which device a new instance is given: asked of the build that will run it.

use std::path::{Path, PathBuf};

use super::init::Profile;
use crate::config::SIMULATED;
use crate::config::home::Home;
use crate::domain::device::ListedDevice;
use crate::domain::instance::{Backend, Binary};
use crate::domain::units::size;
use crate::probes::devices::{self, Asking};
use crate::process::program;

/// What the build of a new instance says of its devices.
pub(super) enum Devices {
    /// There is no build yet, or it does not say.
    Unknown,
    Listed(Vec<ListedDevice>),
}

/// A device by its number, with the words that say why.
pub(super) struct Suggestion {
    pub(super) number: u32,
    pub(super) words: String,
}

/// Profiles with how the names of their devices begin.
const KINDS: [(&str, Profile); 6] = [
    ("CUDA", Profile::Cuda),
    ("ROCm", Profile::Hip),
    ("HIP", Profile::Hip),
    ("Metal", Profile::Metal),
    ("MTL", Profile::Metal),
    ("Vulkan", Profile::Vulkan),
];

impl Devices {
    /// Asks the program that `binary.path` names, once per build.
    pub(super) fn of(home: &Home, binary: &str) -> Self {
        let binary = match binary {
            SIMULATED => return Self::Unknown,
            bare if !bare.contains(['/', '\\']) => Binary::InPath(bare.to_owned()),
            path => Binary::File(home.root().join(PathBuf::from(path))),
        };
        let Ok(program) = program::resolve(&binary) else {
            return Self::Unknown;
        };
        let state = home.state_dir();
        let list = devices::listed(&state, &program.path, &program.prefix, Asking::Once);
        list.map_or(Self::Unknown, |list| Self::Listed(list.devices))
    }

    fn all(&self) -> &[ListedDevice] {
        match self {
            Self::Unknown => &[],
            Self::Listed(devices) => devices,
        }
    }

    /// Returns the device of a backend with the most free memory, and which others there are.
    pub(super) fn best(&self, profile: Profile) -> Option<Suggestion> {
        let of_kind = |device: &&ListedDevice| {
            let mut kinds = KINDS.iter();
            kinds.any(|(kind, theirs)| *theirs == profile && device.kind() == *kind)
        };
        let fitting: Vec<&ListedDevice> = self.all().iter().filter(of_kind).collect();
        let room = |device: &&&ListedDevice| device.free.or(device.total).unwrap_or(0);
        // Of equals the first, which `max_by_key` would not take.
        let best = fitting.iter().rev().max_by_key(room)?;
        let others: Vec<String> = fitting
            .iter()
            .filter(|device| device.name != best.name)
            .map(|device| shown(device))
            .collect();
        let words = match others.is_empty() {
            true => shown(best),
            false => format!("{}; also {}", shown(best), others.join(", ")),
        };
        Some(Suggestion {
            number: u32::try_from(best.number()?).ok()?,
            words,
        })
    }

    /// Returns what the build computes on: the kind of its first device that is one.
    pub(super) fn profile(&self) -> Profile {
        let kind = |device: &ListedDevice| {
            let found = KINDS.iter().find(|(kind, _)| device.kind() == *kind);
            found.map(|(_, profile)| *profile)
        };
        self.all().iter().find_map(kind).unwrap_or_default()
    }

    /// Returns what could be used and is not, when a new instance computes on the CPU.
    pub(super) fn unused(&self) -> Option<String> {
        if let Self::Listed(devices) = self {
            let found = devices.iter().find_map(|device| {
                let kind = KINDS.iter().find(|(kind, _)| device.kind() == *kind)?;
                Some((device, kind.1))
            });
            return match (found, gpu_here()) {
                (Some((device, profile)), _) => Some(format!(
                    "this build can use {}: --profile {}",
                    shown(device),
                    profile.backend().as_str()
                )),
                (None, Some((what, _))) => Some(format!(
                    "this machine has {what}, which this build cannot use; another build may"
                )),
                (None, None) => None,
            };
        }
        let (what, backend) = gpu_here()?;
        let profile = backend.as_str();
        Some(format!(
            "this machine has {what}: --profile {profile} uses it, when the build does"
        ))
    }
}

fn shown(device: &ListedDevice) -> String {
    let memory = match (device.free, device.total) {
        (Some(free), Some(total)) => format!(", {} of {} free", size(free), size(total)),
        (Some(free), None) => format!(", {} free", size(free)),
        (None, Some(total)) => format!(", {}", size(total)),
        (None, None) => String::new(),
    };
    format!("{} ({}{memory})", device.name, device.description)
}

/// Returns a GPU whose device file is there, with the backend for it.
fn gpu_here() -> Option<(&'static str, Backend)> {
    [
        ("/dev/nvidiactl", "an NVIDIA GPU", Backend::Cuda),
        ("/dev/kfd", "an AMD GPU", Backend::Hip),
        ("/dev/dri/renderD128", "a GPU", Backend::Vulkan),
    ]
    .into_iter()
    .find(|(device, _, _)| Path::new(device).exists())
    .map(|(_, what, backend)| (what, backend))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, free: u64) -> ListedDevice {
        ListedDevice {
            name: name.to_owned(),
            description: "Example GPU".to_owned(),
            total: Some(8 << 30),
            free: (free > 0).then_some(free << 30),
        }
    }

    #[test]
    fn the_device_with_the_most_room_is_chosen() {
        let rows = [
            (vec![], Profile::Cuda, None),
            (vec![device("Vulkan0", 8)], Profile::Cuda, None),
            (vec![device("CUDA0", 8)], Profile::Cuda, Some(0)),
            (
                vec![device("CUDA0", 1), device("CUDA1", 7), device("CUDA2", 7)],
                Profile::Cuda,
                Some(1),
            ),
            (
                vec![device("CUDA0", 8), device("ROCm0", 1), device("ROCm1", 2)],
                Profile::Hip,
                Some(1),
            ),
        ];
        for (devices, profile, expected) in rows {
            let best = Devices::Listed(devices).best(profile);
            assert_eq!(best.map(|best| best.number), expected);
        }
        assert!(Devices::Unknown.best(Profile::Cuda).is_none());
    }

    #[test]
    fn what_a_build_could_use_is_told() {
        let devices = Devices::Listed(vec![device("CUDA0", 7)]);
        assert_eq!(
            devices.unused().as_deref(),
            Some("this build can use CUDA0 (Example GPU, 7.0 GiB of 8.0 GiB free): --profile cuda")
        );
    }
}
