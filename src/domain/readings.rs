//! What was last measured of a run and of this machine; whatever is not known is absent.

use std::ops::Add;
use std::time::Duration;

/// Measurements of one run; all of them belong to its own process tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Percent of one core, the whole tree together; may exceed 100.
    pub cpu_percent: Option<f32>,
    /// Resident bytes of the whole tree.
    pub rss_bytes: Option<u64>,
    /// Bytes of GPU memory, where the driver tells them per process.
    pub vram_bytes: Option<u64>,
    /// Generated tokens per second since the previous reading, from the server's counters.
    pub tokens_per_second: Option<f32>,
    /// Prompt tokens per second since the previous reading, from the server's counters.
    pub prompt_tokens_per_second: Option<f32>,
    /// Slots that work on a request.
    pub busy_slots: Option<u32>,
    /// Slots the server has.
    pub slots: Option<u32>,
}

/// What one process uses of the GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuUse {
    /// Bytes of the cards' own memory.
    pub memory_bytes: u64,
    /// How long the cards have worked for it, as far as their driver counts that.
    pub busy: Duration,
}

impl Add for GpuUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes + other.memory_bytes,
            busy: self.busy + other.busy,
        }
    }
}

/// Measurements of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostReadings {
    /// Percent of all cores together, 0 to 100.
    pub cpu_percent: Option<f32>,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    pub devices: Vec<DeviceReading>,
}

/// Measurements of one GPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceReading {
    /// As in the DEVICE column, for example `GPU0`.
    pub label: String,
    /// The driver's own name.
    pub name: String,
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    /// Percent, 0 to 100.
    pub busy_percent: Option<f32>,
    /// Degrees Celsius.
    pub temperature: Option<f32>,
}
