//! Every key there is, in one table: dispatch, help, footer and palette are all made from it.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

#[cfg(debug_assertions)]
use super::fault;
use super::logview::LogAction;
use super::model::Pane;
use super::model::work::WorkAction;

/// What a key, a palette entry, a menu line or a click asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Help,
    Palette,
    NextPane,
    PreviousPane,
    Show(Pane),
    Refresh,
    Doctor,
    Zoom,
    Shrink,
    Grow,
    Redraw,
    Mouse,
    Freeze,
    Theme,
    Suspend,
    Back,
    Quit,
    Interrupt,
    #[cfg(debug_assertions)]
    Panic(fault::Thread),
    Up,
    Down,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
    ColumnLeft,
    ColumnRight,
    Filter,
    SortNext,
    SortPrevious,
    SortInvert,
    Group,
    HideStopped,
    Mark,
    MarkAll,
    Menu,
    Start,
    Stop,
    Restart,
    Kill,
    Edit,
    New,
    Models,
    Import,
    Crash,
    Yank,
    ShowLog,
    ShowDetail,
    EventsLevel,
    EventsSelected,
    EventsJump,
    Log(LogAction),
    Work(WorkAction),
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Context {
    Global,
    Table,
    Log,
    Events,
    Detail,
    Diagnostics,
    Work,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) context: Context,
    pub(super) action: Action,
    /// The name in `[dashboard.keys]`.
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
    pub(super) help: &'static str,
    /// For the footer; empty keeps it out of there.
    pub(super) short: &'static str,
}

