//! Everything the dashboard knows. Only `update` changes it; `view` reads it.

pub(super) mod details;
pub(super) mod diagnostics;
pub(super) mod dialog;
pub(super) mod feed;
pub(super) mod filter;
pub(super) mod fleet;
pub(super) mod notice;
pub(super) mod sheet;
pub(super) mod sort;
pub(super) mod table;
pub(super) mod work;

use std::collections::BTreeMap;

use crossterm::event::KeyEvent;
use jiff::tz::TimeZone;

use self::details::{Book, Details};
use self::dialog::{Dialog, Prompt};
use self::feed::Feed;
use self::fleet::Fleet;
use self::notice::{Kind, Notices};
use self::table::Table;
use self::work::{Work, WorkMsg};
use super::effect::{Command, Ending};
use super::host::{ConfigReport, ImportReport, ImportRequest, OfferedModels, Template};
use super::keymap::{Action, Keymap};
use super::layout::{Areas, Class, Splits, Wishes, arrange};
use super::logview::{self, LogMsg, LogView};
use super::panics::Panicked;
use super::remember;
use super::theme::{Depth, Environment, Glyphs, Ground, Look, ThemeName};
use crate::api::wire::{KeptCrashBody, Role};
use crate::domain::checkup::Found;
use crate::domain::event::Event;
use crate::domain::fleet::FleetSnapshot;
use crate::domain::instance::InstanceName;
use crate::domain::log::Place;
use crate::domain::memory::fit::Fit;
use crate::domain::work::Chunk;

/// The panes, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pane {
    Table,
    Events,
    Log,
    Detail,
    Diagnostics,
    Work,
}

impl Pane {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Table, "Instances"),
        (Self::Events, "Events"),
        (Self::Log, "Log"),
        (Self::Detail, "Detail"),
        (Self::Diagnostics, "Diagnostics"),
        (Self::Work, "Work"),
    ];

    /// Its title where there is little room: all of them fit into the narrowest screen.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Table => "Inst",
            Self::Events => "Evts",
            Self::Log => "Log",
            Self::Detail => "Det",
            Self::Diagnostics => "Dia",
            Self::Work => "Work",
        }
    }

    /// Whether it shares the screen with no other pane.
    pub(super) fn is_alone(self) -> bool {
        match self {
            Self::Diagnostics | Self::Work => true,
            Self::Table | Self::Events | Self::Log | Self::Detail => false,
        }
    }
}

/// The time of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Now {
    /// Unix seconds, for display.
    pub wall: f64,
    /// Seconds since the dashboard began, for everything that lasts.
    pub mono: f64,
}

/// Who looks after the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody answered yet.
    Unknown,
    /// This process.
    InProcess,
    Other {
        role: Role,
        pid: u32,
    },
    /// The owner is gone; we look for the next one.
    Gone {
        why: String,
    },
}

/// Something that happened outside of `update`.
#[derive(Clone, Debug)]
pub enum Msg {
    Key(KeyEvent),
    Paste(String),
    /// An action from a menu, the palette or a click.
    Act(Action),
    /// A click, resolved against the frame that was seen.
    Click(Hit),
    /// A wheel step over a pane, in lines.
    Wheel(Pane, i32),
    /// A split that is being dragged, with the mouse's place.
    Drag(Split, u16, u16),
    /// Lines of the log that are being selected with the mouse.
    Select(logview::Drag),
    Resize(u16, u16),
    Background(Ground),
    Tick,
    Picture(Box<FleetSnapshot>),
    Events(Vec<Event>),
    Supervisor(Supervisor),
    /// `ok`, or why the database cannot be used as it should be.
    Database(String),
    Answered {
        command: Command,
        name: InstanceName,
        refusal: Option<String>,
    },
    /// What is known of an instance in detail, or why nobody tells.
    Details(InstanceName, Result<Box<Details>, String>),
    Edited(InstanceName, Box<ConfigReport>),
    Created(Result<InstanceName, String>),
    /// Models were looked for.
    Models(Result<OfferedModels, String>),
    /// An instance was made of a model.
    CreatedOf(Result<InstanceName, String>),
    /// What the doctor found, or why nobody looked.
    Checkup(Result<Vec<Found>, String>),
    /// The memory was looked at for a start of these.
    Weighed(Vec<InstanceName>, Vec<(InstanceName, Fit)>),
    /// What was kept of a crash: the newest, or as many before it.
    Crash {
        name: InstanceName,
        back: usize,
        kept: Result<Box<KeptCrashBody>, String>,
    },
    Exported(Result<String, String>),
    Imported(ImportRequest, Result<ImportReport, String>),
    Log(LogMsg),
    Work(WorkMsg),
    /// Something to tell; the second is told as bad.
    Notice(String),
    Failed(String),
    /// Another program gave the terminal back.
    Resumed,
    /// A hand-over was tried; `None` when it worked.
    HandedOver(Option<String>),
    /// A thread of this program panicked.
    Panicked(Panicked),
    /// The terminal is gone.
    Lost,
    /// Somebody told this process to end.
    Terminated,
}

