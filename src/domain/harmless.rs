//! What of a stranger's text may reach a terminal: a server's log, a name, a reason.
//!
//! A terminal obeys what is written to it. A line of a log could move the cursor, set the title, fill
//! the clipboard or answer in the person's name, so of control characters only those stay that
//! cannot: the end of a line, the tab, and where it is asked for, colours.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Returns a text of any number of lines without what a terminal would obey. What followed an
/// escape stays to be read: nothing of ours that stands behind it may vanish with it.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|letter| !is_obeyed(*letter)).collect())
}

/// Returns a line of a log: whole escape sequences go, but colours stay.
#[must_use]
pub fn colored(line: &str) -> Cow<'_, str> {
    if !line.contains(is_obeyed) {
        return Cow::Borrowed(line);
    }
    let mut kept = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(next) = rest.next() {
        if next == '\x1b' {
            if let Some(numbers) = color_of(&mut rest) {
                kept.extend(["\x1b[", &numbers, "m"]);
            }
        } else if !is_obeyed(next) {
            kept.push(next);
        }
    }
    Cow::Owned(kept)
}

fn is_obeyed(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\n' | '\t')
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
    fn only_colours_stay_of_a_line_and_nothing_moves_the_cursor() {
        for (line, expected) in [
            ("plain ü", "plain ü"),
            ("a\tb\r", "a\tb"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            ("\x1b[2J\x1b[1;1Hgone", "gone"),
            ("\x1b[?25lx\x1b[>4;1my", "xy"),
            ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y", "xy"),
            ("\x1b]52;c;cm0gLXJm\x07x", "x"),
            ("\x1bP$q\"p\x1b\\x\x1b[5n", "x"),
            ("a\x1b[1;31", "a"),
            ("a\x1b", "a"),
            ("\x1b(Bx\x1b7\u{9b}31my\x00\x7f\u{85}", "x31my"),
        ] {
            assert_eq!(colored(line), expected, "{line:?}");
        }
    }

    #[test]
    fn nothing_that_stands_behind_a_sequence_vanishes_with_it() {
        for (text, expected) in [
            ("plain ü\n\tand more", "plain ü\n\tand more"),
            ("\x1b]0;pwned: it is ready", "]0;pwned: it is ready"),
            ("\x1b[8mhidden\x07\u{9b}2J", "[8mhidden2J"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }
}
