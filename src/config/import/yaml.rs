//! A YAML file as a tree of texts; what a text means is up to who asks for it.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

use super::SyntaxError;

/// Nodes of a file, aliases counted each time: a short file can name an enormous tree.
const NODE_LIMIT: usize = 50_000;

/// Levels of nesting; llama-swap has six.
const DEPTH_LIMIT: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    List(Vec<Self>),
    /// In the order of the file.
    Table(Vec<(String, Self)>),
}

impl Yaml {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Table(_) => None,
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            Self::Text(_) | Self::Table(_) => &[],
        }
    }

    pub(super) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Table(entries) => entries,
            Self::Text(_) | Self::List(_) => &[],
        }
    }
}

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Yaml, SyntaxError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Yaml::Table(Vec::new())),
            _ => return reader.node(event, span, DEPTH_LIMIT),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Yaml, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(SyntaxError {
                line: error.marker().line(),
                message: format!("is not YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        if self.nodes > NODE_LIMIT {
            return Err(refused(span, "names more than llama-orch will read"));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Yaml, SyntaxError> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| refused(span, "is nested too deeply"))?;
        self.count(1, span)?;
        let before = self.nodes;
        let (anchor, node) = match event {
            Event::Scalar(text, _, anchor, _) => (anchor, Yaml::Text(text.into_owned())),
            Event::Alias(anchor) => {
                let (node, nodes) = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| refused(span, "names an anchor that is not there"))?;
                self.count(nodes, span)?;
                return Ok(node);
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.table(depth)?),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(refused(span, "ends in the middle")),
        };
        if anchor > 0 {
            let nodes = self.nodes - before + 1;
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Yaml, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Yaml::List(items));
            }
            items.push(self.node(event, span, depth)?);
        }
    }

    fn table(&mut self, depth: usize) -> Result<Yaml, SyntaxError> {
        let mut entries: Vec<(String, Yaml)> = Vec::new();
        let mut merged: Vec<(String, Yaml)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                // "<<" adds what is not said here.
                for (key, value) in merged {
                    if !entries.iter().any(|(known, _)| *known == key) {
                        entries.push((key, value));
                    }
                }
                return Ok(Yaml::Table(entries));
            }
            let key = self.node(event, span, depth)?;
            let Yaml::Text(key) = key else {
                return Err(refused(span, "has a key that is no text"));
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth)?;
            match (key.as_str(), &value) {
                ("<<", Yaml::Table(entries)) => merged.extend(entries.clone()),
                ("<<", Yaml::List(tables)) => {
                    merged.extend(tables.iter().flat_map(|table| table.entries().to_vec()));
                }
                (_, _) => entries.push((key, value)),
            }
        }
    }
}

fn refused(span: Span, message: &str) -> SyntaxError {
    SyntaxError {
        line: span.start.line(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_and_merges_are_followed() {
        let text = "base: &b\n  a: 1\n  c: 2\nuse:\n  <<: *b\n  a: 'x'\nlist: [*b]\n";
        let yaml = parse(text).expect("it is YAML");
        let used = yaml.get("use").expect("use");
        assert_eq!(used.get("a").and_then(Yaml::text), Some("x"));
        assert_eq!(used.get("c").and_then(Yaml::text), Some("2"));
        let first = yaml.get("list").map(|list| &list.items()[0]);
        assert_eq!(first, yaml.get("base"));
    }

    #[test]
    fn a_short_file_that_names_an_enormous_tree_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            let ten = [before.as_str(); 10].join(", ");
            text = format!("{text}a{level}: &a{level} [{ten}]\n");
        }
        assert!(parse(&text).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("a: [1, 2").is_err());
        assert_eq!(parse("").expect("empty is fine"), Yaml::Table(Vec::new()));
    }
}