/// What is under the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    Pane(Pane),
    /// A line of the table, counted over what is shown.
    Row(usize),
    Column(table::Column),
    Event(usize),
    /// A line of the work units, counted over what is shown.
    Unit(usize),
    LogLine(Place),
    /// A line of the open menu, palette or dialog.
    Choice(usize),
    Action(Action),
    Split(Split),
    Toast,
    Outside,
}

/// A border that can be dragged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    TableBottom,
    MiddleBottom,
    EventsRight,
}

/// Whether the screen shows what the model says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dirty {
    No,
    /// At the next tick: only measured numbers changed.
    AtTick,
    /// At the pace of data.
    Soon,
    /// At the pace of keys.
    Now,
}

/// What a person set, in the files or by an earlier visit.
#[derive(Clone, Debug)]
pub struct Preferences {
    pub theme: ThemeName,
    pub ascii: bool,
    pub mouse: bool,
    pub keys: BTreeMap<String, Vec<String>>,
    /// Show only this instance's events at first.
    pub events_for: Option<InstanceName>,
    /// The home is removed at the end, so there is nothing to ask about it.
    pub temporary: bool,
    /// What quitting does without asking.
    pub on_quit: Option<Ending>,
    /// The headings of the columns to show, name and state always; empty means all that fit.
    pub columns: Vec<String>,
    /// What an earlier visit left, as the `remember` module writes it.
    pub remembered: String,
    /// What to tell at the beginning.
    pub notices: Vec<String>,
    /// Choices that were wrong in the settings.
    pub complaints: Vec<String>,
}

pub(super) struct Model {
    pub(super) size: (u16, u16),
    pub(super) now: Now,
    pub(super) zone: TimeZone,
    /// The path of the home, on the owner's machine.
    pub(super) home: String,
    /// How an owner elsewhere is reached.
    pub(super) place: Option<String>,
    /// Why nothing is done with the files of the home from here; `None` where they are at hand.
    pub(super) elsewhere: Option<String>,
    pub(super) version: &'static str,
    pub(super) supervisor: Supervisor,
    pub(super) database: String,
    pub(super) fleet: Fleet,
    pub(super) table: Table,
    pub(super) feed: Feed,
    pub(super) log: LogView,
    /// The work unit whose log is looked at instead of the selected instance's.
    pub(super) unit_log: Option<Chunk>,
    pub(super) work: Work,
    pub(super) details: Book,
    pub(super) detail_scroll: usize,
    pub(super) diagnostics: diagnostics::Place,
    pub(super) focus: Pane,
    /// What shares a small screen with the table.
    pub(super) second: Pane,
    pub(super) zoom: bool,
    pub(super) splits: Splits,
    pub(super) dialogs: Vec<Dialog>,
    pub(super) prompt: Option<Prompt>,
    pub(super) notices: Notices,
    pub(super) keymap: Keymap,
    pub(super) theme: ThemeName,
    pub(super) depth: Depth,
    pub(super) ground: Ground,
    pub(super) glyphs: Glyphs,
    pub(super) look: Look,
    pub(super) mouse: bool,
    /// The picture that waits while the screen is frozen.
    pub(super) frozen: Option<Option<Box<FleetSnapshot>>>,
    /// Everything ends with the dashboard.
    pub(super) temporary: bool,
    pub(super) quit_choice: Option<Ending>,
    pub(super) leaving: Option<Leaving>,
    pub(super) dirty: Dirty,
    pub(super) templates: Vec<Template>,
}

