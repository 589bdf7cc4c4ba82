//! Why a person has to look at a work unit.

/// Characters kept of each text; enough for an explanation, too little to fill a database.
const TEXT_LIMIT: usize = 2_000;

/// What happened, the line that shows it, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    pub summary: String,
    /// The command's own words.
    pub evidence: Option<String>,
    pub remedy: Option<String>,
}

impl Attention {
    /// Notes a reason without more to show.
    #[must_use]
    pub fn because(summary: &str) -> Self {
        Self::explained(summary, None, None)
    }

    /// Notes a reason; what is longer than it may be is cut.
    #[must_use]
    pub fn explained(summary: &str, evidence: Option<&str>, remedy: Option<&str>) -> Self {
        Self {
            summary: clip(summary),
            evidence: evidence.map(clip),
            remedy: remedy.map(clip),
        }
    }
}

/// Cuts the text and makes it harmless for a terminal; line ends stay.
fn clip(text: &str) -> String {
    let plain = |c: &char| *c == '\n' || !c.is_control();
    text.trim().chars().filter(plain).take(TEXT_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_carry_no_control_characters() {
        let long = "x".repeat(3_000);
        let why = Attention::explained("  \x1b[31mred\r\nand more ", Some(&long), None);
        assert_eq!(why.summary, "[31mred\nand more");
        assert_eq!(why.evidence.map(|text| text.len()), Some(TEXT_LIMIT));
    }
}
