//! Whole screens.

use super::rows::{event, fleet};
use super::typing::{model, press, screen, send};
use crate::domain::event::Level;
use crate::domain::readings::{DeviceReading, HostReadings};
use crate::tui::host::Details;
use crate::tui::model::{Model, Msg, Supervisor};
use crate::tui::theme::{Depth, Glyphs, Look, Role};

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
        ..Details::default()
    };
    let coder = super::typing::name("coder-30b");
    send(&mut model, Msg::Details(coder, Box::new(details)));
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
    let mut buffer = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, 120, 36));
    crate::tui::view::view(&model, &mut buffer);
    let place = |text: &str| {
        let (width, height) = model.size;
        (0..height)
            .find_map(|y| {
                let line: Vec<&str> = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
                let wanted: Vec<String> = text.chars().map(String::from).collect();
                let x = line.windows(wanted.len()).position(|part| part == wanted)?;
                Some((x as u16, y))
            })
            .expect("the text is on the screen")
    };
    let rows = [
        ("● ready", Role::Good),
        ("◐ loading 63%", Role::Busy),
        ("✗ failed", Role::Bad),
        ("○ stopped", Role::Dim),
        ("ERROR", Role::Bad),
    ];
    for (text, role) in rows {
        let style = model.look.style(role);
        assert_eq!(Some(buffer[place(text)].fg), style.fg, "{text}");
    }
    let cursor = place("▶");
    let ground = model.look.style(Role::Selected).bg;
    assert_eq!(Some(buffer[(cursor.0 + 5, cursor.1)].bg), ground);
}
