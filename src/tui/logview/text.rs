//! The text of a line: what is shown of it, with and without its colours.

use std::iter::Peekable;
use std::str::Chars;

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
    if !text.bytes().any(|byte| byte.is_ascii_control()) && !text.chars().any(char::is_control) {
        return Shown {
            plain: text.into_owned(),
            colored: None,
        };
    }
    let mut plain = String::with_capacity(text.len());
    let mut colored = String::with_capacity(text.len());
    let mut has_color = false;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\x1b' => {
                if let Some(sequence) = color_of(&mut rest) {
                    has_color = true;
                    colored.push_str("\x1b[");
                    colored.push_str(&sequence);
                    colored.push('m');
                }
            }
            '\t' => {
                plain.push_str(TAB);
                colored.push_str(TAB);
            }
            control if control.is_control() => {}
            visible => {
                plain.push(visible);
                colored.push(visible);
            }
        }
    }
    Shown {
        plain,
        colored: has_color.then_some(colored),
    }
}

/// Reads an escape sequence to its end; returns the numbers of one that colours.
fn color_of(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    match rest.next()? {
        '[' => {
            let mut numbers = String::new();
            for next in rest.by_ref() {
                if ('@'..='~').contains(&next) {
                    let plain = numbers
                        .chars()
                        .all(|part| part.is_ascii_digit() || part == ';');
                    return (next == 'm' && plain).then_some(numbers);
                }
                numbers.push(next);
            }
            None
        }
        // Titles, links and other strings end with BEL or ESC \.
        ']' | 'P' | '_' | '^' | 'X' => {
            while let Some(next) = rest.next() {
                if next == '\x07' {
                    break;
                }
                if next == '\x1b' {
                    rest.next_if_eq(&'\\');
                    break;
                }
            }
            None
        }
        '(' | ')' | '*' | '+' | '#' | '%' => {
            rest.next();
            None
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_stay_and_nothing_moves_the_cursor() {
        for (line, plain, colored) in [
            ("plain ü", "plain ü", None),
            ("a\tb\r", "a    b", None),
            ("\x1b[31mred\x1b[0m", "red", Some("\x1b[31mred\x1b[0m")),
            ("\x1b[2J\x1b[1;1Hgone", "gone", None),
            ("\x1b[?25lx\x1b[>4;1my", "xy", None),
            ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y", "xy", None),
            ("a\x1b[1;31", "a", None),
            ("a\x1b", "a", None),
            ("\x1b(Bx\x1b7\u{9b}31my\x00", "x31my", None),
        ] {
            let shown = shown(line.as_bytes());
            assert_eq!(shown.plain, plain, "{line:?}");
            assert_eq!(shown.colored.as_deref(), colored, "{line:?}");
        }
        assert_eq!(shown(b"\xff\xfe").plain, "\u{fffd}\u{fffd}");
    }
}
