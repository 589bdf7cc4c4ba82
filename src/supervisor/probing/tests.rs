//! The two loops with a clock that stands still until everybody waits.

use std::collections::VecDeque;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::super::decision::{Input, Measured, Sight};
use super::super::tally::Tally;
use super::health::{Looks, Reports, keep_looking};
use super::*;
use crate::domain::instance::Healthcheck;
use crate::domain::instance::tests::spec;
use crate::process::os;
use crate::store::{Options, Store};

/// A server that is seen as it was written down; the last sight stays.
struct Scripted {
    sights: VecDeque<Sight>,
    looks: Arc<Mutex<Vec<Duration>>>,
    begun: Instant,
}

impl Looks for Scripted {
    async fn look(&mut self) -> (Sight, Option<Duration>) {
        let looked = self.begun.elapsed();
        self.looks.lock().expect("one thread").push(looked);
        let sight = match self.sights.len() {
            1 => self.sights.front().cloned(),
            _ => self.sights.pop_front(),
        };
        (sight.expect("a script has a sight"), None)
    }
}

/// One run under a clock of its own.
struct Rig {
    looks: Arc<Mutex<Vec<Duration>>>,
    inbox: mpsc::Receiver<Message>,
    knock: mpsc::Sender<Knock>,
    _database: tempfile::TempDir,
}

fn subject(health: Health, pid: i32, change: impl Fn(&mut Healthcheck)) -> Subject {
    let mut spec = spec("a");
    change(&mut spec.healthcheck);
    Subject {
        name: spec.name.clone(),
        run: RunId::new("r".to_owned()),
        tree: Tree {
            server: os::identity(pid).expect("it lives"),
            shim: None,
            token: String::new(),
        },
        port: None,
        spec: Arc::new(spec),
        health,
        root: PathBuf::from("/"),
    }
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

fn gone() -> Sight {
    Sight::Unreachable("refused".to_owned())
}

impl Rig {
    /// Looks at a run with these sights from here on.
    fn start(health: Health, sights: &[Sight]) -> Self {
        let database = tempfile::tempdir().expect("a folder");
        let opened = Store::open(&database.path().join("state.sqlite"), Options::default());
        let log = HealthLog::new(opened.expect("opened").store, Tally::default());
        let looks = Arc::<Mutex<Vec<Duration>>>::default();
        let mut scripted = Scripted {
            sights: sights.iter().cloned().collect(),
            looks: Arc::clone(&looks),
            begun: Instant::now(),
        };
        let (sender, inbox) = mpsc::channel(64);
        let (knock, knocks) = mpsc::channel(4);
        tokio::spawn(async move {
            let subject = subject(health, own_pid(), |check| {
                check.interval = Duration::from_secs(10);
                check.backoff.jitter = 0.0;
            });
            let readiness = match health {
                Health::Healthy | Health::Unhealthy | Health::Error => Readiness::Ready,
                Health::Unknown | Health::Loading => Readiness::Loading,
            };
            let probes = 0;
            let (pulse, _seen) = watch::channel(Pulse { readiness, probes });
            let reports = Reports {
                pulse: &pulse,
                log: &log,
                sender: &sender,
            };
            keep_looking(&mut scripted, &subject, &reports, knocks).await;
        });
        Self {
            looks,
            inbox,
            knock,
            _database: database,
        }
    }

    /// Lets time pass and returns when, in seconds, it was looked since the start.
    async fn after(&self, seconds: u64) -> Vec<f64> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let looks = self.looks.lock().expect("one thread");
        looks.iter().map(Duration::as_secs_f64).collect()
    }

    /// Returns what was reported and not taken yet.
    fn reports(&mut self) -> Vec<Sight> {
        let mut sights = Vec::new();
        while let Ok(message) = self.inbox.try_recv() {
            let Message::Input(Input::Probed { sight, .. }) = message else {
                unreachable!("only sights are reported");
            };
            sights.push(sight);
        }
        sights
    }
}

fn gaps(looks: &[f64]) -> Vec<f64> {
    let gap = |pair: &[f64]| ((pair[1] - pair[0]) * 1000.0).round() / 1000.0;
    looks.windows(2).map(gap).collect()
}

