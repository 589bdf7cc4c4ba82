//! Reads one value as what its field may hold.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use uuid::Uuid;

use super::fields::Kind;
use super::finding::Severity;
use super::tree::{Format, Node, Place, Value};
use crate::domain::instance::{InstanceName, Layers, Port};

/// The longest host name there is, by RFC 1035.
const HOST_LIMIT: usize = 253;

/// A value that passed.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Text(String),
    Flag(bool),
    Integer(i64),
    Number(f64),
    Duration(Duration),
    Texts(Vec<String>),
    Map(BTreeMap<String, String>),
    Port(Port),
    Layers(Layers),
    Statuses(Vec<u16>),
    Address(SocketAddr),
    /// Present, and of no use to us; in one line.
    Carried(String),
}

/// What is wrong with a value; the message follows the field's name.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) severity: Severity,
    pub(super) place: Place,
    /// The item's number or key within the value; empty for the value itself.
    pub(super) inside: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Returns the value as its kind, or `None` after saying why not.
pub(super) fn item(
    kind: &Kind,
    node: &Node,
    format: Format,
    complaints: &mut Vec<Complaint>,
) -> Option<Item> {
    let mut reader = Reader {
        kind,
        format,
        complaints,
    };
    reader.item(node)
}

struct Reader<'a> {
    kind: &'a Kind,
    format: Format,
    complaints: &'a mut Vec<Complaint>,
}

