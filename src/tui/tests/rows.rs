//! Rows of a made-up fleet.

use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Desired, Health, Status};
use crate::domain::readings::Readings;
use crate::domain::run::RunId;

/// A row of this name in this state.
pub(in crate::tui) fn row(name: &str, status: Status, health: Health) -> InstanceRow {
    let live = status.is_live();
    InstanceRow {
        name: InstanceName::parse(name).expect("it is a name"),
        display_name: name.to_owned(),
        tags: Vec::new(),
        desired: if status == Status::Stopped {
            Desired::Stopped
        } else {
            Desired::Running
        },
        status,
        health,
        reason: None,
        failure: None,
        run: live.then(|| RunId::new(format!("run-{name}"))),
        pid: live.then_some(41822),
        port: Some(8081),
        host: "127.0.0.1".to_owned(),
        backend: "cuda".to_owned(),
        device: "GPU0".to_owned(),
        model: "Qwen3-Coder-30B-Q4_K_M".to_owned(),
        started_at: live.then_some(1_700_000_000.0),
        restart_at: None,
        restarts: 0,
        exit: None,
        autopsy: None,
        progress: None,
        readings: Readings::default(),
        drift: false,
        broken: false,
    }
}
