//! What a visit leaves for the next one, as a few lines of TOML.

use toml::{Table, Value};

use super::effect::Ending;
use super::model::Model;
use super::model::sort::{Direction, Sort};
use super::model::table::Column;
use super::theme::ThemeName;

/// Writes what a person set.
pub(super) fn write(model: &Model) -> String {
    let mut table = Table::new();
    let mut set = |key: &str, value: Value| {
        table.insert(key.to_owned(), value);
    };
    set("theme", model.theme.as_str().into());
    if let Some(column) = model.table.sort.column {
        set("sort", column.title().to_lowercase().into());
    }
    let falling = model.table.sort.direction == Direction::Falling;
    set("falling", falling.into());
    set("grouped", model.table.grouped.into());
    set("hide_stopped", model.table.hide_stopped.into());
    set("table_share", i64::from(model.splits.table).into());
    set("middle_share", i64::from(model.splits.middle).into());
    set("events_share", i64::from(model.splits.events).into());
    match model.quit_choice {
        Some(Ending::HandOver) => set("quit", "hand_over".into()),
        Some(Ending::Leave) => set("quit", "leave".into()),
        Some(Ending::StopAll | Ending::Lost) | None => {}
    }
    table.to_string()
}

/// Takes over what an earlier visit left; what cannot be read is left as it is.
pub(super) fn read(model: &mut Model, text: &str) {
    let Ok(table) = text.parse::<Table>() else {
        return;
    };
    let word = |key: &str| table.get(key).and_then(Value::as_str);
    let flag = |key: &str| table.get(key).and_then(Value::as_bool).unwrap_or(false);
    let share = |key: &str, present: u16| {
        let value = table.get(key).and_then(Value::as_integer);
        value
            .and_then(|value| u16::try_from(value).ok())
            .map_or(present, |value| value.clamp(10, 80))
    };
    if let Some(theme) = word("theme").and_then(ThemeName::parse) {
        model.theme = theme;
    }
    let column = word("sort").and_then(|word| {
        Column::ALL
            .iter()
            .find(|(_, title)| title.to_lowercase() == word)
            .map(|(column, _)| *column)
    });
    model.table.sort = Sort {
        column,
        direction: if flag("falling") {
            Direction::Falling
        } else {
            Direction::Rising
        },
    };
    model.table.grouped = flag("grouped");
    model.table.hide_stopped = flag("hide_stopped");
    model.splits.table = share("table_share", model.splits.table);
    model.splits.middle = share("middle_share", model.splits.middle);
    model.splits.events = share("events_share", model.splits.events);
    model.quit_choice = match word("quit") {
        Some("hand_over") => Some(Ending::HandOver),
        Some("leave") => Some(Ending::Leave),
        Some(_) | None => model.quit_choice,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::typing::model;

    #[test]
    fn what_is_written_is_read_back() {
        let mut before = model(&[]);
        before.theme = ThemeName::Light;
        before.table.sort = Sort::by(Column::Tokens);
        before.table.grouped = true;
        before.splits.events = 33;
        before.quit_choice = Some(Ending::HandOver);
        let text = write(&before);
        let mut after = model(&[]);
        read(&mut after, &text);
        assert_eq!(write(&after), text);
        assert_eq!(after.table.sort, Sort::by(Column::Tokens));
        read(&mut after, "theme = 3\ntable_share = 4711\nsort = [");
        read(&mut after, "table_share = 4711");
        assert_eq!(after.splits.table, 80);
    }
}