impl Reader<'_> {
    fn item(&mut self, node: &Node) -> Option<Item> {
        let read = match *self.kind {
            Kind::Text => text(node).map(Item::Text),
            Kind::Line => text(node)
                .filter(|line| !line.contains(char::is_control))
                .map(Item::Text),
            Kind::Name => text(node)
                .filter(|name| InstanceName::parse(name).is_ok())
                .map(Item::Text),
            Kind::Path => return self.path(node),
            Kind::Host => text(node).filter(|host| is_host(host)).map(Item::Text),
            Kind::Uid => text(node)
                .and_then(|uid| Uuid::parse_str(&uid).ok())
                .map(|uid| Item::Text(uid.to_string())),
            Kind::Number8 => number8(node).map(Item::Text),
            Kind::Tags => return self.tags(node),
            Kind::Texts => return self.texts(node).map(Item::Texts),
            Kind::Map => return self.map(node),
            Kind::Flag => match node.value {
                Value::Flag(flag) => Some(Item::Flag(flag)),
                _ => None,
            },
            Kind::Integer { min, max } => self
                .integer(node)
                .filter(|number| (min..=max).contains(number))
                .map(Item::Integer),
            Kind::Number { min, max } => self
                .number(node)
                .filter(|number| (min..=max).contains(number))
                .map(Item::Number),
            Kind::Seconds { min, max } => self
                .duration(node)
                .filter(|duration| (min..=max).contains(&duration.as_secs_f64()))
                .map(Item::Duration),
            Kind::Words(words) => text(node)
                .filter(|text| words.contains(&text.as_str()))
                .map(Item::Text),
            Kind::Port => self.port(node).map(Item::Port),
            Kind::Layers => self.layers(node).map(Item::Layers),
            Kind::Statuses => return self.statuses(node).map(Item::Statuses),
            Kind::Address => self.address(node).map(Item::Address),
            Kind::Free => Some(Item::Carried(super::dynamic::compact(node))),
        };
        if read.is_none() {
            self.refuse(node, String::new(), &self.kind.allowed());
        }
        read
    }

    /// Says that a value is not what it must be.
    fn refuse(&mut self, node: &Node, inside: String, allowed: &str) {
        let shown = match self.kind {
            // What stands in these may be a key.
            Kind::Texts | Kind::Map => node.kind().to_owned(),
            _ => shown(node),
        };
        let help = match (self.kind, &node.value) {
            (Kind::Words(words), Value::Text(word)) => nearest_word(words, word),
            (Kind::Texts | Kind::Map, _) if !inside.is_empty() => {
                Some("put it in quotes".to_owned())
            }
            (Kind::Seconds { .. }, _) if self.format == Format::Toml => {
                Some("a number of seconds, or text such as \"1m 5s\"".to_owned())
            }
            _ => None,
        };
        self.complaints.push(Complaint {
            severity: Severity::Error,
            place: node.place.clone(),
            inside,
            message: format!("must be {allowed}, not {shown}"),
            help,
        });
    }

    /// Returns a whole number; in the predecessor's files text and `8001.0` count too.
    fn integer(&self, node: &Node) -> Option<i64> {
        match (&node.value, self.format) {
            (Value::Integer(number), _) => Some(*number),
            (Value::Text(text), Format::LegacyJson) => text.trim().parse().ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a whole number below 2^53 loses nothing"
            )]
            (Value::Float(number), Format::LegacyJson)
                if number.fract() == 0.0 && number.abs() < 9e15 =>
            {
                Some(*number as i64)
            }
            _ => None,
        }
    }

    fn number(&self, node: &Node) -> Option<f64> {
        match (&node.value, self.format) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "bounds are far below where precision ends"
            )]
            (Value::Integer(number), _) => Some(*number as f64),
            (Value::Float(number), _) => Some(*number),
            (Value::Text(text), Format::LegacyJson) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    fn duration(&self, node: &Node) -> Option<Duration> {
        if let (Value::Text(text), Format::Toml) = (&node.value, self.format) {
            return SpanParser::new().parse_unsigned_duration(text).ok();
        }
        Duration::try_from_secs_f64(self.number(node)?).ok()
    }

    fn port(&self, node: &Node) -> Option<Port> {
        if matches!(&node.value, Value::Text(text) if text == "auto") {
            return Some(Port::Auto);
        }
        let port = u16::try_from(self.integer(node)?).ok()?;
        (port > 0).then_some(Port::Fixed(port))
    }

    /// An address of this machine when only the port is said.
    fn address(&self, node: &Node) -> Option<SocketAddr> {
        if let Value::Text(text) = &node.value {
            return text.parse().ok();
        }
        let port = u16::try_from(self.integer(node)?).ok()?;
        (port > 0).then_some((Ipv4Addr::LOCALHOST, port).into())
    }

    fn layers(&self, node: &Node) -> Option<Layers> {
        match &node.value {
            Value::Text(text) if text == "all" => Some(Layers::All),
            Value::Text(text) if text == "auto" => Some(Layers::Auto),
            _ => u32::try_from(self.integer(node)?).ok().map(Layers::Count),
        }
    }

    fn statuses(&mut self, node: &Node) -> Option<Vec<u16>> {
        let Value::List(items) = &node.value else {
            let status = self.status(node);
            if status.is_none() {
                self.refuse(node, String::new(), &self.kind.allowed());
            }
            return status.map(|status| vec![status]);
        };
        let mut statuses = Vec::new();
        for (number, item) in items.iter().enumerate() {
            match self.status(item) {
                Some(status) => statuses.push(status),
                None => self.refuse(item, number.to_string(), "an HTTP status from 100 to 599"),
            }
        }
        if items.is_empty() {
            self.refuse(node, String::new(), &self.kind.allowed());
        }
        (!items.is_empty() && statuses.len() == items.len()).then_some(statuses)
    }

    fn status(&self, node: &Node) -> Option<u16> {
        let status = u16::try_from(self.integer(node)?).ok()?;
        (100..=599).contains(&status).then_some(status)
    }

    fn path(&mut self, node: &Node) -> Option<Item> {
        let path = text(node).filter(|path| !path.is_empty());
        let Some(path) = path else {
            self.refuse(node, String::new(), &self.kind.allowed());
            return None;
        };
        if path.starts_with("~/") {
            self.complaints.push(Complaint {
                severity: Severity::Warning,
                place: node.place.clone(),
                inside: String::new(),
                message: "begins with '~', which is not replaced by your directory".to_owned(),
                help: Some("write the whole path".to_owned()),
            });
        }
        Some(Item::Text(path))
    }

    fn tags(&mut self, node: &Node) -> Option<Item> {
        let Value::List(items) = &node.value else {
            self.refuse(node, String::new(), &self.kind.allowed());
            return None;
        };
        let mut tags = Vec::new();
        let before = self.complaints.len();
        for (number, item) in items.iter().enumerate() {
            match text(item).map(|tag| tag.to_lowercase()) {
                Some(tag) if InstanceName::parse(&tag).is_ok() => {
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
                _ => self.refuse(item, number.to_string(), &Kind::Name.allowed()),
            }
        }
        (self.complaints.len() == before).then_some(Item::Texts(tags))
    }

    fn texts(&mut self, node: &Node) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            self.refuse(node, String::new(), &self.kind.allowed());
            return None;
        };
        let mut texts = Vec::new();
        for (number, item) in items.iter().enumerate() {
            match self.loose_text(item) {
                Some(text) => texts.push(text),
                None => self.refuse(item, number.to_string(), &Kind::Text.allowed()),
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    fn map(&mut self, node: &Node) -> Option<Item> {
        if !node.is_table() {
            self.refuse(node, String::new(), &self.kind.allowed());
            return None;
        }
        let mut map = BTreeMap::new();
        let before = self.complaints.len();
        for entry in node.entries() {
            if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
                self.complaints.push(Complaint {
                    severity: Severity::Error,
                    place: entry.key_place.clone(),
                    inside: entry.key.clone(),
                    message: "is no name of an environment variable".to_owned(),
                    help: Some("a name is not empty and holds no '='".to_owned()),
                });
                continue;
            }
            match self.loose_text(&entry.node) {
                Some(text) => {
                    map.insert(entry.key.clone(), text);
                }
                None => self.refuse(&entry.node, entry.key.clone(), &Kind::Text.allowed()),
            }
        }
        (self.complaints.len() == before).then_some(Item::Map(map))
    }

    /// Returns text; in the predecessor's files a number stands for its text.
    fn loose_text(&self, node: &Node) -> Option<String> {
        match (&node.value, self.format) {
            (Value::Integer(number), Format::LegacyJson) => Some(number.to_string()),
            (Value::Float(number), Format::LegacyJson) => Some(number.to_string()),
            _ => text(node),
        }
    }
}

