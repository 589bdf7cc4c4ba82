//! Commands, questions, notices, leaving.

use super::rows::{event, fleet};
use super::typing::{model, name, names, picture, press, screen, send, write};
use crate::api::wire::Role;
use crate::domain::event::Level;
use crate::domain::lifecycle::{Health, Status};
use crate::tui::effect::{Command, Effect, Ending};
use crate::tui::host::{Change, ConfigReport, Template};
use crate::tui::model::dialog::Dialog;
use crate::tui::model::{Model, Msg, Pane, Supervisor};

fn in_process() -> Model {
    let mut model = model(&fleet());
    send(&mut model, Msg::Supervisor(Supervisor::InProcess));
    model
}

fn toasts(model: &Model) -> Vec<&str> {
    let toasts = model.notices.toasts.iter();
    toasts.map(|toast| toast.text.as_str()).collect()
}

#[test]
fn a_start_needs_no_question_and_its_outcome_is_told() {
    let mut model = model(&fleet());
    press(&mut model, "/");
    write(&mut model, "judge");
    press(&mut model, "enter");
    let effects = press(&mut model, "s");
    assert_eq!(
        effects,
        [Effect::Weigh(names(&["judge-70b"]))],
        "the memory is looked at first"
    );
    let weighed = Msg::Weighed(names(&["judge-70b"]), Vec::new());
    assert_eq!(
        send(&mut model, weighed),
        [Effect::Command(Command::Start, names(&["judge-70b"]))]
    );
    send(&mut model, answered(Command::Start, "judge-70b", None));
    assert_eq!(toasts(&model), ["judge-70b: starting"]);
    let mut rows = fleet();
    rows[5].status = Status::Running;
    rows[5].health = Health::Healthy;
    send(&mut model, picture(2, &rows));
    assert_eq!(
        toasts(&model)[1],
        "judge-70b: ready at http://127.0.0.1:8086 after 0s"
    );
}

fn answered(command: Command, instance: &str, refusal: Option<&str>) -> Msg {
    Msg::Answered {
        command,
        name: name(instance),
        refusal: refusal.map(str::to_owned),
    }
}

#[test]
fn a_refusal_is_told_in_the_owners_words() {
    let mut model = model(&fleet());
    send(
        &mut model,
        answered(Command::Start, "typo", Some("its configuration is broken")),
    );
    assert_eq!(
        toasts(&model),
        ["typo: cannot start: its configuration is broken"]
    );
}

