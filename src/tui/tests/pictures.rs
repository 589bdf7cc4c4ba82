//! Whole screens.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::rows::{event, fleet};
use super::typing::{NOW, model, press, screen, send};
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::event::Level;
use crate::domain::exit::ExitStatus;
use crate::domain::lifecycle::{Desired, Status};
use crate::domain::memory::fit::{Fit, Verdict};
use crate::domain::readings::{DeviceReading, HostReadings};
use crate::tui::model::details::{Details, PastRun};
use crate::tui::model::{Model, Msg, Supervisor};
use crate::tui::theme::{Depth, Glyphs, Look, Role};
use crate::tui::view::view;

fn alive(width: u16, height: u16) -> Model {
    let mut model = model(&fleet());
    model.fleet.snapshot.host = HostReadings {
        cpu_percent: Some(31.0),
        memory_used: Some(44_023_414_784),
        memory_total: Some(137_438_953_472),
        devices: vec![DeviceReading {
            label: "GPU0".to_owned(),
            name: "NVIDIA".to_owned(),
            memory_used: Some(65_498_251_264),
            memory_total: Some(149_250_113_536),
            busy_percent: Some(78.0),
            temperature: Some(54.0),
        }],
    };
    send(&mut model, Msg::Resize(width, height));
    send(&mut model, Msg::Supervisor(Supervisor::InProcess));
    send(
        &mut model,
        Msg::Events(vec![
            event(
                1,
                140.0,
                "coder-30b",
                Level::Info,
                "health healthy (was loading)",
            ),
            event(
                2,
                90.0,
                "chat-8b",
                Level::Info,
                "changed, needs a restart: server.parallel: 4 → 8",
            ),
        ]),
    );
    send(
        &mut model,
        Msg::Events(vec![
            event(
                3,
                30.0,
                "draft-06b",
                Level::Error,
                "gave up: out of VRAM: 9.0 GiB wanted on Vulkan0",
            ),
            event(
                4,
                12.0,
                "vision-11b",
                Level::Info,
                "started pid 42010 on port 8084",
            ),
        ]),
    );
    let details = Details {
        config: Some("/home/me/fleet/instances/coder-30b/config.toml".into()),
        model_path: Some("/models/qwen3-coder-30b.gguf".into()),
        command: ["llama-server", "--port", "8081", "-c", "65536"]
            .map(str::to_owned)
            .to_vec(),
        memory: Some(Fit {
            verdict: Verdict::Tight,
            ..Fit::unknown("CUDA0 19.2 GiB of 20.0 GiB free")
        }),
        past: vec![PastRun {
            started_at: NOW.wall - 9000.0,
            ended_at: NOW.wall - 5400.0,
            exit: Some(ExitStatus::Signal(11)),
            requested: false,
        }],
        ..Details::default()
    };
    let coder = super::typing::name("coder-30b");
    send(&mut model, Msg::Details(coder, Ok(Box::new(details))));
    model
}

pub(super) fn check(name: &str, model: &Model) {
    insta::with_settings!({
        prepend_module_to_snapshot => false,
        omit_expression => true,
        filters => vec![(concat!("llama-orch ", env!("CARGO_PKG_VERSION")), "llama-orch VERSION")],
    }, {
        insta::assert_snapshot!(name, screen(model).0);
    });
}

/// The screen with its colours.
fn drawn(model: &Model) -> Buffer {
    let (width, height) = model.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    view(model, &mut buffer);
    buffer
}

/// Where a text is on the screen.
fn place(buffer: &Buffer, text: &str) -> (u16, u16) {
    let wanted: Vec<String> = text.chars().map(String::from).collect();
    (0..buffer.area.height)
        .find_map(|y| {
            let cells = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol());
            let line: Vec<&str> = cells.collect();
            let x = line.windows(wanted.len()).position(|part| part == wanted)?;
            Some((x as u16, y))
        })
        .expect("the text is on the screen")
}

#[test]
fn each_size_class_has_its_screen() {
    for (width, height) in [(200, 60), (120, 36), (80, 24), (60, 16), (40, 10), (20, 5)] {
        check(&format!("fleet-{width}x{height}"), &alive(width, height));
    }
}

#[test]
fn the_other_panes_of_a_small_screen_are_behind_their_numbers() {
    let mut model = alive(80, 24);
    press(&mut model, "2");
    check("events-80x24", &model);
    press(&mut model, "4");
    check("detail-80x24", &model);
}

