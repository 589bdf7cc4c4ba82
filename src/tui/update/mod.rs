//! The only place where the model changes: a message in, effects out. No I/O, no clock, no wait.

mod checkup;
mod commands;
mod crash;
mod data;
mod dialogs;
mod import;
mod models;
mod movement;
mod pointer;
mod prompt;
mod quit;
mod sheet;
mod starting;
mod work;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::Input;

use super::effect::Effect;
use super::keymap::{Action, Context};
use super::layout::Class;
use super::logview::{LogAction, LogEffect};
use super::model::dialog::{Dialog, Purpose};
use super::model::notice::Kind;
use super::model::{Dirty, Model, Msg, Now, Pane};
use super::remember;
use super::theme::Look;
use super::view::{detail_end, dialog_end};
use crate::domain::log::Whose;

/// Changes the model by one message.
#[must_use]
pub(super) fn update(model: &mut Model, msg: Msg, now: Now) -> Vec<Effect> {
    model.now = now;
    let mut effects = match msg {
        Msg::Key(event) => key(model, event),
        Msg::Paste(text) => prompt::paste(model, &text),
        Msg::Act(action) => act(model, action),
        Msg::Click(hit) => pointer::click(model, hit),
        Msg::Wheel(pane, lines) => pointer::wheel(model, pane, lines),
        Msg::Drag(split, column, row) => pointer::drag(model, split, column, row),
        Msg::Select(drag) => {
            model.soil(Dirty::Now);
            log_effects(model.log.drag(drag))
        }
        Msg::Resize(width, height) => {
            model.size = (width, height);
            model.soil(Dirty::Now);
            Vec::new()
        }
        Msg::Background(ground) => {
            model.ground = ground;
            relook(model);
            Vec::new()
        }
        Msg::Tick => {
            data::tick(model);
            Vec::new()
        }
        Msg::Picture(snapshot) => data::picture(model, snapshot),
        Msg::Events(events) => data::events(model, events),
        Msg::Supervisor(supervisor) => data::supervisor(model, supervisor),
        Msg::Database(state) => {
            model.database = state;
            model.soil(Dirty::Soon);
            Vec::new()
        }
        Msg::Answered {
            command,
            name,
            refusal,
        } => data::answered(model, command, &name, refusal),
        Msg::Details(name, answer) => data::details(model, name, answer),
        Msg::Edited(name, report) => data::edited(model, &name, &report),
        Msg::Created(result) => data::created(model, result),
        Msg::Models(found) => models::found(model, found),
        Msg::CreatedOf(result) => models::created(model, result),
        Msg::Checkup(answer) => checkup::shown(model, answer),
        Msg::Weighed(names, fits) => starting::weighed(model, names, &fits),
        Msg::Crash { name, back, kept } => match kept {
            Ok(kept) => crash::shown(model, &name, back, *kept),
            Err(why) => tell(model, Kind::Bad, format!("{name}: {why}")),
        },
        Msg::Exported(answer) => crash::exported(model, answer),
        Msg::Imported(request, answer) => import::answered(model, request, answer),
        Msg::Log(msg) => {
            if model.log.is_news(&msg) {
                model.soil(Dirty::Soon);
            }
            log_effects(model.log.update(msg))
        }
        Msg::Work(msg) => work::message(model, msg),
        Msg::Notice(text) => tell(model, Kind::Info, text),
        Msg::Failed(text) => tell(model, Kind::Bad, text),
        Msg::Resumed => {
            model.soil(Dirty::Now);
            Vec::new()
        }
        Msg::HandedOver(trouble) => quit::handed_over(model, trouble),
        Msg::Panicked(panicked) => data::panicked(model, &panicked),
        Msg::Lost => vec![Effect::End(super::effect::Ending::Lost)],
        Msg::Terminated => vec![Effect::End(super::effect::Ending::Leave)],
    };
    settle(model, &mut effects);
    effects
}

fn tell(model: &mut Model, kind: Kind, text: String) -> Vec<Effect> {
    model.notices.tell(kind, text, model.now.mono);
    model.soil(Dirty::Now);
    Vec::new()
}

fn log_effects(effects: Vec<LogEffect>) -> Vec<Effect> {
    let effect = |effect| match effect {
        LogEffect::Copy(text) => Effect::Copy(text),
        other => Effect::Log(other),
    };
    effects.into_iter().map(effect).collect()
}

fn relook(model: &mut Model) {
    model.look = Look::new(model.theme, model.ground, model.depth, model.glyphs);
    model.soil(Dirty::Now);
}

