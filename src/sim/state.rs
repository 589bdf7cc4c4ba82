//! What the running server knows: its phase, its slots and its counters.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::faults::Hang;
use super::flags::Settings;
use super::logfmt::{Level, Log};
use super::traffic::{Swell, Traffic};

/// How far the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Loading,
    Ready { since: Instant },
    Hung { since: Instant, hang: Hang },
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) prompt_tokens: u64,
    pub(super) prompt_seconds: f64,
    pub(super) predicted_tokens: u64,
    pub(super) predicted_seconds: f64,
    pub(super) decodes: u64,
    /// Busy slots summed over all decodes.
    pub(super) slots_decoded: u64,
    pub(super) longest_sequence: u64,
}

/// A completion under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Running {
    pub(super) task: u64,
    pub(super) prompt_tokens: u64,
    pub(super) decoded: u64,
    pub(super) since: Instant,
}

#[derive(Debug)]
struct Table {
    phase: Phase,
    slots: Vec<Option<Running>>,
    next_task: u64,
    totals: Totals,
    /// The totals at the last scrape: the gauges speak about the time since.
    scraped: Totals,
}

/// The state that all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) log: Log,
    /// Unix seconds at the start.
    pub(super) created: u64,
    free: Semaphore,
    deferred: AtomicUsize,
    traffic: Traffic,
    table: Mutex<Table>,
}

/// What `/metrics` shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) totals: Totals,
    /// What was added since the last reading.
    pub(super) prompt_rate: f64,
    pub(super) predicted_rate: f64,
    pub(super) processing: usize,
    pub(super) deferred: usize,
}

/// What `/slots` shows of one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SlotView {
    Idle,
    /// Busy with simulated traffic.
    Traffic,
    Busy(Running),
}

