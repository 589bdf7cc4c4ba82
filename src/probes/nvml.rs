//! NVIDIA's GPUs through the driver's own library, which is opened at run time if it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};

use crate::domain::readings::{DeviceReading, GpuUse};

/// One sample of a process's share stands for at most this; the driver takes several a second.
const LONGEST_SAMPLE: Duration = Duration::from_secs(1);

/// The driver's library, kept open: opening it takes longer than asking.
pub(super) struct Nvidia {
    library: Option<Nvml>,
    processes: BTreeMap<i32, GpuUse>,
    /// The time of the newest sample of each device, in microseconds.
    sampled: BTreeMap<u32, u64>,
}

impl Nvidia {
    pub(super) fn find() -> Self {
        Self {
            library: Nvml::init().ok(), // most machines have none
            processes: BTreeMap::new(),
            sampled: BTreeMap::new(),
        }
    }

    /// Looks at each GPU once, and at what its processes use.
    pub(super) fn look(&mut self) -> Vec<DeviceReading> {
        let Self {
            library,
            processes,
            sampled,
        } = self;
        let Some(library) = library else {
            return Vec::new();
        };
        let mut readings = Vec::new();
        let mut memory: BTreeMap<i32, u64> = BTreeMap::new();
        for number in 0..library.device_count().unwrap_or(0) {
            let Ok(device) = library.device_by_index(number) else {
                continue;
            };
            readings.push(reading(number, &device));
            for (pid, bytes) in memory_by_process(&device) {
                *memory.entry(pid).or_default() += bytes;
            }
            add_busy(&device, sampled.entry(number).or_default(), processes);
        }
        processes.retain(|pid, _| memory.contains_key(pid));
        for (pid, bytes) in memory {
            processes.entry(pid).or_default().memory_bytes = bytes;
        }
        readings
    }

    /// Returns what each process used at the last look.
    pub(super) fn processes(&self) -> &BTreeMap<i32, GpuUse> {
        &self.processes
    }
}

fn reading(number: u32, device: &Device<'_>) -> DeviceReading {
    let memory = device.memory_info().ok();
    DeviceReading {
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
    }
}

/// A process that computes and draws is listed twice with the same memory.
fn memory_by_process(device: &Device<'_>) -> BTreeMap<i32, u64> {
    let computing = device.running_compute_processes().unwrap_or_default();
    let drawing = device.running_graphics_processes().unwrap_or_default();
    let mut memory = BTreeMap::new();
    for process in computing.into_iter().chain(drawing) {
        let UsedGpuMemory::Used(bytes) = process.used_gpu_memory else {
            continue;
        };
        let known: &mut u64 = memory.entry(process.pid.cast_signed()).or_default();
        *known = bytes.max(*known);
    }
    memory
}

/// Turns the shares sampled since the last look into time.
fn add_busy(device: &Device<'_>, sampled: &mut u64, processes: &mut BTreeMap<i32, GpuUse>) {
    // Older cards do not tell.
    let samples = device.process_utilization_stats(*sampled);
    let since = *sampled;
    for sample in samples.unwrap_or_default() {
        *sampled = sample.timestamp.max(*sampled);
        let time = Duration::from_micros(sample.timestamp.saturating_sub(since));
        let share = f64::from(sample.sm_util.min(100)) / 100.0;
        let used = processes.entry(sample.pid.cast_signed()).or_default();
        used.busy += time.min(LONGEST_SAMPLE).mul_f64(share);
    }
}
