//! Writes an instance's file that explains itself: every line says what it is for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Value;

use super::defaults::defaults;
use super::fields::{Field, INSTANCE, Kind};
use super::tree::Format;

/// Where the words beside a value begin, when the value leaves room.
const COMMENT_COLUMN: usize = 36;

/// The longest line of a list that is written in one.
const LIST_WIDTH: usize = 60;

/// Fields worth knowing of in a new file, shown as comments with their defaults.
const SUGGESTED: [&str; 18] = [
    "tags",
    "autostart",
    "stop_grace",
    "args",
    "model.threads",
    "model.batch_size",
    "server.host",
    "server.parallel",
    "gpu.backend",
    "gpu.device_id",
    "gpu.layers",
    "env",
    "healthcheck.interval",
    "healthcheck.start_period",
    "healthcheck.warmup_enabled",
    "restart_policy.max_retries",
    "restart_policy.max_delay",
    "logs.max_size_mb",
];

/// What stands beside a suggestion that has no default.
const EXAMPLES: [(&str, &str); 5] = [
    ("tags", "[\"chat\"]"),
    ("args", "[\"--flash-attn\", \"on\", \"--jinja\"]"),
    ("model.threads", "8"),
    ("model.batch_size", "512"),
    ("env", "GGML_LOG_LEVEL = \"debug\""),
];

/// A file to be written.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    heading: Vec<String>,
    values: BTreeMap<String, Value>,
    remarks: BTreeMap<String, String>,
    extras: Vec<Extra>,
    suggestions: Suggestions,
}

/// Whether fields that are not set are shown as comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suggestions {
    Shown,
    #[default]
    Hidden,
}

/// A key that we do not know: kept where it was.
#[derive(Clone, Debug)]
struct Extra {
    table: String,
    key: String,
    value: Value,
}

impl Draft {
    #[must_use]
    pub fn new(suggestions: Suggestions) -> Self {
        Self {
            suggestions,
            ..Self::default()
        }
    }

    /// Adds a line of comment at the top.
    pub fn heading(&mut self, line: impl Into<String>) {
        self.heading.push(line.into());
    }

    /// Sets a field; the last value counts.
    pub fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.values.insert(field.to_owned(), value.into());
    }

    /// Says something beside a field, instead of what it is for.
    pub fn remark(&mut self, field: &str, words: impl Into<String>) {
        self.remarks.insert(field.to_owned(), words.into());
    }

    /// Keeps a key that is not in the table of fields; `table` is empty at the top.
    pub fn keep(&mut self, table: &str, key: &str, value: Value) {
        self.extras.push(Extra {
            table: table.to_owned(),
            key: key.to_owned(),
            value,
        });
    }

    #[must_use]
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.values.get(field)
    }

    /// Returns each value on a line of its own, without the words beside it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let known = INSTANCE.iter().filter_map(|field| {
            let value = self.values.get(field.path)?;
            Some(format!("{} = {value}", field.path))
        });
        let extra = self.extras.iter().map(|extra| {
            let dot = if extra.table.is_empty() { "" } else { "." };
            format!(
                "{}{dot}{} = {}",
                extra.table,
                key_text(&extra.key),
                extra.value
            )
        });
        known.chain(extra).collect()
    }

    /// Returns the text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.heading {
            writeln!(text, "# {line}").ok(); // a String never refuses
        }
        let mut top = String::new();
        let defaults = defaults(Format::Toml);
        for field in INSTANCE.iter().filter(|field| is_top(field)) {
            self.field(field, field.path, "", &defaults, &mut top);
        }
        for extra in self.extras.iter().filter(|extra| extra.table.is_empty()) {
            if !extra.value.is_table() {
                extra_line(extra, &mut top);
            }
        }
        if !top.is_empty() {
            text = format!("{text}\n{top}");
        }
        for table in tables() {
            text.push_str(&self.table(table, &defaults));
        }
        for extra in self.extras.iter().filter(|extra| extra.table.is_empty()) {
            if let Value::Table(entries) = &extra.value {
                write!(text, "\n[{}]\n", key_text(&extra.key)).ok(); // as above
                for (key, value) in entries {
                    writeln!(text, "{} = {value}", key_text(key)).ok(); // as above
                }
            }
        }
        text
    }

    /// Returns a table with its fields; nothing when it has neither values nor suggestions.
    fn table(&self, table: &str, defaults: &BTreeMap<&'static str, Value>) -> String {
        let mut body = String::new();
        let mut is_set = false;
        for field in INSTANCE.iter().filter(|field| table_of(field) == table) {
            is_set |= self.values.contains_key(field.path);
        }
        is_set |= self.extras.iter().any(|extra| extra.table == table);
        // In a table that is only suggested, its header is a comment too.
        let margin = if is_set { "" } else { "# " };
        for field in INSTANCE.iter().filter(|field| table_of(field) == table) {
            match (field.kind, self.values.get(field.path)) {
                (Kind::Map | Kind::Free, Some(Value::Table(entries))) => {
                    for (key, value) in entries {
                        writeln!(body, "{} = {value}", key_text(key)).ok(); // as above
                    }
                }
                (_, _) => {
                    let key = field.path.split_once('.').map_or("", |(_, key)| key);
                    self.field(field, key, margin, defaults, &mut body);
                }
            }
        }
        for extra in self.extras.iter().filter(|extra| extra.table == table) {
            extra_line(extra, &mut body);
        }
        if body.is_empty() {
            return body;
        }
        format!("\n{margin}[{table}]\n{body}")
    }

    fn field(
        &self,
        field: &Field,
        key: &str,
        margin: &str,
        defaults: &BTreeMap<&'static str, Value>,
        text: &mut String,
    ) {
        let about = self
            .remarks
            .get(field.path)
            .cloned()
            .unwrap_or_else(|| words_about(field));
        if let Some(value) = self.values.get(field.path) {
            let line = match value {
                Value::Array(items) => format!("{key} = {}", list(items)),
                _ => format!("{key} = {value}"),
            };
            commented(&line, &about, text);
            return;
        }
        if self.suggestions == Suggestions::Hidden || !SUGGESTED.contains(&field.path) {
            return;
        }
        let example = EXAMPLES
            .iter()
            .find(|(path, _)| *path == field.path)
            .map(|(_, example)| (*example).to_owned())
            .or_else(|| defaults.get(field.path).map(ToString::to_string));
        if let Some(example) = example {
            let line = match field.kind {
                Kind::Map => format!("# {example}"),
                _ if margin.is_empty() => format!("# {key} = {example}"),
                _ => format!("{margin}{key} = {example}"),
            };
            commented(&line, &about, text);
        }
    }
}

