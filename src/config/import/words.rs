//! Splits a command into words as a shell would, without running anything.

/// Returns the words, or why they cannot be told apart. Lines that begin with `#` are left out, and
/// a line break is a space.
///
/// # Errors
///
/// Returns the reason as a person would say it.
pub fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let code: Vec<&str> = lines.collect();
    let code = code.join("\n");
    let mut characters = code.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(mark), _) if character == mark => quote = None,
            (Some('"'), '\\') if matches!(characters.peek(), Some('"' | '\\' | '$' | '`')) => {
                word.get_or_insert_default().extend(characters.next());
            }
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '\\') => match characters.next() {
                // A continued line.
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_as_in_a_shell() {
        let rows: [(&str, &[&str]); 7] = [
            ("a  b\tc", &["a", "b", "c"]),
            ("a \\\n  b", &["a", "b"]),
            ("# no\na\n  # nor this\nb", &["a", "b"]),
            ("'a b' \"c \\\" d\" e\\ f", &["a b", "c \" d", "e f"]),
            ("--x='{\"k\": 1}'", &["--x={\"k\": 1}"]),
            ("'' \"\"", &["", ""]),
            ("", &[]),
        ];
        for (text, expected) in rows {
            assert_eq!(split(text).expect("it can be split"), expected, "{text:?}");
        }
        assert!(split("'a").is_err());
    }
}
