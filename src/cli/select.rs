//! Which instances the words on the command line mean.

use super::args::Selection;
use super::exit::{CliError, Exit};
use crate::config::load::ConfigSet;
use crate::domain::instance::{InstanceName, InstanceSpec};

/// Two names that are less alike than this are not confused.
const NEAREST: f64 = 0.8;

/// Finds the instance that `word` names: by name, then uid, then number, then display name.
///
/// # Errors
///
/// Returns an error that suggests the nearest name.
pub(super) fn one(set: &ConfigSet, word: &str) -> Result<InstanceName, CliError> {
    if let Some(name) = names(set).find(|name| name.as_str() == word) {
        return Ok(name.clone());
    }
    let by_number = specs(set).find(|spec| {
        spec.instance_uid.as_deref() == Some(word) || spec.instance_no.as_deref() == Some(word)
    });
    if let Some(spec) = by_number {
        return Ok(spec.name.clone());
    }
    let mut by_display = specs(set).filter(|spec| spec.display_name == word);
    match (by_display.next(), by_display.next()) {
        (Some(spec), None) => return Ok(spec.name.clone()),
        (Some(_), Some(_)) => {
            let message = format!("several instances are displayed as {word:?}");
            return Err(CliError::new(Exit::NotFound, message).with_hint("use the name"));
        }
        (None, _) => {}
    }
    let error = CliError::new(Exit::NotFound, format!("no instance is called {word:?}"));
    let nearest = names(set)
        .map(|name| (likeness(name.as_str(), word), name.as_str()))
        .filter(|(likeness, _)| *likeness > NEAREST)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    Err(match nearest {
        // `--wait 30` is what one types first, and 30 is then a name.
        _ if word.parse::<u64>().is_ok() => {
            error.with_hint("a number that belongs to a flag is written behind a =: --wait=30")
        }
        Some((_, label)) => error.with_hint(format!("did you mean {label:?}?")),
        None => error.with_hint("llama-orch ps lists what there is"),
    })
}

/// Returns how alike two names are, from 0 to 1; a part of a name stands for it.
fn likeness(name: &str, word: &str) -> f64 {
    let is_part = word.len() > 1 && name.contains(&word.to_lowercase());
    match is_part {
        true => 1.0,
        false => strsim::jaro_winkler(name, word),
    }
}

/// Finds all instances of a selection, in the table's order.
///
/// # Errors
///
/// Returns an error for the first word that names nothing, and for a tag nobody has.
pub(super) fn all(set: &ConfigSet, selection: &Selection) -> Result<Vec<InstanceName>, CliError> {
    if !selection.names.is_empty() {
        let mut chosen = Vec::new();
        for word in &selection.names {
            let name = one(set, word)?;
            if !chosen.contains(&name) {
                chosen.push(name);
            }
        }
        return Ok(chosen);
    }
    let chosen: Vec<InstanceName> = match &selection.tag {
        // A broken one is refused by name, not passed over in silence.
        None => names(set).cloned().collect(),
        Some(tag) => specs(set)
            .filter(|spec| spec.tags.contains(tag))
            .map(|spec| spec.name.clone())
            .collect(),
    };
    match (&selection.tag, chosen.is_empty()) {
        (Some(tag), true) => Err(CliError::new(
            Exit::NotFound,
            format!("no instance has the tag {tag:?}"),
        )),
        (_, _) => Ok(chosen),
    }
}

/// Finds all instances that a stop is for: also `living` ones whose file is gone, since what runs
/// can be stopped whatever became of its configuration.
///
/// # Errors
///
/// As [`all`].
pub(super) fn to_stop(
    set: &ConfigSet,
    selection: &Selection,
    living: Vec<InstanceName>,
) -> Result<Vec<InstanceName>, CliError> {
    if selection.tag.is_some() {
        return all(set, selection);
    }
    let without_file = living
        .into_iter()
        .filter(|name| names(set).all(|known| known != name));
    if selection.all {
        return Ok(all(set, selection)?
            .into_iter()
            .chain(without_file)
            .collect());
    }
    let without_file: Vec<InstanceName> = without_file.collect();
    let mut chosen = Vec::new();
    for word in &selection.names {
        let name = match without_file.iter().find(|name| name.as_str() == word) {
            Some(name) => name.clone(),
            None => one(set, word)?,
        };
        if !chosen.contains(&name) {
            chosen.push(name);
        }
    }
    Ok(chosen)
}

fn specs(set: &ConfigSet) -> impl Iterator<Item = &InstanceSpec> {
    set.rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .map(|loaded| &loaded.spec)
}

fn names(set: &ConfigSet) -> impl Iterator<Item = &InstanceName> {
    set.rows.iter().map(|row| match row {
        Ok(loaded) => &loaded.spec.name,
        Err(broken) => &broken.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_alike_are_suggested() {
        let rows = [
            ("coder", "codr", true),
            ("coder", "cdoer", true),
            ("demo-chat", "chat", true),
            ("demo-chat", "Demo", true),
            ("coder", "nope", false),
            ("coder", "nothere", false),
            ("coder", "r", false),
        ];
        for (name, word, alike) in rows {
            let found = likeness(name, word);
            assert_eq!(found > NEAREST, alike, "{name} {word} {found}");
        }
    }
}
