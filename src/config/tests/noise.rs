//! No text is too strange to be read: noise, and damaged configurations.

use std::fs;
use std::path::Path;

use proptest::prelude::{Strategy, any, prop_assert, proptest};
use proptest::sample::Index;

use super::{corpus, format_of, read};
use crate::config::load::{Broken, Loaded};
use crate::config::render;
use crate::config::tree::Format;

/// Reads any text, renders what was found, and checks that every place is in the text.
fn survives(text: &str, format: Format) -> Result<(), String> {
    let (Ok(Loaded {
        warnings: findings, ..
    })
    | Err(Broken { findings, .. })) = read(text, format);
    let rendered = render::findings(&findings, Path::new("/"), render::Ink::Plain);
    if rendered.contains('\u{1b}') {
        return Err(format!("{text:?} reaches the terminal"));
    }
    let lines: Vec<_> = text.split('\n').collect();
    for finding in findings {
        let length = finding
            .line
            .checked_sub(1)
            .and_then(|line| lines.get(line))
            .map_or(0, |line| line.chars().count());
        let is_whole = finding.line == 0 && finding.column == 0;
        if !is_whole && !(1..=length + 1).contains(&finding.column) {
            return Err(format!("{finding} is outside of {text:?}"));
        }
    }
    Ok(())
}

fn mutated() -> impl Strategy<Value = (String, Format)> {
    const PIECES: [&str; 16] = [
        "\"",
        "'''",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "-1",
        "1e400",
        "null",
        "true",
        "\\u0000",
        "ü",
        "99999999999999999999",
    ];
    let files: Vec<_> = corpus("good").into_iter().chain(corpus("bad")).collect();
    let edits = proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>()), 1..6);
    (any::<Index>(), edits).prop_map(move |(file, edits)| {
        let path = file.get(&files);
        let mut text: Vec<char> = fs::read_to_string(path)
            .expect("read a configuration")
            .chars()
            .collect();
        for (start, length, piece) in edits {
            let start = start.index(text.len() + 1);
            let end = (start + length.index(12)).min(text.len());
            text.splice(start..end, piece.get(&PIECES).chars());
        }
        (text.into_iter().collect(), format_of(path))
    })
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC*|[\\[\\]{}=.\"'a-z0-9\\n, :#-]{0,200}") {
        for format in [Format::Toml, Format::LegacyJson] {
            let result = survives(&text, format);
            prop_assert!(result.is_ok(), "{result:?}");
        }
    }

    #[test]
    fn no_damage_to_a_configuration_is_too_strange((text, format) in mutated()) {
        let result = survives(&text, format);
        prop_assert!(result.is_ok(), "{result:?}");
    }
}
