//! Sheets: findings, crashes, imports, and the memory before a start.

use std::path::{Path, PathBuf};

use super::pictures::check;
use super::rows::fleet;
use super::sizes::draw;
use super::typing::{NOW, model, name, names, press, screen, send, write};
use crate::api::wire::{CrashAboutBody, CrashBody, CrashExitBody, KeptCrashBody, rfc3339};
use crate::domain::checkup::{Area, Found, Grade};
use crate::domain::memory::fit::{Fit, Verdict};
use crate::tui::effect::{Command, Effect};
use crate::tui::host::{ImportFrom, ImportMode, ImportReport, ImportRequest, ImportedInstance};
use crate::tui::model::{Dirty, Model, Msg};

/// Where the crash was kept.
const KEPT_IN: &str = "/home/me/fleet/state/crashes/draft-06b/run-2";

fn toasts(model: &Model) -> Vec<&str> {
    let toasts = model.notices.toasts.iter();
    toasts.map(|toast| toast.text.as_str()).collect()
}

fn fit(verdict: Verdict, summary: &str, remedy: Option<&str>) -> Fit {
    Fit {
        verdict,
        remedy: remedy.map(str::to_owned),
        ..Fit::unknown(summary)
    }
}

/// Filters the table down to one stopped instance and asks for its start.
fn start_judge(model: &mut Model) -> Vec<Effect> {
    press(model, "/");
    write(model, "judge");
    press(model, "enter");
    press(model, "s")
}

#[test]
fn what_will_not_fit_is_asked_about_with_its_numbers() {
    let mut model = model(&fleet());
    let judge = names(&["judge-70b"]);
    assert_eq!(start_judge(&mut model), [Effect::Weigh(judge.clone())]);
    let summary = "host needs 41 GiB of 12 GiB free";
    let remedy = Some("a context of 8192 tokens would do");
    let fits = vec![(name("judge-70b"), fit(Verdict::WillNotFit, summary, remedy))];
    let weighed = Msg::Weighed(judge.clone(), fits);
    model.dirty = Dirty::No;
    assert_eq!(send(&mut model, weighed.clone()), []);
    assert_eq!(model.dirty, Dirty::Now, "it is drawn");
    check("memory-120x36", &model);
    assert_eq!(
        press(&mut model, "enter"),
        [],
        "the first button is harmless"
    );
    assert!(model.dialogs.is_empty());
    send(&mut model, weighed);
    let start = Effect::Command(Command::Start, judge);
    assert_eq!(press(&mut model, "y"), [start], "it is no refusal");
}

#[test]
fn only_what_will_not_fit_waits_for_an_answer() {
    let rows = [
        (Verdict::Fits, "plenty of room", true, None),
        (Verdict::Unknown, "no header to read", true, None),
        (
            Verdict::Tight,
            "host needs 9 of 10 GiB free",
            true,
            Some("judge-70b: tight: host needs 9 of 10 GiB free"),
        ),
        (Verdict::WillNotFit, "host needs 9 of 3 GiB", false, None),
    ];
    for (verdict, summary, goes_on, told) in rows {
        let mut model = model(&fleet());
        let judge = names(&["judge-70b"]);
        let fits = vec![(name("judge-70b"), fit(verdict, summary, None))];
        let effects = send(&mut model, Msg::Weighed(judge.clone(), fits));
        let started = effects.contains(&Effect::Command(Command::Start, judge));
        assert_eq!(started, goes_on, "{verdict:?}");
        assert_eq!(model.dialogs.is_empty(), goes_on, "{verdict:?}");
        assert_eq!(toasts(&model), Vec::from_iter(told), "{verdict:?}");
    }
}

#[test]
fn of_several_those_that_fit_start_at_once() {
    let mut model = model(&fleet());
    let fits = vec![
        (
            name("judge-70b"),
            fit(Verdict::WillNotFit, "too much", None),
        ),
        (name("embed-bge"), fit(Verdict::Fits, "room", None)),
    ];
    let asked = names(&["judge-70b", "embed-bge", "draft-06b"]);
    let effects = send(&mut model, Msg::Weighed(asked, fits));
    let sure = names(&["embed-bge", "draft-06b"]);
    assert_eq!(effects, [Effect::Command(Command::Start, sure)]);
    let start = Effect::Command(Command::Start, names(&["judge-70b"]));
    assert_eq!(press(&mut model, "tab enter"), [start]);
}

fn findings() -> Vec<Found> {
    vec![
        Found::new(Area::Home, Grade::Good, "/home/me/fleet (chosen by --home)"),
        Found::new(
            Area::Limits,
            Grade::Warning,
            "1024 open files; 40 instances need about 1050",
        )
        .remedy("ulimit -n 65536"),
        Found::new(
            Area::Servers,
            Grade::Error,
            "coder-30b: no llama-server in PATH",
        )
        .remedy("correct binary.path, or put llama-server into PATH"),
        Found::new(
            Area::Service,
            Grade::Note,
            "no unit starts the supervisor with this machine",
        )
        .remedy("llama-orch daemon install"),
    ]
}

