//! How bad a line of a server's log is, read off the line itself.

/// What a line says of itself, least bad first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

/// Longer runs of escape sequences and blanks than this are not looked through.
const PREFIX_LIMIT: usize = 256;

/// Beginnings of lines that libraries write without a level, as they were seen in the last words
/// of real servers.
const LAST_WORDS: [&[u8]; 12] = [
    b"error:",
    b"Error:",
    b"ERROR",
    b"[ERROR",
    b"fatal",
    b"terminate called",
    b"CUDA error",
    b"GGML_ASSERT",
    b"libc++abi:",
    b"Segmentation fault",
    b"ggml_abort",
    b"vk::",
];

/// Words that make a line without a level an error wherever they stand in it.
const INSIDE: [&[u8]; 4] = [
    b"GGML_ASSERT(",
    b"Aborted (core dumped)",
    b"failed to load model",
    b"out of memory",
];

impl LogLevel {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warning, Self::Error]
            .into_iter()
            .find(|level| level.word() == word)
    }

    /// Returns the level of a line: llama-server's letter (`0.00.020.486 E …` or `E …`), its JSON
    /// form, or what is known of messages that carry none. `None` for a line that says nothing.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = skip_escapes(line);
        if line.first() == Some(&b'{') {
            return of_json(line);
        }
        let after_time = skip_escapes(skip_time(line));
        if let [letter, b' ' | b'\x1b', ..] = after_time
            && let Some(level) = of_letter(*letter)
        {
            return Some(level);
        }
        of_message(line)
    }
}

fn of_letter(letter: u8) -> Option<LogLevel> {
    match letter {
        b'D' => Some(LogLevel::Debug),
        b'I' => Some(LogLevel::Info),
        b'W' => Some(LogLevel::Warning),
        b'E' => Some(LogLevel::Error),
        _ => None,
    }
}

/// The `level` of `--log-jsonl`, without reading the JSON: the key stands before the text.
fn of_json(line: &[u8]) -> Option<LogLevel> {
    let rest = after(line, b"\"level\"")?;
    let value = rest.iter().position(|byte| !b": \"".contains(byte))?;
    let value = rest.get(value..)?;
    let words: [(&[u8], LogLevel); 6] = [
        (b"err", LogLevel::Error),
        (b"ERR", LogLevel::Error),
        (b"warn", LogLevel::Warning),
        (b"WARN", LogLevel::Warning),
        (b"info", LogLevel::Info),
        (b"INFO", LogLevel::Info),
    ];
    words
        .into_iter()
        .find(|(word, _)| value.starts_with(word))
        .map(|(_, level)| level)
}

fn of_message(line: &[u8]) -> Option<LogLevel> {
    if LAST_WORDS.iter().any(|words| line.starts_with(words)) {
        return Some(LogLevel::Error);
    }
    if line.starts_with(b"warning:") || line.starts_with(b"[WARN") {
        return Some(LogLevel::Warning);
    }
    // Long lines are prompts and answers; what a library cries out is short.
    let line = &line[..line.len().min(1024)];
    INSIDE
        .iter()
        .any(|words| after(line, words).is_some())
        .then_some(LogLevel::Error)
}

fn after<'a>(line: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let at = memchr::memmem::find(line, word)?;
    line.get(at + word.len()..)
}

/// Skips `M.SS.mmm.uuu ` if it stands there.
fn skip_time(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .take(32)
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.');
    let Some(end) = end.filter(|end| *end > 0) else {
        return line;
    };
    let (time, rest) = line.split_at(end);
    let dots = time.iter().filter(|byte| **byte == b'.').count();
    let rest = skip_escapes(rest);
    match rest.strip_prefix(b" ") {
        Some(rest) if dots == 3 => rest,
        Some(_) | None => line,
    }
}

/// Skips colours at the beginning.
fn skip_escapes(mut line: &[u8]) -> &[u8] {
    let mut left = PREFIX_LIMIT;
    while left > 0
        && let Some(rest) = line.strip_prefix(b"\x1b[")
        && let Some(end) = rest.iter().take(left).position(u8::is_ascii_alphabetic)
    {
        left = left.saturating_sub(end + 1);
        line = &rest[end + 1..];
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_off_every_form_a_line_has() {
        use LogLevel::{Debug, Error, Info, Warning};
        let rows: [(&[u8], Option<LogLevel>); 20] = [
            (
                b"0.00.005.222 I srv  llama_server: initializing ...",
                Some(Info),
            ),
            (
                b"1204.05.007.107 W srv  llama_server: no API key",
                Some(Warning),
            ),
            (
                b"0.00.024.365 E gguf_init_from_file: failed to open",
                Some(Error),
            ),
            (b"0.00.024.365 D cmn  x", Some(Debug)),
            (
                b"\x1b[34m0.00.024.365\x1b[0m \x1b[31mE gguf\x1b[0m",
                Some(Error),
            ),
            (b"I srv  llama_server: error: only a word", Some(Info)),
            (b"E", None),
            (b"E srv", Some(Error)),
            (
                b"{\"type\":\"log\",\"time\":7,\"level\":\"error\",\"msg\":\"x\"}",
                Some(Error),
            ),
            (b"{\"level\": \"WARN\"}", Some(Warning)),
            (b"{\"answer\": \"error\"}", None),
            (b"error: invalid argument: --no-such-flag", Some(Error)),
            (
                b"terminate called after throwing an instance of 'vk::OutOfDeviceMemoryError'",
                Some(Error),
            ),
            (
                b"/build/ggml/src/ggml.c:1: GGML_ASSERT(x) failed",
                Some(Error),
            ),
            (b"warning: one", Some(Warning)),
            (b"", None),
            (b"Error handling is a topic of its own", None),
            (b"12 Eggs", None),
            (b"2026.11 E is not a time of the server", None),
            (b"\x1b[", None),
        ];
        for (line, level) in rows {
            assert_eq!(
                LogLevel::of(line),
                level,
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }

    #[test]
    fn the_words_are_read_back() {
        for level in [
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warning,
            LogLevel::Error,
        ] {
            assert_eq!(LogLevel::parse(level.word()), Some(level));
        }
        assert!(LogLevel::Error > LogLevel::Warning && LogLevel::Info > LogLevel::Debug);
    }
}