/// Writes a line with its words beside it, or above it when it is long.
fn commented(line: &str, about: &str, text: &mut String) {
    if line.contains('\n') || line.chars().count() >= COMMENT_COLUMN {
        writeln!(text, "# {about}\n{line}").ok(); // a String never refuses
    } else {
        writeln!(text, "{line:<COMMENT_COLUMN$}# {about}").ok(); // as above
    }
}

fn extra_line(extra: &Extra, text: &mut String) {
    let line = format!("{} = {}", key_text(&extra.key), extra.value);
    commented(&line, "Not a field of llama-orch; kept as it was", text);
}

/// Returns what a field is for, and the words it may hold.
fn words_about(field: &Field) -> String {
    match field.kind {
        Kind::Words(words) => format!("{}: {}", field.about, words.join(", ")),
        _ => field.about.to_owned(),
    }
}

/// Writes a list; a long one with a line per flag and its values.
fn list(items: &[Value]) -> String {
    let shown: Vec<String> = items.iter().map(ToString::to_string).collect();
    let short = format!("[{}]", shown.join(", "));
    if short.chars().count() <= LIST_WIDTH {
        return short;
    }
    let mut lines: Vec<String> = Vec::new();
    for (item, shown) in items.iter().zip(shown) {
        let is_flag = item.as_str().is_some_and(|text| {
            text.starts_with('-') && !text.starts_with(|c: char| c.is_ascii_digit())
        });
        match lines.last_mut() {
            Some(line) if !is_flag => {
                line.push_str(", ");
                line.push_str(&shown);
            }
            _ => lines.push(shown),
        }
    }
    let body: String = lines.iter().map(|line| format!("    {line},\n")).collect();
    format!("[\n{body}]")
}

/// Returns a key as TOML wants it: bare, or in quotes.
fn key_text(key: &str) -> String {
    toml_edit::Key::new(key).to_string()
}

fn is_top(field: &Field) -> bool {
    table_of(field).is_empty()
}

/// Returns the table a field is written in; empty for the top. Tables with keys of the user's own
/// are tables of their own.
fn table_of(field: &Field) -> &'static str {
    match (field.path.split_once('.'), field.path) {
        (Some((table, _)), _) => table,
        (None, "env" | "model_metadata") => field.path,
        (None, _) => "",
    }
}

fn tables() -> Vec<&'static str> {
    let mut tables = Vec::new();
    for field in INSTANCE {
        let table = table_of(field);
        if !table.is_empty() && !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_toml_with_its_words() {
        let mut draft = Draft::new(Suggestions::Shown);
        draft.heading("A test.");
        draft.set("server.port", 8081);
        draft.set("model.path", "models/it's.gguf");
        let args = [
            "--temp",
            "0.7",
            "--chat-template-file",
            "a long name.jinja",
            "-ot",
            "x=CPU",
        ];
        draft.set("args", Value::from(args.to_vec()));
        draft.keep("server", "my key", Value::from(1));
        draft.keep("", "colour", Value::from("red"));
        let text = draft.text();
        let table: toml::Table = text.parse().expect("a draft is TOML");
        assert_eq!(table["server"]["my key"].as_integer(), Some(1), "{text}");
        assert_eq!(table["colour"].as_str(), Some("red"));
        assert_eq!(table["args"].as_array().map(Vec::len), Some(6));
        assert!(text.contains("    \"-ot\", \"x=CPU\",\n"), "{text}");
        let line = "port = 8081                         # The port";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("\n# [gpu]\n# backend = \"cpu\""), "{text}");
    }

    #[test]
    fn a_new_file_without_its_comment_signs_is_good_too() {
        let mut draft = Draft::new(Suggestions::Shown);
        draft.set("server.port", 8081);
        let all: String = draft
            .text()
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .filter(|line| line.contains(" = ") || line.starts_with('['))
            .collect();
        let table: Result<toml::Table, _> = all.parse();
        assert!(table.is_ok(), "{table:?}\n{all}");
    }
}