/// An end that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    HandingOver,
    StoppingAll,
}

impl Model {
    /// The dashboard before anything is known of the fleet.
    pub(super) fn new(preferences: Preferences, environment: &Environment, home: String) -> Self {
        let (keymap, complaints) = Keymap::new(&preferences.keys);
        let glyphs = if preferences.ascii {
            Glyphs::Ascii
        } else {
            environment.glyphs()
        };
        let (depth, ground) = (environment.depth(), environment.ground());
        let mut model = Self {
            size: (80, 24),
            now: Now::default(),
            zone: TimeZone::system(),
            home,
            place: None,
            elsewhere: None,
            version: env!("CARGO_PKG_VERSION"),
            supervisor: Supervisor::Unknown,
            database: String::new(),
            fleet: Fleet::default(),
            table: Table::default(),
            feed: Feed::default(),
            log: LogView::default(),
            unit_log: None,
            work: Work::default(),
            details: Book::default(),
            detail_scroll: 0,
            diagnostics: diagnostics::Place::default(),
            focus: Pane::Table,
            second: Pane::Log,
            zoom: false,
            splits: Splits::default(),
            dialogs: Vec::new(),
            prompt: None,
            notices: Notices::default(),
            keymap,
            theme: preferences.theme,
            depth,
            ground,
            glyphs,
            look: Look::new(preferences.theme, ground, depth, glyphs),
            mouse: preferences.mouse,
            frozen: None,
            temporary: preferences.temporary,
            quit_choice: None,
            leaving: None,
            dirty: Dirty::Now,
            templates: Vec::new(),
        };
        model.quit_choice = preferences.on_quit;
        let (columns, unknown) = table::columns_of(&preferences.columns);
        model.table.columns = columns;
        if !unknown.is_empty() {
            let text = format!("dashboard.columns: unknown: {}", unknown.join(", "));
            model.notices.tell(Kind::Bad, text, 0.0);
        }
        remember::read(&mut model, &preferences.remembered);
        model.look = Look::new(model.theme, ground, depth, glyphs);
        if let Some(name) = preferences.events_for {
            model.feed.only = Some(name);
            model.focus = Pane::Events;
            model.second = Pane::Events;
        }
        for text in preferences.complaints.iter().chain(&complaints) {
            model.notices.tell(Kind::Bad, text.clone(), 0.0);
        }
        for text in &preferences.notices {
            model.notices.tell(Kind::Info, text.clone(), 0.0);
        }
        model
    }

    /// Whether something on the screen changes with the time alone.
    pub(super) fn is_moving(&self) -> bool {
        !self.notices.toasts.is_empty() || self.fleet.moves()
    }

    pub(super) fn class(&self) -> Class {
        Class::pick(self.size.0, self.size.1)
    }

    /// Returns where each pane is now.
    pub(super) fn areas(&self) -> Areas {
        arrange(self.size.0, self.size.1, &self.wishes())
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            focus: self.focus,
            second: self.second,
            zoom: self.zoom,
            banner: self.banner().is_some(),
            alert: self.notices.alert.is_some(),
            splits: self.splits,
        }
    }

    /// Returns what is wrong with the supervision itself.
    pub(super) fn banner(&self) -> Option<String> {
        if let Supervisor::Gone { why } = &self.supervisor {
            return Some(format!(
                "nobody supervises this home now ({why}); instances keep running; looking for an owner"
            ));
        }
        if !self.database.is_empty() && self.database != "ok" {
            return Some(format!(
                "the database is degraded: {}; instances are not affected, history may be",
                self.database
            ));
        }
        None
    }

    /// Leaves the home's own path, which the header shows, out of a text.
    pub(super) fn local(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.home.trim_end_matches('/')), "")
    }

    /// Returns the selected row.
    pub(super) fn selected(&self) -> Option<&crate::domain::fleet::InstanceRow> {
        self.fleet.row(self.table.cursor.as_ref()?)
    }

    pub(super) fn soil(&mut self, dirty: Dirty) {
        self.dirty = self.dirty.max(dirty);
    }
}

impl Msg {
    /// Whether a full mailbox takes it all the same.
    pub(super) fn must_arrive(&self) -> bool {
        matches!(
            self,
            Self::Lost | Self::Terminated | Self::HandedOver(_) | Self::Resumed
        )
    }
}
