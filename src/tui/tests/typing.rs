//! A model to type at.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::domain::instance::InstanceName;
use crate::tui::effect::Effect;
use crate::tui::keymap::Key;
use crate::tui::model::table::Line;
use crate::tui::model::{Model, Msg, Now, Preferences};
use crate::tui::theme::{Environment, ThemeName};
use crate::tui::update::update;
use crate::tui::view::{Hits, view};

/// A model at 120x36 that shows these rows.
pub(in crate::tui) fn model(rows: &[InstanceRow]) -> Model {
    let preferences = Preferences {
        theme: ThemeName::Auto,
        ascii: false,
        mouse: true,
        keys: BTreeMap::new(),
        events_for: None,
        temporary: false,
        on_quit: None,
        columns: Vec::new(),
        remembered: String::new(),
        notices: Vec::new(),
        complaints: Vec::new(),
    };
    let environment = Environment {
        term: Some("xterm-256color".to_owned()),
        colorterm: Some("truecolor".to_owned()),
        locale: Some("C.UTF-8".to_owned()),
        ..Environment::default()
    };
    let mut model = Model::new(preferences, &environment, "/home/me/fleet".to_owned());
    model.zone = TimeZone::UTC;
    send(&mut model, Msg::Resize(120, 36));
    send(&mut model, picture(1, rows));
    model
}

/// The time of every message: two days after the rows' start.
pub(in crate::tui) const NOW: Now = Now {
    wall: 1_700_187_200.0,
    mono: 100.0,
};

pub(in crate::tui) fn picture(generation: u64, rows: &[InstanceRow]) -> Msg {
    Msg::Picture(Box::new(FleetSnapshot {
        generation,
        rows: rows.to_vec(),
        ..FleetSnapshot::default()
    }))
}

pub(in crate::tui) fn send(model: &mut Model, msg: Msg) -> Vec<Effect> {
    update(model, msg, NOW)
}

/// Types keys, written as in the key table and separated by spaces; returns all effects.
pub(in crate::tui) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.split(' ')
        .flat_map(|text| {
            let key = Key::parse(text).expect("it is a key");
            send(model, Msg::Key(key.event()))
        })
        .filter(|effect| !matches!(effect, Effect::Details(_) | Effect::Log(_)))
        .collect()
}

/// Types text, character by character.
pub(in crate::tui) fn write(model: &mut Model, text: &str) {
    for character in text.chars() {
        let code = KeyCode::Char(character);
        let effects = send(model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        assert!(
            effects
                .iter()
                .all(|effect| matches!(effect, Effect::Details(_) | Effect::Log(_)))
        );
    }
}

pub(in crate::tui) fn name(text: &str) -> InstanceName {
    InstanceName::parse(text).expect("it is a name")
}

pub(in crate::tui) fn names(texts: &[&str]) -> Vec<InstanceName> {
    texts.iter().map(|text| name(text)).collect()
}

/// Returns the names the table shows, top to bottom.
pub(in crate::tui) fn shown(model: &Model) -> Vec<String> {
    let rows = model.fleet.rows();
    model
        .table
        .lines
        .iter()
        .map(|line| match line {
            Line::Row(place) => rows[*place].name.to_string(),
            Line::Group(tag, _) => format!("[{tag}]"),
        })
        .collect()
}

/// Returns what is on the screen, as text, and what the mouse finds there.
pub(in crate::tui) fn screen(model: &Model) -> (String, Hits) {
    let (width, height) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen in memory");
    let mut hits = Hits::default();
    terminal
        .draw(|frame| hits = view(model, frame.buffer_mut()))
        .expect("nothing can fail in memory");
    (terminal.backend().to_string(), hits)
}
