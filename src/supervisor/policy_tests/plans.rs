//! What a plan says of an instance in each state.

use super::*;
use crate::config::drift;
use crate::supervisor::plan::{Needs, Step, plan};
use crate::supervisor::state::Phase;

fn ready(spec: InstanceSpec) -> Config {
    Config::Ready(Arc::new(spec))
}

/// An instance that runs what its file said.
fn running() -> Rig {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    rig.healthy("a");
    if let Some(instance) = rig.fleet.instances.get_mut(&name("a"))
        && let Phase::Up(up) = &mut instance.phase
    {
        up.started_with = drift::static_fields(&spec("a"));
    }
    rig
}

/// The plan as `step: field needs, …`.
fn planned(rig: &Rig, file: &Config) -> String {
    let plan = plan(&name("a"), &rig.fleet.instances[&name("a")], file);
    let changes: Vec<String> = plan
        .changes
        .iter()
        .map(|change| format!("{} {}", change.field.field, change.needs.as_str()))
        .collect();
    assert_eq!(
        plan.step == Step::Restart,
        plan.changes
            .iter()
            .any(|change| change.needs == Needs::Restart)
    );
    format!("{}: {}", plan.step.as_str(), changes.join(", "))
}

#[test]
fn each_kind_of_change_needs_what_it_needs() {
    let rig = running();
    let with = |change: fn(&mut InstanceSpec)| {
        let mut spec = spec("a");
        change(&mut spec);
        ready(spec)
    };
    let rows = [
        (with(|_| {}), "nothing: "),
        (
            with(|spec| spec.tags = vec!["x".to_owned()]),
            "live: tags nothing",
        ),
        (
            with(|spec| spec.model.context_size = 9),
            "restart: model.context_size restart",
        ),
        (
            with(|spec| {
                spec.restart_policy.max_retries = 9;
                spec.args = vec!["-v".to_owned()];
            }),
            "restart: restart_policy.max_retries nothing, args restart",
        ),
        (
            Config::Broken {
                reason: "bad".to_owned(),
                last: None,
            },
            "repair: ",
        ),
        (Config::Gone { last: None }, "repair: "),
    ];
    for (file, expected) in rows {
        assert_eq!(planned(&rig, &file), expected, "{file:?}");
    }
}

#[test]
fn without_a_run_there_is_nothing_to_do() {
    let rig = Rig::new();
    let mut changed = spec("a");
    changed.model.context_size = 9;
    assert_eq!(planned(&rig, &ready(changed)), "nothing: ");
}

#[test]
fn a_run_that_remembers_nothing_is_left_alone() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    let mut changed = spec("a");
    changed.model.context_size = 9;
    assert_eq!(planned(&rig, &ready(changed)), "nothing: ");
}
