//! A model to type at.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::domain::fleet::{FleetSnapshot, InstanceRow};
use crate::tui::effect::Effect;
use crate::tui::model::{Model, Msg, Now, Preferences};
use crate::tui::theme::{Environment, ThemeName};
use crate::tui::update::update;

/// A model at 120x36 that shows these rows.
pub(in crate::tui) fn model(rows: &[InstanceRow]) -> Model {
    let preferences = Preferences {
        theme: ThemeName::Auto,
        ascii: false,
        mouse: true,
        keys: BTreeMap::new(),
        events_for: None,
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
