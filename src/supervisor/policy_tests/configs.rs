//! Files that change, break, vanish and appear while instances run.

use super::*;
use crate::domain::lifecycle::Desired;
use crate::domain::run::StopMode;
use crate::supervisor::decision::{Newcomers, Outcome};
use crate::supervisor::state::Instance;

/// Reads the configurations again, with this one for instance `a`; `b` stays as it was.
fn reread(rig: &mut Rig, config: Option<Config>) -> Vec<String> {
    let mut instances = BTreeMap::from([(name("b"), ready(spec("b")))]);
    instances.extend(config.map(|config| (name("a"), config)));
    told(rig.give(Input::ConfigsLoaded(Configs {
        instances,
        ..Configs::default()
    })))
}

fn ready(spec: InstanceSpec) -> Config {
    Config::Ready(Arc::new(spec))
}

fn broken(reason: &str) -> Config {
    Config::Broken {
        reason: reason.to_owned(),
        last: None,
    }
}

/// The events of a decision as `level kind instance message`.
fn told(decision: Decision) -> Vec<String> {
    let texts = decision
        .effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Announce {
                name,
                level,
                kind,
                message,
            } => {
                let name = name.map_or_else(|| "-".to_owned(), |name| name.to_string());
                Some(format!("{level} {kind} {name} {message}"))
            }
            _ => None,
        });
    texts.collect()
}

fn running() -> Rig {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    rig.launched("a");
    rig.healthy("a");
    rig
}

fn row(rig: &Rig) -> crate::domain::fleet::InstanceRow {
    rig.fleet.instances[&name("a")].row(&name("a"), false)
}

#[test]
fn a_changed_probe_applies_to_the_running_instance_and_names_the_field() {
    let mut rig = running();
    let mut changed = spec("a");
    changed.healthcheck.interval = Duration::from_secs(3);
    changed.tags = vec!["x".to_owned()];
    let decision = rig.give(Input::ConfigsLoaded(Configs {
        instances: BTreeMap::from([(name("a"), ready(changed)), (name("b"), ready(spec("b")))]),
        ..Configs::default()
    }));
    let probed = decision.effects.iter().any(|effect| {
        matches!(effect, Effect::StartProbing { spec, health: Health::Healthy, .. }
            if spec.healthcheck.interval == Duration::from_secs(3))
    });
    assert!(probed, "{:?}", decision.effects);
    assert_eq!(
        told(decision),
        ["info config_changed a applied to the running instance: \
          healthcheck.interval: 10 s → 3 s; tags: (not set) → x"]
    );
    assert_eq!(row(&rig).tags, ["x"]);
    assert_eq!(rig.status("a"), Status::Running);
}

#[test]
fn a_changed_start_of_a_running_instance_is_only_told() {
    let mut rig = running();
    let mut changed = spec("a");
    changed.model.context_size = 99;
    changed.args = vec!["--api-key".to_owned(), "s3cret".to_owned()];
    let told = reread(&mut rig, Some(ready(changed.clone())));
    assert_eq!(
        told,
        ["warning config_changed a changed, needs a restart: \
          args: (not set) → --api-key '***'; model.context_size: 0 → 99"]
    );
    assert_eq!(rig.status("a"), Status::Running);
    assert_eq!(reread(&mut rig, Some(ready(changed))), [""; 0]);
}

#[test]
fn what_changes_before_a_start_is_told_as_such() {
    let mut rig = Rig::new();
    let mut changed = spec("a");
    changed.model.context_size = 99;
    assert_eq!(
        reread(&mut rig, Some(ready(changed))),
        ["info config_changed a changed for the next start: model.context_size: 0 → 99"]
    );
}

#[test]
fn a_broken_file_keeps_the_run_and_its_restarts_on_the_last_good_one() {
    let mut rig = running();
    let told = reread(&mut rig, Some(broken("a.toml:1:2: bad")));
    assert_eq!(
        told,
        ["error config_broken a a.toml:1:2: bad; it goes on with the last good configuration"]
    );
    let shown = row(&rig);
    assert!(shown.broken);
    assert_eq!(shown.reason.as_deref(), Some("a.toml:1:2: bad"));
    assert_eq!(shown.status, Status::Running);
    // The same again is no news.
    assert_eq!(reread(&mut rig, Some(broken("a.toml:1:2: bad"))), [""; 0]);
    // A person's restart is refused; the supervisor's own goes on.
    let restart = rig.command("a", Action::Restart(StopMode::Gentle));
    assert!(matches!(restart.outcome, Some(Outcome::Denied(_))));
    rig.exited("a", ExitStatus::Code(1));
    assert_eq!(rig.status("a"), Status::Backoff);
    let told = reread(&mut rig, Some(ready(spec("a"))));
    assert_eq!(
        told,
        ["info config_changed a its configuration can be used again (it was: a.toml:1:2: bad)"]
    );
    assert!(!row(&rig).broken);
}

