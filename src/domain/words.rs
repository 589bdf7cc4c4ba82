//! Enums whose values have a word each, the same in the database, on the wire and on the screen.

/// Implements `as_str`, `parse` and `Display` over the type's own `NAMES` table.
macro_rules! words {
    ($type:ty) => {
        impl $type {
            /// Returns the word used in the database, on the wire and on the screen.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                Self::NAMES
                    .iter()
                    .find(|(value, _)| *value == self)
                    .map_or("unknown", |(_, word)| word)
            }

            /// Reads the word back; `None` for a word this version does not know.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::NAMES
                    .iter()
                    .find(|(_, name)| *name == word)
                    .map(|(value, _)| *value)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use words;
