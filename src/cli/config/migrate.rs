//! `config migrate`: the predecessor's JSON as commented TOML; a dry run unless `--write`.

use serde::Serialize;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::select;
use crate::config::Format;
use crate::config::finding::Finding;
use crate::config::home::Home;
use crate::config::load;
use crate::config::migrate::{self, Migration};
use crate::config::render;

#[derive(Debug, Serialize)]
struct Body {
    name: String,
    from: String,
    to: String,
    backup: String,
    written: bool,
    notes: Vec<String>,
    text: String,
}

pub(super) fn run(
    home: &Home,
    name: Option<&str>,
    write: bool,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let (migrations, refused) = plan(home, name)?;
    for findings in &refused {
        for finding in findings {
            output.say(render::finding(finding, home.root()).trim_end());
        }
    }
    let mut bodies = Vec::new();
    for migration in &migrations {
        if write {
            migration
                .carry_out()
                .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
        }
        if !json {
            tell(home, migration, write, output)?;
        }
        bodies.push(body(migration, write));
    }
    if json {
        output.json(&bodies)?;
    } else if migrations.is_empty() && refused.is_empty() {
        output.say("there is no config.json to migrate");
    } else if !write && !migrations.is_empty() {
        output.hint("nothing was written; add --write to do it (the JSON stays as a backup)");
    }
    Ok(if refused.is_empty() {
        Exit::Success
    } else {
        Exit::General
    })
}

/// Returns what can be migrated, and the findings of the files that cannot.
fn plan(home: &Home, name: Option<&str>) -> Result<(Vec<Migration>, Vec<Vec<Finding>>), CliError> {
    let set = load::load(home);
    let chosen = name.map(|word| select::one(&set, word)).transpose()?;
    let mut migrations = Vec::new();
    let mut refused = Vec::new();
    for row in &set.rows {
        let (this, path) = match row {
            Ok(loaded) => (&loaded.spec.name, &loaded.path),
            Err(broken) => (&broken.name, &broken.path),
        };
        let is_chosen = chosen.as_ref().is_none_or(|chosen| chosen == this);
        if !is_chosen || Format::of(path) != Format::LegacyJson {
            continue;
        }
        match migrate::migrate(home, &set.settings, path) {
            Ok(migration) => migrations.push(migration),
            Err(broken) => refused.push(broken.findings),
        }
    }
    if let Some(name) = chosen
        && migrations.is_empty()
        && refused.is_empty()
    {
        let message = format!("{name} has no config.json");
        return Err(CliError::new(Exit::General, message).with_hint("it is TOML already"));
    }
    Ok((migrations, refused))
}

fn tell(
    home: &Home,
    migration: &Migration,
    written: bool,
    output: &Output,
) -> Result<(), CliError> {
    let shown = |path: &std::path::Path| {
        let path = path.strip_prefix(home.root()).unwrap_or(path);
        path.display().to_string()
    };
    let (to, backup) = (shown(&migration.to), shown(&migration.backup));
    if written {
        output.say(&format!(
            "{}: wrote {to}; the JSON is now {backup}",
            migration.name
        ));
    } else {
        output.say(&format!("{}: would write {to}:", migration.name));
        output.line(&migration.text)?;
    }
    for note in &migration.notes {
        output.warning(&format!("{}: {note}", migration.name));
    }
    Ok(())
}

fn body(migration: &Migration, written: bool) -> Body {
    Body {
        name: migration.name.to_string(),
        from: migration.from.display().to_string(),
        to: migration.to.display().to_string(),
        backup: migration.backup.display().to_string(),
        written,
        notes: migration.notes.clone(),
        text: migration.text.clone(),
    }
}