/// One row a line: place, name, keys, footer, help, action.
macro_rules! rows {
    ($($(#[$condition:meta])? $context:ident $name:literal [$($key:literal),*] $short:literal $help:literal => $action:expr;)*) => {
        /// The key table. A new action also needs an arm in `update`.
        pub(super) const ROWS: &[Row] = &[
            $($(#[$condition])? Row {
                context: Context::$context,
                action: $action,
                name: $name,
                keys: &[$($key),*],
                help: $help,
                short: $short,
            }),*
        ];
    };
}

rows! {
    Global "help" ["?", "h", "f1"] "help" "show every key; type to search" => Action::Help;
    Global "palette" [":", "ctrl-p"] "palette" "run any action by its name" => Action::Palette;
    Global "next-pane" ["tab"] "pane" "go to the next pane" => Action::NextPane;
    Global "previous-pane" ["shift-tab"] "" "go to the previous pane" => Action::PreviousPane;
    Global "instances" ["1"] "" "go to the instances" => Action::Show(Pane::Table);
    Global "events" ["2"] "" "go to the events" => Action::Show(Pane::Events);
    Global "log" ["3"] "" "go to the log" => Action::Show(Pane::Log);
    Global "detail" ["4"] "" "go to the detail of the selected instance" => Action::Show(Pane::Detail);
    Global "diagnostics" ["5"] "" "show what this program says about itself" => Action::Show(Pane::Diagnostics);
    Global "work" ["6"] "" "show the work units" => Action::Show(Pane::Work);
    Work "work-menu" ["enter"] "actions" "choose what to do with the selected work unit" => Action::Work(WorkAction::Menu);
    Work "work-new" ["n"] "new" "make a new work unit" => Action::Work(WorkAction::New);
    Work "work-claim" ["s"] "take" "RUNNING: take the work unit up" => Action::Work(WorkAction::Claim);
    Work "work-ready" ["u"] "ready" "READY: put the work unit back, or reopen it after a question" => Action::Work(WorkAction::Ready);
    Work "work-done" ["d"] "done" "DONE: end the work unit, which frees what waits for it" => Action::Work(WorkAction::Finish);
    Work "work-attention" ["x"] "attention" "NEEDS_ATTENTION: ask for a person, with a reason; stops its command after a question" => Action::Work(WorkAction::Flag);
    Work "work-phase" ["f"] "phase" "move the work unit to its next phase" => Action::Work(WorkAction::NextPhase);
    Work "work-history" ["i"] "history" "show every change of the work unit" => Action::Work(WorkAction::History);
    Work "work-log" ["l"] "log" "read what the work unit's commands wrote" => Action::Work(WorkAction::Log);
    Work "work-hide-done" ["H"] "hide done" "hide or show the work units that are DONE" => Action::Work(WorkAction::HideDone);
    Work "work-remove" ["X", "delete"] "" "remove the work unit, after a question" => Action::Work(WorkAction::Remove);
    Table "menu" ["enter"] "actions" "choose what to do with the selected or marked" => Action::Menu;
    Table "filter" ["/"] "filter" "filter: words, regex, key:value, ! for not" => Action::Filter;
    Table "start" ["s"] "start" "start the selected or marked" => Action::Start;
    Table "stop" ["x"] "stop" "stop the selected or marked, after a question" => Action::Stop;
    Table "restart" ["R"] "restart" "stop and start the selected or marked, after a question" => Action::Restart;
    Table "kill" ["X"] "" "kill the selected or marked at once, after a question" => Action::Kill;
    Table "mark" ["space"] "mark" "mark or unmark, then go down" => Action::Mark;
    Table "mark-all" ["A"] "" "mark all shown, or none" => Action::MarkAll;
    Table "sort-next" ["."] "" "sort by the next column" => Action::SortNext;
    Table "sort-previous" [","] "" "sort by the previous column" => Action::SortPrevious;
    Table "sort-invert" ["I"] "" "turn the order round" => Action::SortInvert;
    Table "group" ["T"] "" "group by tag" => Action::Group;
    Table "hide-stopped" ["H"] "" "hide or show the stopped" => Action::HideStopped;
    Table "edit" ["e"] "edit" "edit the configuration in $EDITOR" => Action::Edit;
    Table "new" ["n"] "new" "make a new instance" => Action::New;
    Table "models" ["M"] "" "choose a model on this machine for a new instance" => Action::Models;
    Table "import" ["N"] "" "take instances over from llama-swap, presets or a command" => Action::Import;
    Table "crash" ["b"] "" "read and export what was kept of its last crash" => Action::Crash;
    Table "yank" ["y"] "yank" "copy URL, environment, curl request, pid, command or paths" => Action::Yank;
    Table "show-detail" ["i"] "" "go to the detail" => Action::ShowDetail;
    Table "show-log" ["l"] "" "go to the log" => Action::ShowLog;
    Global "up" ["up", "k"] "" "go up" => Action::Up;
    Global "down" ["down", "j"] "" "go down" => Action::Down;
    Global "top" ["g", "home"] "" "go to the first" => Action::Top;
    Global "bottom" ["G", "end"] "" "go to the last" => Action::Bottom;
    Global "page-up" ["pageup"] "" "go up one page" => Action::PageUp;
    Global "page-down" ["pagedown"] "" "go down one page" => Action::PageDown;
    Global "half-up" ["ctrl-u"] "" "go up half a page" => Action::HalfUp;
    Global "half-down" ["ctrl-d"] "" "go down half a page" => Action::HalfDown;
    Table "column-left" ["left"] "" "show the columns further left" => Action::ColumnLeft;
    Table "column-right" ["right"] "" "show the columns further right" => Action::ColumnRight;
    Events "events-jump" ["enter"] "go to log" "go to the log at that moment" => Action::EventsJump;
    Events "events-filter" ["/"] "filter" "filter the events" => Action::Filter;
    Events "events-level" ["v"] "level" "show all, from warnings up, or errors only" => Action::EventsLevel;
    Events "events-selected" ["i"] "only selected" "only the selected instance's events, or all" => Action::EventsSelected;
    Log "log-follow" ["f"] "follow" "follow the end of the log" => Action::Log(LogAction::Follow);
    Log "log-search" ["/"] "search" "search the log" => Action::Log(LogAction::Search);
    Log "log-next" ["n"] "" "go to the next match" => Action::Log(LogAction::Next);
    Log "log-previous" ["N"] "" "go to the previous match" => Action::Log(LogAction::Previous);
    Log "log-filter" ["&"] "filter" "show only lines that match; with ! those that do not" => Action::Log(LogAction::Filter);
    Log "log-next-error" ["e"] "next error" "go to the next error" => Action::Log(LogAction::NextError);
    Log "log-previous-error" ["E"] "" "go to the previous error" => Action::Log(LogAction::PreviousError);
    Log "log-select" ["v"] "select" "select lines: go up or down, then copy" => Action::Log(LogAction::Select);
    Log "log-copy" ["y"] "copy" "copy the selection, or what is visible" => Action::Log(LogAction::Copy);
    Log "log-open" ["o"] "pager" "open the log in $PAGER" => Action::Log(LogAction::Open);
    Log "log-time" ["T"] "time" "go to a time" => Action::Log(LogAction::GoToTime);
    Log "log-wrap" ["w"] "wrap" "wrap long lines, or not" => Action::Log(LogAction::Wrap);
    Log "log-left" ["left"] "" "pan left" => Action::Log(LogAction::Left);
    Log "log-right" ["right"] "" "pan right" => Action::Log(LogAction::Right);
    Log "log-timestamps" ["#"] "" "show the time of each line, or not" => Action::Log(LogAction::Timestamps);
    Log "log-stream" ["b"] "stream" "stdout, stderr or both" => Action::Log(LogAction::Stream);
    Log "log-mark" ["M"] "" "set a mark at this line" => Action::Log(LogAction::Mark);
    Log "log-clear" ["c"] "" "clear the view; the file stays" => Action::Log(LogAction::Clear);
    Log "log-save" ["ctrl-s"] "" "save the log to a file" => Action::Log(LogAction::Save);
    Global "zoom" ["z"] "zoom" "give this pane the whole screen, or take it back" => Action::Zoom;
    Global "shrink" ["-"] "" "make this pane smaller" => Action::Shrink;
    Global "grow" ["=", "+"] "" "make this pane larger" => Action::Grow;
    Global "refresh" ["r"] "" "ask the supervisor again now" => Action::Refresh;
    Global "doctor" ["D"] "" "look for what is wrong with the installation" => Action::Doctor;
    Global "freeze" ["p"] "" "stop the screen; go on with the same key" => Action::Freeze;
    Global "theme" ["t"] "" "the next theme" => Action::Theme;
    Global "mouse" ["m"] "" "leave the mouse to the terminal, or take it" => Action::Mouse;
    Global "redraw" ["ctrl-l"] "" "draw the whole screen again" => Action::Redraw;
    Global "suspend" ["ctrl-z"] "" "back to the shell; fg returns" => Action::Suspend;
    Global "back" ["esc"] "" "close, clear or go back" => Action::Back;
    Global "quit" ["q", "f10"] "quit" "leave; asks what becomes of the instances" => Action::Quit;
    Global "interrupt" ["ctrl-c"] "" "leave; the second time hand over at once" => Action::Interrupt;
    #[cfg(debug_assertions)] Global "panic-dashboard" [] "" "debug builds: let the dashboard's thread panic" => Action::Panic(fault::Thread::Dashboard);
    #[cfg(debug_assertions)] Global "panic-task" [] "" "debug builds: let a task elsewhere panic" => Action::Panic(fault::Thread::Runtime);
}

/// Returns the rows of the key table that a search finds: by name and by meaning.
pub(super) fn matching(search: &str) -> Vec<&'static Row> {
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    ROWS.iter()
        .filter(|row| {
            let text = format!("{} {} {}", row.name, row.help, row.context.title()).to_lowercase();
            words.iter().all(|word| text.contains(word.as_str()))
        })
        .collect()
}

/// Returns those that the palette offers: all but itself.
pub(super) fn offered(search: &str) -> Vec<&'static Row> {
    let mut rows = matching(search);
    rows.retain(|row| row.action != Action::Palette);
    rows
}

