//! Findings as text in rustc's manner; readable without colour.

use std::fmt::Write as _;
use std::path::Path;

use super::finding::Finding;

/// Returns every finding as text, errors first, each ended by an empty line.
///
/// Paths below `base` are shown relative to it.
#[must_use]
pub fn findings(findings: &[Finding], base: &Path) -> String {
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
        .map(|one| finding(one, base) + "\n")
        .collect()
}

/// Returns one finding as text: headline, place, the line with a mark under it, help.
#[must_use]
pub fn finding(finding: &Finding, base: &Path) -> String {
    let mut text = String::new();
    let path = finding.file.strip_prefix(base).unwrap_or(&finding.file);
    let gutter = finding.line.to_string().len();
    write_all(&mut text, finding, path, gutter).ok(); // writing to a String cannot fail
    text
}

fn write_all(text: &mut String, finding: &Finding, path: &Path, gutter: usize) -> std::fmt::Result {
    writeln!(
        text,
        "{}: {}",
        finding.severity,
        printable(&finding.message)
    )?;
    write!(
        text,
        "{:gutter$}--> {}",
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
        writeln!(text, "{:gutter$} |", "")?;
        writeln!(text, "{} | {}", finding.line, printable(&excerpt.text))?;
        writeln!(
            text,
            "{:gutter$} | {indent}{}",
            "",
            "^".repeat(excerpt.width)
        )?;
    }
    if let Some(help) = &finding.help {
        writeln!(text, "{:gutter$} = help: {}", "", printable(help))?;
    }
    Ok(())
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
    use crate::config::finding::{Excerpt, Severity};

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
        let text = findings(&[warning, sample()], Path::new("/home"));
        assert!(text.starts_with("error: "), "{text}");
        assert!(
            text.contains("\n\nwarning: first in the alphabet\n --> a\n"),
            "{text}"
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let mut nasty = sample();
        nasty.message = "\u{1b}[2J".to_owned();
        assert!(!finding(&nasty, Path::new("/")).contains('\u{1b}'));
    }
}
