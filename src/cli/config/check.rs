//! `config validate` and `config lint`: findings in rustc's manner, several at once.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::exit::{CliError, Exit};
use super::super::output::Output;
use super::super::select;
use super::machine;
use crate::config::finding::{Finding, Severity};
use crate::config::home::{Home, HomeOrigin};
use crate::config::load::{self, Broken, Loaded};
use crate::config::render::{self, Ink};
use crate::config::settings::Settings;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    findings: Vec<FindingBody>,
}

/// One finding; line and column are null when it is about the file as a whole.
#[derive(Debug, Serialize)]
struct FindingBody {
    severity: &'static str,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    field: Option<String>,
    message: String,
    help: Option<String>,
}

impl From<&Finding> for FindingBody {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: finding.severity.as_str(),
            file: finding.file.display().to_string(),
            line: (finding.line > 0).then_some(finding.line),
            column: (finding.column > 0).then_some(finding.column),
            field: (!finding.field.is_empty()).then(|| finding.field.clone()),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

/// What was looked at, and what was found.
struct Checked {
    files: usize,
    findings: Vec<Finding>,
    /// Paths in the findings are shown relative to this.
    base: PathBuf,
}

/// `config validate [PATH]`: fails on errors.
///
/// # Errors
///
/// Returns an error when there is nothing at the path.
pub(super) fn validate(
    home: &Home,
    path: Option<&Path>,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let checked = match path {
        None => whole(home),
        Some(path) => at(home, path)?,
    };
    report(&checked, Severity::Error, json, output)
}

/// `config lint [NAME]`: looks at the machine too, and fails on lints as well as on errors.
///
/// # Errors
///
/// Returns an error when no instance has this name.
pub(super) fn lint(
    home: &Home,
    name: Option<&str>,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let set = load::load(home);
    let chosen = name.map(|word| select::one(&set, word)).transpose()?;
    let mut findings: Vec<Finding> = match &chosen {
        None => set
            .settings
            .findings
            .iter()
            .chain(&set.findings)
            .cloned()
            .collect(),
        Some(_) => Vec::new(),
    };
    let mut files = 0;
    for row in &set.rows {
        let this = match row {
            Ok(loaded) => &loaded.spec.name,
            Err(broken) => &broken.name,
        };
        if chosen.as_ref().is_some_and(|chosen| chosen != this) {
            continue;
        }
        files += 1;
        match row {
            Ok(loaded) => {
                findings.extend(loaded.warnings.iter().cloned());
                findings.extend(machine::lint(home, &set, loaded));
            }
            Err(broken) => findings.extend(broken.findings.iter().cloned()),
        }
    }
    let checked = Checked {
        files,
        findings,
        base: home.root().to_owned(),
    };
    report(&checked, Severity::Lint, json, output)
}

/// Says findings as talk: after a file was written, they are no answer but advice.
pub(in crate::cli) fn say(findings: &[Finding], home: &Home, output: &Output) {
    if !findings.is_empty() {
        let ink = if output.stderr_color {
            Ink::Colored
        } else {
            Ink::Plain
        };
        output.say(render::findings(findings, home.root(), ink).trim_end());
    }
}

fn whole(home: &Home) -> Checked {
    let set = load::load(home);
    Checked {
        files: set.rows.len() + usize::from(home.settings_file().exists()),
        findings: set.all_findings().cloned().collect(),
        base: home.root().to_owned(),
    }
}

fn at(home: &Home, path: &Path) -> Result<Checked, CliError> {
    let missing = |error: std::io::Error| {
        CliError::new(Exit::General, format!("{}: {error}", path.display()))
    };
    let full = fs::canonicalize(path).map_err(missing)?;
    let findings_of = |row: Result<Loaded, Broken>| match row {
        Ok(loaded) => loaded.warnings,
        Err(broken) => broken.findings,
    };
    let findings = if full.is_dir() {
        match load::load_folder(home, &full) {
            Some(row) => findings_of(row),
            None => {
                let other = Home::open(&full, HomeOrigin::Flag)
                    .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
                if !other.instances_dir().is_dir() {
                    let message = format!("{} holds no configuration", path.display());
                    return Err(CliError::new(Exit::General, message)
                        .with_hint("name a config.toml, the folder of one, or a home"));
                }
                return Ok(whole(&other));
            }
        }
    } else if full
        .file_name()
        .is_some_and(|name| name == "orchestrator.toml")
    {
        let folder = full.parent().unwrap_or(&full);
        let other = Home::open(folder, HomeOrigin::Flag)
            .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
        Settings::load(&other).findings
    } else {
        findings_of(load::load_file(home, &full))
    };
    Ok(Checked {
        files: 1,
        findings,
        base: home.root().to_owned(),
    })
}

fn report(
    checked: &Checked,
    fails_from: Severity,
    json: bool,
    output: &Output,
) -> Result<Exit, CliError> {
    let count = |severity| {
        let of = checked
            .findings
            .iter()
            .filter(|one| one.severity == severity);
        of.count()
    };
    let failed = checked
        .findings
        .iter()
        .any(|one| one.severity >= fails_from);
    let exit = if failed { Exit::General } else { Exit::Success };
    if json {
        output.json(&Report {
            valid: !failed,
            findings: checked.findings.iter().map(FindingBody::from).collect(),
        })?;
        return Ok(exit);
    }
    if !checked.findings.is_empty() {
        let ink = if output.stdout_color {
            Ink::Colored
        } else {
            Ink::Plain
        };
        let text = render::findings(&checked.findings, &checked.base, ink);
        output.bytes(text.as_bytes())?;
    }
    let files = plural(checked.files, "file");
    let counts: Vec<String> = [
        (Severity::Error, "error"),
        (Severity::Lint, "lint"),
        (Severity::Warning, "warning"),
    ]
    .into_iter()
    .map(|(severity, word)| (count(severity), word))
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| plural(number, word))
    .collect();
    output.say(&match (checked.files, counts.is_empty()) {
        (0, true) => format!("no configuration in {}", checked.base.display()),
        (_, true) => format!("{files}, nothing to complain about"),
        (_, false) => format!("{files}: {}", counts.join(", ")),
    });
    Ok(exit)
}

fn plural(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}
