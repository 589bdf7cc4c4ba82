//! How a run ended.

use std::fmt;

use super::run::StopMode;

/// What the kernel said of the ended process. Never invented: an unknown end is an absent value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
}

/// The end of one run, as recorded by its shim or recovered by the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct RunExit {
    /// `None` when nobody could learn it (shim and owner both gone on an old kernel).
    pub status: Option<ExitStatus>,
    pub core_dumped: bool,
    /// Unix seconds.
    pub started_at: f64,
    /// Unix seconds; when an unwitnessed end was noticed, not when it happened.
    pub ended_at: f64,
    /// Log bytes that could not be written (full disk).
    pub dropped_bytes: u64,
    /// How it had been told to stop before it ended; `None` when nobody asked for its end.
    pub requested: Option<StopMode>,
}

impl ExitStatus {
    /// Reads a `wait(2)` status word, as found in `/proc/PID/stat` field 52 too.
    #[must_use]
    pub fn from_wait_word(word: i32) -> Self {
        let signal = word & 0x7f;
        if signal == 0 {
            Self::Code((word >> 8) & 0xff)
        } else {
            Self::Signal(signal)
        }
    }

    #[must_use]
    pub fn code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(_) => None,
        }
    }

    #[must_use]
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Code(_) => None,
            Self::Signal(signal) => Some(signal),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
        }
    }
}

/// Names the signals a server is known to die of (`signal(7)`, Linux numbers).
fn signal_name(signal: i32) -> Option<&'static str> {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_words_become_codes_and_signals() {
        let rows = [
            (0, ExitStatus::Code(0)),
            (1 << 8, ExitStatus::Code(1)),
            (255 << 8, ExitStatus::Code(255)),
            (9, ExitStatus::Signal(9)),
            (11 | 0x80, ExitStatus::Signal(11)),
        ];
        for (word, expected) in rows {
            assert_eq!(ExitStatus::from_wait_word(word), expected);
        }
    }

    #[test]
    fn the_end_is_told_in_words() {
        assert_eq!(ExitStatus::Code(3).to_string(), "exited with code 3");
        assert_eq!(ExitStatus::Signal(11).to_string(), "killed by SIGSEGV");
        assert_eq!(ExitStatus::Signal(63).to_string(), "killed by signal 63");
    }
}