#[tokio::test(start_paused = true)]
async fn a_healthy_server_is_probed_at_its_place_and_nobody_is_told_twice() {
    let mut rig = Rig::start(Health::Unknown, &[Sight::Healthy]);
    let looks = rig.after(61).await;
    assert_eq!(rig.reports(), [Sight::Healthy]);
    let gaps = gaps(&looks);
    assert!(
        gaps[0] < 10.0,
        "its place in the interval comes first: {gaps:?}"
    );
    assert!(
        gaps.len() >= 5 && gaps[1..].iter().all(|gap| *gap == 10.0),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_adopted_server_is_looked_at_at_once_and_its_health_is_no_news() {
    let mut rig = Rig::start(Health::Healthy, &[Sight::Healthy]);
    let looks = rig.after(30).await;
    assert_eq!(looks[0], 0.0);
    assert_eq!(rig.reports(), []);
}

#[tokio::test(start_paused = true)]
async fn a_loading_server_is_looked_at_often_and_told_of_once() {
    let loading = Sight::Loading(None);
    let mut rig = Rig::start(Health::Unknown, &[gone(), loading.clone()]);
    let looks = rig.after(10).await;
    assert_eq!(rig.reports(), [gone(), loading]);
    let gaps = gaps(&looks);
    assert!(gaps.is_sorted() && gaps[0] < 0.1, "{gaps:?}");
    assert_eq!(gaps.last(), Some(&0.5));
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_told_at_the_pace_of_retries_and_then_of_the_backoff() {
    let mut rig = Rig::start(Health::Healthy, &[gone()]);
    let looks = rig.after(40).await;
    // Three retries a second apart, then 1, 2, 4, 8, 16 s.
    assert_eq!(gaps(&looks), [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0]);
    assert_eq!(rig.reports(), vec![gone(); 8]);
}

#[tokio::test(start_paused = true)]
async fn whoever_knocks_is_answered_after_a_look_and_failures_keep_their_distance() {
    for (sight, delay) in [(Sight::Healthy, 0.0), (gone(), 1.0)] {
        let mut rig = Rig::start(Health::Healthy, &[sight]);
        rig.after(0).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let before = rig.looks.lock().expect("one thread").len();
        assert_eq!(before, 1);
        let begun = Instant::now();
        let (knock, answer) = oneshot::channel();
        rig.knock.send(knock).await.expect("somebody looks");
        answer.await.expect("an answer");
        assert_eq!(rig.looks.lock().expect("one thread").len(), 2);
        let waited = begun.elapsed().as_secs_f64();
        assert!((waited - delay).abs() < 0.01, "{waited}");
        rig.reports();
    }
}

/// A process that does nothing, until it is dropped.
struct Idle(Child);

impl Idle {
    fn start() -> Self {
        let mut command = Command::new("/bin/cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("cat runs"))
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.kill().ok(); // it may have ended
        self.0.wait().ok();
    }
}

/// Measures a process and counts what is put on the board in so many seconds.
async fn measured(pid: i32, readiness: Readiness, seconds: u64, board: &Board) -> Vec<Measured> {
    let health = match readiness {
        Readiness::Ready => Health::Healthy,
        Readiness::Loading => Health::Unknown,
    };
    let subject = subject(health, pid, |_| {});
    let probes = 0;
    let (_pulse, seen) = watch::channel(Pulse { readiness, probes });
    let (sender, _inbox) = mpsc::channel(64);
    let mut all = Vec::new();
    let collecting = async {
        for _ in 0..seconds * 10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            all.extend(board.take());
        }
    };
    tokio::select! {
        () = measuring::run(&subject, board, seen, &sender) => {}
        () = collecting => {}
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_run_is_measured_every_second_for_a_watcher_and_else_with_its_probes() {
    let board = Board::new();
    let process = Idle::start();
    let alone = measured(process.pid(), Readiness::Ready, 25, &board).await;
    assert_eq!(alone.len(), 1, "no probe, no measurement");
    let _seat = board.audience.sit();
    let watched = measured(process.pid(), Readiness::Ready, 10, &board).await;
    assert!((9..=11).contains(&watched.len()), "{}", watched.len());
    assert!(watched.iter().all(|run| run.readings.rss_bytes.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_stands_still_is_told_of_once() {
    let process = Idle::start();
    let subject = subject(Health::Unknown, process.pid(), |check| {
        check.start_period = Duration::from_secs(60);
    });
    let probes = 0;
    let readiness = Readiness::Loading;
    let (_pulse, seen) = watch::channel(Pulse { readiness, probes });
    let (sender, mut inbox) = mpsc::channel(64);
    let board = Board::new();
    let begun = Instant::now();
    let waiting = async {
        let Some(Message::Input(Input::Stalled { reason, .. })) = inbox.recv().await else {
            unreachable!("nothing else is told of a start");
        };
        assert!(begun.elapsed() >= Duration::from_secs(60));
        assert!(reason.starts_with("no progress for 6"), "{reason}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(inbox.try_recv().is_err(), "once is enough");
    };
    tokio::select! {
        () = measuring::run(&subject, &board, seen, &sender) => {
            unreachable!("the process lives");
        }
        () = waiting => {}
    }
}

#[tokio::test(start_paused = true)]
async fn measuring_ends_with_the_server() {
    let process = Idle::start();
    let board = Board::new();
    let pid = process.pid();
    let subject = subject(Health::Healthy, pid, |_| {});
    drop(process);
    let probes = 0;
    let readiness = Readiness::Ready;
    let (_pulse, seen) = watch::channel(Pulse { readiness, probes });
    let (sender, _inbox) = mpsc::channel(1);
    measuring::run(&subject, &board, seen, &sender).await;
    assert_eq!(board.take(), []);
}

#[tokio::test]
async fn a_run_that_is_looked_at_takes_little_memory() {
    let database = tempfile::tempdir().expect("a folder");
    let opened = Store::open(&database.path().join("state.sqlite"), Options::default());
    let log = HealthLog::new(opened.expect("opened").store, Tally::default());
    let (sender, _inbox) = mpsc::channel(1);
    let (_knock, knocks) = mpsc::channel(1);
    let subject = subject(Health::Unknown, own_pid(), |_| {});
    let probing = run(subject, Board::new(), log, sender, knocks);
    // An owner of a thousand servers holds a thousand of them.
    let size = size_of_val(&probing);
    assert!(size <= 5 << 10, "{size} bytes");
}