#[test]
fn the_doctors_findings_come_with_remedies_the_worst_first() {
    let mut model = model(&fleet());
    assert_eq!(press(&mut model, "D"), [Effect::Checkup]);
    let looking = |model: &Model| !model.notices.toasts.is_empty();
    assert!(looking(&model));
    send(&mut model, Msg::Checkup(Ok(findings())));
    assert!(!looking(&model), "it has looked");
    check("doctor-120x36", &model);
    send(&mut model, Msg::Resize(80, 24));
    check("doctor-80x24", &model);
    assert_eq!(press(&mut model, "r"), [Effect::Checkup]);
    send(&mut model, Msg::Checkup(Ok(Vec::new())));
    assert_eq!(model.dialogs.len(), 1, "the newer look takes its place");
    assert!(screen(&model).0.contains("Doctor: all is well"));
    let [Effect::Copy(text)] = &press(&mut model, "y")[..] else {
        unreachable!("y copies");
    };
    assert_eq!(text, "");
    send(
        &mut model,
        Msg::Checkup(Err("the owner did not answer".to_owned())),
    );
    assert!(toasts(&model).contains(&"doctor: the owner did not answer"));
}

fn kept() -> KeptCrashBody {
    let about = CrashAboutBody {
        ended_at: Some(rfc3339(NOW.wall - 75.0)),
        summary: Some("out of VRAM: 9.0 GiB wanted on Vulkan0".to_owned()),
        remedy: Some("a smaller context, or fewer layers".to_owned()),
        evidence: Some("ggml_vulkan: Device memory allocation failed".to_owned()),
        exit: CrashExitBody {
            signal: Some(6),
            ..CrashExitBody::default()
        },
        program: Some("llama-server".to_owned()),
        args: ["-m", "draft.gguf", "--api-key", "***"]
            .map(str::to_owned)
            .to_vec(),
        ..CrashAboutBody::default()
    };
    KeptCrashBody {
        count: 2,
        crash: Some(CrashBody {
            about,
            path: KEPT_IN.to_owned(),
            last_words: (0..30)
                .map(|line| format!("line {line} of its log"))
                .collect(),
            words_file: "stderr.log".to_owned(),
            events: vec!["2023-11-17 error failed gave up".to_owned()],
            health: Vec::new(),
        }),
    }
}

/// The answer to who asked for the crash with so many newer ones.
fn crash(back: usize, kept: KeptCrashBody) -> Msg {
    Msg::Crash {
        name: name("draft-06b"),
        back,
        kept: Ok(Box::new(kept)),
    }
}

#[test]
fn the_newest_crash_opens_with_its_last_words_and_can_be_exported() {
    let mut model = model(&fleet());
    let draft = name("draft-06b");
    let ask = |back| Effect::Crash {
        name: draft.clone(),
        back,
    };
    press(&mut model, "/");
    write(&mut model, "draft");
    assert_eq!(press(&mut model, "enter b"), [ask(0)]);
    send(&mut model, crash(0, kept()));
    check("crash-120x36", &model);
    assert_eq!(press(&mut model, "o"), [ask(1)], "the one before it");
    send(&mut model, crash(1, kept()));
    assert!(screen(&model).0.contains("crash 2 of 2"));
    assert_eq!(press(&mut model, "n"), [ask(0)], "and back");
    let export = Effect::ExportCrash {
        name: draft.clone(),
        folder: PathBuf::from(KEPT_IN),
    };
    assert_eq!(press(&mut model, "e"), [export]);
    send(
        &mut model,
        Msg::Exported(Ok("/tmp/draft-06b-crash.tar".to_owned())),
    );
    assert!(
        screen(&model)
            .0
            .contains("exported to /tmp/draft-06b-crash.tar")
    );
    let page = Effect::Page(Path::new(KEPT_IN).join("stderr.log"));
    assert_eq!(press(&mut model, "p"), [page]);
    press(&mut model, "esc");
    send(&mut model, crash(0, KeptCrashBody::default()));
    assert_eq!(toasts(&model), ["no crash of draft-06b is on record"]);
}