/// Brings the parts that follow from others up to date.
fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    if model.focus != Pane::Table && !model.focus.is_alone() {
        model.second = model.focus;
    }
    keep_scrolls(model);
    let areas = model.areas();
    let height = usize::from(areas.table.height.saturating_sub(3));
    model.table.scroll(model.fleet.rows(), height);
    let inner = |length: u16| length.saturating_sub(2);
    effects.extend(log_effects(
        model
            .log
            .resize(inner(areas.log.width), inner(areas.log.height)),
    ));
    let selected = model.table.cursor.clone();
    // The log of a work unit is looked at as long as the log has the keys.
    if model.focus != Pane::Log {
        model.unit_log = None;
    }
    let unit = model.unit_log.clone().map(Whose::Unit);
    let whose = unit.or_else(|| selected.clone().map(Whose::Instance));
    effects.extend(log_effects(model.log.show(whose)));
    if let Some(name) = selected
        && model.details.ask(&name)
    {
        effects.push(Effect::Details(name));
    }
}

/// Nothing is scrolled past its end: the way back would seem to do nothing.
fn keep_scrolls(model: &mut Model) {
    if let Some(end) = dialog_end(model)
        && let Some(Dialog::Help { scroll, .. } | Dialog::Text { scroll, .. }) =
            model.dialogs.last_mut()
    {
        *scroll = end.min(*scroll);
    }
    if model.detail_scroll > 0 && model.focus == Pane::Detail {
        model.detail_scroll = detail_end(model).min(model.detail_scroll);
    }
}

fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    model.soil(Dirty::Now);
    // These three work whatever has the keys.
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match (control, event.code) {
        (true, KeyCode::Char('c')) => return quit::interrupt(model),
        (true, KeyCode::Char('z')) => return vec![Effect::Suspend],
        (true, KeyCode::Char('l')) => return vec![Effect::Redraw],
        (_, _) => {}
    }
    if !model.dialogs.is_empty() {
        return dialogs::key(model, event);
    }
    if model.prompt.is_some() {
        return prompt::key(model, event);
    }
    if model.focus == Pane::Log && model.log.wants_text() {
        return log_effects(model.log.text(event, &model.zone));
    }
    let context = Context::of(model.focus);
    let mut action = model.keymap.action(context, event);
    if action.is_none() && model.focus == Pane::Detail {
        action = model.keymap.action(Context::Table, event);
    }
    action.map_or_else(Vec::new, |action| act(model, action))
}

/// Does what a key, a menu, the palette or a click asks for.
fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    model.soil(Dirty::Now);
    match action {
        Action::Help => {
            model.dialogs.push(Dialog::Help {
                search: Input::default(),
                scroll: 0,
            });
            Vec::new()
        }
        Action::Palette => {
            model.dialogs.push(Dialog::Palette {
                search: Input::default(),
                cursor: 0,
            });
            Vec::new()
        }
        Action::NextPane => go_to_pane(model, neighbour(model, 1)),
        Action::PreviousPane => go_to_pane(model, neighbour(model, -1)),
        Action::Show(pane) => go_to_pane(model, pane),
        Action::ShowLog => go_to_pane(model, Pane::Log),
        Action::ShowDetail => go_to_pane(model, Pane::Detail),
        Action::Refresh => {
            model.details.outdate_all();
            vec![Effect::Refresh]
        }
        Action::Doctor => checkup::ask(model),
        Action::Zoom => {
            model.zoom = !model.zoom;
            Vec::new()
        }
        Action::Grow => resize(model, 4),
        Action::Shrink => resize(model, -4),
        Action::Redraw => vec![Effect::Redraw],
        Action::Mouse => {
            model.mouse = !model.mouse;
            let text = if model.mouse {
                "the mouse works the dashboard"
            } else {
                "the mouse is the terminal's: select and copy as usual; m takes it back"
            };
            tell(model, Kind::Info, text.to_owned());
            vec![Effect::Mouse(model.mouse)]
        }
        Action::Freeze => data::freeze(model),
        Action::Theme => {
            model.theme = model.theme.next();
            relook(model);
            let text = format!("theme {}", model.theme.as_str());
            tell(model, Kind::Info, text);
            remembered(model)
        }
        Action::Suspend => vec![Effect::Suspend],
        Action::Back => back(model),
        Action::Quit => quit::ask(model),
        Action::Interrupt => quit::interrupt(model),
        #[cfg(debug_assertions)]
        Action::Panic(thread) => vec![Effect::Panic(thread)],
        Action::Up => movement::step(model, -1),
        Action::Down => movement::step(model, 1),
        Action::PageUp => movement::page(model, -1, 1),
        Action::PageDown => movement::page(model, 1, 1),
        Action::HalfUp => movement::page(model, -1, 2),
        Action::HalfDown => movement::page(model, 1, 2),
        Action::Top => movement::end(model, LogAction::Top),
        Action::Bottom => movement::end(model, LogAction::Bottom),
        Action::ColumnLeft => {
            model.table.first_column = model.table.first_column.saturating_sub(1);
            Vec::new()
        }
        Action::ColumnRight => {
            model.table.first_column = (model.table.first_column + 1).min(12);
            Vec::new()
        }
        Action::Filter => {
            let purpose = if model.focus == Pane::Events {
                Purpose::FilterEvents
            } else {
                Purpose::FilterTable
            };
            prompt::open(model, purpose)
        }
        Action::SortNext => movement::sort(model, |sort| sort.step(true)),
        Action::SortPrevious => movement::sort(model, |sort| sort.step(false)),
        Action::SortInvert => movement::sort(model, |sort| sort.inverted()),
        Action::Group => {
            model.table.grouped = !model.table.grouped;
            movement::arranged(model)
        }
        Action::HideStopped => {
            model.table.hide_stopped = !model.table.hide_stopped;
            movement::arranged(model)
        }
        Action::Mark => movement::mark(model),
        Action::MarkAll => movement::mark_all(model),
        Action::Menu => commands::menu(model),
        Action::Start => starting::start(model),
        Action::Stop => commands::confirm(model, super::effect::Command::Stop),
        Action::Restart => commands::confirm(model, super::effect::Command::Restart),
        Action::Kill => commands::confirm(model, super::effect::Command::Kill),
        Action::Edit => commands::edit(model),
        Action::New => commands::new_instance(model),
        Action::Models => models::look(model),
        Action::Import => import::menu(model),
        Action::Crash => crash::ask(model),
        Action::Yank => commands::yank(model),
        Action::EventsLevel => {
            model.feed.next_level();
            Vec::new()
        }
        Action::EventsSelected => {
            model.feed.only = match model.feed.only {
                Some(_) => None,
                None => model.table.cursor.clone(),
            };
            model.feed.keep();
            Vec::new()
        }
        Action::EventsJump => movement::jump(model),
        Action::Work(action) => work::act(model, action),
        Action::Log(LogAction::Open) => commands::page(model),
        Action::Log(action) => log_effects(model.log.act(action, model.now, &model.zone)),
    }
}