/// A key as it is compared: a character carries its own shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// The text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a key; keys are written like x, X, space, enter, f5, ctrl-d or shift-tab")]
pub(super) struct InvalidKey {
    text: String,
}

impl Key {
    pub(super) fn of(event: KeyEvent) -> Self {
        let mut modifiers = event.modifiers;
        if let KeyCode::Char(_) | KeyCode::BackTab = event.code {
            modifiers -= KeyModifiers::SHIFT;
        }
        Self {
            code: event.code,
            modifiers,
        }
    }

    /// Returns the event that such a key makes.
    #[cfg(test)]
    pub(super) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// Reads `x`, `space`, `ctrl-d`, `shift-tab`, `f5` …
    pub(super) fn parse(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey {
            text: text.to_owned(),
        };
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once('-').filter(|(_, tail)| !tail.is_empty()) {
            modifiers |= match head.to_ascii_lowercase().as_str() {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(invalid()),
            };
            rest = tail;
        }
        let mut characters = rest.chars();
        let code = match (characters.next(), characters.next()) {
            (Some(only), None) => KeyCode::Char(only),
            (_, _) => named(&rest.to_ascii_lowercase()).ok_or_else(invalid)?,
        };
        let code = match code {
            KeyCode::Tab if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
            code => code,
        };
        Ok(Self::of(KeyEvent::new(code, modifiers)))
    }
}

