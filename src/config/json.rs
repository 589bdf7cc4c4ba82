//! JSON as a tree of values that know where they stand.
//!
//! `serde_json` decides what is JSON and says what is not; the reader here runs only over text
//! that passed, and adds the places, which `serde_json` does not keep.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::tree::{DEPTH_LIMIT, Entry, Node, Place, Value};

/// Why a text is not JSON, and at which byte.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// Parses a text; `source` is its number in the places.
///
/// # Errors
///
/// Returns the first syntax error.
pub(super) fn parse(text: &str, source: usize) -> Result<Node, SyntaxError> {
    if let Err(error) = serde_json::from_str::<Json>(text) {
        let message = error.to_string();
        // The place is told by the finding; "at line 3 column 5" would say it twice.
        let message = message.split(" at line ").next().unwrap_or(&message);
        return Err(SyntaxError {
            offset: offset_of(text, error.line(), error.column()),
            message: message.to_owned(),
        });
    }
    let mut reader = Reader {
        text,
        position: 0,
        source,
    };
    reader.value(DEPTH_LIMIT).ok_or_else(|| SyntaxError {
        offset: reader.position,
        message: "nested too deeply".to_owned(),
    })
}

/// Returns the byte of a line and column as `serde_json` counts: bytes, from 1.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
    source: usize,
}

/// Every step returns `None` where the text ends or nests too deeply; the text is known to be JSON.
impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.position..)?;
        self.position += rest.len() - rest.trim_start().len();
        self.text.as_bytes().get(self.position).copied()
    }

    fn place_since(&self, start: usize) -> Place {
        Place {
            source: self.source,
            span: start..self.position,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        let first = self.peek()?;
        let start = self.position;
        let value = match first {
            b'{' => self.table(depth)?,
            b'[' => self.list(depth)?,
            b'"' => Value::Text(self.string()?),
            _ => self.scalar()?,
        };
        Some(Node {
            value,
            place: self.place_since(start),
        })
    }

    fn table(&mut self, depth: usize) -> Option<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        self.position += 1;
        while self.peek()? != b'}' {
            let start = self.position;
            let key = self.string()?;
            let key_place = self.place_since(start);
            self.peek()?;
            self.position += 1; // the colon
            let node = self.value(depth)?;
            entries.push(Entry {
                key,
                key_place,
                node,
            });
            if self.peek()? == b',' {
                self.position += 1;
            }
        }
        self.position += 1;
        // The last of two equal keys counts, as it did for the predecessor.
        let mut seen = HashSet::new();
        entries.reverse();
        entries.retain(|entry| seen.insert(entry.key.clone()));
        entries.reverse();
        Some(Value::Table(entries))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.position += 1;
        while self.peek()? != b']' {
            items.push(self.value(depth)?);
            if self.peek()? == b',' {
                self.position += 1;
            }
        }
        self.position += 1;
        Some(Value::List(items))
    }

    fn string(&mut self) -> Option<String> {
        let start = self.position;
        let mut escaped = false;
        let length = self.text.get(start..)?.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.position = start + length + 2; // both quotes
        serde_json::from_str(self.text.get(start..self.position)?).ok()
    }

    fn scalar(&mut self) -> Option<Value> {
        let rest = self.text.get(self.position..)?;
        let length = rest
            .find(|character: char| {
                matches!(character, ',' | ']' | '}') || character.is_whitespace()
            })
            .unwrap_or(rest.len());
        let word = rest.get(..length)?;
        self.position += length;
        Some(match word {
            "null" => Value::Null,
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            number => number
                .parse()
                .map(Value::Integer)
                .or_else(|_not_an_integer| number.parse().map(Value::Float))
                .unwrap_or_else(|_not_a_number| Value::Other("number", number.to_owned())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text =
            "{ \"a\": 1, \"a\": [1, \"\\\"]\\u00e4\"],\n  \"b\": {\"c\": null, \"d\": -1.5e1} }";
        let node = parse(text, 3).expect("parse");
        let at = |place: &Place| &text[place.span.clone()];
        let list = node.entry("a").expect("a");
        assert_eq!(at(&list.key_place), "\"a\"");
        assert_eq!(at(&list.node.place), "[1, \"\\\"]\\u00e4\"]");
        let Value::List(items) = &list.node.value else {
            unreachable!("a is a list");
        };
        assert!(matches!(&items[1].value, Value::Text(text) if text == "\"]ä"));
        let inner = &node.entry("b").expect("b").node;
        let number = &inner.entry("d").expect("d").node;
        assert!(matches!(number.value, Value::Float(value) if value == -15.0));
        assert_eq!(at(&number.place), "-1.5e1");
        assert_eq!(number.place.source, 3);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let rows = [
            ("{", 0),
            ("{\"a\": 1,}", 8),
            ("{\n\"a\" 1}", 6),
            ("", 0),
            ("{} x", 3),
        ];
        for (text, offset) in rows {
            let error = parse(text, 0).expect_err("broken JSON passed");
            assert_eq!(error.offset, offset, "{text:?}: {}", error.message);
            assert!(!error.message.contains("line"), "{}", error.message);
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        for depth in [100, 1000, 100_000] {
            assert!(parse(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)), 0).is_err());
        }
    }
}
