//! What lies over the panes: questions, menus, help, palette, and the line that is typed into.

use std::path::PathBuf;

use tui_input::Input;

use super::super::effect::{Effect, Ending};
use super::super::host::{ImportFrom, OfferedModels};
use super::super::keymap::Action;
use super::sheet::Sheet;
use crate::domain::work::Chunk;

/// One thing at a time asks for attention; a stack, because help opens over anything.
#[derive(Clone, Debug)]
pub(in crate::tui) enum Dialog {
    Help {
        search: Input,
        scroll: usize,
    },
    Palette {
        search: Input,
        cursor: usize,
    },
    /// The models of this machine, to choose one.
    Models {
        found: OfferedModels,
        search: Input,
        cursor: usize,
    },
    Menu(Menu),
    Question(Question),
    Quit(Quit),
    Sheet(Sheet),
    /// Something to read.
    Text {
        title: String,
        lines: Vec<String>,
        scroll: usize,
    },
}

/// A list to choose from.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Menu {
    pub(in crate::tui) title: String,
    pub(in crate::tui) choices: Vec<Choice>,
    pub(in crate::tui) cursor: usize,
}

#[derive(Clone, Debug)]
pub(in crate::tui) struct Choice {
    pub(in crate::tui) key: String,
    pub(in crate::tui) label: String,
    pub(in crate::tui) note: String,
    pub(in crate::tui) pick: Pick,
}

#[derive(Clone, Debug)]
pub(in crate::tui) enum Pick {
    Action(Action),
    /// Text for the clipboard, and what it is.
    Copy(String, &'static str),
    /// A new instance from this template.
    Template(usize),
    Import(ImportFrom),
}

/// A question before something is done; Cancel is chosen at first.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Question {
    pub(in crate::tui) title: String,
    pub(in crate::tui) lines: Vec<String>,
    pub(in crate::tui) yes: String,
    pub(in crate::tui) chosen: Button,
    pub(in crate::tui) effects: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Button {
    Cancel,
    Yes,
}

/// What becomes of the instances.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Quit {
    pub(in crate::tui) lines: Vec<String>,
    pub(in crate::tui) choices: Vec<(Option<Ending>, String, String)>,
    pub(in crate::tui) cursor: usize,
    pub(in crate::tui) remember: bool,
}

/// A line that is typed at the bottom.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Prompt {
    pub(in crate::tui) purpose: Purpose,
    pub(in crate::tui) input: Input,
    /// What Escape brings back.
    pub(in crate::tui) before: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Purpose {
    FilterTable,
    FilterEvents,
    /// The name of a new instance made from a template.
    NameInstance(usize),
    /// The name of a new instance that runs a model.
    NameModel {
        path: PathBuf,
        suggestion: String,
    },
    /// What to take over: a path, or a command.
    ImportFrom(ImportFrom),
    /// The name of a new work unit.
    NameUnit,
    /// Why a work unit needs attention.
    Attention(Chunk),
}
