//! The predecessor's JSON becomes commented TOML that means the same.
//!
//! "The same" is checked, not hoped for: both files are read, and a difference refuses the move.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::Value as Toml;

use super::defaults::defaults;
use super::draft::{Draft, Suggestions};
use super::fields::{Field, INSTANCE};
use super::finding::{Finding, Severity};
use super::home::Home;
use super::load::{Broken, broken, interpret};
use super::read::Item;
use super::registry::Registry;
use super::save::{Existing, SaveError, backup_path, save};
use super::settings::Settings;
use super::tree::{Format, Node, Source, Value};
use super::values::number;
use crate::domain::instance::{InstanceName, Layers, Port};

/// What would be written for one instance.
#[derive(Clone, Debug)]
pub struct Migration {
    pub name: InstanceName,
    /// The predecessor's file.
    pub from: PathBuf,
    pub to: PathBuf,
    /// What the predecessor's file is renamed to.
    pub backup: PathBuf,
    pub text: String,
    /// What is not carried over, and why.
    pub notes: Vec<String>,
}

/// A migration could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error("rename {} to {}: {source}", .from.display(), .to.display())]
    Rename {
        from: PathBuf,
        to: PathBuf,
        source: io::Error,
    },
}

impl Migration {
    /// Writes the TOML and renames the JSON. The TOML comes first: for a moment the directory
    /// holds both, which is an error that readers tell; without either the instance would be gone.
    ///
    /// # Errors
    ///
    /// Returns an error; then the predecessor's file is where it was.
    pub fn carry_out(&self) -> Result<(), MigrateError> {
        save(&self.to, &self.text, Existing::Keep)?;
        fs::rename(&self.from, &self.backup).map_err(|source| {
            fs::remove_file(&self.to).ok(); // told with the error: both are there
            MigrateError::Rename {
                from: self.from.clone(),
                to: self.backup.clone(),
                source,
            }
        })
    }
}

/// Returns what the predecessor's file becomes.
///
/// # Errors
///
/// Returns the file's findings when it cannot be used as it is.
pub fn migrate(home: &Home, settings: &Settings, path: &Path) -> Result<Migration, Broken> {
    let folder = path.parent().unwrap_or(path);
    let refuse = |findings: Vec<Finding>| broken(folder, path, findings);
    let source =
        Source::read(path, Format::LegacyJson).map_err(|finding| refuse(vec![*finding]))?;
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    let before = interpret(home, settings, &registry, &source)?;
    let root = source.parse(0).map_err(refuse)?;
    let mut writer = Writer {
        draft: Draft::new(Suggestions::Hidden),
        notes: Vec::new(),
    };
    writer.heading();
    writer.table(&root, "");
    writer.built_in_values(settings);
    let to = path.with_file_name("config.toml");
    let text = writer.draft.text();
    let after = interpret(
        home,
        settings,
        &registry,
        &Source::new(to.clone(), &text, Format::Toml),
    )?;
    if after.spec != before.spec {
        let message = "would mean something else in TOML; it is left as it is".to_owned();
        let finding = Finding::about_file(Severity::Error, path.to_owned(), message)
            .with_help("this is a defect of llama-orch; the file goes on working");
        return Err(refuse(vec![finding]));
    }
    Ok(Migration {
        name: before.spec.name,
        backup: backup_path(path),
        from: path.to_owned(),
        to,
        text,
        notes: writer.notes,
    })
}

struct Writer {
    draft: Draft,
    notes: Vec<String>,
}

impl Writer {
    fn heading(&mut self) {
        let draft = &mut self.draft;
        draft.heading("From the config.json of the Python llama-orch.");
        draft
            .heading("Every field: README.md, or the schema that llama-orch config schema prints.");
    }

