//! The pane of work units.

use super::pictures::check;
use super::rows::fleet;
use super::typing::{NOW, model, press, screen, send, write};
use crate::api::wire::{StatusChangeBody, WorkCountsBody, WorkUnitBody, WorkUnitsBody, rfc3339};
use crate::domain::work::{Chunk, WorkStatus};
use crate::tui::effect::Effect;
use crate::tui::keymap::Action;
use crate::tui::logview::LogEffect;
use crate::tui::model::work::{WorkAction, WorkMsg, WorkOrder};
use crate::tui::model::{Hit, Model, Msg, Pane};
use crate::tui::theme::{Depth, Glyphs, Look};

fn chunk(name: &str) -> Chunk {
    Chunk::parse(name).expect("a name")
}

fn unit(name: &str, phase: &str, status: WorkStatus, age: f64) -> WorkUnitBody {
    let since = rfc3339(NOW.wall - age);
    WorkUnitBody {
        chunk: name.to_owned(),
        phase: phase.to_owned(),
        status: status.to_string(),
        blocked_by: Vec::new(),
        waits_for: Vec::new(),
        worktree: None,
        instance: None,
        commands: Default::default(),
        waiting: None,
        reason: None,
        evidence: None,
        remedy: None,
        run_id: None,
        created_at: since.clone(),
        updated_at: since.clone(),
        since,
        time_limit: None,
    }
}

/// One unit of every status, and two that the owner runs or ran.
fn units() -> Vec<WorkUnitBody> {
    let command = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let texts = |words: &[&str]| command(words);
    vec![
        WorkUnitBody {
            worktree: Some("/home/me/trees/login".to_owned()),
            instance: Some("coder-30b".to_owned()),
            ..unit("login", "COMPLETE", WorkStatus::Done, 90_000.0)
        },
        WorkUnitBody {
            run_id: Some("0192f0c1".to_owned()),
            instance: Some("coder-30b".to_owned()),
            blocked_by: texts(&["login"]),
            commands: [("PLAN".to_owned(), command(&["./plan.sh", "search"]))].into(),
            ..unit("search", "PLAN", WorkStatus::Running, 75.0)
        },
        unit("docs", "IMPLEMENT", WorkStatus::Running, 4_000.0),
        WorkUnitBody {
            blocked_by: texts(&["docs", "login", "search"]),
            waits_for: texts(&["docs", "search"]),
            ..unit("release-notes", "GOAL", WorkStatus::Blocked, 600.0)
        },
        WorkUnitBody {
            reason: Some("exited with code 127: something it runs was not found".to_owned()),
            evidence: Some("./go.sh: line 3: cargo: command not found".to_owned()),
            remedy: Some("it has the owner's PATH, not that of your shell".to_owned()),
            commands: [("IMPLEMENT".to_owned(), command(&["./go.sh"]))].into(),
            ..unit("api", "IMPLEMENT", WorkStatus::NeedsAttention, 12.0)
        },
        unit("cleanup", "GOAL", WorkStatus::Ready, 5.0),
    ]
}

fn shown(model: &mut Model, generation: u64, units: Vec<WorkUnitBody>) -> Vec<Effect> {
    let body = WorkUnitsBody {
        generation,
        counts: WorkCountsBody::default(),
        units,
    };
    send(model, Msg::Work(WorkMsg::Units(Box::new(body))))
}

fn open() -> Model {
    let mut model = model(&fleet());
    shown(&mut model, 1, units());
    press(&mut model, "6");
    model
}

fn moved(name: &str, status: WorkStatus, reason: Option<&str>) -> Effect {
    Effect::Work(WorkOrder::Move {
        chunk: chunk(name),
        status,
        reason: reason.map(str::to_owned),
    })
}

fn toasts(model: &Model) -> Vec<&str> {
    let toasts = model.notices.toasts.iter();
    toasts.map(|toast| toast.text.as_str()).collect()
}

