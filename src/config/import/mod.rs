//! Instances from other programs' configurations: a command, llama-server's presets, llama-swap.
//!
//! Everything becomes a command line first (`command`), so there is one place that turns
//! llama-server's flags into fields. What cannot be carried over is named, never dropped silently.

pub mod command;
pub mod presets;
pub mod swap;
pub mod words;
mod yaml;

use std::path::Path;

use toml::Value;

use super::draft::{Draft, Suggestions};
use super::finding::Finding;
use super::home::Home;
use super::load::read_text;
use super::set;
use super::settings::Settings;
use crate::domain::instance::InstanceName;

/// One instance to be written.
#[derive(Clone, Debug)]
pub struct Imported {
    pub name: InstanceName,
    pub draft: Draft,
    /// What is different or missing, as sentences without a full stop.
    pub notes: Vec<String>,
    /// An API key that stood in the command: it belongs into a file of its own, `API_KEY_FILE`.
    pub api_key: Option<String>,
}

impl Imported {
    /// Makes the server answer to these names of its model, unless its command says which.
    fn answer_to(&mut self, names: &[&str]) {
        let args = self.draft.value("args").and_then(Value::as_array);
        let mut args = args.cloned().unwrap_or_default();
        if !args
            .iter()
            .any(|argument| argument.as_str() == Some("--alias"))
        {
            args.extend(["--alias".into(), names.join(",").into()]);
            self.draft.set("args", Value::Array(args));
        }
    }
}

/// Everything found in a file.
#[derive(Clone, Debug, Default)]
pub struct Import {
    pub instances: Vec<Imported>,
    /// What belongs to no instance, or to one that cannot be taken over.
    pub notes: Vec<String>,
}

/// Beside an instance's configuration: the key that its command held in plain sight.
pub const API_KEY_FILE: &str = "api.key";

/// A file that cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    pub line: usize,
    pub message: String,
}

/// What llama-server knows of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFlag {
    /// The spelling to use.
    pub name: &'static str,
    /// Whether a value follows it.
    pub takes: Takes,
    /// The spelling that switches it off, if there is one.
    pub off: Option<&'static str>,
}

/// Whether a value follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Value,
}

/// Makes a name that is not in `taken` from any text, and adds it there.
fn unique_name(text: &str, taken: &mut Vec<InstanceName>) -> InstanceName {
    // A repository's owner says nothing of the model.
    let short = text.rsplit('/').next().unwrap_or(text);
    let name = set::free_label(short, |name| taken.contains(name));
    taken.push(name.clone());
    name
}

fn new_draft(name: &InstanceName, from: &str) -> Draft {
    let mut draft = Draft::new(Suggestions::Hidden);
    draft.heading(format!("{name}: imported from {from}."));
    draft.heading("Every field: README.md, or the schema that llama-orch config schema prints.");
    draft
}

/// Returns what is wrong with a text if it were the configuration of this instance.
#[must_use]
pub fn check(home: &Home, settings: &Settings, path: &Path, text: &str) -> Vec<Finding> {
    match read_text(home, settings, path, text) {
        Ok(loaded) => loaded.warnings,
        Err(broken) => broken.findings,
    }
}

#[cfg(test)]
mod tests;