fn named(word: &str) -> Option<KeyCode> {
    Some(match word {
        "space" => KeyCode::Char(' '),
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "insert" => KeyCode::Insert,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        _ => {
            let number = word.strip_prefix('f')?.parse().ok()?;
            return (1..=24).contains(&number).then_some(KeyCode::F(number));
        }
    })
}

/// The table with a person's own keys in it.
#[derive(Clone, Debug)]
pub(super) struct Keymap {
    keys: Vec<(Context, Key, Action)>,
    labels: BTreeMap<&'static str, Vec<String>>,
}

impl Keymap {
    /// Builds the map; each entry of `own` replaces all keys of the action it names. What cannot
    /// be used is told and left as it was.
    pub(super) fn new(own: &BTreeMap<String, Vec<String>>) -> (Self, Vec<String>) {
        let mut complaints = Vec::new();
        for name in own.keys() {
            if ROWS.iter().all(|row| row.name != name) {
                complaints.push(format!(
                    "dashboard.keys.{name}: no action has this name; the palette (:) lists them"
                ));
            }
        }
        let mut keys = Vec::new();
        let mut labels = BTreeMap::new();
        for row in ROWS {
            let built_in = || row.keys.iter().map(|key| (*key).to_owned()).collect();
            let mut texts: Vec<String> = own.get(row.name).cloned().unwrap_or_else(built_in);
            if let Some(error) = texts.iter().find_map(|text| Key::parse(text).err()) {
                complaints.push(format!("dashboard.keys.{}: {error}", row.name));
                texts = built_in();
            }
            for key in texts.iter().filter_map(|text| Key::parse(text).ok()) {
                // A person's own key takes it away from whoever had it in the same place.
                if own.contains_key(row.name) {
                    keys.retain(|(context, taken, _)| (*context, *taken) != (row.context, key));
                } else if keys
                    .iter()
                    .any(|(context, taken, _)| (*context, *taken) == (row.context, key))
                {
                    continue;
                }
                keys.push((row.context, key, row.action));
            }
            labels.insert(row.name, texts);
        }
        (Self { keys, labels }, complaints)
    }

    /// Returns what a key means in a place.
    pub(super) fn action(&self, context: Context, event: KeyEvent) -> Option<Action> {
        let key = Key::of(event);
        [context, Context::Global].into_iter().find_map(|context| {
            self.keys
                .iter()
                .find(|(place, bound, _)| *place == context && *bound == key)
                .map(|(_, _, action)| *action)
        })
    }

