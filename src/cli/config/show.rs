//! `config show NAME`: the values an instance runs with, and who said each of them.

use serde::Serialize;

use super::super::columns;
use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::select;
use crate::config::home::Home;
use crate::config::load;
use crate::config::render;
use crate::config::values::{self, Effective, Origin};

/// The widest a value is shown in the table; JSON has it whole.
const VALUE_LIMIT: usize = 60;

#[derive(Debug, Serialize)]
struct Body {
    name: String,
    path: String,
    values: Vec<ValueBody>,
}

#[derive(Debug, Serialize)]
struct ValueBody {
    field: String,
    value: Option<toml::Value>,
    /// `file`, `orchestrator.toml` or `built-in`.
    origin: &'static str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

pub(super) fn run(home: &Home, word: &str, json: bool, output: &Output) -> Result<Exit, CliError> {
    let set = load::load(home);
    let name = select::one(&set, word)?;
    let row = set.rows.iter().find(|row| match row {
        Ok(loaded) => loaded.spec.name == name,
        Err(broken) => broken.name == name,
    });
    let loaded = match row {
        Some(Ok(loaded)) => loaded,
        Some(Err(broken)) => {
            let findings = broken.findings.iter();
            let text: Vec<_> = findings
                .map(|finding| render::finding(finding, home.root()))
                .collect();
            output.say(text.join("\n").trim_end());
            let message = format!("{name} cannot be used as it is");
            return Err(CliError::new(Exit::General, message));
        }
        None => return Err(CliError::new(Exit::NotFound, format!("no instance {name}"))),
    };
    let effective = values::effective(loaded, &set.settings);
    if json {
        output.json(&Body {
            name: name.to_string(),
            path: loaded.path.display().to_string(),
            values: effective
                .into_iter()
                .map(|one| body(one, &loaded.path))
                .collect(),
        })?;
        return Ok(Exit::Success);
    }
    let rows: Vec<[String; 3]> = effective
        .iter()
        .map(|one| {
            let value = one.value.as_ref();
            [
                one.field.clone(),
                cut(&value.map_or_else(|| "-".to_owned(), ToString::to_string)),
                one.origin.to_string(),
            ]
        })
        .collect();
    output.say(&loaded.path.display().to_string());
    columns::print(output, ["FIELD", "VALUE", "ORIGIN"], &rows)?;
    Ok(Exit::Success)
}

fn body(effective: Effective, own: &std::path::Path) -> ValueBody {
    let (origin, file, line, column) = match &effective.origin {
        Origin::File { path, line, column } => {
            let word = if path == own {
                "file"
            } else {
                "orchestrator.toml"
            };
            let path = path.display().to_string();
            (word, Some(path), Some(*line), Some(*column))
        }
        Origin::Supervisor => ("orchestrator.toml", None, None, None),
        Origin::BuiltIn => ("built-in", None, None, None),
    };
    ValueBody {
        field: effective.field,
        value: effective.value,
        origin,
        file,
        line,
        column,
    }
}

fn cut(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    if text.chars().count() <= VALUE_LIMIT {
        return text;
    }
    let start: String = text.chars().take(VALUE_LIMIT - 1).collect();
    format!("{start}…")
}