impl Shared {
    pub(super) fn new(settings: Settings, log: Log) -> Arc<Self> {
        let slots = settings.slots;
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        Arc::new(Self {
            traffic: match settings.faults.hang {
                // Its clients wait for ever, so there should be some.
                Some((after, _)) => Traffic::cresting(settings.faults.traffic, after),
                None => Traffic::new(settings.faults.traffic, fastrand::f64()),
            },
            log,
            created: created.unwrap_or_default().as_secs(),
            free: Semaphore::new(slots),
            deferred: AtomicUsize::new(0),
            table: Mutex::new(Table {
                phase: Phase::Loading,
                slots: vec![None; slots],
                next_task: 0,
                totals: Totals::default(),
                scraped: Totals::default(),
            }),
            settings,
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.table().phase
    }

    pub(super) fn set_ready(&self) {
        let since = Instant::now();
        self.table().phase = Phase::Ready { since };
    }

    pub(super) fn set_hung(&self, hang: Hang) {
        let since = self.ready_since().unwrap_or_else(Instant::now);
        self.table().phase = Phase::Hung { since, hang };
    }

    /// Returns whether a completion is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.table().slots.iter().any(Option::is_some)
    }

    /// Returns the name under which the model answers.
    pub(super) fn model_alias(&self) -> &str {
        let alias = self.settings.aliases.first();
        alias.map_or_else(|| self.model_name(), String::as_str)
    }

    pub(super) fn model_name(&self) -> &str {
        super::load::model_name(&self.settings)
    }

    /// Waits for inference to work; never returns once it hangs.
    pub(super) async fn inference(&self) {
        match self.phase() {
            Phase::Loading | Phase::Ready { .. } => {}
            Phase::Hung { .. } => std::future::pending().await,
        }
    }

    pub(super) fn reading(&self) -> Reading {
        let swell = self.swell();
        let mut table = self.table();
        let mut totals = table.totals;
        totals.prompt_tokens += swell.prompt_tokens;
        totals.prompt_seconds += swell.busy_seconds / 10.0;
        totals.predicted_tokens += swell.predicted_tokens;
        totals.predicted_seconds += swell.busy_seconds;
        totals.decodes += swell.predicted_tokens;
        totals.slots_decoded += swell.predicted_tokens;
        let before = table.scraped;
        table.scraped = totals;
        let busy = table.slots.iter().filter(|slot| slot.is_some()).count();
        Reading {
            totals,
            prompt_rate: rate(
                totals.prompt_tokens - before.prompt_tokens,
                totals.prompt_seconds - before.prompt_seconds,
            ),
            predicted_rate: rate(
                totals.predicted_tokens - before.predicted_tokens,
                totals.predicted_seconds - before.predicted_seconds,
            ),
            processing: busy.max(swell.busy_slots),
            deferred: self.deferred.load(Ordering::Relaxed),
        }
    }

    pub(super) fn slots(&self) -> Vec<SlotView> {
        let busy = self.swell().busy_slots;
        let table = self.table();
        let view = |(id, slot): (usize, &Option<Running>)| match slot {
            Some(running) => SlotView::Busy(*running),
            None if id < busy => SlotView::Traffic,
            None => SlotView::Idle,
        };
        table.slots.iter().enumerate().map(view).collect()
    }

    /// Waits for a free slot and takes it.
    pub(super) async fn occupy(self: Arc<Self>, prompt_tokens: u64) -> Occupied {
        let waiting = Deferred::new(&self);
        // The semaphore is never closed; if it were, waiting for ever is the right answer.
        match self.free.acquire().await {
            Ok(permit) => SemaphorePermit::forget(permit),
            Err(_) => std::future::pending().await,
        }
        drop(waiting);
        let mut table = self.table();
        let task = table.next_task;
        table.next_task += 1;
        let slot = table.slots.iter().position(Option::is_none).unwrap_or(0);
        if let Some(place) = table.slots.get_mut(slot) {
            *place = Some(Running {
                task,
                prompt_tokens,
                decoded: 0,
                since: Instant::now(),
            });
        }
        drop(table);
        let occupied = Occupied {
            shared: self,
            slot,
            task,
        };
        occupied.shared.log_begin(slot, task, prompt_tokens);
        occupied
    }

    /// Logs what the traffic's clients would cause, whenever a slot gets busy or free, for ever.
    pub(super) async fn log_traffic(self: Arc<Self>) {
        let Some(since) = self.ready_since() else {
            return;
        };
        let slots = self.settings.slots;
        // A task for each busy slot; they get free in the opposite order.
        let mut tasks = Vec::new();
        let mut begun = 0_u64;
        while let Some(wait) = self.traffic.next_change(since.elapsed(), slots) {
            self.inference().await;
            let swell = self.swell();
            while tasks.len() < swell.busy_slots {
                self.log_begin(tasks.len(), begun, swell.prompt_tokens);
                tasks.push(begun);
                begun += 1;
            }
            while tasks.len() > swell.busy_slots
                && let Some(task) = tasks.pop()
            {
                let (slot, tokens) = (tasks.len(), swell.predicted_tokens);
                let text = format!("simulated traffic, {tokens} tokens so far");
                self.log_slot(slot, task, "print_timing", &text);
                self.log_end(slot, task, tokens);
            }
            // A little longer, so that the change is surely over and is not found again.
            tokio::time::sleep(wait + Duration::from_millis(20)).await;
        }
    }

    fn log_begin(&self, slot: usize, task: u64, prompt_tokens: u64) {
        let found = format!("id {slot:>2} | task -1 | selected slot by LRU, t_last = -1");
        self.log.server(Level::Info, "slot", "get_availabl", &found);
        let chain = "sampler chain: logits -> top-k -> top-p -> min-p -> temp-ext -> dist";
        self.log_slot(slot, task, "launch_slot_", chain);
        self.log_slot(slot, task, "launch_slot_", "processing task, is_child = 0");
        let prompt = format!("new prompt, n_keep = 0, task.n_tokens = {prompt_tokens}");
        self.log_slot(slot, task, "operator()", &prompt);
    }

    /// Logs that a slot is free again.
    fn log_end(&self, slot: usize, task: u64, tokens: u64) {
        let text = format!("stop processing: n_tokens = {tokens}, truncated = 0");
        self.log_slot(slot, task, "release", &text);
        self.log_if_idle();
    }

    /// Logs what the loop that serves requests says after each thing it did, while no slot is busy.
    pub(super) fn log_if_idle(&self) {
        let is_idle = |slot: &SlotView| matches!(slot, SlotView::Idle);
        if self.slots().iter().all(is_idle) {
            let text = "all slots are idle";
            self.log.server(Level::Trace, "srv", "update_slots", text);
        }
    }

    fn log_slot(&self, slot: usize, task: u64, function: &str, text: &str) {
        let text = format!("id {slot:>2} | task {task} | {text}");
        self.log.server(Level::Info, "slot", function, &text);
    }

    fn ready_since(&self) -> Option<Instant> {
        match self.phase() {
            Phase::Loading => None,
            Phase::Ready { since } | Phase::Hung { since, .. } => Some(since),
        }
    }

    fn swell(&self) -> Swell {
        let ready = self.ready_since();
        ready.map_or_else(Swell::default, |since| {
            self.traffic.at(since.elapsed(), self.settings.slots)
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rate(tokens: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        tokens as f64 / seconds
    } else {
        0.0
    }
}

/// Counts a request that waits for a slot.
struct Deferred<'a>(&'a Shared);

impl<'a> Deferred<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.deferred.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Deferred<'_> {
    fn drop(&mut self) {
        self.0.deferred.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A slot in use; it is free again, and its work counted, when this is dropped.
#[derive(Debug)]
pub(super) struct Occupied {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: usize,
    task: u64,
}

impl Occupied {
    /// Counts one decoded token.
    pub(super) fn decoded(&self) {
        let mut table = self.shared.table();
        let busy = table.slots.iter().filter(|slot| slot.is_some()).count();
        table.totals.decodes += 1;
        table.totals.slots_decoded += busy as u64;
        if let Some(Some(running)) = table.slots.get_mut(self.slot) {
            running.decoded += 1;
        }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        let running = table.slots.get_mut(self.slot).and_then(Option::take);
        if let Some(running) = running {
            let totals = &mut table.totals;
            totals.prompt_tokens += running.prompt_tokens;
            totals.prompt_seconds += prompt_seconds(running.prompt_tokens);
            totals.predicted_tokens += running.decoded;
            totals.predicted_seconds += running.since.elapsed().as_secs_f64();
            let sequence = running.prompt_tokens + running.decoded;
            totals.longest_sequence = totals.longest_sequence.max(sequence);
        }
        drop(table);
        self.shared.free.add_permits(1);
        if let Some(running) = running {
            let spent = running.since.elapsed().as_secs_f64();
            let timing = |name: &str, seconds: f64, tokens: u64| {
                let each = seconds * 1000.0 / tokens.max(1) as f64;
                let text = format!(
                    "{name} time = {:>10.2} ms / {tokens:>5} tokens ({each:>8.2} ms per token, {:>8.2} tokens per second)",
                    seconds * 1000.0,
                    rate(tokens, seconds),
                );
                let (slot, task) = (self.slot, self.task);
                self.shared.log_slot(slot, task, "print_timing", &text);
            };
            let prompt = running.prompt_tokens;
            timing("prompt eval", prompt_seconds(prompt), prompt);
            timing("       eval", spent, running.decoded);
            let tokens = prompt + running.decoded;
            self.shared.log_end(self.slot, self.task, tokens);
        }
    }
}

/// Returns how long a prompt counts as having taken: a millisecond for each token.
pub(super) fn prompt_seconds(tokens: u64) -> f64 {
    tokens as f64 / 1000.0
}