    fn table(&mut self, node: &Node, table: &str) {
        for entry in node.entries() {
            let path = if table.is_empty() {
                entry.key.clone()
            } else {
                format!("{table}.{}", entry.key)
            };
            if matches!(entry.node.value, Value::Null) {
                continue; // it means "not set"
            }
            if let Some(field) = INSTANCE.iter().find(|field| field.path == path) {
                self.field(field, &entry.node);
            } else if is_table(&path) && entry.node.is_table() {
                self.table(&entry.node, &path);
            } else if let Some(value) = self.raw(&entry.node, &path) {
                self.draft.keep(table, &entry.key, value);
            }
        }
    }

    /// Sets a field to its value in the words of TOML: numbers for numbers in quotes.
    fn field(&mut self, field: &Field, node: &Node) {
        let mut complaints = Vec::new();
        let item = super::read::item(&field.kind, node, Format::LegacyJson, &mut complaints);
        let value = match item {
            Some(Item::Carried(_)) | None => self.raw(node, field.path),
            Some(item) => Some(toml_of(item)),
        };
        if let Some(value) = value {
            self.draft.set(field.path, value);
        }
    }

    /// Sets what the predecessor assumed and a TOML file would not, unless the home says it.
    fn built_in_values(&mut self, settings: &Settings) {
        let toml = defaults(Format::Toml);
        for (field, value) in defaults(Format::LegacyJson) {
            let is_said = self.draft.value(field).is_some()
                || settings.defaults().is_some_and(|defaults| {
                    let mut node = Some(&defaults.node);
                    for part in field.split('.') {
                        node = node
                            .and_then(|node| node.entry(part))
                            .map(|entry| &entry.node);
                    }
                    node.is_some()
                });
            if !is_said && toml.get(field) != Some(&value) {
                self.draft.set(field, value);
                self.draft.remark(
                    field,
                    "What the Python llama-orch took when nothing was said",
                );
            }
        }
    }

    /// Returns a value as it is; what TOML cannot hold is noted.
    fn raw(&mut self, node: &Node, path: &str) -> Option<Toml> {
        Some(match &node.value {
            Value::Null => {
                self.notes.push(format!("{path}: TOML has no null"));
                return None;
            }
            Value::Flag(flag) => Toml::Boolean(*flag),
            Value::Integer(number) => Toml::Integer(*number),
            Value::Float(number) => Toml::Float(*number),
            Value::Text(text) | Value::Other(_, text) => Toml::String(text.clone()),
            Value::List(items) => Toml::Array(
                items
                    .iter()
                    .filter_map(|item| self.raw(item, path))
                    .collect(),
            ),
            Value::Table(entries) => Toml::Table(
                entries
                    .iter()
                    .filter_map(|entry| {
                        let path = format!("{path}.{}", entry.key);
                        Some((entry.key.clone(), self.raw(&entry.node, &path)?))
                    })
                    .collect(),
            ),
        })
    }
}

fn is_table(path: &str) -> bool {
    INSTANCE.iter().any(|field| {
        field
            .path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn toml_of(item: Item) -> Toml {
    match item {
        Item::Text(text) => Toml::String(text),
        Item::Flag(flag) => Toml::Boolean(flag),
        Item::Integer(number) => Toml::Integer(number),
        Item::Number(value) => number(value),
        Item::Duration(duration) => number(duration.as_secs_f64()),
        Item::Texts(texts) => Toml::Array(texts.into_iter().map(Toml::String).collect()),
        Item::Map(map) => Toml::Table(
            map.into_iter()
                .map(|(key, value)| (key, Toml::String(value)))
                .collect(),
        ),
        Item::Port(Port::Auto) | Item::Layers(Layers::Auto) => Toml::String("auto".to_owned()),
        Item::Port(Port::Fixed(port)) => Toml::Integer(port.into()),
        Item::Layers(Layers::All) => Toml::String("all".to_owned()),
        Item::Layers(Layers::Count(count)) => Toml::Integer(count.into()),
        Item::Statuses(statuses) => Toml::Array(
            statuses
                .into_iter()
                .map(|status| Toml::Integer(status.into()))
                .collect(),
        ),
        Item::Address(address) => Toml::String(address.to_string()),
        // Only of a free field, which is written as it is.
        Item::Carried(_) => Toml::Table(toml::Table::new()),
    }
}
