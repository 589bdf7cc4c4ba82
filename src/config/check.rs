//! Checks a tree against a list of fields: types, bounds and unknown keys, all at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::fields::{Field, Kind};
use super::finding::{Finding, Severity};
use super::read::{self, Item};
use super::tree::{Entry, Format, Node, Place, Source, Value};
use crate::domain::instance::{Layers, Port};

/// Findings told of one file; whoever reads a hundred fixes the first ones.
const FINDING_LIMIT: usize = 100;

/// How alike a known name must be to be proposed, 0 to 1.
const LIKENESS: f64 = 0.6;

/// Longer keys are not compared with known names.
const KEY_LIMIT: usize = 64;

/// The values of a file that passed, and what is to be said of the rest.
pub(super) struct Checked<'a> {
    sources: &'a [&'a Source],
    prefix: &'a str,
    values: BTreeMap<&'static str, (Item, Place)>,
    tables: BTreeMap<String, Place>,
    /// Where the items of a list of texts stand.
    items: BTreeMap<&'static str, Vec<Place>>,
    findings: Vec<Finding>,
}

/// Checks `root` against `fields`. `prefix` stands before the names of the fields in messages.
pub(super) fn check<'a>(
    fields: &'static [Field],
    prefix: &'a str,
    root: &Node,
    sources: &'a [&'a Source],
) -> Checked<'a> {
    let mut checked = Checked {
        sources,
        prefix,
        values: BTreeMap::new(),
        tables: BTreeMap::new(),
        items: BTreeMap::new(),
        findings: Vec::new(),
    };
    if root.is_table() {
        checked.table(fields, "", root);
    } else {
        let message = format!("must be a table of fields, not {}", root.kind());
        checked.push(Severity::Error, &root.place, prefix, message, None);
    }
    checked
}

