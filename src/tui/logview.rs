//! The window on an instance's log: where its files are, for now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::Now;
use super::theme::{Look, Role};
use crate::api::client::Client;
use crate::domain::instance::InstanceName;
use crossterm::event::KeyEvent;

/// What can be done in the log pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogAction {
    Follow,
    Search,
    Next,
    Previous,
    Filter,
    NextError,
    PreviousError,
    GoToTime,
    Wrap,
    Left,
    Right,
    Timestamps,
    Stream,
    Mark,
    Clear,
    Copy,
    Save,
    Open,
    Up,
    Down,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
}

/// An answer to a [`LogEffect`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LogMsg {}

/// What the view wants of the log's owner.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LogEffect {}

#[derive(Debug, Default)]
pub(super) struct LogView {
    instance: Option<InstanceName>,
}

impl LogView {
    pub(super) fn show(&mut self, instance: Option<InstanceName>) -> Vec<LogEffect> {
        self.instance = instance;
        Vec::new()
    }

    pub(super) fn resize(&mut self, _width: u16, _height: u16) -> Vec<LogEffect> {
        Vec::new()
    }

    pub(super) fn act(&mut self, _action: LogAction, _now: Now) -> Vec<LogEffect> {
        Vec::new()
    }

    pub(super) fn wants_text(&self) -> bool {
        false
    }

    pub(super) fn text(&mut self, _key: KeyEvent) -> Vec<LogEffect> {
        Vec::new()
    }

    pub(super) fn update(&mut self, msg: LogMsg, _now: Now) -> Vec<LogEffect> {
        match msg {}
    }

    pub(super) fn wheel(&mut self, _lines: i32) -> Vec<LogEffect> {
        Vec::new()
    }

    pub(super) fn title(&self) -> (String, String) {
        let name = self.instance.as_ref().map_or("", InstanceName::as_str);
        (format!("Log {name}"), String::new())
    }

    pub(super) fn render(&self, area: Rect, buffer: &mut Buffer, look: &Look) {
        let Some(name) = &self.instance else {
            return;
        };
        let text = format!("llama-orch logs {name} --follow shows it in a terminal of its own");
        buffer.set_stringn(
            area.x,
            area.y,
            text,
            area.width.into(),
            look.style(Role::Dim),
        );
    }
}

/// Carries an effect out.
#[expect(clippy::unused_async, reason = "there is no effect to carry out yet")]
pub(super) async fn carry(effect: LogEffect, _client: Client) -> Option<LogMsg> {
    match effect {}
}
