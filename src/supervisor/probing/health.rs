//! The probing of one run: looks again and again and reports what is new, and every failure.
//!
//! What a probe saw without news is only noted for the five-minute sums: a healthy fleet wakes
//! nobody. A healthy answer counts only if the socket that gave it belongs to the run's own tree,
//! and, where one is configured, only after a warm-up completion was answered.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::actor::Message;
use super::super::decision::{Input, Sight};
use super::super::record::HealthLog;
use super::target::Target;
use super::{Knock, Pulse, Readiness, Subject, pace};
use crate::domain::instance::{ProbeKind, Shell};
use crate::domain::lifecycle::Health;
use crate::probes::http::Server;
use crate::probes::script::Interpreter;
use crate::probes::{self, Address, Outcome, Verdict};
use crate::process::bounded;
use crate::process::listeners::{self, Listener};

/// Healthy answers between two looks at whose socket it is; it changes only with a new process.
const OWNER_SPACING: u32 = 30;

/// Tokens of the warm-up completion: enough to run every kernel once.
const WARMUP_TOKENS: u32 = 4;

/// A first completion compiles what the device needs, which takes minutes on some.
const WARMUP_TIME: Duration = Duration::from_secs(300);

/// One run's probe and what it remembers from look to look.
struct Probe<'a> {
    subject: &'a Subject,
    target: Target,
    server: Option<Server>,
    warm: Warm,
    /// Healthy answers since it was last seen whose they are.
    since_owner: Option<u32>,
    /// The sockets that the server was last seen to listen on.
    own: Vec<String>,
}

/// Whether the server has answered its warm-up completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warm {
    Yes,
    NotYet,
}

/// What can be looked at; a test has its own.
pub(super) trait Looks {
    /// Looks once; with the time of the answer, if there was one.
    fn look(&mut self) -> impl Future<Output = (Sight, Option<Duration>)> + Send;
}

/// Where what was seen goes.
pub(super) struct Reports<'a> {
    pub(super) pulse: &'a watch::Sender<Pulse>,
    pub(super) log: &'a HealthLog,
    pub(super) sender: &'a mpsc::Sender<Message>,
}

/// Probes until it is cancelled or the supervisor ends.
pub(super) async fn run(subject: &Subject, reports: &Reports<'_>, knocks: mpsc::Receiver<Knock>) {
    let mut probe = Probe::new(subject);
    keep_looking(&mut probe, subject, reports, knocks).await;
}

/// Looks when it is time, or when somebody asks.
pub(super) async fn keep_looking(
    probe: &mut impl Looks,
    subject: &Subject,
    reports: &Reports<'_>,
    mut knocks: mpsc::Receiver<Knock>,
) {
    let Reports { pulse, log, sender } = reports;
    let check = &subject.spec.healthcheck;
    let mut ready = pulse.borrow().readiness;
    let mut last = match subject.health {
        Health::Healthy => Some(Sight::Healthy),
        Health::Unknown | Health::Loading | Health::Unhealthy | Health::Error => None,
    };
    let mut pause = pace::FIRST_PAUSE;
    let mut failures = 0_u32;
    let mut due = Instant::now();
    let mut earliest = due;
    let mut place = None;
    let mut knocked: Vec<Knock> = Vec::new();
    loop {
        while let Some(knock) = next_knock(due, &mut knocks).await {
            knocked.push(knock);
            // A look that is asked for comes no sooner than a repeated one: each failure counts.
            due = due.min(earliest);
        }
        // Apart from the loop: what a look needs is needed seldom, and by one run of many at a time.
        let (sight, took) = Box::pin(probe.look()).await;
        if sight == Sight::Healthy {
            ready = Readiness::Ready;
        }
        let counts = ready == Readiness::Ready && sight.is_failure();
        failures = if counts {
            failures.saturating_add(1)
        } else {
            0
        };
        if counts || last.as_ref() != Some(&sight) {
            let input = Input::Probed {
                name: subject.name.clone(),
                run: subject.run.clone(),
                sight: sight.clone(),
                took,
            };
            if sender.send(Message::Input(input)).await.is_err() {
                return;
            }
        } else if sight == Sight::Healthy {
            log.note(&subject.name, Health::Healthy, took);
        }
        pulse.send_modify(|pulse| {
            pulse.readiness = ready;
            pulse.probes += 1;
        });
        let now = Instant::now();
        due = match ready {
            Readiness::Loading => {
                pause = pace::next_while_loading(pause);
                now + pause
            }
            Readiness::Ready if failures == 0 => {
                let first = || now + pace::phase(&subject.name, check.interval);
                let next = place.map_or_else(first, |place| pace::next(place, check.interval, now));
                *place.insert(next)
            }
            Readiness::Ready => now + pace::after(check, &sight, failures, fastrand::f64()),
        };
        earliest = if failures == 0 {
            now
        } else {
            now + check.retry_delay
        };
        for knock in knocked.drain(..) {
            knock.send(()).ok(); // whoever asked may have given up
        }
        last = Some(sight);
    }
}

/// Looks once.
pub(super) async fn once(subject: &Subject) -> Sight {
    Probe::new(subject).look().await.0
}

/// Waits until a look is due; returns sooner when somebody asks for one.
async fn next_knock(due: Instant, knocks: &mut mpsc::Receiver<Knock>) -> Option<Knock> {
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(due) => None,
        Some(knock) = knocks.recv() => Some(knock),
    }
}

