//! What the regular look corrects and tells.

use super::*;
use crate::domain::run::ProcessId;
use crate::supervisor::decision::{OrphanSeen, Place, Stranger, Survey};

fn process(pid: i32) -> ProcessId {
    ProcessId {
        pid,
        start_ticks: 1,
    }
}

fn orphan(pid: i32, run: &str) -> OrphanSeen {
    OrphanSeen {
        process: process(pid),
        executable: "/bin/server".to_owned(),
        run_id: Some(run.to_owned()),
        instance: None,
    }
}

fn stranger(pid: i32, place: Place) -> Stranger {
    Stranger {
        name: name("a"),
        port: 8081,
        process: process(pid),
        executable: "/bin/other".to_owned(),
        place,
    }
}

/// The events of one look as `kind message`.
fn look(rig: &mut Rig, survey: Survey) -> Vec<String> {
    let decision = rig.give(Input::Surveyed(survey));
    let texts = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Announce { kind, message, .. } => Some(format!("{kind} {message}")),
        _ => None,
    });
    texts.collect()
}

#[test]
fn a_quiet_look_says_and_does_nothing() {
    let mut rig = Rig::new();
    let decision = rig.give(Input::Surveyed(Survey::default()));
    assert!(decision.effects.is_empty(), "{:?}", decision.effects);
}

#[test]
fn a_stranger_is_told_once_and_again_when_it_is_another() {
    let mut rig = Rig::new();
    let survey = |pid, place| Survey {
        strangers: vec![stranger(pid, place)],
        ..Survey::default()
    };
    assert_eq!(
        look(&mut rig, survey(7, Place::Idle)),
        ["port_taken its port 8081 is held by pid 7 (/bin/other); it cannot start until that ends"]
    );
    assert_eq!(look(&mut rig, survey(7, Place::Idle)), [""; 0]);
    assert_eq!(
        look(&mut rig, survey(8, Place::OfARun)),
        ["port_taken pid 8 (/bin/other), which is not of this run, answers on its port 8081"]
    );
    assert_eq!(look(&mut rig, Survey::default()), [""; 0]);
    assert_eq!(look(&mut rig, survey(8, Place::OfARun)).len(), 1);
}

#[test]
fn an_orphan_is_told_once_and_its_end_too() {
    let mut rig = Rig::new();
    let survey = || Survey {
        orphans: vec![orphan(7, "r")],
        ..Survey::default()
    };
    let told = look(&mut rig, survey());
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("orphan_found pid 7 (/bin/server) of run r "),
        "{told:?}"
    );
    assert_eq!(look(&mut rig, survey()), [""; 0]);
    assert_eq!(
        look(&mut rig, Survey::default()),
        ["orphan_stopped the orphan pid 7 is gone"]
    );
}

#[test]
fn what_belongs_to_a_run_that_began_meanwhile_is_no_orphan() {
    let mut rig = Rig::new();
    rig.command("a", Action::Start);
    let run = rig.run("a").expect("a run is being launched");
    let survey = Survey {
        orphans: vec![orphan(7, run.as_str())],
        ..Survey::default()
    };
    assert_eq!(look(&mut rig, survey), [""; 0]);
}

#[test]
fn reaped_children_are_told() {
    let mut rig = Rig::new();
    let survey = Survey {
        reaped: 2,
        ..Survey::default()
    };
    assert_eq!(
        look(&mut rig, survey),
        ["reconciled reaped 2 ended processes that a lost shim had left behind"]
    );
}
