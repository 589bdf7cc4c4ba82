//! One look at a server that nobody watches.

use std::sync::Arc;

use super::super::decision::Sight;
use super::{Subject, health};
use crate::config::home::Home;
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::{InstanceSpec, Server};
use crate::domain::lifecycle::Health;
use crate::domain::run::RunId;
use crate::process::listeners::Tree;
use crate::process::os;
use crate::process::runfiles::{self, RunFile, RunPaths};

/// Probes the server of a row that no owner looks after; what is seen is returned and not stored.
/// Only a server that was ready before can be unhealthy.
pub async fn probe_once(
    spec: &InstanceSpec,
    row: &InstanceRow,
    home: &Home,
) -> (Health, Option<String>) {
    let Some(server) = row.pid.and_then(|pid| os::identity(pid).ok()) else {
        return (Health::Unknown, Some("its process is gone".to_owned()));
    };
    let run: Option<RunFile> = runfiles::read(&RunPaths::new(home.runs_dir(&row.name)).run())
        .ok()
        .flatten();
    let subject = Subject {
        name: row.name.clone(),
        run: row.run.clone().unwrap_or_else(|| RunId::new(String::new())),
        tree: Tree {
            server,
            shim: run.as_ref().map(|run| run.shim.pid),
            token: run.map(|run| run.token).unwrap_or_default(),
        },
        port: row.port,
        spec: Arc::new(InstanceSpec {
            server: Server {
                host: row.host.clone(),
                ..spec.server.clone()
            },
            ..spec.clone()
        }),
        health: row.health,
        root: home.root().to_owned(),
    };
    let was_ready = match row.health {
        Health::Healthy | Health::Unhealthy | Health::Error => true,
        Health::Unknown | Health::Loading => false,
    };
    match health::once(&subject).await {
        Sight::Healthy => (Health::Healthy, None),
        Sight::Loading(what) => (Health::Loading, what),
        Sight::Wrong(answer) => (Health::Error, Some(answer)),
        Sight::Unreachable(_) if !was_ready => (Health::Unknown, None),
        Sight::Stranger(who) if !was_ready => (Health::Unknown, Some(who)),
        Sight::Unreachable(why) => (Health::Unhealthy, Some(format!("unreachable: {why}"))),
        Sight::Stranger(who) => (Health::Unhealthy, Some(who)),
    }
}