impl Looks for Probe<'_> {
    fn look(&mut self) -> impl Future<Output = (Sight, Option<Duration>)> + Send {
        self.look_once()
    }
}

impl<'a> Probe<'a> {
    fn new(subject: &'a Subject) -> Self {
        let spec = &subject.spec;
        let warm = match (&spec.healthcheck.warmup_prompt, subject.health) {
            (None, _) | (_, Health::Healthy | Health::Unhealthy | Health::Error) => Warm::Yes,
            (Some(_), Health::Unknown | Health::Loading) => Warm::NotYet,
        };
        Self {
            subject,
            target: Target::new(spec, subject.port, &subject.root),
            server: None,
            warm,
            since_owner: None,
            own: Vec::new(),
        }
    }

    async fn look_once(&mut self) -> (Sight, Option<Duration>) {
        let Outcome { verdict, took } = self.ask().await;
        let sight = match verdict {
            Verdict::Healthy => self.confirmed().await,
            Verdict::Loading => Sight::Loading(None),
            Verdict::Wrong { status, excerpt } => {
                Sight::Wrong(format!("answered {status}: {excerpt}"))
            }
            Verdict::Unreachable { reason } => Sight::Unreachable(reason),
            Verdict::TimedOut => Sight::Unreachable("no answer in time".to_owned()),
        };
        if sight != Sight::Healthy {
            self.since_owner = None;
            self.server = None; // its key may be another by then
        }
        let answered = !matches!(sight, Sight::Unreachable(_));
        (sight, answered.then_some(took))
    }

    /// A healthy answer is believed when it is the run's own, and the server is warm.
    async fn confirmed(&mut self) -> Sight {
        if let Some(stranger) = self.stranger().await {
            return Sight::Stranger(stranger);
        }
        if self.warm == Warm::NotYet
            && let Some(prompt) = &self.subject.spec.healthcheck.warmup_prompt
        {
            if let Some(trouble) = self.warm_up(prompt).await {
                return Sight::Loading(Some(trouble));
            }
            self.warm = Warm::Yes;
        }
        Sight::Healthy
    }

    /// Looks whose socket answered, unless that was seen not long ago.
    async fn stranger(&mut self) -> Option<String> {
        if let Some(since) = &mut self.since_owner {
            *since += 1;
            if *since < OWNER_SPACING {
                return None;
            }
        }
        self.since_owner = Some(0);
        if listeners::still_own(&self.own, &self.subject.tree) {
            return None;
        }
        let tree = self.subject.tree.clone();
        let (listener, place) = match self.target.address.clone()? {
            Address::Tcp { port, .. } => {
                let found = tokio::task::spawn_blocking(move || listeners::of_port(port, &tree));
                (found.await.ok()?, format!("port {port}"))
            }
            Address::Unix(path) => {
                let place = path.display().to_string();
                let look = move || listeners::of_socket(&path, &tree);
                let found = tokio::task::spawn_blocking(look);
                (found.await.ok()?, place)
            }
        };
        self.own.clear();
        match listener {
            Listener::Own(own) => {
                self.own = own;
                None
            }
            Listener::Unknown => None,
            Listener::Stranger(None) => Some(format!("another process answers on {place}")),
            Listener::Stranger(Some(holder)) => {
                Some(format!("another process answers on {place}: {holder}"))
            }
        }
    }

    /// Asks for a short completion; returns what is in the way of an answer.
    async fn warm_up(&self, prompt: &str) -> Option<String> {
        let server = self.server.as_ref()?;
        let path = format!("{}/completion", self.target.prefix);
        let body = serde_json::json!({"prompt": prompt, "n_predict": WARMUP_TOKENS});
        let asking = server.post(&path, body.to_string());
        match tokio::time::timeout(WARMUP_TIME, asking).await {
            Ok(Ok(answer)) if answer.status == 200 => None,
            Ok(Ok(answer)) => Some(format!("the warm-up was answered {}", answer.status)),
            Ok(Err(error)) => Some(format!("the warm-up was not answered: {error}")),
            Err(_) => Some("the warm-up was not answered in time".to_owned()),
        }
    }

    async fn ask(&mut self) -> Outcome {
        if self.server.is_none() {
            self.server = self.target.server();
        }
        let check = &self.subject.spec.healthcheck;
        let nowhere = || Outcome {
            verdict: Verdict::Unreachable {
                reason: "it has no port".to_owned(),
            },
            took: Duration::ZERO,
        };
        match &check.probe {
            ProbeKind::Http {
                path,
                expected_status,
                expected_body,
            } => {
                let Some(server) = &self.server else {
                    return nowhere();
                };
                let expected = probes::http::Expected {
                    path: path.clone(),
                    status: expected_status.clone(),
                    body: expected_body.clone(),
                };
                probes::http::probe(server, &expected, check.timeout).await
            }
            ProbeKind::Tcp => match &self.target.address {
                Some(address) => probes::tcp::probe(address, check.timeout).await,
                None => nowhere(),
            },
            ProbeKind::Script { command, shell } => {
                let script = probes::script::Script {
                    command: command.clone(),
                    interpreter: match shell {
                        Shell::Yes => Interpreter::Shell,
                        Shell::No => Interpreter::None,
                    },
                    host: self.subject.spec.server.host.clone(),
                    port: self.subject.port,
                    name: self.subject.name.to_string(),
                };
                let limit = check.timeout;
                probes::script::probe(&script, move |command| bounded::run(command, limit)).await
            }
        }
    }
}
