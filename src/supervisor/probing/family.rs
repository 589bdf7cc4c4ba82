//! What the processes of one run use together.

use std::collections::BTreeMap;
use std::ops::Add as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::readings::GpuUse;
use crate::domain::run::ProcessId;
use crate::process::tree;
use crate::process::usage::{self, State, Usage};

/// A new member is missed for this long; looking for one costs more than reading those known.
const SEARCH_SPACING: Duration = Duration::from_secs(30);

/// The processes of a run, and what they had used at the last look.
#[derive(Debug)]
pub(super) struct Family {
    server: ProcessId,
    shim: Option<i32>,
    members: BTreeMap<i32, Usage>,
    searched: Option<Instant>,
    looked: Option<Instant>,
    /// CPU time seen so far, members that have ended included.
    cpu: Duration,
}

/// One look at a run's processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Look {
    /// CPU time of all of them since the first look.
    pub(super) cpu: Duration,
    /// Percent of one core since the previous look.
    pub(super) cpu_percent: Option<f32>,
    pub(super) resident_bytes: u64,
    /// The server itself is held by a signal or a debugger.
    pub(super) state: State,
    /// What its present processes use of the GPUs, where that is told.
    pub(super) gpu: Option<GpuUse>,
}

impl Family {
    pub(super) fn new(server: ProcessId, shim: Option<i32>) -> Self {
        Self {
            server,
            shim,
            members: BTreeMap::new(),
            searched: None,
            looked: None,
            cpu: Duration::ZERO,
        }
    }

    /// Returns the CPU time of all of them since the first look.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu
    }

    /// Looks at each process once, `gpu` at what it uses of the GPUs; `None` when the server is gone.
    pub(super) fn look(
        &mut self,
        now: Instant,
        gpu: impl Fn(i32) -> Option<GpuUse>,
    ) -> Option<Look> {
        let server = usage::read(self.server.pid)
            .ok()
            .filter(|usage| usage.start_ticks == self.server.start_ticks)?;
        if self
            .searched
            .is_none_or(|searched| now.duration_since(searched) >= SEARCH_SPACING)
        {
            self.searched = Some(now);
            self.search();
        }
        let mut spent = Duration::ZERO;
        let mut resident_bytes = 0;
        let first = self.looked.is_none();
        self.members.retain(|pid, before| {
            let read = if *pid == self.server.pid {
                Some(server)
            } else {
                usage::read(*pid).ok()
            };
            let Some(usage) = read.filter(|usage| usage.start_ticks == before.start_ticks) else {
                return false;
            };
            spent += usage.cpu.saturating_sub(before.cpu);
            resident_bytes += usage.resident_bytes;
            *before = usage;
            true
        });
        self.cpu += spent;
        let since = self.looked.replace(now).map(|looked| now - looked);
        let cpu_percent = since
            .filter(|since| !first && !since.is_zero())
            .map(|since| (spent.as_secs_f64() / since.as_secs_f64() * 100.0) as f32);
        Some(Look {
            cpu: self.cpu,
            cpu_percent,
            resident_bytes,
            state: server.state,
            gpu: self
                .members
                .keys()
                .filter_map(|pid| gpu(*pid))
                .reduce(GpuUse::add),
        })
    }

    fn search(&mut self) {
        for pid in tree::family(self.server.pid, self.shim) {
            // What a newcomer used before it was found is not told as used now.
            if let Ok(usage) = usage::read(pid) {
                self.members.entry(pid).or_insert(usage);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::os;

    #[tokio::test(start_paused = true)]
    async fn our_own_work_and_memory_are_seen() {
        let own = os::identity(std::process::id().cast_signed()).expect("we live");
        let mut family = Family::new(own, None);
        let used = GpuUse {
            memory_bytes: 7,
            busy: Duration::from_secs(1),
        };
        let gpu = |pid| (pid == own.pid).then_some(used);
        let first = family.look(Instant::now(), gpu).expect("we live");
        assert_eq!(first.gpu, Some(used));
        assert_eq!(first.cpu_percent, None);
        assert!(first.resident_bytes > 4096);
        let begun = std::time::Instant::now();
        loop {
            tokio::time::advance(Duration::from_secs(1)).await;
            let look = family.look(Instant::now(), gpu).expect("we live");
            if look.cpu_percent.is_some_and(|percent| percent > 0.0) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{look:?}");
        }
        assert!(family.members.contains_key(&own.pid));
    }

    #[tokio::test]
    async fn a_reused_pid_is_not_the_server() {
        let mut own = os::identity(std::process::id().cast_signed()).expect("we live");
        own.start_ticks += 1;
        assert_eq!(Family::new(own, None).look(Instant::now(), |_| None), None);
    }
}