#[test]
fn where_the_files_are_elsewhere_what_needs_them_says_so_and_the_rest_goes_on() {
    let mut model = model(&fleet());
    model.elsewhere = Some("log in there".to_owned());
    press(&mut model, "down down down down");
    for (keys, told) in [
        ("e", "edit draft-06b: log in there"),
        ("n", "a new instance: log in there"),
        ("N", "import: log in there"),
        ("3 o", "Ctrl-S saves it here; in a pager: log in there"),
    ] {
        assert_eq!(press(&mut model, keys), [], "{keys}");
        let toasts = toasts(&model);
        assert!(toasts.contains(&told), "{keys}: {toasts:?}");
        assert!(model.dialogs.is_empty(), "{keys}");
    }
    press(&mut model, "1 enter");
    let menu = screen(&model).0;
    assert!(menu.contains("copy…") && !menu.contains("edit configuration"));
    press(&mut model, "esc");
    send(&mut model, crash(0, kept()));
    press(&mut model, "G");
    let sheet = screen(&model).0;
    assert!(sheet.contains("to export it (llama-orch bundle draft-06b): log in there"));
    assert!(!sheet.contains("$PAGER"), "{sheet}");
    let [Effect::Copy(path)] = &press(&mut model, "y")[..] else {
        unreachable!("y copies");
    };
    assert_eq!(path, KEPT_IN);
}

#[test]
fn a_crash_is_offered_where_there_may_be_one() {
    let mut model = model(&fleet());
    press(&mut model, "enter");
    assert!(!screen(&model).0.contains("its last words"));
    press(&mut model, "esc down down down down enter");
    assert!(screen(&model).0.contains("its last words, command, events"));
}

fn import(text: &str, mode: ImportMode) -> ImportRequest {
    ImportRequest {
        from: ImportFrom::LlamaSwap,
        text: text.to_owned(),
        mode,
    }
}

fn report(written: bool) -> ImportReport {
    let one = |name: &str, refused: Option<&str>| ImportedInstance {
        name: name.to_owned(),
        path: format!("/home/me/fleet/instances/{name}/config.toml"),
        lines: vec!["model.path = \"models/qwen3.gguf\"".to_owned()],
        starts: name == "qwen3",
        written: written && refused.is_none(),
        refused: refused.map(str::to_owned),
        notes: vec!["ttl is not carried over: nothing is unloaded".to_owned()],
    };
    ImportReport {
        instances: vec![
            one("qwen3", None),
            one("chat-8b", Some("an instance chat-8b is there already")),
        ],
        notes: vec!["groups is not carried over".to_owned()],
    }
}

#[test]
fn an_empty_home_takes_instances_over_after_a_look() {
    let mut model = model(&[]);
    send(&mut model, Msg::Resize(80, 24));
    press(&mut model, "N 1");
    write(&mut model, "~/swap.yaml");
    let show = import("~/swap.yaml", ImportMode::Show);
    assert_eq!(press(&mut model, "enter"), [Effect::Import(show.clone())]);
    send(&mut model, Msg::Imported(show, Ok(report(false))));
    check("import-80x24", &model);
    let write = import("~/swap.yaml", ImportMode::Write);
    assert_eq!(press(&mut model, "w"), [Effect::Import(write.clone())]);
    let effects = send(&mut model, Msg::Imported(write, Ok(report(true))));
    assert!(effects.contains(&Effect::Refresh), "{effects:?}");
    assert_eq!(model.table.cursor, Some(name("qwen3")));
    assert_eq!(
        toasts(&model),
        [
            "chat-8b: an instance chat-8b is there already",
            "written: qwen3; s starts the selected, e edits it"
        ]
    );
}

#[test]
fn an_import_that_finds_nothing_writes_nothing() {
    let mut model = model(&[]);
    let show = import("x.yaml", ImportMode::Show);
    let why = Err("x.yaml: No such file or directory".to_owned());
    send(&mut model, Msg::Imported(show.clone(), why));
    assert_eq!(
        toasts(&model),
        ["import: x.yaml: No such file or directory"]
    );
    send(&mut model, Msg::Imported(show, Ok(ImportReport::default())));
    assert!(screen(&model).0.contains("Nothing can be taken over"));
    assert_eq!(press(&mut model, "w"), [], "there is no such button");
    // The menu of new instances leads there too.
    press(&mut model, "esc n N 3");
    assert!(screen(&model).0.contains("command: "));
    assert_eq!(
        press(&mut model, "enter"),
        [],
        "an empty line is no command"
    );
}

#[test]
fn a_sheet_fits_every_screen() {
    let mut model = model(&fleet());
    send(&mut model, crash(1, kept()));
    for width in (0..=200).step_by(13) {
        for height in 0..=40 {
            send(&mut model, Msg::Resize(width, height));
            press(&mut model, "G");
            draw(&model);
        }
    }
}

#[test]
fn a_long_sheet_scrolls_exactly_to_its_end() {
    let mut model = model(&fleet());
    send(&mut model, Msg::Resize(80, 24));
    send(&mut model, crash(0, kept()));
    let end = |model: &Model| screen(model).0.contains("kept in");
    assert!(!end(&model));
    press(&mut model, "G");
    assert!(end(&model));
    press(&mut model, "pagedown pagedown pagedown up");
    assert!(!end(&model), "one line up is one line up");
    press(&mut model, "down");
    assert!(end(&model));
    press(&mut model, "g");
    assert!(screen(&model).0.contains("why"));
    press(&mut model, "q");
    assert!(model.dialogs.is_empty());
}
