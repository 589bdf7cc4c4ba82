//! The name of a work unit.

use std::fmt;

/// The longest name, so that it fits into paths and columns.
const NAME_LIMIT: usize = 64;

/// The identity of a work unit: 1–64 of `a-z 0-9 _ . -`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chunk(String);

/// The text is not the name of a work unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not the name of a work unit: 1 to 64 of a-z, 0-9, '_', '.' and '-', the first a \
     letter or digit"
)]
pub struct InvalidChunk {
    pub text: String,
}

impl Chunk {
    /// Checks the text against the rule for names.
    ///
    /// # Errors
    ///
    /// Returns the text back when it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidChunk> {
        let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let starts_well = bytes.first().is_some_and(letter);
        let goes_on_well = bytes
            .iter()
            .all(|byte| letter(byte) || matches!(byte, b'_' | b'.' | b'-'));
        if bytes.len() > NAME_LIMIT || !starts_well || !goes_on_well {
            return Err(InvalidChunk {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Lists names for a sentence.
pub(super) fn list<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> String {
    let names: Vec<&str> = chunks.into_iter().map(Chunk::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        let longest = "a".repeat(64);
        for good in ["a", "0", "a.", "a-b_c.9-", longest.as_str()] {
            assert!(Chunk::parse(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in [
            "",
            ".a",
            "-a",
            "_a",
            "A",
            "a b",
            "a/b",
            "ä",
            "a\n",
            too_long.as_str(),
        ] {
            assert!(Chunk::parse(bad).is_err(), "{bad}");
        }
    }
}
