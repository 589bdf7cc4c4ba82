//! The dashboard: one model, one pure update, one pure view, effects as data.
//!
//! It runs on a thread of its own, named `tui`, and reaches the supervisor only as a client. The
//! loop below is the only one: it waits for the terminal and for the [`Mailbox`], turns what comes
//! into messages, updates, carries effects out, and draws when something changed and it is time.
//!
//! Where to change what: a key in `keymap`, what it does in `update`, how it looks in `view`, what
//! it needs from outside in `effect` and [`host`].

pub mod host;
pub mod measure;

mod effect;
mod external;
#[cfg(debug_assertions)]
mod fault;
mod format;
mod input;
mod keymap;
mod layout;
mod logview;
mod mailbox;
mod model;
mod panics;
mod remember;
mod term;
mod theme;
mod update;
mod view;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{MouseEvent, MouseEventKind};
use tokio::runtime::Handle;

pub use self::effect::{Command, Ending};
pub use self::mailbox::Mailbox;
pub use self::model::details::{Details, PastRun};
pub use self::model::work::WorkMsg;
pub use self::model::{Msg, Now, Preferences, Supervisor};
pub use self::theme::{Environment, ThemeName};

use self::effect::{Carrier, Effect};
use self::host::Host;
use self::input::{Input, Parser};
use self::logview::Drag;
use self::model::{Dirty, Hit, Model, Split};
use self::term::{Screen, Woken};
use self::view::Hits;

/// The name of the dashboard's thread.
pub const THREAD: &str = term::THREAD;

/// Messages handled before the screen is drawn again.
const BATCH: usize = 256;

/// Keys are answered within this: 60 frames a second at most.
const KEY_PACE: Duration = Duration::from_millis(16);

/// Data are shown within this: 10 frames a second at most.
const DATA_PACE: Duration = Duration::from_millis(100);

/// Uptimes and countdowns move once a second.
const TICK: f64 = 1.0;

/// Without anything that moves, the clock still does.
const SLOW_TICK: f64 = 30.0;

/// After this a lone Escape is a key.
const ESCAPE_TIME: Duration = Duration::from_millis(30);

/// What the dashboard is run with.
pub struct Setting {
    pub host: Arc<dyn Host>,
    pub runtime: Handle,
    pub mailbox: Mailbox,
    pub preferences: Preferences,
    pub environment: Environment,
    /// The path of the home, on the owner's machine.
    pub home: String,
    /// How an owner elsewhere is reached.
    pub place: Option<String>,
    /// The file that panics are reported in.
    pub panic_report: PathBuf,
}

/// Shows the dashboard until it ends; returns what becomes of the instances.
///
/// # Errors
///
/// Returns an error when there is no terminal, or it breaks.
pub fn run(setting: Setting) -> io::Result<Ending> {
    let mailbox = setting.mailbox.clone();
    panics::install_hook(setting.panic_report, move |panicked| {
        tracing::error!("{}", panicked.text);
        mailbox.post(Msg::Panicked(panicked));
    });
    let screen = Screen::enter(setting.preferences.mouse)?;
    let carrier = Carrier {
        host: setting.host,
        runtime: setting.runtime,
        mailbox: setting.mailbox,
    };
    let mut model = Model::new(setting.preferences, &setting.environment, setting.home);
    model.size = screen.size();
    model.place = setting.place;
    match carrier.host.files() {
        Ok(files) => model.templates = files.templates(),
        Err(elsewhere) => model.elsewhere = Some(elsewhere.to_string()),
    }
    let mut dashboard = Dashboard {
        screen,
        model,
        carrier,
        parser: Parser::default(),
        hits: Hits::default(),
        dragging: None,
        began: Instant::now(),
        drawn: None,
        ticked: f64::MIN,
    };
    dashboard.run()
}

/// What the mouse holds while its button is down.
#[derive(Clone, Copy, Debug)]
enum Dragged {
    Split(Split),
    /// Lines of the log.
    Log,
}

struct Dashboard {
    screen: Screen,
    model: Model,
    carrier: Carrier,
    parser: Parser,
    /// What was where in the frame that the person sees.
    hits: Hits,
    dragging: Option<Dragged>,
    began: Instant,
    drawn: Option<Instant>,
    /// The monotonic time of the last tick.
    ticked: f64,
}

