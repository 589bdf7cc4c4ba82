//! The line at the bottom that is typed into: filters and names.

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler as _;

use super::super::effect::Effect;
use super::super::model::dialog::{Dialog, Prompt, Purpose};
use super::super::model::filter::Filter;
use super::super::model::{Model, Pane};
use super::{import, work};

pub(super) fn open(model: &mut Model, purpose: Purpose) -> Vec<Effect> {
    let before = match purpose {
        Purpose::FilterTable => model.table.filter.text().to_owned(),
        Purpose::FilterEvents => model.feed.filter.text().to_owned(),
        Purpose::NameModel { ref suggestion, .. } => suggestion.clone(),
        Purpose::NameInstance(_)
        | Purpose::ImportFrom(_)
        | Purpose::NameUnit
        | Purpose::Attention(_) => String::new(),
    };
    model.prompt = Some(Prompt {
        purpose,
        input: Input::new(before.clone()),
        before,
    });
    Vec::new()
}

pub(super) fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    let Some(prompt) = &mut model.prompt else {
        return Vec::new();
    };
    match event.code {
        KeyCode::Esc => {
            let (purpose, before) = (prompt.purpose.clone(), prompt.before.clone());
            model.prompt = None;
            apply(model, &purpose, &before);
        }
        KeyCode::Enter => {
            let (purpose, text) = (
                prompt.purpose.clone(),
                prompt.input.value().trim().to_owned(),
            );
            model.prompt = None;
            return match purpose {
                Purpose::FilterTable | Purpose::FilterEvents => Vec::new(),
                Purpose::NameInstance(_)
                | Purpose::NameModel { .. }
                | Purpose::ImportFrom(_)
                | Purpose::NameUnit
                    if text.is_empty() =>
                {
                    Vec::new()
                }
                Purpose::NameUnit => work::create(model, &text),
                Purpose::Attention(chunk) => work::flag(model, chunk, text),
                Purpose::NameInstance(template) => vec![Effect::Create {
                    template,
                    name: text,
                }],
                Purpose::NameModel { path, .. } => vec![Effect::CreateOf {
                    model: path,
                    name: text,
                }],
                Purpose::ImportFrom(from) => import::preview(from, text),
            };
        }
        _ => {
            prompt.input.handle_event(&Event::Key(event));
            let (purpose, text) = (prompt.purpose.clone(), prompt.input.value().to_owned());
            apply(model, &purpose, &text);
        }
    }
    Vec::new()
}

/// Shows at once what is typed.
fn apply(model: &mut Model, purpose: &Purpose, text: &str) {
    match purpose {
        Purpose::FilterTable => {
            model.table.filter = Filter::parse(text);
            model.table.arrange(&model.fleet);
        }
        Purpose::FilterEvents => {
            model.feed.filter = Filter::parse(text);
            model.feed.keep();
        }
        Purpose::NameInstance(_)
        | Purpose::NameModel { .. }
        | Purpose::ImportFrom(_)
        | Purpose::NameUnit
        | Purpose::Attention(_) => {}
    }
}

/// Pasted text goes where keys would go; without a place for text it does nothing, whatever is in
/// it.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let line: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    if model.dialogs.is_empty() && model.prompt.is_none() && model.focus == Pane::Log {
        model.log.paste(&line);
        model.soil(super::Dirty::Now);
        return Vec::new();
    }
    let place = match (model.dialogs.last_mut(), &mut model.prompt) {
        (
            Some(
                Dialog::Help { search, .. }
                | Dialog::Palette { search, .. }
                | Dialog::Models { search, .. },
            ),
            _,
        ) => Some(search),
        (Some(_), _) | (None, None) => None,
        (None, Some(prompt)) => Some(&mut prompt.input),
    };
    let Some(input) = place else {
        return Vec::new();
    };
    let mut joined = input.value().to_owned();
    joined.push_str(&line);
    *input = Input::new(joined.clone());
    if let Some(prompt) = &model.prompt
        && model.dialogs.is_empty()
    {
        let purpose = prompt.purpose.clone();
        apply(model, &purpose, &joined);
    }
    model.soil(super::Dirty::Now);
    Vec::new()
}
