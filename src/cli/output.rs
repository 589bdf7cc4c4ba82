//! The only printer: stdout is data, stderr is talk.
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Whether colour may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// How to write to the two streams of this process.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub stdout_is_terminal: bool,
    pub stdout_color: bool,
    pub stderr_color: bool,
}

/// The paints used in text; each means the same as the word it colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Good,
    Busy,
    Bad,
    Dim,
    Strong,
}

impl Output {
    /// Decides by flag, `NO_COLOR` and what the streams are.
    #[must_use]
    pub fn new(choice: ColorChoice) -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |terminal: bool| match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !forbidden,
        };
        let stdout_is_terminal = io::stdout().is_terminal();
        Self {
            stdout_is_terminal,
            stdout_color: colored(stdout_is_terminal),
            stderr_color: colored(io::stderr().is_terminal()),
        }
    }

    /// Writes one line of data. A closed pipe is not an error: the reader had enough.
    ///
    /// # Errors
    ///
    /// Returns an error when stdout cannot be written for another reason (a full disk).
    pub fn line(&self, text: &str) -> io::Result<Flow> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes data as it is.
    ///
    /// # Errors
    ///
    /// As [`Output::line`].
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<Flow> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(Flow::Continue),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Flow::ReaderGone),
            Err(error) => Err(error),
        }
    }

    /// Writes a value as JSON, indented, on stdout.
    ///
    /// # Errors
    ///
    /// As [`Output::line`].
    pub fn json<T: Serialize>(&self, value: &T) -> io::Result<Flow> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// Says something to the person, on stderr.
    pub fn say(&self, text: &str) {
        writeln!(io::stderr(), "{text}").ok(); // nobody is left to tell
    }

    /// Says what went wrong.
    pub fn error(&self, text: &str) {
        let label = paint(self.stderr_color, Paint::Bad, "error:");
        self.say(&format!("{label} {text}"));
    }

    /// Says what to do next.
    pub fn hint(&self, text: &str) {
        let label = paint(self.stderr_color, Paint::Strong, "hint:");
        self.say(&format!("{label} {text}"));
    }

    pub fn warning(&self, text: &str) {
        let label = paint(self.stderr_color, Paint::Busy, "warning:");
        self.say(&format!("{label} {text}"));
    }
}

/// Whether anybody still reads our data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    ReaderGone,
}

/// Colours the text when colour is on.
#[must_use]
pub fn paint(color: bool, paint: Paint, text: &str) -> String {
    if !color {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => "32",
        Paint::Busy => "33",
        Paint::Bad => "31",
        Paint::Dim => "2",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
