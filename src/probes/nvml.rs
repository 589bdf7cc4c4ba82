//! NVIDIA's GPUs through the driver's own library, which is opened at run time if it is there.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;

use crate::domain::readings::DeviceReading;

/// The driver's library, kept open: opening it takes longer than asking.
pub(super) struct Nvidia {
    library: Option<Nvml>,
}

impl Nvidia {
    pub(super) fn find() -> Self {
        Self {
            library: Nvml::init().ok(), // most machines have none
        }
    }

    pub(super) fn look(&self) -> Vec<DeviceReading> {
        let Some(library) = &self.library else {
            return Vec::new();
        };
        let count = library.device_count().unwrap_or(0);
        (0..count)
            .filter_map(|number| {
                let device = library.device_by_index(number).ok()?;
                let memory = device.memory_info().ok();
                Some(DeviceReading {
                    label: format!("GPU{number}"),
                    name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
                    memory_used: memory.as_ref().map(|memory| memory.used),
                    memory_total: memory.map(|memory| memory.total),
                    busy_percent: device
                        .utilization_rates()
                        .ok()
                        .map(|rates| rates.gpu as f32),
                    temperature: device
                        .temperature(TemperatureSensor::Gpu)
                        .ok()
                        .map(|degrees| degrees as f32),
                })
            })
            .collect()
    }
}
