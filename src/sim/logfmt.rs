//! Log lines in llama-server's own form, on stderr.

use std::io::{self, Write as _};
use std::time::Instant;

use serde_json::json;

/// How much a line matters; a line is written when the verbosity reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error = 1,
    Warning = 2,
    Info = 3,
    /// Shown as information, but only from verbosity 4 on.
    Trace = 4,
}

/// How lines look and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// On stderr, with the time and the level in front.
    Prefixed,
    /// On stderr, with the level in front.
    Untimed,
    /// On stderr, the text alone.
    Bare,
    /// On stdout, as JSON lines.
    Json,
    /// No log at all.
    Silent,
}

/// Writes log lines. A reader that went away never ends or disturbs the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    start: Instant,
    verbosity: u8,
    form: Form,
}

impl Log {
    pub(super) fn new(start: Instant, verbosity: u8, form: Form) -> Self {
        Self {
            start,
            verbosity,
            form,
        }
    }

    /// Writes a line of the server's own code: area, function, text.
    pub(super) fn server(&self, level: Level, area: &str, function: &str, text: &str) {
        self.line(level, &format!("{area:<4} {function:>12.12}: {text}"));
    }

    /// Writes a line as it stands, for the model library's own messages.
    pub(super) fn line(&self, level: Level, text: &str) {
        if !self.shows(level) {
            return;
        }
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let line = render(self.form, micros, level, text);
        match self.form {
            Form::Json => write_stdout(line.as_bytes()),
            Form::Prefixed | Form::Untimed | Form::Bare | Form::Silent => write_stderr(&line),
        }
    }

    /// Writes a piece of a progress line, without a line end of its own.
    pub(super) fn progress(&self, text: &str) {
        let plain = matches!(self.form, Form::Prefixed | Form::Untimed | Form::Bare);
        if plain && self.shows(Level::Trace) {
            write_stderr(text);
        }
    }

    /// Returns whether lines of this level are written.
    pub(super) fn shows(&self, level: Level) -> bool {
        self.form != Form::Silent && self.verbosity >= level as u8
    }
}

/// Writes to stderr in one call, so that lines of several threads never mix.
pub(super) fn write_stderr(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok(); // the reader may have gone away
}

/// Writes to stdout and flushes.
pub(super) fn write_stdout(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).ok(); // the reader may have gone away
}

fn render(form: Form, micros: u64, level: Level, text: &str) -> String {
    let (letter, word) = match level {
        Level::Error => ('E', "error"),
        Level::Warning => ('W', "warn"),
        Level::Info | Level::Trace => ('I', "info"),
    };
    match form {
        Form::Prefixed => format!("{} {letter} {text}\n", stamp(micros)),
        Form::Untimed => format!("{letter} {text}\n"),
        Form::Bare | Form::Silent => format!("{text}\n"),
        Form::Json => {
            let line =
                json!({"type": "log", "time": micros, "level": word, "msg": format!("{text}\n")});
            format!("{line}\n")
        }
    }
}

/// Minutes, seconds, milliseconds, microseconds since the start.
fn stamp(micros: u64) -> String {
    format!(
        "{}.{:02}.{:03}.{:03}",
        micros / 60_000_000,
        micros / 1_000_000 % 60,
        micros / 1000 % 1000,
        micros % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_those_of_llama_server() {
        let text = "srv  llama_server: model loaded";
        for (form, micros, level, line) in [
            (
                Form::Prefixed,
                20_486,
                Level::Info,
                "0.00.020.486 I srv  llama_server: model loaded\n",
            ),
            (
                Form::Prefixed,
                61_002_003,
                Level::Trace,
                "1.01.002.003 I srv  llama_server: model loaded\n",
            ),
            (
                Form::Untimed,
                0,
                Level::Warning,
                "W srv  llama_server: model loaded\n",
            ),
            (
                Form::Bare,
                0,
                Level::Error,
                "srv  llama_server: model loaded\n",
            ),
            (
                Form::Json,
                7,
                Level::Error,
                "{\"level\":\"error\",\"msg\":\"srv  llama_server: model loaded\\n\",\"time\":7,\"type\":\"log\"}\n",
            ),
        ] {
            assert_eq!(render(form, micros, level, text), line);
        }
    }
}
