//! Which devices a build can compute on: its own `--list-devices`, asked once and remembered.
//!
//! Asking creates a context on each GPU, which takes time and memory there; so it is never polled,
//! and what was free then is only told with its age.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::binary;
use crate::domain::device::ListedDevice;

/// What a build said, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceList {
    pub devices: Vec<ListedDevice>,
    /// Unix seconds.
    pub asked_at: f64,
}

/// Every build that was ever asked: `state/devices.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    #[serde(default)]
    binaries: BTreeMap<String, Answer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    stamp: String,
    asked_at: f64,
    devices: Vec<DeviceFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeviceFile {
    name: String,
    description: String,
    total: Option<u64>,
    free: Option<u64>,
}

/// Whether a build may be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Only what is remembered of this very build.
    Never,
    /// Once, if nothing is remembered.
    Once,
    /// Again, whatever is remembered.
    Anew,
}

/// Returns the devices that a build lists; `None` when it does not say or was not asked.
#[must_use]
pub fn listed(
    state_dir: &Path,
    program: &Path,
    prefix: &[String],
    asking: Asking,
) -> Option<DeviceList> {
    let stamp = binary::stamp(program)?;
    let cache = state_dir.join("devices.json");
    let mut known: Known = fs::read(&cache)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let key = program.display().to_string();
    let remembered = known
        .binaries
        .get(&key)
        .filter(|answer| answer.stamp == stamp);
    match (asking, remembered) {
        (Asking::Never | Asking::Once, Some(answer)) => return Some(DeviceList::from(answer)),
        (Asking::Never, None) => return None,
        (Asking::Once, None) | (Asking::Anew, _) => {}
    }
    let devices = devices_in(&binary::ask(program, prefix, "--list-devices").ok()?.stdout)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let answer = Answer {
        stamp,
        asked_at: now.map_or(0.0, |age| age.as_secs_f64()),
        devices,
    };
    let list = DeviceList::from(&answer);
    known.binaries.insert(key, answer);
    binary::remember(&cache, &known);
    Some(list)
}

impl From<&Answer> for DeviceList {
    fn from(answer: &Answer) -> Self {
        let devices = answer.devices.iter().map(|device| ListedDevice {
            name: device.name.clone(),
            description: device.description.clone(),
            total: device.total,
            free: device.free,
        });
        Self {
            devices: devices.collect(),
            asked_at: answer.asked_at,
        }
    }
}

/// Reads what follows `Available devices:`; `None` without that line, which older builds lack.
fn devices_in(text: &str) -> Option<Vec<DeviceFile>> {
    let (_, list) = text.split_once("Available devices:")?;
    Some(list.lines().filter_map(device_in).collect())
}

/// Reads a line such as `  CUDA0: NVIDIA RTX A (24564 MiB, 23000 MiB free)`.
fn device_in(line: &str) -> Option<DeviceFile> {
    let (name, rest) = line.strip_prefix("  ")?.split_once(": ")?;
    let (description, memory) = match rest.rsplit_once(" (") {
        Some((description, memory)) if memory.ends_with("free)") => (description, memory),
        Some(_) | None => (rest, ""),
    };
    let mut amounts = memory
        .split(", ")
        .map(|part| part.split_once(" MiB")?.0.parse::<u64>().ok());
    // A device that tells nothing says zero.
    let mut amount = || {
        let mib = amounts.next().flatten().filter(|mib| *mib > 0)?;
        mib.checked_mul(1 << 20)
    };
    Some(DeviceFile {
        name: name.to_owned(),
        description: description.to_owned(),
        total: amount(),
        free: amount(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_from_the_builds_own_words() {
        let text = "ggml_cuda_init: found 1 devices\nAvailable devices:\n  \
                    CUDA0: NVIDIA RTX A (Laptop) (24564 MiB, 23000 MiB free)\n  \
                    Vulkan0: llvmpipe (LLVM 19) (0 MiB, 0 MiB free)\n  BLAS: OpenBLAS\n";
        let found = devices_in(text).expect("a list");
        let rows = [
            ("CUDA0", "NVIDIA RTX A (Laptop)", Some(24_564), Some(23_000)),
            ("Vulkan0", "llvmpipe (LLVM 19)", None, None),
            ("BLAS", "OpenBLAS", None, None),
        ];
        assert_eq!(found.len(), rows.len());
        for (device, (name, description, total, free)) in found.iter().zip(rows) {
            assert_eq!(
                (device.name.as_str(), device.description.as_str()),
                (name, description)
            );
            let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes >> 20);
            assert_eq!(
                (mib(device.total), mib(device.free)),
                (total, free),
                "{name}"
            );
        }
        assert_eq!(
            devices_in("Available devices:\n  (none)\n").map(|list| list.len()),
            Some(0)
        );
        assert!(devices_in("error: invalid argument: --list-devices").is_none());
    }

    #[test]
    fn a_build_is_asked_once_and_again_only_when_it_changed_or_somebody_insists() {
        let folder = tempfile::tempdir().expect("make a temporary directory");
        let program = folder.path().join("server");
        let write = |name: &str| {
            let script = format!(
                "#!/bin/sh\necho x >> {0}/asked\necho 'Available devices:'\necho '  {name}: A (5 MiB, 4 MiB free)'\n",
                folder.path().display()
            );
            fs::write(&program, script).expect("write a script");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&program, mode).expect("make it executable");
        };
        let asked = || fs::read(folder.path().join("asked")).map_or(0, |bytes| bytes.len() / 2);
        let list = |asking| listed(folder.path(), &program, &[], asking);
        write("CUDA0");
        assert_eq!(list(Asking::Never), None);
        assert_eq!(list(Asking::Once).expect("a list").devices[0].name, "CUDA0");
        assert_eq!(list(Asking::Once), list(Asking::Never));
        assert_eq!(asked(), 1);
        list(Asking::Anew);
        assert_eq!(asked(), 2);
        write("CUDA100");
        assert_eq!(list(Asking::Never), None);
        assert_eq!(
            list(Asking::Once).expect("a list").devices[0].name,
            "CUDA100"
        );
    }
}