#[test]
fn a_deleted_file_keeps_the_run_and_the_row_goes_with_it() {
    let mut rig = running();
    let told = reread(&mut rig, None);
    assert_eq!(
        told,
        ["warning config_broken a its configuration file is gone; \
          it goes on with the last good configuration"]
    );
    assert_eq!(rig.status("a"), Status::Running);
    assert_eq!(
        row(&rig).reason.as_deref(),
        Some("its configuration file is gone")
    );
    rig.command("a", Action::Stop(StopMode::Gentle));
    rig.exited("a", ExitStatus::Code(0));
    assert_eq!(reread(&mut rig, None), [""; 0]);
    assert!(!rig.fleet.instances.contains_key(&name("a")));
}

#[test]
fn a_run_without_a_file_is_adopted_as_it_was_wanted() {
    let rows = [(Some(Desired::Running), 0), (Some(Desired::Stopped), 1)];
    for (wish, stops) in rows {
        let mut rig = Rig::new();
        let instance = Instance {
            desired: wish.unwrap_or(Desired::Running),
            ..Instance::default()
        };
        rig.fleet.instances.insert(name("x"), instance);
        rig.give(Input::ConfigsLoaded(Configs::default()));
        let decision = rig.give(Input::Adopted {
            name: name("x"),
            up: up(RunId::new("r".to_owned())),
            stopping: None,
        });
        let stop = |effect: &&Effect| matches!(effect, Effect::Stop { .. });
        assert_eq!(
            decision.effects.iter().filter(stop).count(),
            stops,
            "{wish:?}"
        );
    }
}

#[test]
fn a_new_instance_is_started_when_it_asks_for_that_and_was_never_seen() {
    let rows = [
        (Newcomers::Start, None, true, 1),
        (Newcomers::Leave, None, true, 0),
        (Newcomers::Start, None, false, 0),
        (Newcomers::Start, Some(Desired::Stopped), true, 0),
    ];
    for (newcomers, wish, autostart, starts) in rows {
        let mut rig = Rig::new();
        rig.fleet.wishes.extend(wish.map(|wish| (name("c"), wish)));
        let mut new = spec("c");
        new.autostart = autostart;
        let decision = rig.give(Input::ConfigsLoaded(Configs {
            instances: BTreeMap::from([(name("c"), ready(new))]),
            newcomers,
            ..Configs::default()
        }));
        assert_eq!(
            launches(&decision, "c"),
            starts,
            "{newcomers:?} {wish:?} {autostart}"
        );
    }
}

#[test]
fn a_problem_of_the_home_is_told_once() {
    let mut rig = Rig::new();
    let configs = |problems: &[&str]| Configs {
        problems: problems.iter().map(|text| (*text).to_owned()).collect(),
        ..Configs::default()
    };
    let mut give = |problems: &[&str]| {
        let decision = rig.give(Input::ConfigsLoaded(configs(problems)));
        let home = told(decision).into_iter();
        home.filter(|text| text.contains(" - ")).collect::<Vec<_>>()
    };
    assert_eq!(
        give(&["o.toml:1:1: bad"]),
        ["error config_broken - o.toml:1:1: bad"]
    );
    assert_eq!(give(&["o.toml:1:1: bad"]), [""; 0]);
    assert_eq!(give(&[]), [""; 0]);
    assert_eq!(give(&["o.toml:1:1: bad"]).len(), 1);
}

#[test]
fn a_changed_grace_reaches_the_shim_and_a_changed_host_does_not_move_the_probe() {
    let mut rig = running();
    let Some(instance) = rig.fleet.instances.get_mut(&name("a")) else {
        unreachable!("it is there")
    };
    let crate::supervisor::state::Phase::Up(up) = &mut instance.phase else {
        unreachable!("it runs")
    };
    up.started_with
        .insert("server.host".to_owned(), "127.0.0.1".to_owned());
    let mut changed = spec("a");
    changed.stop_grace = Duration::from_secs(1);
    changed.server.host = "10.0.0.1".to_owned();
    changed.healthcheck.retries = 9;
    let decision = rig.give(Input::ConfigsLoaded(Configs {
        instances: BTreeMap::from([(name("a"), ready(changed))]),
        ..Configs::default()
    }));
    let grace = decision.effects.iter().any(|effect| {
        matches!(effect, Effect::SetGrace { grace, .. } if *grace == Duration::from_secs(1))
    });
    let probe = decision.effects.iter().any(|effect| {
        matches!(effect, Effect::StartProbing { spec, .. } if spec.server.host == "127.0.0.1")
    });
    assert!(grace && probe, "{:?}", decision.effects);
    assert_eq!(row(&rig).host, "127.0.0.1");
}
