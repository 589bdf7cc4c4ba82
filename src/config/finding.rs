//! What is wrong with a file: where, which field, and what would be right.

use std::fmt;
use std::path::PathBuf;

/// One thing a person should know of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub file: PathBuf,
    /// 1 for the first line; 0 when the finding is about the file as a whole.
    pub line: usize,
    /// In characters, 1 for the first; 0 when the finding is about the file as a whole.
    pub column: usize,
    /// Dotted path, such as `server.port`; empty for the file as a whole.
    pub field: String,
    /// A lowercase fragment.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
    /// The line itself, unless it may hold a secret.
    pub excerpt: Option<Excerpt>,
}

/// The line a finding points into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    /// Characters to underline from the finding's column on; at least 1.
    pub width: usize,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing fails.
    Warning,
    /// The instance runs, but `config lint` fails.
    Lint,
    /// The file cannot be used.
    Error,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Lint => "lint",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Finding {
    /// Makes a finding about a file as a whole.
    #[must_use]
    pub fn about_file(severity: Severity, file: PathBuf, message: String) -> Self {
        Self {
            severity,
            file,
            line: 0,
            column: 0,
            field: String::new(),
            message,
            help: None,
            excerpt: None,
        }
    }

    /// Adds what is allowed, or what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Returns where it is, as `file:line:column`.
    #[must_use]
    pub fn place(&self) -> String {
        let file = self.file.display();
        if self.line > 0 {
            format!("{file}:{}:{}", self.line, self.column)
        } else {
            file.to_string()
        }
    }

    /// Returns whether it makes its file unusable.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `file:line:column: message`, on one line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}
