//! The text of a line: what is shown of it, with and without its colours.

use std::borrow::Cow;

use crate::domain::harmless;

/// What a tab becomes; a line has no tab stops when it is panned.
const TAB: &str = "    ";

/// A line ready to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::tui) struct Shown {
    /// Without escape sequences and control characters.
    pub(in crate::tui) plain: String,
    /// The same with its colours, when it has any.
    pub(in crate::tui) colored: Option<String>,
}

/// Keeps of a line what can be shown: text, and escape sequences that only colour it.
pub(in crate::tui) fn shown(bytes: &[u8]) -> Shown {
    let text = String::from_utf8_lossy(bytes);
    let colored = match harmless::colored(&text) {
        Cow::Borrowed(line) if line.contains('\t') => line.replace('\t', TAB),
        Cow::Borrowed(line) => line.to_owned(),
        Cow::Owned(line) => line.replace('\t', TAB),
    };
    match uncolored(&colored) {
        Some(plain) => Shown {
            plain,
            colored: Some(colored),
        },
        None => Shown {
            plain: colored,
            colored: None,
        },
    }
}

/// Returns a line without its colours, the only sequences it has; `None` when it has none.
fn uncolored(line: &str) -> Option<String> {
    let (first, rest) = line.split_once('\x1b')?;
    let behind = |part: &'_ str| part.split_once('m').map_or("", |(_, text)| text).to_owned();
    Some(first.to_owned() + &rest.split('\x1b').map(behind).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_and_without_its_colours() {
        for (line, plain, colored) in [
            ("plain ü", "plain ü", None),
            ("a\tb\r", "a    b", None),
            ("\x1b[31mred\x1b[0m", "red", Some("\x1b[31mred\x1b[0m")),
            (
                "a\x1b[mm\x1b[1;2m\tm",
                "am    m",
                Some("a\x1b[mm\x1b[1;2m    m"),
            ),
            ("\x1b[2J\x1b[1;1Hgone", "gone", None),
            ("a\x1b[1;31", "a", None),
        ] {
            let shown = shown(line.as_bytes());
            assert_eq!(shown.plain, plain, "{line:?}");
            assert_eq!(shown.colored.as_deref(), colored, "{line:?}");
        }
        assert_eq!(shown(b"\xff\xfe").plain, "\u{fffd}\u{fffd}");
    }
}
