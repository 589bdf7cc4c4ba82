//! The probing of one run: looks again and again and reports what changes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::actor::Message;
use super::decision::Input;
use crate::domain::instance::{Healthcheck, InstanceName, InstanceSpec, ProbeKind, Shell};
use crate::domain::lifecycle::Health;
use crate::domain::run::RunId;
use crate::probes::script::Interpreter;
use crate::probes::{self, Verdict};

/// The first look at a server that was just started, and the shortest pause before it is ready.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause before the first healthy answer.
const LOADING_PAUSE: Duration = Duration::from_millis(500);

/// Probes until it is cancelled or the supervisor ends.
pub(super) async fn run(
    name: InstanceName,
    run: RunId,
    port: Option<u16>,
    spec: Arc<InstanceSpec>,
    health: Health,
    sender: mpsc::Sender<Message>,
) {
    let mut reported: Option<(Health, Option<String>)> = Some((health, None));
    let mut was_healthy = health == Health::Healthy;
    let mut pause = FIRST_PAUSE;
    loop {
        let verdict = look(&spec, port).await;
        let (health, detail) = judge(verdict, was_healthy);
        was_healthy |= health == Health::Healthy;
        if reported.as_ref() != Some(&(health, detail.clone())) {
            let input = Input::Probed {
                name: name.clone(),
                run: run.clone(),
                health,
                detail: detail.clone(),
            };
            if sender.send(Message::Input(input)).await.is_err() {
                return;
            }
            reported = Some((health, detail));
        }
        if was_healthy {
            tokio::time::sleep(steady_pause(&name, &spec.healthcheck, health)).await;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LOADING_PAUSE);
        }
    }
}

async fn look(spec: &InstanceSpec, port: Option<u16>) -> Verdict {
    let check = &spec.healthcheck;
    let host = &spec.server.host;
    match &check.probe {
        ProbeKind::Http {
            path,
            expected_status,
            expected_body,
        } => {
            let Some(address) = probes::Address::of(host, port) else {
                return Verdict::Unreachable {
                    reason: "it has no port".to_owned(),
                };
            };
            let target = probes::http::Target {
                address,
                path: path.clone(),
                expected_status: expected_status.clone(),
                expected_body: expected_body.clone(),
                api_key: None,
            };
            probes::http::probe(&target, check.timeout).await.verdict
        }
        ProbeKind::Tcp => match probes::Address::of(host, port) {
            Some(address) => probes::tcp::probe(&address, check.timeout).await.verdict,
            None => Verdict::Unreachable {
                reason: "it has no port".to_owned(),
            },
        },
        ProbeKind::Script { command, shell } => {
            let script = probes::script::Script {
                command: command.clone(),
                interpreter: match shell {
                    Shell::Yes => Interpreter::Shell,
                    Shell::No => Interpreter::None,
                },
                host: host.clone(),
                port,
                name: spec.name.to_string(),
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