impl Dashboard {
    fn run(&mut self) -> io::Result<Ending> {
        loop {
            let mut messages = Vec::new();
            match self.screen.wait(&self.carrier.mailbox, self.patience())? {
                Woken::Lost => return Ok(Ending::Lost),
                Woken::Ready { terminal: true } => {
                    if !self.read(&mut messages) {
                        return Ok(Ending::Lost);
                    }
                }
                Woken::Ready { terminal: false } => {
                    // Nothing followed a lone Escape.
                    for input in self.parser.flush() {
                        self.translate(input, &mut messages);
                    }
                }
            }
            messages.extend(self.carrier.mailbox.take(BATCH));
            if let Some((width, height)) = self.screen.resized()? {
                messages.push(Msg::Resize(width, height));
            }
            let now = self.now();
            if now.mono - self.ticked >= self.tick_length() {
                self.ticked = now.mono;
                messages.push(Msg::Tick);
            }
            for msg in messages {
                let effects = update::update(&mut self.model, msg, now);
                for effect in effects {
                    if let Some(ending) = self.carry(effect)? {
                        return Ok(ending);
                    }
                }
            }
            self.draw_when_due()?;
        }
    }

    /// Reads and translates what was typed; `false` when the terminal is gone.
    fn read(&mut self, messages: &mut Vec<Msg>) -> bool {
        let mut buffer = [0; 4096];
        let Some(count) = self.screen.read(&mut buffer) else {
            return false;
        };
        for input in self.parser.feed(&buffer[..count]) {
            self.translate(input, messages);
        }
        true
    }

    fn translate(&mut self, input: Input, messages: &mut Vec<Msg>) {
        match input {
            Input::Key(event) => messages.push(Msg::Key(event)),
            Input::Paste(text) => messages.push(Msg::Paste(text)),
            Input::Background(red, green, blue) => {
                messages.push(Msg::Background(theme::ground_of(red, green, blue)));
            }
            Input::Mouse(event) => self.mouse(event, messages),
        }
    }

