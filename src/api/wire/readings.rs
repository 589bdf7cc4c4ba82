//! The shapes of measurements and of an autopsy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::readings::{DeviceReading, HostReadings, Readings};

/// Measurements of one run; null where not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ReadingsBody {
    /// Percent of one core.
    pub cpu_percent: Option<f32>,
    pub rss_bytes: Option<u64>,
    pub vram_bytes: Option<u64>,
    pub tokens_per_second: Option<f32>,
    pub prompt_tokens_per_second: Option<f32>,
    pub busy_slots: Option<u32>,
    pub slots: Option<u32>,
}

/// Measurements of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HostBody {
    /// Percent of all cores together.
    pub cpu_percent: Option<f32>,
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    pub devices: Vec<DeviceBody>,
}

/// Measurements of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeviceBody {
    pub label: String,
    pub name: String,
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    pub busy_percent: Option<f32>,
    /// Degrees Celsius.
    pub temperature: Option<f32>,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AutopsyBody {
    pub cause: String,
    /// When another start can make sense: never, after_port_frees, after_vram_frees, backoff.
    pub class: String,
    pub summary: String,
    /// The server's own line.
    pub evidence: Option<String>,
    pub remedy: Option<String>,
}

impl From<&Readings> for ReadingsBody {
    fn from(readings: &Readings) -> Self {
        Self {
            cpu_percent: readings.cpu_percent,
            rss_bytes: readings.rss_bytes,
            vram_bytes: readings.vram_bytes,
            tokens_per_second: readings.tokens_per_second,
            prompt_tokens_per_second: readings.prompt_tokens_per_second,
            busy_slots: readings.busy_slots,
            slots: readings.slots,
        }
    }
}

impl From<&ReadingsBody> for Readings {
    fn from(body: &ReadingsBody) -> Self {
        Self {
            cpu_percent: body.cpu_percent,
            rss_bytes: body.rss_bytes,
            vram_bytes: body.vram_bytes,
            tokens_per_second: body.tokens_per_second,
            prompt_tokens_per_second: body.prompt_tokens_per_second,
            busy_slots: body.busy_slots,
            slots: body.slots,
        }
    }
}

impl From<&HostReadings> for HostBody {
    fn from(host: &HostReadings) -> Self {
        Self {
            cpu_percent: host.cpu_percent,
            memory_used_bytes: host.memory_used,
            memory_total_bytes: host.memory_total,
            devices: host.devices.iter().map(DeviceBody::from).collect(),
        }
    }
}

impl From<&HostBody> for HostReadings {
    fn from(body: &HostBody) -> Self {
        Self {
            cpu_percent: body.cpu_percent,
            memory_used: body.memory_used_bytes,
            memory_total: body.memory_total_bytes,
            devices: body.devices.iter().map(DeviceReading::from).collect(),
        }
    }
}

impl From<&DeviceReading> for DeviceBody {
    fn from(device: &DeviceReading) -> Self {
        Self {
            label: device.label.clone(),
            name: device.name.clone(),
            memory_used_bytes: device.memory_used,
            memory_total_bytes: device.memory_total,
            busy_percent: device.busy_percent,
            temperature: device.temperature,
        }
    }
}

impl From<&DeviceBody> for DeviceReading {
    fn from(body: &DeviceBody) -> Self {
        Self {
            label: body.label.clone(),
            name: body.name.clone(),
            memory_used: body.memory_used_bytes,
            memory_total: body.memory_total_bytes,
            busy_percent: body.busy_percent,
            temperature: body.temperature,
        }
    }
}

impl From<&Autopsy> for AutopsyBody {
    fn from(autopsy: &Autopsy) -> Self {
        Self {
            cause: autopsy.cause.to_string(),
            class: autopsy.class.to_string(),
            summary: autopsy.summary.clone(),
            evidence: autopsy.evidence.clone(),
            remedy: autopsy.remedy.clone(),
        }
    }
}

impl AutopsyBody {
    /// Converts back; `None` for a cause or class this version does not know.
    #[must_use]
    pub fn to_autopsy(&self) -> Option<Autopsy> {
        Some(Autopsy {
            cause: Cause::parse(&self.cause)?,
            class: RetryClass::parse(&self.class)?,
            summary: self.summary.clone(),
            evidence: self.evidence.clone(),
            remedy: self.remedy.clone(),
        })
    }
}