/// Returns a string that can be handed to a program.
fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) if !text.contains('\0') => Some(text.clone()),
        _ => None,
    }
}

fn number8(node: &Node) -> Option<String> {
    let text = match &node.value {
        Value::Integer(number) => format!("{number:08}"),
        Value::Text(text) => text.clone(),
        _ => return None,
    };
    (text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.len() > ".sock".len() && host.ends_with(".sock") {
        return !host.contains(',');
    }
    host.parse::<IpAddr>().is_ok() || (host.len() <= HOST_LIMIT && host.split('.').all(is_label))
}

/// Shows a value in a message, not more of it than fits into a line.
fn shown(node: &Node) -> String {
    const LIMIT: usize = 40;
    match &node.value {
        Value::Text(text) if text.chars().count() <= LIMIT => format!("{text:?}"),
        Value::Text(text) => {
            let start: String = text.chars().take(LIMIT).collect();
            format!("\"{}…\"", start.escape_debug())
        }
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Other(_, text) if text.len() <= LIMIT => text.clone(),
        Value::Null | Value::Other(_, _) | Value::List(_) | Value::Table(_) => {
            node.kind().to_owned()
        }
    }
}

fn nearest_word(words: &[&str], word: &str) -> Option<String> {
    let lower = word.chars().take(32).collect::<String>().to_lowercase();
    words
        .iter()
        .map(|known| (known, strsim::normalized_damerau_levenshtein(known, &lower)))
        .filter(|(_, likeness)| *likeness >= 0.5)
        .max_by(|left, right| left.1.total_cmp(&right.1))
        .map(|(known, _)| format!("did you mean {known:?}?"))
}
