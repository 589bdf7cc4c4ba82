//! What the drivers say of the GPUs, without ever initialising CUDA or Vulkan.
//!
//! AMD tells everything in sysfs. NVIDIA is asked through NVML, with feature `nvml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::readings::{DeviceReading, GpuUse};

/// Where the kernel lists graphics cards.
const CARDS: &str = "/sys/class/drm";

/// The PCI number of AMD.
const AMD: &str = "0x1002";

/// The GPUs of this machine.
pub(super) struct Gpus {
    amd: Vec<PathBuf>,
    #[cfg(feature = "nvml")]
    nvidia: super::nvml::Nvidia,
}

impl Gpus {
    /// Finds the GPUs that are there now; later ones are not noticed.
    pub(super) fn find() -> Self {
        Self {
            amd: amd_cards(Path::new(CARDS)),
            #[cfg(feature = "nvml")]
            nvidia: super::nvml::Nvidia::find(),
        }
    }

    /// Looks at each GPU once. They are numbered as the DEVICE column does, by driver.
    pub(super) fn look(&mut self) -> Vec<DeviceReading> {
        let amd = self.amd.iter().enumerate();
        let devices: Vec<DeviceReading> = amd
            .map(|(number, card)| look_at_amd(number, card))
            .collect();
        #[cfg(feature = "nvml")]
        let devices = [self.nvidia.look(), devices].concat();
        devices
    }
}

impl Gpus {
    /// Returns what each process used at the last look, as NVML tells it; of the other cards it is
    /// the kernel that tells, see `fdinfo`.
    #[cfg(feature = "nvml")]
    pub(super) fn processes(&self) -> BTreeMap<i32, GpuUse> {
        self.nvidia.processes().clone()
    }

    /// Returns nothing: without NVML only the kernel tells, see `fdinfo`.
    #[cfg(not(feature = "nvml"))]
    #[expect(
        clippy::unused_self,
        reason = "with feature nvml there is something to tell"
    )]
    pub(super) fn processes(&self) -> BTreeMap<i32, GpuUse> {
        BTreeMap::new()
    }
}

/// Lists the device folders of AMD's cards; connectors such as `card0-DP-1` are no cards.
fn amd_cards(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut cards: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("card")?.parse();
            Some((number.ok()?, entry.path().join("device")))
        })
        .filter(|(_, device)| text(device, "vendor").as_deref() == Some(AMD))
        .collect();
    cards.sort();
    cards.into_iter().map(|(_, device)| device).collect()
}

fn look_at_amd(number: usize, device: &Path) -> DeviceReading {
    let temperature = fs::read_dir(device.join("hwmon"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .find_map(|sensors| whole(&sensors.path(), "temp1_input"));
    DeviceReading {
        label: format!("GPU{number}"),
        name: text(device, "product_name")
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "AMD GPU".to_owned()),
        memory_used: whole(device, "mem_info_vram_used"),
        memory_total: whole(device, "mem_info_vram_total"),
        busy_percent: whole(device, "gpu_busy_percent").map(|percent| percent as f32),
        temperature: temperature.map(|thousandths| thousandths as f32 / 1000.0),
    }
}

fn text(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn whole(folder: &Path, name: &str) -> Option<u64> {
    text(folder, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amd_cards_are_found_in_order_with_what_they_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("card0-DP-1/device/vendor", "0x1002\n");
        write("card0/device/vendor", "0x10de\n");
        write("card10/device/vendor", "0x1002\n");
        for (file, text) in [
            ("vendor", "0x1002\n"),
            ("product_name", "Radeon\n"),
            ("mem_info_vram_used", "3\n"),
            ("mem_info_vram_total", "9\n"),
            ("gpu_busy_percent", "42\n"),
            ("hwmon/hwmon3/temp1_input", "61500\n"),
        ] {
            write(&format!("card2/device/{file}"), text);
        }
        let cards = amd_cards(folder.path());
        let readings: Vec<DeviceReading> = cards
            .iter()
            .enumerate()
            .map(|(number, card)| look_at_amd(number, card))
            .collect();
        let known = DeviceReading {
            label: "GPU0".to_owned(),
            name: "Radeon".to_owned(),
            memory_used: Some(3),
            memory_total: Some(9),
            busy_percent: Some(42.0),
            temperature: Some(61.5),
        };
        let silent = DeviceReading {
            label: "GPU1".to_owned(),
            name: "AMD GPU".to_owned(),
            ..DeviceReading::default()
        };
        assert_eq!(readings, [known, silent]);
    }
}
