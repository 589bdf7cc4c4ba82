//! Findings as text in rustc's manner; readable without colour.

use std::fmt::Write as _;
use std::path::Path;

use super::finding::{Finding, Severity};

/// Whether the text is for a terminal that shows colours; the words are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Colored,
}

/// Returns every finding as text, errors first, each ended by an empty line.
///
/// Paths below `base` are shown relative to it.
#[must_use]
pub fn findings(findings: &[Finding], base: &Path, ink: Ink) -> String {
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by(|left, right| {
        let place = |finding: &Finding| (finding.file.clone(), finding.line, finding.column);
        right
            .severity
            .cmp(&left.severity)
            .then_with(|| place(left).cmp(&place(right)))
    });
    ordered
        .into_iter()
        .map(|one| painted(one, base, ink) + "\n")
        .collect()
}

/// Returns one finding as plain text: headline, place, the line with a mark under it, help.
#[must_use]
pub fn finding(finding: &Finding, base: &Path) -> String {
    painted(finding, base, Ink::Plain)
}

fn painted(finding: &Finding, base: &Path, ink: Ink) -> String {
    let mut text = String::new();
    let path = finding.file.strip_prefix(base).unwrap_or(&finding.file);
    let gutter = finding.line.to_string().len();
    write_all(&mut text, finding, path, gutter, ink).ok(); // writing to a String cannot fail
    text
}

fn write_all(
    text: &mut String,
    finding: &Finding,
    path: &Path,
    gutter: usize,
    ink: Ink,
) -> std::fmt::Result {
    let loud = ink.of(finding.severity);
    let (frame, strong) = (ink.paint("34"), ink.paint("1"));
    let end = ink.paint("0");
    writeln!(
        text,
        "{loud}{}{end}{strong}: {}{end}",
        finding.severity,
        printable(&finding.message)
    )?;
    write!(
        text,
        "{:gutter$}{frame}-->{end} {}",
        "",
        printable(&path.display().to_string())
    )?;
    if finding.line > 0 {
        write!(text, ":{}:{}", finding.line, finding.column)?;
    }
    writeln!(text)?;
    if let Some(excerpt) = &finding.excerpt {
        // Tabs are kept so that the mark stands under its text at any tab width.
        let indent: String = excerpt
            .text
            .chars()
            .take(finding.column.saturating_sub(1))
            .map(|character| if character == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(text, "{frame}{:gutter$} |{end}", "")?;
        writeln!(
            text,
            "{frame}{} |{end} {}",
            finding.line,
            printable(&excerpt.text)
        )?;
        writeln!(
            text,
            "{frame}{:gutter$} |{end} {indent}{loud}{}{end}",
            "",
            "^".repeat(excerpt.width)
        )?;
    }
    if let Some(help) = &finding.help {
        writeln!(
            text,
            "{frame}{:gutter$} ={end} {strong}help{end}: {}",
            "",
            printable(help)
        )?;
    }
    Ok(())
}

impl Ink {
    fn paint(self, code: &str) -> String {
        match self {
            Self::Plain => String::new(),
            Self::Colored => format!("\x1b[{code}m"),
        }
    }

    fn of(self, severity: Severity) -> String {
        self.paint(match severity {
            Severity::Error => "1;31",
            Severity::Lint => "1;35",
            Severity::Warning => "1;33",
        })
    }
}

/// Replaces what would move the cursor: a file must not be able to play with a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' => '\t',
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::finding::Excerpt;

    fn sample() -> Finding {
        Finding {
            severity: Severity::Error,
            file: PathBuf::from("/home/instances/a/config.toml"),
            line: 12,
            column: 8,
            field: "server.port".to_owned(),
            message: "server.port must be a port, not 70000".to_owned(),
            help: Some("1 to 65535, or \"auto\"".to_owned()),
            excerpt: Some(Excerpt {
                text: "port = 70000".to_owned(),
                width: 5,
            }),
        }
    }

    #[test]
    fn a_finding_shows_its_line_with_a_mark_under_it() {
        let expected = concat!(
            "error: server.port must be a port, not 70000\n",
            "  --> instances/a/config.toml:12:8\n",
            "   |\n",
            "12 | port = 70000\n",
            "   |        ^^^^^\n",
            "   = help: 1 to 65535, or \"auto\"\n",
        );
        assert_eq!(finding(&sample(), Path::new("/home")), expected);
    }

    #[test]
    fn errors_come_before_warnings() {
        let warning = Finding::about_file(
            Severity::Warning,
            PathBuf::from("/home/a"),
            "first in the alphabet".to_owned(),
        );
        let text = findings(&[warning, sample()], Path::new("/home"), Ink::Plain);
        assert!(text.starts_with("error: "), "{text}");
        assert!(
            text.contains("\n\nwarning: first in the alphabet\n --> a\n"),
            "{text}"
        );
    }

    #[test]
    fn colours_change_no_word() {
        let painted = painted(&sample(), Path::new("/home"), Ink::Colored);
        let mut plain = painted.clone();
        for code in ["1;31", "34", "1", "0"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_ne!(painted, plain);
        assert_eq!(plain, finding(&sample(), Path::new("/home")));
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let mut nasty = sample();
        nasty.message = "\u{1b}[2J".to_owned();
        assert!(!finding(&nasty, Path::new("/")).contains('\u{1b}'));
    }
}
