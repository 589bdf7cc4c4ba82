//! The devices that a build of llama-server can compute on, as it names them itself.

use super::readings::DeviceReading;

/// Memory told by two sources differs by what the driver keeps for itself, at most this part.
const MEMORY_LIKENESS: u64 = 33;

/// Arguments that choose devices by name.
pub const DEVICE_FLAGS: [&str; 2] = ["-dev", "--device"];

/// One device that a build lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDevice {
    /// As `--device` takes it, for example `CUDA0`.
    pub name: String,
    pub description: String,
    /// Bytes.
    pub total: Option<u64>,
    /// Bytes that were free when the build was asked.
    pub free: Option<u64>,
}

impl ListedDevice {
    /// Returns the name without its number: `CUDA`, `Vulkan`, `ROCm`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name
            .trim_end_matches(|letter: char| letter.is_ascii_digit())
    }

    /// Returns the number at the end of the name.
    #[must_use]
    pub fn number(&self) -> Option<usize> {
        self.name[self.kind().len()..].parse().ok()
    }

    /// Finds the driver's reading of this device: by name or size, of several alike by number.
    #[must_use]
    pub fn reading<'a>(&self, readings: &'a [DeviceReading]) -> Option<&'a DeviceReading> {
        let alike: Vec<&DeviceReading> = readings
            .iter()
            .filter(|reading| self.is_like(reading))
            .collect();
        let numbered = |reading: &&&DeviceReading| {
            let number = reading
                .label
                .trim_start_matches(|letter: char| !letter.is_ascii_digit());
            number.parse().ok() == self.number()
        };
        alike.iter().find(numbered).or(alike.first()).copied()
    }

    fn is_like(&self, reading: &DeviceReading) -> bool {
        if self.description.eq_ignore_ascii_case(&reading.name) {
            return true;
        }
        match (self.total, reading.memory_total) {
            (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= theirs / MEMORY_LIKENESS,
            (_, _) => false,
        }
    }
}

/// Finds the readings of the devices that an instance computes on: those that its arguments name,
/// or the one that its DEVICE column shows. All of them when that cannot be told.
#[must_use]
pub fn used_by<'a>(
    args: &[String],
    label: &str,
    readings: &'a [DeviceReading],
) -> Vec<&'a DeviceReading> {
    let names = named(args).unwrap_or(label);
    let numbers: Vec<&str> = names.split(',').filter_map(digits).collect();
    let is_used = |reading: &&DeviceReading| {
        digits(&reading.label).is_some_and(|number| numbers.contains(&number))
    };
    let used: Vec<&DeviceReading> = readings.iter().filter(is_used).collect();
    if used.is_empty() {
        return readings.iter().collect();
    }
    used
}

/// Returns the devices that the arguments name; the last value counts.
fn named(args: &[String]) -> Option<&str> {
    let mut found = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg.as_str(), None),
        };
        if DEVICE_FLAGS.contains(&flag) {
            found = value.or_else(|| rest.next().map(String::as_str));
        }
    }
    found
}

/// Returns the digits at the end of a name.
fn digits(name: &str) -> Option<&str> {
    let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    Some(&name[kind.len()..]).filter(|digits| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, description: &str, total: u64) -> ListedDevice {
        ListedDevice {
            name: name.to_owned(),
            description: description.to_owned(),
            total: Some(total),
            free: None,
        }
    }

    #[test]
    fn the_devices_of_an_instance_are_told_from_others() {
        let readings = ["GPU0", "GPU1", "GPU12"].map(|label| DeviceReading {
            label: label.to_owned(),
            ..DeviceReading::default()
        });
        let rows: [(&str, &str, &[usize]); 8] = [
            ("", "GPU1", &[1]),
            ("--device CUDA0", "GPU1", &[0]),
            ("-dev Vulkan0,Vulkan12", "GPU1", &[0, 2]),
            ("--device CUDA0 --device=CUDA1", "GPU0", &[1]),
            ("--device none", "GPU1", &[0, 1, 2]),
            ("--device", "GPU1", &[1]),
            ("", "-", &[0, 1, 2]),
            // One that no driver tells of.
            ("", "GPU7", &[0, 1, 2]),
        ];
        for (args, label, expected) in rows {
            let words: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let expected: Vec<_> = expected.iter().map(|index| &readings[*index]).collect();
            assert_eq!(
                used_by(&words, label, &readings),
                expected,
                "{args} {label}"
            );
        }
    }

    #[test]
    fn a_device_finds_its_reading() {
        let reading = |label: &str, name: &str, total: u64| DeviceReading {
            label: label.to_owned(),
            name: name.to_owned(),
            memory_total: Some(total),
            ..DeviceReading::default()
        };
        let readings = [
            reading("GPU0", "NVIDIA RTX A", 24_000),
            reading("GPU1", "NVIDIA RTX A", 24_000),
            reading("GPU0", "AMD GPU", 16_000),
        ];
        let rows = [
            (listed("CUDA1", "NVIDIA RTX A", 23_900), Some(1)),
            (listed("CUDA7", "NVIDIA RTX A", 23_900), Some(0)),
            (listed("Vulkan1", "Radeon (RADV)", 16_100), Some(2)),
            (listed("Vulkan0", "llvmpipe", 99), None),
        ];
        for (device, expected) in rows {
            let found = device.reading(&readings);
            assert_eq!(
                found,
                expected.map(|index: usize| &readings[index]),
                "{device:?}"
            );
        }
        assert_eq!(listed("ROCm12", "", 0).number(), Some(12));
        assert_eq!(listed("Metal", "", 0).number(), None);
    }
}
