//! Keys while something lies over the panes.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use tui_input::backend::crossterm::EventHandler as _;

use super::super::effect::Effect;
use super::super::keymap::offered;
use super::super::model::Model;
use super::super::model::dialog::{Button, Dialog, Pick, Purpose};
use super::super::model::notice::Kind;
use super::sheet::{self, Outcome};
use super::{act, models, prompt, quit, tell};

/// What a key does in any list.
pub(super) enum Step {
    By(isize),
    Accept,
    Close,
    Other,
}

pub(super) fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    let page = page(model);
    let step = |event| step(event, page);
    let typed_step = |event| typed_step(event, page);
    let Some(mut dialog) = model.dialogs.pop() else {
        return Vec::new();
    };
    match &mut dialog {
        Dialog::Help { search, scroll } => match typed_step(event) {
            Step::Close => return Vec::new(),
            Step::By(step) => *scroll = scroll.saturating_add_signed(step),
            Step::Accept => return Vec::new(),
            Step::Other => {
                search.handle_event(&Event::Key(event));
                *scroll = 0;
            }
        },
        Dialog::Palette { search, cursor } => match typed_step(event) {
            Step::Close => return Vec::new(),
            Step::By(step) => {
                let last = offered(search.value()).len().saturating_sub(1);
                *cursor = cursor.saturating_add_signed(step).min(last);
            }
            Step::Accept => {
                let action = offered(search.value()).get(*cursor).map(|row| row.action);
                return action.map_or_else(Vec::new, |action| act(model, action));
            }
            Step::Other => {
                search.handle_event(&Event::Key(event));
                *cursor = 0;
            }
        },
        Dialog::Models {
            found,
            search,
            cursor,
        } => match typed_step(event) {
            Step::Close => return Vec::new(),
            Step::By(step) => {
                let last = found.matching(search.value()).len().saturating_sub(1);
                *cursor = cursor.saturating_add_signed(step).min(last);
            }
            Step::Accept => return models::chosen(model, dialog),
            Step::Other => {
                search.handle_event(&Event::Key(event));
                *cursor = 0;
            }
        },
        Dialog::Menu(menu) => match step(event) {
            Step::Close => return Vec::new(),
            Step::By(step) => {
                let last = menu.choices.len().saturating_sub(1);
                menu.cursor = menu.cursor.saturating_add_signed(step).min(last);
            }
            Step::Accept => {
                let pick = menu
                    .choices
                    .get(menu.cursor)
                    .map(|choice| choice.pick.clone());
                return pick.map_or_else(Vec::new, |pick| picked(model, pick));
            }
            Step::Other => {
                let typed = match event.code {
                    KeyCode::Char(character) => character.to_string(),
                    _ => String::new(),
                };
                let found = menu.choices.iter().find(|choice| choice.key == typed);
                if let Some(pick) = found.map(|choice| choice.pick.clone()) {
                    return picked(model, pick);
                }
                if typed == "q" {
                    return Vec::new();
                }
            }
        },
        Dialog::Question(question) => {
            let accepted = match (step(event), event.code) {
                (Step::Close, _) | (_, KeyCode::Char('n' | 'q')) => return Vec::new(),
                (Step::By(_), _)
                | (_, KeyCode::Left | KeyCode::Right | KeyCode::Char('h' | 'l')) => {
                    question.chosen = match question.chosen {
                        Button::Cancel => Button::Yes,
                        Button::Yes => Button::Cancel,
                    };
                    false
                }
                (Step::Accept, _) if question.chosen == Button::Cancel => return Vec::new(),
                (Step::Accept, _) | (_, KeyCode::Char('y')) => true,
                (Step::Other, _) => false,
            };
            if accepted {
                model.table.marks.clear();
                return std::mem::take(&mut question.effects);
            }
        }
        Dialog::Quit(question) => match (step(event), event.code) {
            (Step::Close, _) | (_, KeyCode::Char('q' | 'n')) => return Vec::new(),
            (Step::By(step), _) => {
                let last = question.choices.len().saturating_sub(1);
                question.cursor = question.cursor.saturating_add_signed(step).min(last);
            }
            (Step::Accept, _) => {
                let choice = question
                    .choices
                    .get(question.cursor)
                    .and_then(|choice| choice.0);
                let remember = question.remember;
                return quit::chosen(model, choice, remember);
            }
            (Step::Other, KeyCode::Char(' ' | 'r')) => question.remember = !question.remember,
            (Step::Other, KeyCode::Char(digit @ '1'..='9')) => {
                let place = digit as usize - '1' as usize;
                if let Some(choice) = question.choices.get(place) {
                    let (choice, remember) = (choice.0, question.remember);
                    return quit::chosen(model, choice, remember);
                }
            }
            (Step::Other, _) => {}
        },
        Dialog::Sheet(sheet) => match sheet::key(sheet, event, model.size) {
            Outcome::Closes(effects) => return effects,
            Outcome::Stays(effects) => {
                model.dialogs.push(dialog);
                return effects;
            }
        },
        Dialog::Text { scroll, .. } => match step(event) {
            Step::Close | Step::Accept => return Vec::new(),
            Step::By(step) => *scroll = scroll.saturating_add_signed(step),
            Step::Other if event.code == KeyCode::Char('q') => return Vec::new(),
            Step::Other => {}
        },
    }
    model.dialogs.push(dialog);
    Vec::new()
}

/// Carries a choice of a menu out.
pub(super) fn picked(model: &mut Model, pick: Pick) -> Vec<Effect> {
    match pick {
        Pick::Action(action) => act(model, action),
        Pick::Copy(text, what) => {
            tell(model, Kind::Good, format!("{what} copied"));
            vec![Effect::Copy(text)]
        }
        Pick::Import(from) => prompt::open(model, Purpose::ImportFrom(from)),
        Pick::Template(place) => prompt::open(model, Purpose::NameInstance(place)),
    }
}

/// Lines that a page of a dialog has: what its frame and its first lines leave, and one that is
/// seen again.
fn page(model: &Model) -> isize {
    isize::try_from(model.size.1.saturating_sub(7).max(1)).unwrap_or(1)
}

/// Lists understand arrows and vim's keys.
pub(super) fn step(event: KeyEvent, page: isize) -> Step {
    match event.code {
        KeyCode::Char('j') => Step::By(1),
        KeyCode::Char('k') => Step::By(-1),
        KeyCode::Tab => Step::By(1),
        KeyCode::BackTab => Step::By(-1),
        _ => typed_step(event, page),
    }
}

/// Where letters are typed, only other keys move.
fn typed_step(event: KeyEvent, page: isize) -> Step {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Up => Step::By(-1),
        KeyCode::Down => Step::By(1),
        KeyCode::PageUp => Step::By(-page),
        KeyCode::PageDown => Step::By(page),
        KeyCode::Char('p') if control => Step::By(-1),
        KeyCode::Char('n') if control => Step::By(1),
        KeyCode::Enter => Step::Accept,
        KeyCode::Esc => Step::Close,
        _ => Step::Other,
    }
}
