//! Log lines and printed texts. Nothing here panics when nobody reads: a real server lives on too.

use std::io::{self, Write as _};
use std::sync::LazyLock;
use std::time::Instant;

/// The clock of the log lines starts with the first one.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Where a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

/// Writes a log line as llama-server does: minutes, seconds, milliseconds, microseconds first.
pub(super) fn log(text: &str) {
    let passed = STARTED.elapsed();
    let line = format!(
        "{}.{:02}.{:03}.{:03} {text}\n",
        passed.as_secs() / 60,
        passed.as_secs() % 60,
        passed.subsec_millis(),
        passed.subsec_micros() % 1000,
    );
    io::stderr().write_all(line.as_bytes()).ok(); // EPIPE must not end a server
}

/// Writes a text as it is.
pub(super) fn print(text: &str, to: To) {
    match to {
        To::Stdout => io::stdout().write_all(text.as_bytes()).ok(), // nobody reads it
        To::Stderr => io::stderr().write_all(text.as_bytes()).ok(), // nobody reads it
    };
}
