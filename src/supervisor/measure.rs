//! Measurements on their way to the readers, and who is reading.
//!
//! Measurements are no state: nothing is decided by them and none is stored. Each run's task
//! leaves its newest on the [`Board`]; one task takes them to the actor all together, once a second
//! while somebody watches and seldom otherwise. A watcher is a reader that waits for news (a long
//! poll); the runs' tasks measure often only as long as there is one, so a fleet that nobody looks
//! at costs next to nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use super::actor::Message;
use super::decision::{Input, Measured};
use super::tally::Tally;
use crate::domain::instance::InstanceName;
use crate::domain::readings::{GpuUse, HostReadings};
use crate::probes::fdinfo;
use crate::probes::host::Host;

/// Between two pictures with new measurements while somebody watches.
const WATCHED: Duration = Duration::from_secs(1);

/// The same while nobody does; a reader that does not wait sees measurements this old.
const UNWATCHED: Duration = Duration::from_secs(10);

/// From the arrival of the first watcher to its first measurements.
const ARRIVAL: Duration = Duration::from_millis(200);

/// A watcher asks again within this; longer, and it has gone.
const LINGER: Duration = Duration::from_secs(3);

/// Between two looks at the machine while somebody watches.
const HOST_SPACING: Duration = Duration::from_secs(2);

/// Runs that are measured once a second; more of them take turns.
const RUNS_PER_SECOND: usize = 100;

/// Whether anybody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attention {
    Watched,
    Unwatched,
}

/// Counts the readers that wait for news.
#[derive(Clone, Debug)]
pub(super) struct Audience {
    shared: Arc<Seats>,
}

#[derive(Debug)]
struct Seats {
    attention: watch::Sender<Attention>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    waiting: usize,
    /// When the latest one stopped waiting.
    left: Option<Instant>,
}

/// A reader that waits; dropped when it has its answer.
pub(super) struct Seat<'a>(&'a Audience);

impl Audience {
    pub(super) fn new() -> Self {
        let (attention, _) = watch::channel(Attention::Unwatched);
        let taken = Mutex::default();
        Self {
            shared: Arc::new(Seats { attention, taken }),
        }
    }

    /// Takes note of a reader for as long as the seat is held.
    pub(super) fn sit(&self) -> Seat<'_> {
        self.taken().waiting += 1;
        self.set(Attention::Watched);
        Seat(self)
    }

    /// Returns a view that wakes up when somebody comes or everybody has gone.
    pub(super) fn watch(&self) -> watch::Receiver<Attention> {
        self.shared.attention.subscribe()
    }

    /// Notices that the last watcher did not come back.
    fn look_around(&self) {
        let taken = self.taken();
        let gone = taken.left.is_none_or(|left| left.elapsed() > LINGER);
        if taken.waiting == 0 && gone {
            drop(taken);
            self.set(Attention::Unwatched);
        }
    }

    fn set(&self, attention: Attention) {
        self.shared.attention.send_if_modified(|present| {
            let changed = *present != attention;
            *present = attention;
            changed
        });
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        let taken = self.shared.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        taken.waiting -= 1;
        taken.left = Some(Instant::now());
    }
}

/// The newest measurements of every run that were not taken to the actor yet.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) audience: Audience,
    newest: Arc<Mutex<Newest>>,
    /// What a driver's library last told of each process.
    gpu: Arc<Mutex<BTreeMap<i32, GpuUse>>>,
    /// Whether there are cards of which the kernel tells.
    cards: bool,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Newest {
    measured: BTreeMap<InstanceName, Measured>,
    /// Runs that are being measured.
    runs: usize,
}

/// A run that is being measured; dropped when it no longer is.
pub(super) struct Place<'a>(&'a Board);

impl Board {
    pub(super) fn new() -> Self {
        Self {
            audience: Audience::new(),
            newest: Arc::default(),
            gpu: Arc::default(),
            cards: fdinfo::has_cards(),
            tally: Tally::default(),
        }
    }

    /// Also counts, beside everything else that is counted.
    pub(super) fn counting(tally: Tally) -> Self {
        Self {
            tally,
            ..Self::new()
        }
    }

    /// Returns what a process uses of the GPUs, whoever tells it.
    pub(super) fn gpu_use(&self, pid: i32) -> Option<GpuUse> {
        let told = self.gpu().get(&pid).copied();
        told.or_else(|| self.cards.then(|| fdinfo::of_process(pid))?)
    }

    fn gpu(&self) -> MutexGuard<'_, BTreeMap<i32, GpuUse>> {
        self.gpu.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a run for as long as the place is held.
    pub(super) fn join(&self) -> Place<'_> {
        self.newest().runs += 1;
        Place(self)
    }

    pub(super) fn put(&self, measured: Measured) {
        let Measured {
            name, run, totals, ..
        } = &measured;
        self.tally.measured(name, run, totals);
        let mut newest = self.newest();
        newest.measured.insert(measured.name.clone(), measured);
    }

    /// Returns how long a run waits between two measurements while somebody watches.
    pub(super) fn pace(&self) -> Duration {
        let shares = self.newest().runs.div_ceil(RUNS_PER_SECOND).max(1);
        WATCHED * u32::try_from(shares).unwrap_or(u32::MAX)
    }

    pub(super) fn take(&self) -> Vec<Measured> {
        std::mem::take(&mut self.newest().measured)
            .into_values()
            .collect()
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.newest().runs -= 1;
    }
}

