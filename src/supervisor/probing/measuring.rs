//! When one run is measured: often while somebody watches, else at the cadence of its probes.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::decision::Measured;
use super::super::measure::{Attention, Board};
use super::family::Family;
use super::gauge::Gauge;
use super::target::Target;
use super::{Readiness, Subject};

/// Between two looks at a server that loads.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// A server that does not answer `/metrics` within this is silent; a long prompt batch is, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures until it is cancelled or the run has ended.
pub(super) async fn run(subject: &Subject, board: &Board, mut ready: watch::Receiver<Readiness>) {
    let _place = board.join();
    let mut attention = board.audience.watch();
    let target = Target::new(&subject.spec, subject.port, &subject.root);
    let family = Family::new(subject.server, subject.shim);
    let mut gauge = Gauge::new(target, family);
    loop {
        let now = Instant::now();
        let Some(look) = gauge.look(now) else {
            return;
        };
        let readiness = *ready.borrow_and_update();
        let watched = *attention.borrow_and_update();
        if readiness == Readiness::Ready {
            gauge.ask_if_due(&look, watched, PATIENCE).await;
        }
        board.put(Measured {
            name: subject.name.clone(),
            run: subject.run.clone(),
            readings: gauge.readings.clone(),
            progress: None,
            activity: None,
        });
        let pause = match (readiness, watched) {
            (Readiness::Loading, _) => LOADING_PAUSE,
            (Readiness::Ready, Attention::Watched) => board.pace(),
            (Readiness::Ready, Attention::Unwatched) => subject.spec.healthcheck.interval,
        };
        tokio::select! {
            () = tokio::time::sleep_until(now + pause) => {}
            _ = attention.changed() => {}
            _ = ready.changed() => {}
        }
    }
}