    /// Resolves the mouse against the frame the person saw.
    fn mouse(&mut self, event: MouseEvent, messages: &mut Vec<Msg>) {
        let hit = self.hits.at(event.column, event.row);
        let pane = self.hits.pane(event.column, event.row);
        match event.kind {
            MouseEventKind::Down(_) => match hit {
                Hit::Split(split) => self.dragging = Some(Dragged::Split(split)),
                hit => {
                    if let Hit::LogLine(_) = hit {
                        self.dragging = Some(Dragged::Log);
                    }
                    messages.push(Msg::Click(hit));
                }
            },
            MouseEventKind::Drag(_) => match (self.dragging, hit) {
                (Some(Dragged::Split(split)), _) => {
                    messages.push(Msg::Drag(split, event.column, event.row));
                }
                (Some(Dragged::Log), Hit::LogLine(place)) => {
                    messages.push(Msg::Select(Drag::Line(place)));
                }
                (Some(Dragged::Log), _) => {
                    let drag = if event.row <= self.model.areas().log.y {
                        Drag::Above
                    } else {
                        Drag::Below
                    };
                    messages.push(Msg::Select(drag));
                }
                (None, _) => {}
            },
            MouseEventKind::Up(_) => self.dragging = None,
            MouseEventKind::ScrollUp => messages.extend(pane.map(|pane| Msg::Wheel(pane, -3))),
            MouseEventKind::ScrollDown => messages.extend(pane.map(|pane| Msg::Wheel(pane, 3))),
            MouseEventKind::Moved | MouseEventKind::ScrollLeft | MouseEventKind::ScrollRight => {}
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        Now {
            wall,
            mono: self.began.elapsed().as_secs_f64(),
        }
    }

    fn tick_length(&self) -> f64 {
        if self.model.is_moving() {
            TICK
        } else {
            SLOW_TICK
        }
    }

    /// How long to wait for something to happen.
    fn patience(&self) -> Option<Duration> {
        let mono = self.began.elapsed().as_secs_f64();
        let tick = (self.ticked + self.tick_length() - mono).max(0.0);
        let mut patience = Duration::try_from_secs_f64(tick).unwrap_or_default();
        if let Some(due) = self.draw_in() {
            patience = patience.min(due);
        }
        if self.parser.is_waiting() {
            patience = patience.min(ESCAPE_TIME);
        }
        Some(patience)
    }

    /// Returns when the next frame is due; `None` while the screen shows what the model says.
    fn draw_in(&self) -> Option<Duration> {
        let pace = match self.model.dirty {
            Dirty::No | Dirty::AtTick => return None,
            Dirty::Soon => DATA_PACE,
            Dirty::Now => KEY_PACE,
        };
        Some(
            self.drawn
                .map_or(Duration::ZERO, |drawn| pace.saturating_sub(drawn.elapsed())),
        )
    }

    fn draw_when_due(&mut self) -> io::Result<()> {
        if self.draw_in() != Some(Duration::ZERO) {
            return Ok(());
        }
        let (model, hits) = (&self.model, &mut self.hits);
        self.screen
            .draw(|buffer| *hits = view::view(model, buffer))?;
        self.model.dirty = Dirty::No;
        self.drawn = Some(Instant::now());
        Ok(())
    }

    /// Carries one effect out; returns the ending when it is one.
    fn carry(&mut self, effect: Effect) -> io::Result<Option<Ending>> {
        match effect {
            Effect::End(ending) => return Ok(Some(ending)),
            Effect::Command(command, names) => self.carrier.command(command, names),
            Effect::Refresh => self.carrier.refresh(),
            Effect::Checkup => self.carrier.checkup(),
            Effect::Weigh(names) => self.carrier.weigh(names),
            Effect::Crash { name, back } => self.carrier.crash(name, back),
            Effect::ExportCrash { name, folder } => self.carrier.blocking(move |host| {
                let path = host
                    .files()
                    .and_then(|files| files.export_crash(&name, &folder));
                let told = path.map(|path| path.display().to_string());
                Some(Msg::Exported(told.map_err(|error| error.to_string())))
            }),
            Effect::Import(request) => self.carrier.blocking(move |host| {
                let report = host.files().and_then(|files| files.import(&request));
                let report = report.map_err(|error| error.to_string());
                Some(Msg::Imported(request, report))
            }),
            Effect::Details(name) => self.carrier.details(name),
            Effect::Create { template, name } => self.carrier.blocking(move |host| {
                let made = host.files().and_then(|files| files.create(template, &name));
                Some(Msg::Created(made.map_err(|error| error.to_string())))
            }),
            Effect::Models => self.carrier.blocking(move |host| {
                let found = host.files().map(|files| files.models());
                Some(Msg::Models(found.map_err(|error| error.to_string())))
            }),
            Effect::CreateOf { model, name } => self.carrier.blocking(move |host| {
                let made = host.files();
                let made = made.and_then(|files| files.create_of(&model, &name));
                Some(Msg::CreatedOf(made.map_err(|error| error.to_string())))
            }),
            Effect::Remember(text) => self.carrier.blocking(move |host| {
                host.remember(&text);
                None
            }),
            Effect::Log(effect) => self.carrier.log(effect),
            Effect::Work(order) => self.carrier.work(order),
            Effect::WorkHistory(chunk) => self.carrier.work_history(chunk),
            Effect::HandOver => self.carrier.hand_over(),
            #[cfg(debug_assertions)]
            Effect::Panic(thread) => fault::strike(thread, &self.carrier),
            Effect::Copy(text) => self.screen.copy(&text)?,
            Effect::Mouse(on) => self.screen.set_mouse(on)?,
            Effect::Redraw => {
                self.screen.redraw_all()?;
                self.model.soil(Dirty::Now);
            }
            Effect::Suspend => external::suspend(&mut self.screen, &self.carrier, &self.model)?,
            Effect::Edit(name) => external::edit(&mut self.screen, &self.carrier, name)?,
            Effect::Page(path) => external::page(&mut self.screen, &self.carrier, &path)?,
        }
        Ok(None)
    }
}