#[test]
fn every_status_has_its_sign_its_word_and_what_it_waits_for() {
    let mut model = open();
    press(&mut model, "down down down down");
    check("work-120x36", &model);
    send(&mut model, Msg::Resize(80, 24));
    check("work-80x24", &model);
    send(&mut model, Msg::Resize(40, 10));
    check("work-40x10", &model);
    send(&mut model, Msg::Resize(120, 36));
    model.glyphs = Glyphs::Ascii;
    model.look = Look::new(model.theme, model.ground, Depth::Sixteen, Glyphs::Ascii);
    let (text, _) = screen(&model);
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn without_units_it_says_how_there_come_to_be_some() {
    let mut model = model(&fleet());
    press(&mut model, "6");
    assert!(screen(&model).0.contains("asking the owner"));
    shown(&mut model, 1, Vec::new());
    assert!(screen(&model).0.contains("n makes one"));
    assert_eq!(press(&mut model, "d"), []);
    assert_eq!(toasts(&model), ["no work unit is selected"]);
    press(&mut model, "n");
    write(&mut model, "Not a name");
    assert_eq!(press(&mut model, "enter"), []);
    assert!(toasts(&model)[1].contains("is not the name of a work unit"));
    press(&mut model, "n");
    write(&mut model, "first");
    let create = Effect::Work(WorkOrder::Create(chunk("first")));
    assert_eq!(press(&mut model, "enter"), [create]);
}

#[test]
fn keys_ask_for_statuses_and_what_has_consequences_is_asked_first() {
    let mut model = open();
    press(&mut model, "end");
    assert_eq!(
        press(&mut model, "s"),
        [moved("cleanup", WorkStatus::Running, None)]
    );
    assert_eq!(
        press(&mut model, "d"),
        [moved("cleanup", WorkStatus::Done, None)]
    );
    let phase = "PLAN".to_owned();
    let next = WorkOrder::Phase {
        chunk: chunk("cleanup"),
        phase,
    };
    assert_eq!(press(&mut model, "f"), [Effect::Work(next)]);
    press(&mut model, "x");
    write(&mut model, "which one?");
    let flag = moved("cleanup", WorkStatus::NeedsAttention, Some("which one?"));
    assert_eq!(press(&mut model, "enter"), [flag]);
    // A unit whose command runs: attention means that it is stopped.
    press(&mut model, "g down x");
    assert_eq!(press(&mut model, "enter"), []);
    check("work-stop-120x36", &model);
    assert_eq!(
        press(&mut model, "enter"),
        [],
        "the first button is harmless"
    );
    press(&mut model, "x enter");
    let stop = moved("search", WorkStatus::NeedsAttention, None);
    assert_eq!(press(&mut model, "y"), [stop]);
    // Reopening blocks others again, removing frees them.
    press(&mut model, "g u");
    let (text, _) = screen(&model);
    assert!(
        text.contains("Reopen login?") && text.contains("search, release-notes"),
        "{text}"
    );
    assert_eq!(
        press(&mut model, "y"),
        [moved("login", WorkStatus::Ready, None)]
    );
    press(&mut model, "X");
    let (text, _) = screen(&model);
    assert!(
        text.contains("These wait for it no longer: search, release-notes"),
        "{text}"
    );
    let remove = Effect::Work(WorkOrder::Remove(chunk("login")));
    assert_eq!(press(&mut model, "y"), [remove]);
}

#[test]
fn the_menu_offers_what_is_possible() {
    let mut model = open();
    let rows: [(&[&str], &[&str]); 3] = [
        (
            &["READY…", "history", "remove…"],
            &["NEEDS_ATTENTION…", "next phase"],
        ),
        (
            &["NEEDS_ATTENTION…", "stop its command", "history"],
            &["remove…", "next phase", "DONE "],
        ),
        (
            &["READY", "DONE", "next phase", "remove…"],
            &["RUNNING  take"],
        ),
    ];
    for (offered, not) in rows {
        press(&mut model, "enter");
        let (text, _) = screen(&model);
        let menu: String = text.lines().skip(10).take(16).collect();
        for part in offered {
            assert!(menu.contains(part), "{part} in\n{text}");
        }
        let labels = text.lines().filter(|line| line.matches('│').count() > 3);
        let labels: Vec<&str> = labels.collect();
        for part in not {
            let told = labels.iter().any(|line| line.contains(&format!(" {part}")));
            assert!(!told, "{part} in\n{text}");
        }
        press(&mut model, "esc down");
    }
}

#[test]
fn the_selected_unit_stays_selected_and_done_ones_can_be_hidden() {
    let mut model = open();
    press(&mut model, "down down down");
    let mut newer = units();
    newer.remove(1);
    newer.insert(0, unit("earlier", "GOAL", WorkStatus::Ready, 1.0));
    shown(&mut model, 2, newer.clone());
    let selected = |model: &Model| model.work.selected().map(|unit| unit.chunk.clone());
    assert_eq!(selected(&model).as_deref(), Some("release-notes"));
    press(&mut model, "H");
    assert!(!screen(&model).0.contains("login   "), "it is DONE");
    assert_eq!(selected(&model).as_deref(), Some("release-notes"));
    newer.retain(|unit| unit.chunk != "release-notes");
    shown(&mut model, 3, newer);
    assert_eq!(
        selected(&model).as_deref(),
        Some("api"),
        "the one in its place"
    );
    shown(
        &mut model,
        4,
        vec![unit("login", "COMPLETE", WorkStatus::Done, 1.0)],
    );
    assert!(screen(&model).0.contains("every unit is DONE"));
}

#[test]
fn the_history_is_shown_and_answers_are_told() {
    let mut model = open();
    assert_eq!(
        press(&mut model, "i"),
        [Effect::WorkHistory(chunk("login"))]
    );
    let change =
        |at, old: Option<&str>, new: Option<&str>, reason: Option<&str>| StatusChangeBody {
            timestamp: rfc3339(at),
            old_status: old.map(str::to_owned),
            old_phase: old.map(|_| "GOAL".to_owned()),
            new_status: new.map(str::to_owned),
            new_phase: new.map(|_| "PLAN".to_owned()),
            reason: reason.map(str::to_owned),
            run_id: None,
        };
    let changes = vec![
        change(NOW.wall - 60.0, None, Some("READY"), None),
        change(
            NOW.wall,
            Some("READY"),
            Some("NEEDS_ATTENTION"),
            Some("why\nmore"),
        ),
    ];
    let answer = WorkMsg::History(chunk("login"), Ok(changes));
    send(&mut model, Msg::Work(answer));
    let (text, _) = screen(&model);
    let newest = text.find("READY in GOAL → NEEDS_ATTENTION in PLAN: why");
    let oldest = text.find("created: READY in PLAN");
    assert!(newest.is_some() && newest < oldest, "{text}");
    press(&mut model, "esc");
    let refusal = Err("login is RUNNING already: somebody else works on it".to_owned());
    send(&mut model, Msg::Work(WorkMsg::Answered(refusal)));
    assert!(toasts(&model).contains(&"login is RUNNING already: somebody else works on it"));
}

#[test]
fn a_click_selects_and_a_second_one_opens_the_menu() {
    let mut model = open();
    let place = |model: &Model, text: &str| {
        let (shown, hits) = screen(model);
        let row = shown
            .lines()
            .position(|line| line.contains(text))
            .expect("a line");
        hits.at(10, row as u16)
    };
    assert_eq!(place(&model, "release-notes "), Hit::Unit(3));
    send(&mut model, Msg::Click(Hit::Unit(3)));
    assert!(model.dialogs.is_empty());
    send(&mut model, Msg::Click(Hit::Unit(3)));
    assert_eq!(model.dialogs.len(), 1);
    press(&mut model, "esc");
    send(&mut model, Msg::Wheel(Pane::Work, -3));
    assert_eq!(model.work.place(), 0);
}

/// Returns whose logs these effects ask for.
fn asked_of(effects: &[Effect]) -> Vec<String> {
    let whose = effects.iter().filter_map(|effect| match effect {
        Effect::Log(LogEffect::Ask(ask)) => Some(ask.whose.to_string()),
        _ => None,
    });
    let mut whose: Vec<String> = whose.collect();
    whose.dedup();
    whose
}

#[test]
fn the_log_of_a_unit_is_read_in_the_viewer_and_left_for_where_one_came_from() {
    let mut model = open();
    press(&mut model, "down");
    let effects = send(&mut model, Msg::Act(Action::Work(WorkAction::Log)));
    assert_eq!(asked_of(&effects), ["work unit search"]);
    assert_eq!(model.focus, Pane::Log);
    let (text, _) = screen(&model);
    assert!(text.contains("Log work unit search"), "{text}");
    // Its file is the owner's; the pager is not given another log instead.
    assert!(press(&mut model, "o").is_empty());
    let told = toasts(&model).join(" ");
    assert!(told.contains("llama-orch work-unit logs search"), "{told}");
    press(&mut model, "esc");
    assert_eq!(model.focus, Pane::Work);
    assert_eq!(
        model.work.selected().map(|unit| unit.chunk.as_str()),
        Some("search")
    );
    // Elsewhere the log is that of the selected instance again.
    let (text, _) = screen(&model);
    assert!(!text.contains("Log work unit"), "{text}");
    press(&mut model, "l");
    assert_eq!(model.unit_log, Some(chunk("search")));
    press(&mut model, "1");
    let (text, _) = screen(&model);
    assert!(text.contains("Log coder-30b"), "{text}");
}
