//! The only printer: stdout is data, stderr is talk.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::exit::{CliError, Exit};
use super::hints::Meant;
use crate::domain::harmless;

/// Whether colour may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// How to write to the two streams of this process.
#[derive(Clone, Debug)]
pub struct Output {
    pub stdout_is_terminal: bool,
    pub stdout_color: bool,
    pub stderr_color: bool,
    /// The home that hints are about.
    pub(super) meant: Meant,
}

/// Some terminals only print: the shells of editors, for one.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb")
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
            ColorChoice::Auto => terminal && !forbidden && !is_dumb(),
        };
        let stdout_is_terminal = io::stdout().is_terminal();
        Self {
            stdout_is_terminal,
            stdout_color: colored(stdout_is_terminal),
            stderr_color: colored(io::stderr().is_terminal()),
            meant: Meant::default(),
        }
    }

    /// Returns whether the dashboard can be drawn.
    #[must_use]
    pub fn has_screen(&self) -> bool {
        self.stdout_is_terminal && !is_dumb()
    }

    /// Refuses what needs a screen where there is none, before anything is begun for it.
    ///
    /// # Errors
    ///
    /// Returns why the dashboard cannot be drawn.
    pub fn needs_screen(&self) -> Result<(), CliError> {
        if self.has_screen() {
            return Ok(());
        }
        let message = match self.stdout_is_terminal {
            true => "the dashboard cannot be drawn where TERM is dumb",
            false => "the dashboard needs a terminal, and stdout is none",
        };
        let hint = "llama-orch ps prints the table";
        Err(CliError::new(Exit::General, message).with_hint(hint))
    }

    /// Writes one line of data. A closed pipe is not an error: the reader had enough.
    ///
    /// # Errors
    ///
    /// Returns an error when stdout cannot be written for another reason (a full disk).
    pub fn line(&self, text: &str) -> io::Result<Flow> {
        self.bytes(format!("{}\n", painted(text)).as_bytes())
    }

    /// Writes a line of a log: as it is where it is kept, without what a terminal would obey where
    /// one shows it.
    ///
    /// # Errors
    ///
    /// As [`Output::line`].
    pub fn log(&self, bytes: &[u8]) -> io::Result<Flow> {
        self.bytes(&self.shown(bytes))
    }

    /// Returns what is to be written of whole lines of a log.
    fn shown<'a>(&self, lines: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.stdout_is_terminal {
            return Cow::Borrowed(lines);
        }
        let text = String::from_utf8_lossy(lines);
        let line = |line: &str| {
            let (line, end) = line
                .strip_suffix('\n')
                .map_or((line, ""), |line| (line, "\n"));
            let shown = harmless::colored(line);
            // A colour that a line does not end would go on in ours.
            let reset = if shown.contains('\x1b') {
                "\x1b[0m"
            } else {
                ""
            };
            format!("{shown}{reset}{end}")
        };
        let shown: String = text.split_inclusive('\n').map(line).collect();
        Cow::Owned(shown.into_bytes())
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
        self.bytes(format!("{}\n", escaped(&text)).as_bytes())
    }

    /// Says something to the person, on stderr.
    pub fn say(&self, text: &str) {
        writeln!(io::stderr(), "{}", painted(text)).ok(); // nobody is left to tell
    }

    /// Says what went wrong.
    pub fn error(&self, text: &str) {
        let label = paint(self.stderr_color, Paint::Bad, "error:");
        self.say(&format!("{label} {text}"));
    }

    /// Says what to do next.
    pub fn hint(&self, text: &str) {
        let label = paint(self.stderr_color, Paint::Strong, "hint:");
        self.say(&format!("{label} {}", self.meant.put(text)));
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

impl Paint {
    /// How each begins, behind the escape.
    const BEGINNINGS: [(Self, &'static str); 5] = [
        (Self::Good, "[32m"),
        (Self::Busy, "[33m"),
        (Self::Bad, "[31m"),
        (Self::Dim, "[2m"),
        (Self::Strong, "[1m"),
    ];

    /// How all of them end.
    const END: &'static str = "[0m";
}

/// Colours the text when colour is on.
#[must_use]
pub fn paint(color: bool, paint: Paint, text: &str) -> String {
    let beginning = Paint::BEGINNINGS.iter().find(|(known, _)| *known == paint);
    match beginning {
        Some((_, code)) if color => format!("\x1b{code}{text}\x1b{}", Paint::END),
        Some(_) | None => text.to_owned(),
    }
}

/// Returns a text of ours, in which names and a server's words may stand: no more of it than paint
/// is obeyed by a terminal.
fn painted(text: &str) -> Cow<'_, str> {
    let Some((first, rest)) = text.split_once('\x1b') else {
        return harmless::plain(text);
    };
    let mut kept = harmless::plain(first).into_owned();
    for part in rest.split('\x1b') {
        let mut codes = Paint::BEGINNINGS.iter().map(|(_, code)| *code);
        let ours = codes.find(|code| part.starts_with(code));
        let ours = ours.or_else(|| part.starts_with(Paint::END).then_some(Paint::END));
        if let Some(code) = ours {
            kept.push('\x1b');
            kept.push_str(code);
        }
        kept.push_str(&harmless::plain(&part[ours.map_or(0, str::len)..]));
    }
    Cow::Owned(kept)
}

/// Returns a value as JSON on one line.
#[must_use]
pub fn json_line<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    escaped(&text).into_owned()
}

/// JSON may hold DEL and the controls beyond ASCII as they are; in its strings, the only place for
/// them, they mean the same when they are spelled.
fn escaped(json: &str) -> Cow<'_, str> {
    let raw = |letter: char| letter.is_control() && letter != '\n';
    if !json.contains(raw) {
        return Cow::Borrowed(json);
    }
    let spell = |letter: char| match raw(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    };
    Cow::Owned(json.chars().map(spell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_our_paint_is_obeyed_by_a_terminal() {
        let ours = paint(true, Paint::Bad, "failed: \x1b]0;pwned\x07\x1b[2J");
        assert_eq!(painted(&ours), "\x1b[31mfailed: ]0;pwned[2J\x1b[0m");
        let rows = [
            ("a\tb\nc", "a\tb\nc"),
            ("a\rb\x1b", "ab"),
            ("\x1b[8mhidden\x1b[31;1mx", "[8mhidden[31;1mx"),
            ("\u{9b}2J", "2J"),
        ];
        for (text, expected) in rows {
            assert_eq!(painted(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_log_is_left_as_it_is_unless_a_terminal_shows_it() {
        let output = |stdout_is_terminal| Output {
            stdout_is_terminal,
            stdout_color: false,
            stderr_color: false,
            meant: Meant::default(),
        };
        let log = b"\x1b[31mred\n\x1b]0;pwned\x07plain\r\n\xff\n";
        assert_eq!(*output(false).shown(log), *log);
        let shown = "\x1b[31mred\x1b[0m\nplain\n\u{fffd}\n";
        assert_eq!(*output(true).shown(log), *shown.as_bytes());
    }

    #[test]
    fn json_means_the_same_without_a_control_character() {
        let value = serde_json::json!({"name": "a\u{9b}2J\u{7f}\x1b[2J\n"});
        let text = serde_json::to_string_pretty(&value).expect("it has a shape");
        let escaped = escaped(&text);
        assert!(!escaped.contains(|letter: char| letter.is_control() && letter != '\n'));
        let read: serde_json::Value = serde_json::from_str(&escaped).expect("JSON");
        assert_eq!(read, value);
    }
}
