//! For the benches: how long a frame takes, without a terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::{Model, Msg, Now, Preferences};
use super::theme::{Environment, ThemeName};
use super::update::update;
use super::view::view;
use crate::domain::fleet::FleetSnapshot;

/// The size that is drawn.
const AREA: Rect = Rect::new(0, 0, 120, 36);

/// What comes before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A new picture is taken and sorted in, and the cursor moves.
    Picture,
    /// The cursor moves.
    Key,
}

/// Returns how long each of `count` frames took, with what came before it, until it was drawn and
/// compared with the one before.
#[must_use]
pub fn frames(snapshot: &FleetSnapshot, count: usize, cause: Cause) -> Vec<Duration> {
    let preferences = Preferences {
        theme: ThemeName::Dark,
        ascii: false,
        mouse: true,
        keys: BTreeMap::new(),
        events_for: None,
        temporary: false,
        on_quit: None,
        columns: Vec::new(),
        remembered: "sort = \"t/s\"\nfalling = true".to_owned(),
        notices: Vec::new(),
        complaints: Vec::new(),
    };
    let mut model = Model::new(preferences, &Environment::default(), "/bench".to_owned());
    let mut shown = Buffer::empty(AREA);
    let mut next = Buffer::empty(AREA);
    let mut times = Vec::with_capacity(count);
    for round in 0..count {
        let now = Now {
            wall: 1_700_000_000.0 + round as f64,
            mono: round as f64,
        };
        let mut messages = Vec::new();
        if cause == Cause::Picture || round == 0 {
            let mut picture = snapshot.clone();
            picture.generation = round as u64 + 1;
            messages.push(Msg::Resize(AREA.width, AREA.height));
            messages.push(Msg::Picture(Box::new(picture)));
        }
        messages.push(Msg::Act(super::keymap::Action::Down));
        let begin = Instant::now();
        for msg in messages {
            drop(update(&mut model, msg, now));
        }
        next.reset();
        view(&model, &mut next);
        std::hint::black_box(shown.diff(&next).len());
        std::mem::swap(&mut shown, &mut next);
        times.push(begin.elapsed());
    }
    times
}
