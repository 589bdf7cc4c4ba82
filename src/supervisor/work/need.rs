//! How an instance is, seen from a work unit that needs it.

use super::turns::Need;
use crate::domain::fleet::InstanceRow;
use crate::domain::instance::InstanceName;
use crate::domain::lifecycle::{Health, Status};
use crate::supervisor::state::Fleet;

/// Returns whether a unit that needs this instance may begin, should wait, or hopes in vain.
#[must_use]
pub fn need(fleet: &Fleet, name: &InstanceName) -> Need {
    let Some(instance) = fleet.instances.get(name) else {
        return Need::Hopeless {
            why: "does not exist".to_owned(),
            remedy: Some(format!(
                "make it: llama-orch init {name}; or give the unit another instance"
            )),
        };
    };
    of_row(&instance.row(name, false))
}

fn of_row(row: &InstanceRow) -> Need {
    let coming = |what: &str| Need::Coming(with_reason(what, row));
    match (row.status, row.health) {
        (Status::Running, Health::Healthy) => Need::Healthy,
        (Status::Running, Health::Unhealthy | Health::Error) => {
            coming("does not answer as it should")
        }
        (Status::Starting | Status::Running, Health::Loading) => coming(&match row.progress {
            Some(percent) => format!("loads its model ({percent}%)"),
            None => "loads its model".to_owned(),
        }),
        (Status::Starting | Status::Running, _) => coming("starts"),
        (Status::Stopping, _) => coming("is stopping"),
        (Status::Backoff, _) => coming("starts again in a while"),
        (Status::Failed, _) => hopeless("failed", row),
        (Status::Stopped, _) if row.broken => hopeless("cannot be used", row),
        (Status::Stopped, _) => Need::Stopped,
    }
}

fn hopeless(what: &str, row: &InstanceRow) -> Need {
    let autopsy = row.autopsy.as_ref();
    Need::Hopeless {
        why: with_reason(what, row),
        remedy: autopsy.and_then(|autopsy| autopsy.remedy.clone()),
    }
}

fn with_reason(what: &str, row: &InstanceRow) -> String {
    match &row.reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
    use crate::domain::instance::tests::spec;
    use crate::domain::lifecycle::Failure;
    use crate::domain::readings::Readings;
    use crate::domain::run::RunId;
    use crate::supervisor::state::{Config, Instance, Liveness, Origin, Phase, Up, Waits};

    fn up(health: Health) -> Phase {
        Phase::Up(Up {
            run: RunId::new("1".to_owned()),
            pid: 1,
            port: Some(1),
            started_at: 1.0,
            build: None,
            started_with: BTreeMap::new(),
            health,
            detail: None,
            activity: None,
            progress: (health == Health::Loading).then_some(63),
            readings: Readings::default(),
            healthy_since: None,
            timer: 0,
            liveness: Liveness::default(),
        })
    }

    #[test]
    fn every_phase_of_an_instance_says_whether_there_is_hope() {
        let coming = |how: &str| Need::Coming(how.to_owned());
        let hopeless = |why: &str, remedy: Option<&str>| Need::Hopeless {
            why: why.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let broken = || Config::Broken {
            reason: "no port".to_owned(),
            last: None,
        };
        let ready = || Config::Ready(Arc::new(spec("i")));
        let failed = Phase::Failed {
            failure: Failure::Crashed,
            reason: "out of VRAM".to_owned(),
        };
        let backoff = Phase::Backoff {
            timer: 1,
            until: 1.0,
            reason: "exited with code 1".to_owned(),
            waits: Waits::Delay,
        };
        let waiting = Phase::Waiting {
            origin: Origin::User,
        };
        let rows = [
            (ready(), Phase::Stopped, Need::Stopped),
            (
                broken(),
                Phase::Stopped,
                hopeless("cannot be used: no port", Some("fewer layers")),
            ),
            (
                ready(),
                failed,
                hopeless("failed: out of VRAM", Some("fewer layers")),
            ),
            (
                ready(),
                backoff,
                coming("starts again in a while: exited with code 1"),
            ),
            (
                ready(),
                waiting,
                coming("starts: waiting for others to load"),
            ),
            (ready(), up(Health::Unknown), coming("starts")),
            (
                ready(),
                up(Health::Loading),
                coming("loads its model (63%)"),
            ),
            (ready(), up(Health::Healthy), Need::Healthy),
            (broken(), up(Health::Healthy), Need::Healthy),
            (
                ready(),
                up(Health::Unhealthy),
                coming("does not answer as it should"),
            ),
        ];
        let name = InstanceName::parse("i").expect("a name");
        for (config, phase, expected) in rows {
            let mut fleet = Fleet::new(1);
            let instance = Instance {
                config,
                phase,
                autopsy: Some(Autopsy {
                    cause: Cause::OutOfVram,
                    class: RetryClass::Never,
                    summary: "out of VRAM".to_owned(),
                    evidence: None,
                    remedy: Some("fewer layers".to_owned()),
                }),
                ..Instance::default()
            };
            fleet.instances.insert(name.clone(), instance);
            assert_eq!(need(&fleet, &name), expected);
        }
        let Need::Hopeless { why, .. } = need(&Fleet::new(1), &name) else {
            unreachable!("it is not there");
        };
        assert_eq!(why, "does not exist");
    }
}
