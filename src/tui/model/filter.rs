//! What a person types to see fewer instances: words, regular expressions, `key:value`, `!`.

use regex::{Regex, RegexBuilder};

use crate::domain::fleet::InstanceRow;

/// The keys of `key:value`.
pub(in crate::tui) const KEYS: [&str; 10] = [
    "name", "state", "tag", "backend", "device", "model", "port", "pid", "health", "is",
];

/// Terms that must all hold.
#[derive(Clone, Debug, Default)]
pub(in crate::tui) struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
struct Term {
    holds: bool,
    key: Option<&'static str>,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
enum Pattern {
    Regex(Regex),
    /// What is no regular expression is looked for as it is.
    Literal(String),
}

impl Filter {
    /// Reads a filter; every text is one.
    pub(in crate::tui) fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().filter_map(term).collect();
        Self {
            text: text.trim().to_owned(),
            terms,
        }
    }

    pub(in crate::tui) fn text(&self) -> &str {
        &self.text
    }

    pub(in crate::tui) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns whether what it lets through may differ when only readings do.
    pub(in crate::tui) fn asks_for_readings(&self) -> bool {
        self.terms.iter().any(|term| term.key == Some("is"))
    }

    pub(in crate::tui) fn matches(&self, row: &InstanceRow) -> bool {
        self.terms.iter().all(|term| term.matches(row))
    }

    /// For lines of text, such as events: keys are `instance`-less words there.
    pub(in crate::tui) fn matches_text(&self, text: &str) -> bool {
        self.terms
            .iter()
            .all(|term| term.pattern.is_match(text) == term.holds)
    }
}

fn term(word: &str) -> Option<Term> {
    let (holds, word) = match word.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, word),
    };
    let keyed = word.split_once(':').and_then(|(key, value)| {
        let key = KEYS.into_iter().find(|known| *known == key)?;
        Some((key, value))
    });
    let (key, pattern) = match keyed {
        Some((key, value)) => (Some(key), value),
        None => (None, word),
    };
    if pattern.is_empty() {
        return None;
    }
    // As in many tools: small letters match both.
    let insensitive = !pattern.chars().any(char::is_uppercase);
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(insensitive)
        .build();
    Some(Term {
        holds,
        key,
        pattern: regex.map_or_else(|_| Pattern::Literal(pattern.to_owned()), Pattern::Regex),
    })
}

impl Pattern {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Literal(literal) => text.contains(literal.as_str()),
        }
    }
}

impl Term {
    fn matches(&self, row: &InstanceRow) -> bool {
        let number = |value: Option<String>| value.is_some_and(|text| self.pattern.is_match(&text));
        let found = match self.key {
            None => {
                self.pattern.is_match(row.name.as_str())
                    || self.pattern.is_match(&row.display_name)
                    || self.pattern.is_match(&row.model)
                    || self.pattern.is_match(row.state_word())
                    || row.tags.iter().any(|tag| self.pattern.is_match(tag))
            }
            Some("name") => self.pattern.is_match(row.name.as_str()),
            Some("state") => {
                self.pattern.is_match(row.state_word())
                    || (row.broken && self.pattern.is_match("invalid"))
            }
            Some("tag") => row.tags.iter().any(|tag| self.pattern.is_match(tag)),
            Some("backend") => self.pattern.is_match(&row.backend),
            Some("device") => self.pattern.is_match(&row.device),
            Some("model") => self.pattern.is_match(&row.model),
            Some("health") => self.pattern.is_match(row.health.as_str()),
            Some("port") => number(row.port.map(|port| port.to_string())),
            Some("pid") => number(row.pid.map(|pid| pid.to_string())),
            Some(_) => {
                (row.drift && self.pattern.is_match("drifted"))
                    || (row.broken && self.pattern.is_match("broken"))
                    || (row.status.is_live() && self.pattern.is_match("live"))
                    || (row.readings.busy_slots.is_some_and(|busy| busy > 0)
                        && self.pattern.is_match("busy"))
            }
        };
        found == self.holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::{Health, Status};
    use crate::tui::tests::rows::row;

    #[test]
    fn terms_are_words_patterns_keys_and_their_opposites() {
        let mut chat = row("chat-8b", Status::Running, Health::Healthy);
        chat.tags = vec!["prod".to_owned()];
        chat.port = Some(8082);
        chat.drift = true;
        let rows = [
            ("", true),
            ("chat", true),
            ("CHAT", false),
            ("^chat-\\d+b$", true),
            ("embed", false),
            ("!embed", true),
            ("tag:prod state:ready", true),
            ("tag:prod !state:ready", false),
            ("port:8082", true),
            ("port:9", false),
            ("is:drifted", true),
            ("is:broken", false),
            ("[", false),
            ("state:", true),
        ];
        for (text, expected) in rows {
            assert_eq!(Filter::parse(text).matches(&chat), expected, "{text:?}");
        }
    }
}
