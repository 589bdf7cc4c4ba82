//! What the machine as a whole has and uses. Blocking: some drivers answer slowly.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

use super::gpu::Gpus;
use crate::domain::readings::{GpuUse, HostReadings};

/// Load is a difference between two looks; closer together it says nothing.
const LEAST_SPACING: Duration = Duration::from_millis(200);

/// Looks at the machine again and again.
pub struct Host {
    /// Absent where the operating system tells nothing.
    system: Option<System>,
    /// The last look at the processors' time.
    looked: Option<Instant>,
    gpus: Gpus,
}

impl Host {
    /// Finds out what there is to look at.
    #[must_use]
    pub fn find() -> Self {
        Self {
            system: System::new().ok(),
            looked: None,
            gpus: Gpus::find(),
        }
    }

    /// Returns what the last look found of each process, where a driver's library tells it.
    #[must_use]
    pub fn processes(&self) -> BTreeMap<i32, GpuUse> {
        self.gpus.processes()
    }

    /// Looks once; the load is known from the second look on.
    #[must_use]
    pub fn look(&mut self) -> HostReadings {
        let comparable = self
            .looked
            .is_some_and(|looked| looked.elapsed() >= LEAST_SPACING);
        self.looked = Some(Instant::now());
        let devices = self.gpus.look();
        let Some(system) = &mut self.system else {
            return HostReadings {
                devices,
                ..HostReadings::default()
            };
        };
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let total = system.total_memory();
        HostReadings {
            cpu_percent: comparable.then(|| system.global_cpu_usage()),
            memory_used: (total > 0).then(|| system.used_memory()),
            memory_total: (total > 0).then_some(total),
            devices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_known_at_once_and_load_from_the_second_look_on() {
        let mut host = Host::find();
        let first = host.look();
        assert_eq!(first.cpu_percent, None);
        let (used, total) = (first.memory_used, first.memory_total);
        assert!(used.is_some() && used <= total, "{first:?}");
        host.looked = Instant::now().checked_sub(LEAST_SPACING);
        let load = host.look().cpu_percent.expect("a second look");
        assert!((0.0..=100.0).contains(&load), "{load}");
    }
}
