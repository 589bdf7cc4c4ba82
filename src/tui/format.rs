//! Numbers and names as they are shown: short, and cut to the width they have.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::domain::units::short_size;

/// What is shown for anything that is not known.
pub(super) const UNKNOWN: &str = "-";

/// Writes a part and its whole, the unit once if both have the same: `41/128G`, `812M/2.0G`.
pub(super) fn share(part: u64, whole: u64) -> String {
    let (part, whole) = (short_size(part), short_size(whole));
    match (part.chars().last(), whole.chars().last()) {
        (Some(one), Some(other)) if one == other => {
            format!("{}/{whole}", part.trim_end_matches(one))
        }
        (_, _) => format!("{part}/{whole}"),
    }
}

/// Writes a rate with at most four digits: `0.0`, `96.1`, `182`, `12.3k`.
pub(super) fn rate(value: f32) -> String {
    if value < 999.5 {
        if value < 99.95 {
            format!("{value:.1}")
        } else {
            format!("{value:.0}")
        }
    } else {
        format!("{:.1}k", value / 1000.0)
    }
}

pub(super) fn percent(value: f32) -> String {
    format!("{value:.0}%")
}

/// Writes a count with thousands apart: `1,204,551`.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns a text takes on the screen.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Cuts a text to `limit` columns; the cut is shown by `…`.
pub(super) fn cut(text: &str, limit: usize) -> String {
    if text.width() <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > limit {
            break;
        }
        used += wide;
        kept.push(character);
    }
    if limit > 0 {
        kept.push('…');
    }
    kept
}

/// Breaks a text as [`wrap`] does, and cuts what is left after so many lines.
pub(super) fn wrap_to(text: &str, limit: usize, most: usize) -> Vec<String> {
    let mut lines = wrap(text, limit);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), limit);
        }
    }
    lines
}

/// Breaks a text at spaces into lines of at most `limit` columns.
pub(super) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let needed = if line.is_empty() { 0 } else { line.width() + 1 };
            if needed + word.width() > limit && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            while line.width() > limit {
                let mut head = String::new();
                let mut used = 0;
                for character in line.chars() {
                    used += character.width().unwrap_or(0);
                    if used > limit && !head.is_empty() {
                        break;
                    }
                    head.push(character);
                }
                let tail = line.split_off(head.len());
                lines.push(head);
                line = tail;
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0.0"),
            (96.12, "96.1"),
            (182.4, "182"),
            (12_345.0, "12.3k"),
        ] {
            assert_eq!(rate(value), text);
        }
        assert_eq!(share(44_023_414_784, 137_438_953_472), "41/128G");
        assert_eq!(share(0, 137_438_953_472), "0B/128G");
        assert_eq!(count(1_204_551), "1,204,551");
        assert_eq!(count(12), "12");
    }

    #[test]
    fn texts_fit_their_place() {
        assert_eq!(cut("coder", 5), "coder");
        assert_eq!(cut("coder", 4), "cod…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    }
}