#[test]
fn a_failed_instance_says_why_and_what_to_do() {
    let mut model = alive(120, 36);
    press(&mut model, "down down down down 4 z");
    check("detail-failed-120x36", &model);
}

#[test]
fn a_stop_that_was_asked_for_is_told_and_no_cause_for_alarm() {
    let mut rows = fleet();
    let judge = &mut rows[5];
    judge.exit = Some(ExitStatus::Signal(9));
    judge.autopsy = Some(Autopsy {
        cause: Cause::Stopped,
        class: RetryClass::Backoff,
        summary: "killed at once, as it was asked for".to_owned(),
        evidence: None,
        remedy: None,
    });
    let mut model = model(&rows);
    press(&mut model, "down down down down down 4 z");
    let (text, _) = screen(&model);
    assert!(
        text.contains("killed at once, as it was asked for"),
        "{text}"
    );
    assert!(!text.contains("shows what was kept"), "{text}");
    let buffer = drawn(&model);
    let told = buffer[place(&buffer, "killed at once")].fg;
    assert_ne!(Some(told), model.look.style(Role::Bad).fg);
    press(&mut model, "1 enter");
    let (text, _) = screen(&model);
    assert!(!text.contains("its last words"), "{text}");
}

#[test]
fn what_happened_before_a_stop_by_hand_is_history_and_no_fault() {
    let mut rows = fleet();
    let judge = &mut rows[5];
    (judge.status, judge.desired) = (Status::Stopped, Desired::Stopped);
    judge.autopsy = Some(Autopsy {
        cause: Cause::PortInUse,
        class: RetryClass::AfterPortFrees,
        summary: "port 8081 is held by pid 12".to_owned(),
        evidence: Some("couldn't bind".to_owned()),
        remedy: Some("stop what holds it".to_owned()),
    });
    let mut model = model(&rows);
    press(&mut model, "down down down down down 4 z");
    let (text, _) = screen(&model);
    assert!(text.contains("○ stopped, wanted stopped"), "{text}");
    for part in ["stop what holds it", "couldn't bind", "shows what was kept"] {
        assert!(!text.contains(part), "{part}\n{text}");
    }
    let buffer = drawn(&model);
    let told = buffer[place(&buffer, "port 8081 is held by pid 12")].fg;
    assert_eq!(Some(told), model.look.style(Role::Dim).fg);
}

#[test]
fn dialogs_lie_over_the_panes() {
    let mut model = alive(120, 36);
    press(&mut model, "q");
    check("quit-120x36", &model);
    press(&mut model, "esc space space x");
    check("stop-120x36", &model);
    press(&mut model, "esc ?");
    check("help-120x36", &model);
    press(&mut model, "esc :");
    check("palette-120x36", &model);
}

#[test]
fn an_empty_home_says_what_to_do_next() {
    let mut model = model(&[]);
    send(&mut model, Msg::Resize(80, 24));
    check("empty-80x24", &model);
}

#[test]
fn plain_ascii_is_enough() {
    let mut model = alive(120, 36);
    model.glyphs = Glyphs::Ascii;
    model.look = Look::new(model.theme, model.ground, Depth::Sixteen, Glyphs::Ascii);
    let (text, _) = screen(&model);
    let foreign: Vec<_> = text
        .chars()
        .filter(|character| !character.is_ascii())
        .collect();
    assert!(foreign.is_empty(), "{foreign:?} in\n{text}");
    check("ascii-120x36", &model);
}

#[test]
fn colours_say_what_the_words_say() {
    let model = alive(120, 36);
    let buffer = drawn(&model);
    let rows = [
        ("● ready", Role::Good),
        ("◐ loading 63%", Role::Busy),
        ("✗ failed", Role::Bad),
        ("○ stopped", Role::Dim),
        ("ERROR", Role::Bad),
    ];
    for (text, role) in rows {
        let style = model.look.style(role);
        assert_eq!(Some(buffer[place(&buffer, text)].fg), style.fg, "{text}");
    }
    let cursor = place(&buffer, "▶");
    let ground = model.look.style(Role::Selected).bg;
    assert_eq!(Some(buffer[(cursor.0 + 5, cursor.1)].bg), ground);
}