#[test]
fn stopping_asks_with_names_and_consequences_and_enter_alone_is_harmless() {
    let mut model = model(&fleet());
    press(&mut model, "space space");
    assert_eq!(press(&mut model, "x"), []);
    let (text, _) = screen(&model);
    for part in [
        "Stop 2 instances?",
        "chat-8b  ready, pid 41830, 1 request",
        "Requests under way are cut off",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert_eq!(press(&mut model, "enter"), [], "the first button is Cancel");
    assert!(model.dialogs.is_empty());
    press(&mut model, "x right");
    let effects = press(&mut model, "enter");
    assert_eq!(
        effects,
        [Effect::Command(
            Command::Stop,
            names(&["chat-8b", "coder-30b"])
        )]
    );
    assert!(model.table.marks.is_empty(), "done is done");
}

#[test]
fn questions_understand_letters_too() {
    let mut model = model(&fleet());
    press(&mut model, "X n");
    assert!(model.dialogs.is_empty());
    let effects = press(&mut model, "X y");
    assert_eq!(
        effects,
        [Effect::Command(Command::Kill, names(&["coder-30b"]))]
    );
    let effects = press(&mut model, "R l enter");
    assert_eq!(
        effects,
        [Effect::Command(Command::Restart, names(&["coder-30b"]))]
    );
}

#[test]
fn what_does_not_run_is_not_stopped() {
    let mut model = model(&fleet());
    press(&mut model, "/");
    write(&mut model, "judge");
    press(&mut model, "enter x");
    assert!(model.dialogs.is_empty());
    assert_eq!(
        toasts(&model),
        ["nothing to stop: judge-70b is not running"]
    );
}

#[test]
fn the_menu_offers_what_can_be_done() {
    let mut model = model(&fleet());
    press(&mut model, "enter");
    let (text, _) = screen(&model);
    assert!(
        text.contains("restart…") && text.contains("edit configuration"),
        "{text}"
    );
    assert!(!text.contains(" s  start "), "it runs already:\n{text}");
    // Its letters work at once; j and k move.
    press(&mut model, "x");
    assert!(matches!(model.dialogs.last(), Some(Dialog::Question(_))));
}

#[test]
fn yank_copies_and_says_what() {
    let mut model = model(&fleet());
    let effects = press(&mut model, "y u");
    assert_eq!(effects, [Effect::Copy("http://127.0.0.1:8081".to_owned())]);
    assert_eq!(toasts(&model), ["URL copied"]);
    assert_eq!(press(&mut model, "y p"), [Effect::Copy("41822".to_owned())]);
}

#[test]
fn the_palette_finds_every_action_by_name_and_meaning() {
    let mut model = model(&fleet());
    press(&mut model, ":");
    write(&mut model, "invert");
    press(&mut model, "enter");
    assert!(model.dialogs.is_empty());
    press(&mut model, ":");
    write(&mut model, "shell");
    assert_eq!(press(&mut model, "enter"), [Effect::Suspend]);
}

#[test]
fn a_new_instance_is_made_from_a_template_and_opens_in_the_editor() {
    let mut model = model(&[]);
    model.templates = vec![Template {
        name: "simulated".to_owned(),
        about: "no model needed".to_owned(),
    }];
    press(&mut model, "n 1");
    write(&mut model, "fresh");
    let effects = press(&mut model, "enter");
    let create = Effect::Create {
        template: 0,
        name: "fresh".to_owned(),
    };
    assert_eq!(effects, [create]);
    let effects = send(&mut model, Msg::Created(Ok(name("fresh"))));
    assert!(
        effects.contains(&Effect::Edit(name("fresh"))),
        "{effects:?}"
    );
}

#[test]
fn an_edit_that_cannot_be_used_is_shown_with_its_places() {
    let mut model = model(&fleet());
    let report = ConfigReport {
        findings: vec![
            "error: server.port must be 1 to 65535\n --> coder/config.toml:3".to_owned(),
        ],
        usable: false,
        changes: Vec::new(),
    };
    send(&mut model, Msg::Edited(name("coder-30b"), Box::new(report)));
    let (text, _) = screen(&model);
    assert!(text.contains("this configuration cannot be used"), "{text}");
    assert!(text.contains("config.toml:3"), "{text}");
}

#[test]
fn an_edit_of_what_runs_names_what_a_restart_changes() {
    let mut model = model(&fleet());
    let report = ConfigReport {
        findings: Vec::new(),
        usable: true,
        changes: vec![Change {
            field: "server.parallel".to_owned(),
            was: "4".to_owned(),
            now: "8".to_owned(),
        }],
    };
    send(&mut model, Msg::Edited(name("coder-30b"), Box::new(report)));
    let (text, _) = screen(&model);
    assert!(text.contains("server.parallel: 4 → 8"), "{text}");
    let effects = press(&mut model, "y");
    assert_eq!(
        effects,
        [Effect::Command(Command::Restart, names(&["coder-30b"]))]
    );
}

#[test]
fn trouble_raises_an_alert_that_stays_until_the_events_are_seen() {
    let mut model = model(&fleet());
    send(
        &mut model,
        Msg::Events(vec![event(1, 60.0, "chat-8b", Level::Error, "old news")]),
    );
    assert!(model.notices.alert.is_none(), "history is no news");
    send(
        &mut model,
        Msg::Events(vec![event(
            2,
            1.0,
            "chat-8b",
            Level::Error,
            "crashed: killed by SIGSEGV",
        )]),
    );
    let (text, _) = screen(&model);
    assert!(
        text.contains("chat-8b crashed: killed by SIGSEGV"),
        "{text}"
    );
    assert!(text.contains("2 Events (1 new)"), "{text}");
    press(&mut model, "2");
    assert!(model.notices.alert.is_none());
}

#[test]
fn leaving_names_the_fate_of_what_runs() {
    let mut model = in_process();
    assert_eq!(press(&mut model, "q"), []);
    let (text, _) = screen(&model);
    for part in [
        "5 instances run: coder-30b",
        "Hand over",
        "Leave running",
        "Stop all",
        "Cancel",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    press(&mut model, "esc");
    assert!(model.dialogs.is_empty());
    assert_eq!(press(&mut model, "q enter"), [Effect::HandOver]);
    let effects = send(&mut model, Msg::HandedOver(None));
    assert_eq!(effects, [Effect::End(Ending::HandOver)]);
}

#[test]
fn a_hand_over_that_fails_keeps_the_dashboard() {
    let mut model = in_process();
    press(&mut model, "q enter");
    assert_eq!(
        send(&mut model, Msg::HandedOver(Some("no room".to_owned()))),
        []
    );
    assert_eq!(toasts(&model), ["no daemon could be started: no room"]);
    assert_eq!(model.leaving, None);
}

#[test]
fn a_second_interrupt_hands_over_at_once() {
    let mut model = in_process();
    assert_eq!(press(&mut model, "ctrl-c"), []);
    assert_eq!(press(&mut model, "ctrl-c"), [Effect::HandOver]);
    assert_eq!(
        press(&mut model, "ctrl-c"),
        [Effect::End(Ending::Leave)],
        "it takes too long"
    );
}

#[test]
fn stopping_all_ends_once_nothing_runs() {
    let mut model = in_process();
    let effects = press(&mut model, "q 3");
    let [Effect::Command(Command::Stop, stopped)] = effects.as_slice() else {
        unreachable!("{effects:?}");
    };
    assert_eq!(stopped.len(), 5, "{stopped:?}");
    let mut rows = fleet();
    for row in &mut rows {
        row.status = Status::Stopped;
        row.restart_at = None;
    }
    let effects = send(&mut model, picture(2, &rows));
    assert!(
        effects.contains(&Effect::End(Ending::StopAll)),
        "{effects:?}"
    );
}

#[test]
fn an_attached_dashboard_leaves_the_owner_in_charge() {
    let mut model = model(&fleet());
    let owner = Supervisor::Other {
        role: Role::Daemon,
        pid: 4711,
    };
    send(&mut model, Msg::Supervisor(owner));
    press(&mut model, "q");
    let (text, _) = screen(&model);
    assert!(text.contains("process 4711 keeps watching them"), "{text}");
    assert_eq!(press(&mut model, "enter"), [Effect::End(Ending::Leave)]);
}

#[test]
fn an_answer_may_be_remembered_and_ctrl_c_asks_again() {
    let mut model = in_process();
    press(&mut model, "q space");
    let effects = press(&mut model, "2");
    assert!(matches!(&effects[0], Effect::Remember(text) if text.contains("quit = \"leave\"")));
    assert_eq!(effects[1], Effect::End(Ending::Leave));
    assert_eq!(press(&mut model, "q"), [Effect::End(Ending::Leave)]);
    press(&mut model, "ctrl-c");
    assert!(matches!(model.dialogs.last(), Some(Dialog::Quit(_))));
}

#[test]
fn with_nothing_running_there_is_nothing_to_ask() {
    let mut model = model(&fleet()[5..6]);
    assert_eq!(press(&mut model, "q"), [Effect::End(Ending::Leave)]);
}

#[test]
fn a_lost_owner_is_told_and_so_is_the_next() {
    let mut model = in_process();
    let why = "the owner is gone".to_owned();
    send(&mut model, Msg::Supervisor(Supervisor::Gone { why }));
    let (text, _) = screen(&model);
    assert!(text.contains("nobody supervises this home now"), "{text}");
    send(&mut model, Msg::Supervisor(Supervisor::InProcess));
    assert_eq!(toasts(&model), ["this dashboard supervises the fleet now"]);
}

#[test]
fn events_can_be_narrowed_to_a_level_an_instance_or_a_word() {
    let mut model = model(&fleet());
    let events = vec![
        event(1, 9.0, "coder-30b", Level::Info, "health healthy"),
        event(2, 8.0, "chat-8b", Level::Warning, "slow"),
        event(3, 7.0, "coder-30b", Level::Error, "crashed"),
    ];
    send(&mut model, Msg::Events(events));
    let shown = |model: &Model| model.feed.shown().map(|event| event.id).collect::<Vec<_>>();
    press(&mut model, "2");
    assert_eq!(shown(&model), [3, 2, 1]);
    press(&mut model, "v");
    assert_eq!(shown(&model), [3, 2]);
    press(&mut model, "i");
    assert_eq!(shown(&model), [3]);
    press(&mut model, "v v");
    assert_eq!(shown(&model), [3, 1]);
    press(&mut model, "/");
    write(&mut model, "crash");
    press(&mut model, "enter");
    assert_eq!(shown(&model), [3]);
    press(&mut model, "enter");
    assert_eq!(
        (model.focus, model.table.cursor.clone()),
        (Pane::Log, Some(name("coder-30b")))
    );
}
