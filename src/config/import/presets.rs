//! llama-server's router presets: an INI file with a section per model.

use std::collections::BTreeMap;

use super::command::{self, Request};
use super::{Import, KnownFlag, SyntaxError, Takes};
use crate::domain::instance::InstanceName;

/// The section whose keys count for all.
const ALL: &str = "*";

/// A key of a section: the line it stands on, its name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    line: usize,
    name: String,
    value: String,
}

/// Returns an instance per section. `flag` says what llama-server knows of a spelling or of a
/// variable's name; `port` gives each instance one.
///
/// # Errors
///
/// Returns the first line that is no INI.
pub fn import(
    text: &str,
    flag: &dyn Fn(&str) -> Option<KnownFlag>,
    port: &mut dyn FnMut() -> Option<u16>,
    taken: &mut Vec<InstanceName>,
) -> Result<Import, SyntaxError> {
    let sections = sections(text)?;
    let global: Vec<Key> = sections
        .iter()
        .filter(|(name, _)| name == ALL)
        .flat_map(|(_, keys)| keys.clone())
        .collect();
    let mut import = Import::default();
    for (name, keys) in sections.iter().filter(|(name, _)| name != ALL) {
        if name.is_empty() {
            continue; // version = 1
        }
        let section = Section {
            name,
            flag,
            known: BTreeMap::new(),
            env: BTreeMap::new(),
            autostart: false,
            stop_grace: None,
            notes: Vec::new(),
        };
        section.add(&global, keys, port(), taken, &mut import);
    }
    if import.instances.is_empty() {
        import
            .notes
            .push("there is no section of a model in it".to_owned());
    } else {
        import.notes.push(
            "the router had one address for all models; now each has its own, see server.port"
                .to_owned(),
        );
    }
    Ok(import)
}

struct Section<'a> {
    name: &'a str,
    flag: &'a dyn Fn(&str) -> Option<KnownFlag>,
    /// What was said last of each flag, as words; by the flag's one spelling.
    known: BTreeMap<&'static str, (usize, Vec<String>)>,
    env: BTreeMap<String, String>,
    autostart: bool,
    stop_grace: Option<i64>,
    notes: Vec<String>,
}

impl Section<'_> {
    fn add(
        mut self,
        global: &[Key],
        keys: &[Key],
        port: Option<u16>,
        taken: &mut Vec<InstanceName>,
        import: &mut Import,
    ) {
        for key in global.iter().chain(keys) {
            self.key(key);
        }
        let names_model = ["--model", "--model-url", "--hf-repo", "--docker-repo"]
            .iter()
            .any(|flag| self.known.contains_key(*flag));
        let mut words = vec!["llama-server".to_owned()];
        if !names_model {
            // A section that names no model is called like the one it means.
            words.extend(["-hf".to_owned(), self.name.to_owned()]);
        }
        let mut known: Vec<_> = self.known.into_values().collect();
        known.sort();
        words.extend(known.into_iter().flat_map(|(_, words)| words));
        let request = Request {
            words: &words,
            env: self.env,
            name: Some(self.name),
            port,
            from: "llama-server's presets",
        };
        match command::import(&request, taken) {
            Ok(mut imported) => {
                let section = self.name;
                if section != imported.name.as_str() {
                    imported.answer_to(&[section]);
                }
                if self.autostart {
                    imported.draft.set("autostart", true);
                }
                if let Some(seconds) = self.stop_grace {
                    imported.draft.set("stop_grace", seconds);
                }
                imported.notes.extend(self.notes);
                import.instances.push(imported);
            }
            Err(error) => import.notes.push(format!("[{}]: {error}", self.name)),
        }
    }

    fn key(&mut self, key: &Key) {
        let Key { line, name, value } = key;
        match name.as_str() {
            "load-on-startup" => {
                self.autostart = is_true(value);
                return;
            }
            "stop-timeout" => {
                self.stop_grace = value.parse().ok();
                return;
            }
            // The router set these itself, for every model.
            "host" | "port" | "api-key" | "a" | "alias" => {
                self.notes.push(format!(
                    "line {line}: {name} was the router's and is left out"
                ));
                return;
            }
            _ => {}
        }
        let found = if name.starts_with("LLAMA_") {
            (self.flag)(name)
        } else {
            (self.flag)(&format!("--{name}")).or_else(|| (self.flag)(&format!("-{name}")))
        };
        match found {
            Some(flag) => self.flag_words(flag, *line, name, value),
            None if name.starts_with("LLAMA_") => {
                self.env.insert(name.clone(), value.clone());
            }
            None => self.notes.push(format!(
                "line {line}: {name} is no flag of a current llama-server and is left out"
            )),
        }
    }

    fn flag_words(&mut self, flag: KnownFlag, line: usize, name: &str, value: &str) {
        // "no-mmap = true" is the spelling that switches something off.
        let spelled_off = flag
            .off
            .is_some_and(|off| off.trim_start_matches('-') == name);
        let words = match (flag.takes, is_true(value) != spelled_off) {
            (Takes::Value, _) => vec![flag.name.to_owned(), value.to_owned()],
            (Takes::Nothing, true) => vec![flag.name.to_owned()],
            (Takes::Nothing, false) => flag.off.map(str::to_owned).into_iter().collect(),
        };
        self.known.insert(flag.name, (line, words));
    }
}

fn is_true(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "1" | "on" | "yes" | "enabled"
    )
}

/// Returns the sections in their order; what stands before the first is in one without a name.
fn sections(text: &str) -> Result<Vec<(String, Vec<Key>)>, SyntaxError> {
    let mut sections = vec![(String::new(), Vec::new())];
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = uncommented(line).trim();
        if line.is_empty() {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').ok_or_else(|| SyntaxError {
                line: number,
                message: "a section is written [name]".to_owned(),
            })?;
            sections.push((name.trim().to_owned(), Vec::new()));
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| SyntaxError {
            line: number,
            message: format!("{line:?} is neither [section] nor key = value"),
        })?;
        if let Some((_, keys)) = sections.last_mut() {
            keys.push(Key {
                line: number,
                name: name.trim().trim_start_matches('-').to_owned(),
                value: value.trim().to_owned(),
            });
        }
    }
    Ok(sections)
}

/// A comment begins with `;` or `#`, at the start or after a space: a value may hold either.
fn uncommented(line: &str) -> &str {
    let starts = |(index, character): &(usize, char)| {
        let before = line[..*index].chars().next_back();
        matches!(character, ';' | '#') && before.is_none_or(char::is_whitespace)
    };
    let comment = line.char_indices().find(starts);
    comment.map_or(line, |(index, _)| &line[..index])
}
