//! What the routes of a simulated server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::faults::Hang;
use super::flags::Options;

/// How often made-up clients move the counters.
const TRAFFIC_STEP: Duration = Duration::from_millis(500);

/// Steps of one wave of traffic: a minute.
const WAVE: u64 = 120;

/// Counters and settings; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    loaded: AtomicBool,
    prompt_tokens: AtomicU64,
    predicted_tokens: AtomicU64,
    busy: AtomicU32,
}

impl Shared {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                options: options.clone(),
                loaded: AtomicBool::new(false),
                prompt_tokens: AtomicU64::new(0),
                predicted_tokens: AtomicU64::new(0),
                busy: AtomicU32::new(0),
            }),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(super) fn hang(&self) -> Hang {
        self.inner.options.faults.hang
    }

    pub(super) fn loaded(&self) {
        self.inner.loaded.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.inner.loaded.load(Ordering::Relaxed)
    }

    pub(super) fn prompted(&self, tokens: u64) {
        self.inner
            .prompt_tokens
            .fetch_add(tokens, Ordering::Relaxed);
    }

    pub(super) fn predicted(&self, tokens: u64) {
        self.inner
            .predicted_tokens
            .fetch_add(tokens, Ordering::Relaxed);
    }

    /// Returns prompt tokens, predicted tokens and busy slots.
    pub(super) fn counters(&self) -> (u64, u64, u32) {
        (
            self.inner.prompt_tokens.load(Ordering::Relaxed),
            self.inner.predicted_tokens.load(Ordering::Relaxed),
            self.inner.busy.load(Ordering::Relaxed),
        )
    }

    /// Takes a slot until the guard is dropped.
    pub(super) fn slot(&self) -> BusySlot {
        self.inner.busy.fetch_add(1, Ordering::Relaxed);
        BusySlot {
            shared: self.clone(),
        }
    }

    /// Pretends to serve clients, in waves, so that a fleet looks alive.
    pub(super) async fn traffic(self, rate: f64) {
        let slots = self.options().slots;
        for step in 0_u64.. {
            let phase = (step % WAVE) as f64 / WAVE as f64 * std::f64::consts::TAU;
            let share = 0.55 + 0.45 * phase.sin();
            let tokens = (rate * share * TRAFFIC_STEP.as_secs_f64()).round();
            self.predicted(tokens as u64);
            self.prompted((tokens * 3.0) as u64);
            let busy = (f64::from(slots) * share).round() as u32;
            self.inner.busy.store(busy, Ordering::Relaxed);
            tokio::time::sleep(TRAFFIC_STEP).await;
        }
    }
}

/// A slot in use.
#[derive(Debug)]
pub(super) struct BusySlot {
    shared: Shared,
}

impl Drop for BusySlot {
    fn drop(&mut self) {
        let busy = &self.shared.inner.busy;
        // Made-up traffic may have overwritten the count meanwhile.
        busy.try_update(Ordering::Relaxed, Ordering::Relaxed, |busy| {
            busy.checked_sub(1)
        })
        .ok();
    }
}