fn go_to_pane(model: &mut Model, pane: Pane) -> Vec<Effect> {
    model.focus = pane;
    if pane == Pane::Events {
        model.feed.unseen = 0;
        model.notices.alert = None;
    }
    Vec::new()
}

/// Returns the pane that Tab goes to: along the line of tabs where there is one, else round the
/// panes that share the screen. From one that stands alone it goes back to those.
fn neighbour(model: &Model, step: isize) -> Pane {
    const SHARING: [Pane; 4] = [Pane::Table, Pane::Events, Pane::Detail, Pane::Log];
    let round: Vec<Pane> = match model.class() {
        Class::Single => Pane::ALL.iter().map(|(pane, _)| *pane).collect(),
        Class::TooSmall | Class::Compact | Class::Full => SHARING.to_vec(),
    };
    let here = round.iter().position(|pane| *pane == model.focus);
    let next = match here {
        Some(place) => place as isize + step,
        None => step.min(0),
    };
    round[next.rem_euclid(round.len() as isize) as usize]
}

fn resize(model: &mut Model, step: i16) -> Vec<Effect> {
    let grown = |value: u16, step: i16| value.saturating_add_signed(step).clamp(10, 80);
    let class = model.class();
    let splits = &mut model.splits;
    match (model.focus, class) {
        (Pane::Table, _) => splits.table = grown(splits.table, step),
        (_, Class::Compact) => splits.table = grown(splits.table, -step),
        (Pane::Events, _) => splits.events = grown(splits.events, step),
        (Pane::Detail, _) => splits.events = grown(splits.events, -step),
        (Pane::Log, _) => splits.middle = grown(splits.middle, -step),
        (Pane::Diagnostics | Pane::Work, _) => {}
    }
    remembered(model)
}

/// Closes, clears or goes back: the innermost thing first.
fn back(model: &mut Model) -> Vec<Effect> {
    if model.focus == Pane::Log
        && let Some(effects) = model.log.back()
    {
        return log_effects(effects);
    }
    if model.focus == Pane::Events && !model.feed.filter.is_empty() {
        model.feed.filter = Default::default();
    } else if model.focus == Pane::Events && model.feed.only.is_some() {
        model.feed.only = None;
    } else if model.zoom {
        model.zoom = false;
    } else if model.unit_log.is_some() {
        model.focus = Pane::Work;
    } else if model.focus != Pane::Table {
        model.focus = Pane::Table;
    } else if !model.table.filter.is_empty() {
        model.table.filter = Default::default();
        model.table.arrange(&model.fleet);
    } else if !model.table.marks.is_empty() {
        model.table.marks.clear();
    } else if !model.notices.toasts.is_empty() {
        model.notices.toasts.clear();
    } else {
        model.notices.alert = None;
    }
    Vec::new()
}

/// Keeps what a person set, for the next visit.
fn remembered(model: &Model) -> Vec<Effect> {
    vec![Effect::Remember(remember::write(model))]
}