/// Takes measurements to the actor until it has ended.
pub(super) async fn deliver(board: Board, sender: mpsc::Sender<Message>) {
    let mut attention = board.audience.watch();
    let mut host = HostLooker::default();
    let mut present = *attention.borrow_and_update();
    let mut pause = UNWATCHED;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => board.audience.look_around(),
            _ = attention.changed() => {}
        }
        let before = std::mem::replace(&mut present, *attention.borrow_and_update());
        pause = match (before, present) {
            (Attention::Unwatched, Attention::Watched) => ARRIVAL,
            (Attention::Watched, Attention::Watched) => WATCHED,
            (_, Attention::Unwatched) => UNWATCHED,
        };
        if before != present {
            host.looked = None; // somebody new wants to see it now
        }
        let host = match present {
            Attention::Watched => host.look_if_due(&board).await,
            // An instance may wait until a device has memory again.
            Attention::Unwatched if host.has_devices() => host.look_if_due(&board).await,
            // What nobody looks at is not kept up to date, so it must not look as if it were.
            Attention::Unwatched => (before == Attention::Watched).then(HostReadings::default),
        };
        let runs = board.take();
        if runs.is_empty() && host.is_none() {
            if sender.is_closed() {
                return;
            }
            continue;
        }
        let input = Input::Measured { runs, host };
        if sender.send(Message::Input(input)).await.is_err() {
            return;
        }
    }
}

/// Looks at the machine on a thread where nobody has to wait for a slow driver.
#[derive(Default)]
struct HostLooker {
    host: Option<Host>,
    looked: Option<Instant>,
    /// Whether there are GPUs; known from the first look on.
    devices: Option<bool>,
}

impl HostLooker {
    /// Returns whether there are GPUs that can be measured, as far as is known.
    fn has_devices(&self) -> bool {
        self.devices.unwrap_or(true)
    }

    async fn look_if_due(&mut self, board: &Board) -> Option<HostReadings> {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < HOST_SPACING)
        {
            return None;
        }
        self.looked = Some(Instant::now());
        let host = self.host.take();
        let look = move || {
            let mut host = host.unwrap_or_else(Host::find);
            let readings = host.look();
            (host, readings)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok((host, readings)) => {
                *board.gpu() = host.processes();
                self.host = Some(host);
                self.devices = Some(!readings.devices.is_empty());
                Some(readings)
            }
            Err(error) => {
                warn!(%error, "look at the machine");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::readings::Readings;
    use crate::domain::run::RunId;
    use crate::supervisor::tally::Totals;

    fn measured(name: &str) -> Measured {
        Measured {
            name: InstanceName::parse(name).expect("a name"),
            run: RunId::new("r".to_owned()),
            readings: Readings::default(),
            progress: None,
            activity: None,
            totals: Totals::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_is_noticed_and_forgotten_a_while_after_it_left() {
        let audience = Audience::new();
        let attention = audience.watch();
        let seat = audience.sit();
        assert_eq!(*attention.borrow(), Attention::Watched);
        tokio::time::advance(Duration::from_secs(60)).await;
        audience.look_around();
        assert_eq!(*attention.borrow(), Attention::Watched, "it still waits");
        drop(seat);
        tokio::time::advance(LINGER).await;
        audience.look_around();
        assert_eq!(*attention.borrow(), Attention::Watched, "it may ask again");
        tokio::time::advance(Duration::from_millis(1)).await;
        audience.look_around();
        assert_eq!(*attention.borrow(), Attention::Unwatched);
    }

    #[tokio::test(start_paused = true)]
    async fn measurements_arrive_often_for_a_watcher_and_seldom_without() {
        let board = Board::new();
        let (sender, mut inbox) = mpsc::channel(8);
        tokio::spawn(deliver(board.clone(), sender));
        let begun = Instant::now();
        board.put(measured("a"));
        board.put(measured("b"));
        let Some(Message::Input(Input::Measured { runs, host })) = inbox.recv().await else {
            unreachable!("only measurements are sent");
        };
        assert_eq!(runs.len(), 2);
        assert!(
            host.is_some(),
            "the first look tells whether there are GPUs"
        );
        assert!(begun.elapsed() >= UNWATCHED);
        let _seat = board.audience.sit();
        board.put(measured("a"));
        let Some(Message::Input(Input::Measured { runs, host })) = inbox.recv().await else {
            unreachable!("only measurements are sent");
        };
        assert_eq!(runs.len(), 1);
        assert!(host.is_some_and(|host| host.memory_total.is_some()));
        let arrived = Instant::now();
        for _ in 0..3 {
            board.put(measured("a"));
            inbox.recv().await.expect("measurements");
        }
        assert!(arrived.elapsed() <= 3 * WATCHED);
    }

    #[test]
    fn many_runs_take_turns() {
        let board = Board::new();
        for (runs, pace) in [(0, 1), (100, 1), (101, 2), (1000, 10)] {
            let places: Vec<Place<'_>> = (0..runs).map(|_| board.join()).collect();
            assert_eq!(board.pace(), WATCHED * pace, "{runs}");
            drop(places);
        }
        assert_eq!(board.newest().runs, 0);
    }
}
