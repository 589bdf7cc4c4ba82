//! How a person likes the dashboard: `[dashboard]` of `orchestrator.toml`, the terminal, and what
//! the last visit left.

use std::collections::BTreeMap;
use std::fs;

use toml::Value;

use super::Opening;
use super::host::remembered_file;
use crate::config::fields::{QUITTING, THEMES};
use crate::config::home::Home;
use crate::config::settings::Settings;
use crate::tui::{Ending, Environment, Preferences, ThemeName};

/// Reads the preferences; what is wrong with them is told by the dashboard and changes nothing.
pub(in crate::cli) fn load(home: &Home, opening: Opening) -> Preferences {
    let settings = Settings::load(home);
    let table = &settings.dashboard;
    let mut complaints = Vec::new();
    let theme = match table.get("theme") {
        None => ThemeName::Auto,
        Some(value) => value
            .as_str()
            .and_then(ThemeName::parse)
            .unwrap_or_else(|| {
                complaints.push(format!(
                    "orchestrator.toml: dashboard.theme is {value}; known are {}",
                    THEMES.join(", ")
                ));
                ThemeName::Auto
            }),
    };
    let flag = |key: &str| table.get(key).and_then(Value::as_bool);
    let on_quit = match table
        .get("on_quit")
        .map(|value| value.as_str().unwrap_or_default())
    {
        None | Some("ask") => None,
        Some("hand_over") => Some(Ending::HandOver),
        Some("leave") => Some(Ending::Leave),
        Some(other) => {
            complaints.push(format!(
                "orchestrator.toml: dashboard.on_quit is {other:?}; known are {}",
                QUITTING.join(", ")
            ));
            None
        }
    };
    let columns = table.get("columns").and_then(Value::as_array);
    let columns = columns.into_iter().flatten().filter_map(Value::as_str);
    let columns = columns.map(str::to_owned).collect();
    let keys = keys(table.get("keys"), &mut complaints);
    Preferences {
        theme,
        ascii: opening.ascii || flag("ascii").unwrap_or(false),
        mouse: flag("mouse").unwrap_or(true),
        keys,
        events_for: opening.events_for,
        temporary: opening.temporary,
        on_quit,
        columns,
        remembered: fs::read_to_string(remembered_file(home)).unwrap_or_default(),
        notices: opening.notices,
        complaints,
    }
}

/// Reads `[dashboard.keys]`: an action's name, and one key or several.
fn keys(value: Option<&Value>, complaints: &mut Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::new();
    for (name, value) in value.and_then(Value::as_table).into_iter().flatten() {
        let texts = match value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        match texts {
            Some(texts) => {
                keys.insert(name.clone(), texts);
            }
            None => complaints.push(format!(
                "orchestrator.toml: dashboard.keys.{name} is {value}; write \"x\" or [\"x\", \"ctrl-x\"]"
            )),
        }
    }
    keys
}

/// Reads what the terminal says of itself.
pub(in crate::cli) fn environment() -> Environment {
    let variable = |name: &str| std::env::var(name).ok();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty());
    Environment {
        no_color: variable("NO_COLOR"),
        colorterm: variable("COLORTERM"),
        term: variable("TERM"),
        colorfgbg: variable("COLORFGBG"),
        locale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_knows_every_theme_that_a_file_may_name() {
        for word in THEMES {
            assert!(ThemeName::parse(word).is_some(), "{word}");
        }
    }
}
