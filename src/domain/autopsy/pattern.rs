//! The small language of the rules: `*` in a pattern takes text, `{1}` in a sentence gives it back.

use crate::domain::units;

/// Returns what the stars of a pattern stand for in this line; `None` when it does not fit.
///
/// The pattern may begin anywhere in the line. A star takes as little as it can; one at the end
/// takes the rest of the line.
pub(super) fn captures<'a>(pattern: &str, line: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = pattern.split('*');
    let first = pieces.next()?;
    let mut rest = &line[line.find(first)? + first.len()..];
    let mut found = Vec::new();
    for piece in pieces {
        let length = if piece.is_empty() {
            rest.len()
        } else {
            rest.find(piece)?
        };
        found.push(rest[..length].trim());
        rest = &rest[length + piece.len()..];
    }
    Some(found)
}

/// Fills `{1}`, `{2}` … of a sentence with what was captured; `{1:size}` shows bytes as a size.
pub(super) fn fill(sentence: &str, captured: &[&str]) -> String {
    let mut text = sentence.to_owned();
    for (number, value) in (1..).zip(captured) {
        let size = value.parse().map(units::size);
        let size = size.as_deref().unwrap_or(value); // what is not a number stays as it is
        text = text.replace(&format!("{{{number}:size}}"), size);
        text = text.replace(&format!("{{{number}}}"), value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_text_between_their_neighbours() {
        let rows: [(&str, &str, Option<&[&str]>); 6] = [
            ("error: *", "E error: no", Some(&["no"])),
            (
                "open '*' (*)",
                "cannot open 'a b' (gone)",
                Some(&["a b", "gone"]),
            ),
            ("open '*' (*)", "cannot open 'a b'", None),
            ("plain", "a plain line", Some(&[])),
            ("plain", "nothing", None),
            (
                "*: X(*) failed",
                "a.c:3: X(b) failed",
                Some(&["a.c:3", "b"]),
            ),
        ];
        for (pattern, line, expected) in rows {
            assert_eq!(captures(pattern, line).as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn sentences_are_filled_and_bytes_are_readable() {
        let rows = [
            ("{2} of {1}", "1 of 5368709120"),
            ("{1:size}", "5.0 GiB"),
            ("{2:size}", "1 bytes"),
            ("{3}", "{3}"),
        ];
        for (sentence, expected) in rows {
            assert_eq!(fill(sentence, &["5368709120", "1"]), expected);
        }
        assert_eq!(fill("{1:size}", &["some"]), "some");
    }
}
