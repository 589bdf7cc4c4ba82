//! Keys on a sheet, and what takes the place of what.

use crossterm::event::{KeyCode, KeyEvent};

use super::super::effect::Effect;
use super::super::model::dialog::Dialog;
use super::super::model::notice::Kind;
use super::super::model::sheet::{After, Sheet};
use super::super::model::{Dirty, Model};
use super::dialogs::{Step, step};

/// Shows a sheet; one about the same subject, if it is still open, gives way.
pub(super) fn open(model: &mut Model, mut sheet: Sheet) {
    model.soil(Dirty::Now);
    let older = model.dialogs.iter_mut().find_map(|dialog| {
        let Dialog::Sheet(older) = dialog else {
            return None;
        };
        (older.subject == sheet.subject).then_some(older)
    });
    match older {
        Some(older) => {
            sheet.continues(older);
            *older = sheet;
        }
        None => model.dialogs.push(Dialog::Sheet(sheet)),
    }
}

/// Tells something about what a sheet asked for: on it while it is open.
pub(super) fn tell(model: &mut Model, kind: Kind, text: String) -> Vec<Effect> {
    let Some(Dialog::Sheet(sheet)) = model.dialogs.last_mut() else {
        return super::tell(model, kind, text);
    };
    sheet.note = Some(text);
    model.soil(Dirty::Now);
    Vec::new()
}

/// What a key makes of a sheet.
pub(super) enum Outcome {
    Stays(Vec<Effect>),
    Closes(Vec<Effect>),
}

pub(super) fn key(sheet: &mut Sheet, event: KeyEvent, size: (u16, u16)) -> Outcome {
    sheet.note = None;
    let pressed = sheet
        .buttons
        .iter()
        .position(|button| event.code == KeyCode::Char(button.key));
    if let Some(place) = pressed {
        return press(sheet, place);
    }
    let page = isize::try_from(sheet.lay(size).room.saturating_sub(1).max(1)).unwrap_or(1);
    match (event.code, step(event, page)) {
        (KeyCode::Tab | KeyCode::Right | KeyCode::Char('l'), _) => sheet.choose(1),
        (KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h'), _) => sheet.choose(-1),
        (_, Step::Accept) => return press(sheet, sheet.chosen),
        (KeyCode::Char('q'), _) | (_, Step::Close) => return Outcome::Closes(Vec::new()),
        (KeyCode::Home | KeyCode::Char('g'), _) => sheet.scroll_by(isize::MIN, size),
        (KeyCode::End | KeyCode::Char('G'), _) => sheet.scroll_by(isize::MAX, size),
        (_, Step::By(lines)) => sheet.scroll_by(lines, size),
        (_, Step::Other) => {}
    }
    Outcome::Stays(Vec::new())
}

/// Presses the button at a place.
pub(super) fn press(sheet: &mut Sheet, place: usize) -> Outcome {
    let Some(button) = sheet.buttons.get(place) else {
        return Outcome::Stays(Vec::new());
    };
    let effects = button.effects.clone();
    match button.after {
        After::Close => Outcome::Closes(effects),
        After::Stay => {
            sheet.chosen = place;
            if matches!(effects.as_slice(), [Effect::Copy(_)]) {
                sheet.note = Some("copied".to_owned());
            }
            Outcome::Stays(effects)
        }
    }
}