    /// Returns every key that means something.
    #[cfg(test)]
    pub(super) fn events(&self) -> Vec<KeyEvent> {
        self.keys.iter().map(|(_, key, _)| key.event()).collect()
    }

    /// Returns the keys of a row as they are written in help.
    pub(super) fn label(&self, row: &Row) -> String {
        let texts = self.labels.get(row.name).map_or(&[][..], Vec::as_slice);
        texts
            .iter()
            .map(|text| shown(text))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Returns the first key of an action.
    pub(super) fn first(&self, action: Action) -> String {
        let row = ROWS.iter().find(|row| row.action == action);
        row.and_then(|row| self.labels.get(row.name)?.first())
            .map_or_else(String::new, |text| shown(text))
    }
}

fn shown(text: &str) -> String {
    match text {
        "up" => "↑".to_owned(),
        "down" => "↓".to_owned(),
        "left" => "←".to_owned(),
        "right" => "→".to_owned(),
        "enter" => "Enter".to_owned(),
        "tab" => "Tab".to_owned(),
        "esc" => "Esc".to_owned(),
        "space" => "Space".to_owned(),
        "shift-tab" => "Shift-Tab".to_owned(),
        "pageup" => "PgUp".to_owned(),
        "pagedown" => "PgDn".to_owned(),
        "home" => "Home".to_owned(),
        "end" => "End".to_owned(),
        "delete" => "Del".to_owned(),
        "insert" => "Ins".to_owned(),
        "backspace" => "Backspace".to_owned(),
        _ => text
            .strip_prefix("ctrl-")
            .map(|rest| format!("Ctrl-{}", rest.to_ascii_uppercase()))
            .or_else(|| {
                text.strip_prefix('f')
                    .filter(|rest| !rest.is_empty())
                    .map(|rest| format!("F{rest}"))
            })
            .unwrap_or_else(|| text.to_owned()),
    }
}

impl Context {
    pub(super) fn of(pane: Pane) -> Self {
        match pane {
            Pane::Table => Self::Table,
            Pane::Events => Self::Events,
            Pane::Log => Self::Log,
            Pane::Detail => Self::Detail,
            Pane::Diagnostics => Self::Diagnostics,
            Pane::Work => Self::Work,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Table => "Instances",
            Self::Log => "Log",
            Self::Events => "Events",
            Self::Detail => "Detail",
            Self::Diagnostics => "Diagnostics",
            Self::Work => "Work units",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(text: &str) -> KeyEvent {
        Key::parse(text).expect("it is a key").event()
    }

    #[test]
    fn every_row_has_keys_that_can_be_read_and_that_nothing_else_in_its_place_has() {
        let (map, complaints) = Keymap::new(&BTreeMap::new());
        assert_eq!(complaints, Vec::<String>::new());
        for row in ROWS {
            for text in row.keys {
                assert_eq!(
                    map.action(row.context, press(text)),
                    Some(row.action),
                    "{text}"
                );
            }
        }
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn a_person_may_take_other_keys() {
        let own = BTreeMap::from([
            ("stop".to_owned(), vec!["s".to_owned()]),
            ("start".to_owned(), vec!["u".to_owned()]),
        ]);
        let (map, complaints) = Keymap::new(&own);
        assert!(complaints.is_empty());
        assert_eq!(map.action(Context::Table, press("s")), Some(Action::Stop));
        assert_eq!(map.action(Context::Table, press("u")), Some(Action::Start));
        assert_eq!(map.action(Context::Table, press("x")), None);
        assert_eq!(map.first(Action::Start), "u");
    }

    #[test]
    fn wrong_keys_and_names_are_told_and_change_nothing() {
        let own = BTreeMap::from([
            ("stop".to_owned(), vec!["hyper-x".to_owned()]),
            ("explode".to_owned(), vec!["b".to_owned()]),
        ]);
        let (map, complaints) = Keymap::new(&own);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert_eq!(map.action(Context::Table, press("x")), Some(Action::Stop));
    }
}
