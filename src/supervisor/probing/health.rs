//! The probing of one run: looks again and again and reports what changes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::super::actor::Message;
use super::super::decision::Input;
use super::target::Target;
use super::{Knock, Readiness, Subject};
use crate::domain::instance::{Healthcheck, InstanceName, ProbeKind, Shell};
use crate::domain::lifecycle::Health;
use crate::probes::script::Interpreter;
use crate::probes::{self, Verdict};

/// The first look at a server that was just started, and the shortest pause before it is ready.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause before the first healthy answer.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// Probes until it is cancelled or the supervisor ends.
pub(super) async fn run(
    subject: &Subject,
    ready: &watch::Sender<Readiness>,
    sender: &mpsc::Sender<Message>,
    mut knocks: mpsc::Receiver<Knock>,
) {
    let spec = &subject.spec;
    let target = Target::new(spec, subject.port, &subject.root);
    let mut knocked: Vec<Knock> = Vec::new();
    let mut reported: Option<(Health, Option<String>)> = Some((subject.health, None));
    let mut was_healthy = subject.health == Health::Healthy;
    let mut pause = FIRST_PAUSE;
    loop {
        let verdict = look(subject, &target).await;
        let (health, detail) = judge(verdict, was_healthy);
        was_healthy |= health == Health::Healthy;
        if was_healthy {
            ready.send_if_modified(|present| {
                std::mem::replace(present, Readiness::Ready) == Readiness::Loading
            });
        }
        if reported.as_ref() != Some(&(health, detail.clone())) {
            let input = Input::Probed {
                name: subject.name.clone(),
                run: subject.run.clone(),
                health,
                detail: detail.clone(),
            };
            if sender.send(Message::Input(input)).await.is_err() {
                return;
            }
            reported = Some((health, detail));
        }
        for knock in knocked.drain(..) {
            knock.send(()).ok(); // whoever asked may have given up
        }
        let time = if was_healthy {
            steady_pause(&subject.name, &spec.healthcheck, health)
        } else {
            let time = pause;
            pause = (pause * 3 / 2).min(LOADING_PAUSE);
            time
        };
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            Some(knock) = knocks.recv() => knocked.push(knock),
        }
    }
}

async fn look(subject: &Subject, target: &Target) -> Verdict {
    let check = &subject.spec.healthcheck;
    let nowhere = || Verdict::Unreachable {
        reason: "it has no port".to_owned(),
    };
    match &check.probe {
        ProbeKind::Http {
            path,
            expected_status,
            expected_body,
        } => {
            let Some(server) = target.server() else {
                return nowhere();
            };
            let expected = probes::http::Expected {
                path: path.clone(),
                status: expected_status.clone(),
                body: expected_body.clone(),
            };
            let outcome = probes::http::probe(&server, &expected, check.timeout).await;
            outcome.verdict
        }
        ProbeKind::Tcp => match &target.address {
            Some(address) => probes::tcp::probe(address, check.timeout).await.verdict,
            None => nowhere(),
        },
        ProbeKind::Script { command, shell } => {
            let script = probes::script::Script {
                command: command.clone(),
                interpreter: match shell {
                    Shell::Yes => Interpreter::Shell,
                    Shell::No => Interpreter::None,
                },
                host: subject.spec.server.host.clone(),
                port: subject.port,
                name: subject.name.to_string(),
            };
            probes::script::probe(&script, check.timeout).await.verdict
        }
    }
}
/// Turns one answer into health; a server that never answered yet is only starting.
fn judge(verdict: Verdict, was_healthy: bool) -> (Health, Option<String>) {
    match verdict {
        Verdict::Healthy => (Health::Healthy, None),
        Verdict::Loading => (Health::Loading, None),
        Verdict::Wrong { status, excerpt } => {
            (Health::Error, Some(format!("answered {status}: {excerpt}")))
        }
        Verdict::Unreachable { reason } if was_healthy => {
            (Health::Unhealthy, Some(format!("unreachable: {reason}")))
        }
        Verdict::TimedOut if was_healthy => (
            Health::Unhealthy,
            Some("unreachable: no answer in time".to_owned()),
        ),
        Verdict::Unreachable { .. } | Verdict::TimedOut => (Health::Unknown, None),
    }
}

/// The pause between probes of a running server; a fixed share by name keeps a fleet out of step.
fn steady_pause(name: &InstanceName, check: &Healthcheck, health: Health) -> Duration {
    match health {
        Health::Healthy => {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            let phase = (hasher.finish() % 100) as f64 / 1000.0;
            check.interval.mul_f64(0.95 + phase)
        }
        Health::Unknown | Health::Loading | Health::Unhealthy | Health::Error => {
            check.retry_delay.min(check.interval)
        }
    }
}