impl Checked<'_> {
    fn table(&mut self, fields: &'static [Field], path: &str, node: &Node) {
        for entry in node.entries() {
            let path = if path.is_empty() {
                entry.key.clone()
            } else {
                format!("{path}.{}", entry.key)
            };
            if let Some(field) = fields.iter().find(|field| field.path == path) {
                self.field(field, entry);
            } else if is_table(fields, &path) {
                self.subtable(fields, &path, entry);
            } else {
                self.unknown(fields, &path, entry);
            }
        }
    }

    fn subtable(&mut self, fields: &'static [Field], path: &str, entry: &Entry) {
        match &entry.node.value {
            Value::Table(_) => {
                self.tables.insert(path.to_owned(), entry.key_place.clone());
                self.table(fields, path, &entry.node);
            }
            // The predecessor wrote null for what was not set.
            Value::Null => {}
            Value::Flag(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Other(_, _)
            | Value::List(_) => {
                let message = format!(
                    "{}{path} must be a table, not {}",
                    self.prefix,
                    entry.node.kind()
                );
                let known = known_in(fields, path).join(", ");
                self.push(
                    Severity::Error,
                    &entry.node.place,
                    path,
                    message,
                    Some(format!("its fields are {known}")),
                );
            }
        }
    }

    fn field(&mut self, field: &'static Field, entry: &Entry) {
        if matches!(entry.node.value, Value::Null) {
            return;
        }
        let format = self.format(&entry.node.place);
        let mut complaints = Vec::new();
        let item = read::item(&field.kind, &entry.node, format, &mut complaints);
        for complaint in complaints {
            let inside = if complaint.inside.is_empty() {
                String::new()
            } else {
                format!(".{}", complaint.inside)
            };
            let path = format!("{}{inside}", field.path);
            let message = format!("{}{path} {}", self.prefix, complaint.message);
            self.push(
                complaint.severity,
                &complaint.place,
                &path,
                message,
                complaint.help,
            );
        }
        if let (Kind::Texts, Value::List(items)) = (&field.kind, &entry.node.value) {
            let places = items.iter().map(|item| item.place.clone());
            self.items.insert(field.path, places.collect());
        }
        if let Some(item) = item {
            self.values
                .insert(field.path, (item, entry.node.place.clone()));
        }
    }

    fn unknown(&mut self, fields: &'static [Field], path: &str, entry: &Entry) {
        let message = format!("{}{path} is not a known field", self.prefix);
        let help = nearest(fields, path).map_or_else(
            || "it is kept in the file and otherwise ignored".to_owned(),
            |known| format!("did you mean {}{known}?", self.prefix),
        );
        self.push(
            Severity::Warning,
            &entry.key_place,
            path,
            message,
            Some(help),
        );
    }

    fn format(&self, place: &Place) -> Format {
        self.sources
            .get(place.source)
            .map_or(Format::Toml, |source| source.format)
    }

    fn push(
        &mut self,
        severity: Severity,
        place: &Place,
        path: &str,
        message: String,
        help: Option<String>,
    ) {
        let Some(source) = self.sources.get(place.source) else {
            return;
        };
        if self.findings.len() >= FINDING_LIMIT {
            return;
        }
        let field = format!("{}{path}", self.prefix);
        let mut finding = source.finding(severity, &place.span, field, message);
        finding.help = help;
        if may_hold_keys(path) {
            finding.excerpt = None;
        }
        self.findings.push(finding);
    }

    /// Adds a finding that points at a field: at its value, else at its table, else at the file.
    pub(super) fn complain(&mut self, severity: Severity, path: &str, message: String, help: &str) {
        let place = self.place(path);
        let nowhere = place.is_none();
        let told = self.findings.len();
        let place = place.unwrap_or_else(Place::start);
        self.push(severity, &place, path, message, Some(help.to_owned()));
        // The first line has nothing to do with a field that is not there.
        if nowhere && let Some(finding) = self.findings.get_mut(told) {
            finding.excerpt = None;
        }
    }

    /// Returns an empty finding that points at a field, at its table, or else at the file.
    pub(super) fn anchor(&self, path: &str) -> Finding {
        let nowhere = || {
            let path = self.sources.first().map(|source| source.path.clone());
            Finding::about_file(Severity::Error, path.unwrap_or_default(), String::new())
        };
        self.place(path)
            .and_then(|place| self.anchor_at(path, &place))
            .unwrap_or_else(nowhere)
    }

    /// Returns empty findings that point at the items of a list of texts.
    pub(super) fn item_anchors(&self, path: &str) -> Vec<Finding> {
        let places = self.items.get(path).into_iter().flatten();
        places
            .filter_map(|place| self.anchor_at(path, place))
            .collect()
    }

    fn anchor_at(&self, path: &str, place: &Place) -> Option<Finding> {
        let source = self.sources.get(place.source)?;
        let mut finding =
            source.finding(Severity::Error, &place.span, path.to_owned(), String::new());
        if may_hold_keys(path) {
            finding.excerpt = None;
        }
        Some(finding)
    }

    fn place(&self, path: &str) -> Option<Place> {
        let table = path.split('.').next().unwrap_or(path);
        self.values
            .get(path)
            .map(|(_, place)| place)
            .or_else(|| self.tables.get(table))
            .cloned()
    }

    /// Returns whether something must be corrected before the values can be used.
    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }

    /// Returns whether an error has been found in this field.
    pub(super) fn is_wrong(&self, path: &str) -> bool {
        let full = format!("{}{path}", self.prefix);
        self.findings
            .iter()
            .any(|finding| finding.is_error() && is_in(&finding.field, &full))
    }

    /// Returns the findings in the order of the file.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        findings.sort_by(|left, right| {
            (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column))
        });
        findings
    }

    fn item(&self, path: &str) -> Option<&Item> {
        self.values.get(path).map(|(item, _)| item)
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        match self.item(path) {
            Some(Item::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns a value of any kind in one line.
    pub(super) fn carried(&self, path: &str) -> Option<String> {
        match self.item(path) {
            Some(Item::Carried(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        match self.item(path) {
            Some(Item::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(super) fn integer(&self, path: &str) -> Option<i64> {
        match self.item(path) {
            Some(Item::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Returns a whole number whose bounds in the table of fields lie within `u32`.
    pub(super) fn count(&self, path: &str) -> Option<u32> {
        u32::try_from(self.integer(path)?).ok()
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        match self.item(path) {
            Some(Item::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        match self.item(path) {
            Some(Item::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    pub(super) fn texts(&self, path: &str) -> Option<Vec<String>> {
        match self.item(path) {
            Some(Item::Texts(texts)) => Some(texts.clone()),
            _ => None,
        }
    }

    pub(super) fn map(&self, path: &str) -> Option<BTreeMap<String, String>> {
        match self.item(path) {
            Some(Item::Map(map)) => Some(map.clone()),
            _ => None,
        }
    }

    pub(super) fn port(&self, path: &str) -> Option<Port> {
        match self.item(path) {
            Some(Item::Port(port)) => Some(*port),
            _ => None,
        }
    }

    pub(super) fn layers(&self, path: &str) -> Option<Layers> {
        match self.item(path) {
            Some(Item::Layers(layers)) => Some(*layers),
            _ => None,
        }
    }

    pub(super) fn statuses(&self, path: &str) -> Option<Vec<u16>> {
        match self.item(path) {
            Some(Item::Statuses(statuses)) => Some(statuses.clone()),
            _ => None,
        }
    }

    pub(super) fn address(&self, path: &str) -> Option<SocketAddr> {
        match self.item(path) {
            Some(Item::Address(address)) => Some(*address),
            _ => None,
        }
    }
}

/// Arguments and variables hold keys; their lines are never shown.
fn may_hold_keys(path: &str) -> bool {
    ["args", "env"].iter().any(|table| is_in(path, table))
}

/// Returns whether `path` is `table` or something in it.
fn is_in(path: &str, table: &str) -> bool {
    path.strip_prefix(table)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn is_table(fields: &[Field], path: &str) -> bool {
    fields
        .iter()
        .any(|field| field.path != path && is_in(field.path, path))
}

/// Returns the last parts of the fields in a table.
fn known_in(fields: &[Field], table: &str) -> Vec<&'static str> {
    fields
        .iter()
        .filter(|field| is_in(field.path, table))
        .filter_map(|field| field.path.rsplit('.').next())
        .collect()
}

/// Returns the known field or table that was most likely meant.
fn nearest(fields: &[Field], path: &str) -> Option<&'static str> {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    if key.len() > KEY_LIMIT {
        return None;
    }
    // What is in the same table counts first: the fields, and at the top the tables too.
    let siblings = fields.iter().filter_map(|field| {
        let known = field.path;
        match known.split_once('.') {
            Some((known_table, _)) if table.is_empty() => Some((known_table, known_table)),
            Some((known_table, known_key)) if known_table == table => Some((known, known_key)),
            None if table.is_empty() => Some((known, known)),
            Some(_) | None => None,
        }
    });
    let alike = siblings
        .map(|(known, name)| (known, strsim::normalized_damerau_levenshtein(name, key)))
        .filter(|(_, likeness)| *likeness >= LIKENESS)
        .max_by(|left, right| left.1.total_cmp(&right.1));
    let elsewhere = || {
        fields
            .iter()
            .map(|field| field.path)
            .find(|known| known.rsplit('.').next() == Some(key))
    };
    alike.map(|(known, _)| known).or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::INSTANCE;

    #[test]
    fn the_nearest_known_name_is_proposed() {
        let rows = [
            ("nam", Some("name")),
            ("severs", Some("server")),
            ("server.prot", Some("server.port")),
            ("port", Some("server.port")),
            ("model.contxt_sise", Some("model.context_size")),
            ("healthcheck.intervall", Some("healthcheck.interval")),
            ("gpu.backend_x.y", None),
            ("zzz", None),
        ];
        for (key, expected) in rows {
            assert_eq!(nearest(INSTANCE, key), expected, "{key}");
        }
    }
}
