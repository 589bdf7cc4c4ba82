//! Why a run ended: a named cause, the evidence for it, and what follows.
//!
//! [`examine()`] decides from what the kernel said of the process, what we had asked of it, and the
//! last lines it wrote. What a line means is a row of `rules.rs`.
//!
//! To explain a new kind of end: a row in `rules.rs`, with a recording of a real build under
//! `tests/data/stderr/` and a row in `recorded.rs` that names it.

mod examine;
mod pattern;
#[cfg(test)]
mod recorded;
mod rules;

pub use self::examine::{Asked, Readiness, Traces, examine};
use super::instance::InstanceName;
use super::words::words;

/// The named cause of an end; the word is what `--json`, events and the database carry.
// A new cause also needs a row in `Cause::NAMES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It ended as it should after a stop.
    Stopped,
    UnknownFlag,
    /// A flag or variable has a value that this build or this model does not take.
    InvalidArgument,
    InvalidDevice,
    /// A file that the server needs cannot be opened.
    ModelMissing,
    ModelDamaged,
    UnknownArchitecture,
    PortInUse,
    /// There is no program where `binary.path` says, or it may not be executed.
    ProgramMissing,
    /// Its output has nowhere to go.
    LogUnwritable,
    OutOfVram,
    OutOfMemory,
    /// The kernel's OOM killer chose it.
    OomKilled,
    DeviceError,
    Assertion,
    /// It broke a rule of the processor: SIGSEGV, SIGBUS or SIGFPE.
    Segfault,
    /// It was built for another processor.
    IllegalInstruction,
    LibraryMissing,
    /// A model could not be fetched from the network.
    DownloadFailed,
    /// It never became ready in the time it had.
    StartTimedOut,
    /// Its probes failed, or it did no work, until we ended it.
    Unresponsive,
    /// Somebody else sent a signal that ended it.
    KilledFromOutside,
    Rebooted,
    /// It ended with a code and said nothing we know.
    Unexplained,
    /// Nobody saw it end.
    Unwitnessed,
}

/// When another start can make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryClass {
    /// Not before a person changes something.
    Never,
    /// Once nobody holds its port any more.
    AfterPortFrees,
    /// Once the device has memory again.
    AfterVramFrees,
    /// After the usual growing delay.
    Backoff,
}

/// The explanation of one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autopsy {
    pub cause: Cause,
    pub class: RetryClass,
    /// One line a person understands, such as `out of VRAM: 5 GiB wanted on Vulkan0`.
    pub summary: String,
    /// The server's own line that shows it.
    pub evidence: Option<String>,
    /// What to do next, in one line.
    pub remedy: Option<String>,
}

impl Cause {
    /// Every cause with its word.
    pub const NAMES: [(Self, &'static str); 25] = [
        (Self::Stopped, "stopped"),
        (Self::UnknownFlag, "unknown_flag"),
        (Self::InvalidArgument, "invalid_argument"),
        (Self::InvalidDevice, "invalid_device"),
        (Self::ModelMissing, "model_missing"),
        (Self::ModelDamaged, "model_damaged"),
        (Self::UnknownArchitecture, "unknown_architecture"),
        (Self::PortInUse, "port_in_use"),
        (Self::ProgramMissing, "program_missing"),
        (Self::LogUnwritable, "log_unwritable"),
        (Self::OutOfVram, "out_of_vram"),
        (Self::OutOfMemory, "out_of_memory"),
        (Self::OomKilled, "oom_killed"),
        (Self::DeviceError, "device_error"),
        (Self::Assertion, "assertion"),
        (Self::Segfault, "segfault"),
        (Self::IllegalInstruction, "illegal_instruction"),
        (Self::LibraryMissing, "library_missing"),
        (Self::DownloadFailed, "download_failed"),
        (Self::StartTimedOut, "start_timed_out"),
        (Self::Unresponsive, "unresponsive"),
        (Self::KilledFromOutside, "killed_from_outside"),
        (Self::Rebooted, "rebooted"),
        (Self::Unexplained, "unexplained"),
        (Self::Unwitnessed, "unwitnessed"),
    ];
}

impl Cause {
    /// Returns the cause in the fewest words, as shown behind a state.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::UnknownFlag => "unknown flag",
            Self::InvalidArgument => "invalid argument",
            Self::InvalidDevice => "invalid device",
            Self::ModelMissing => "model missing",
            Self::ModelDamaged => "model damaged",
            Self::UnknownArchitecture => "unknown architecture",
            Self::PortInUse => "port in use",
            Self::ProgramMissing => "program missing",
            Self::LogUnwritable => "log unwritable",
            Self::OutOfVram => "out of VRAM",
            Self::OutOfMemory => "out of memory",
            Self::OomKilled => "OOM-killed",
            Self::DeviceError => "device error",
            Self::Assertion => "assertion",
            Self::Segfault => "segfault",
            Self::IllegalInstruction => "illegal instruction",
            Self::LibraryMissing => "library missing",
            Self::DownloadFailed => "download failed",
            Self::StartTimedOut => "start timed out",
            Self::Unresponsive => "unresponsive",
            Self::KilledFromOutside => "killed from outside",
            Self::Rebooted => "rebooted",
            Self::Unexplained => "unexplained",
            Self::Unwitnessed => "end unknown",
        }
    }
}

impl Autopsy {
    /// Returns the explanation with the instance's name where its remedy speaks of one.
    #[must_use]
    pub fn of(mut self, name: &InstanceName) -> Self {
        self.remedy = self
            .remedy
            .map(|remedy| remedy.replace("NAME", name.as_str()));
        self
    }
}

impl RetryClass {
    /// Every class with its word.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::Never, "never"),
        (Self::AfterPortFrees, "after_port_frees"),
        (Self::AfterVramFrees, "after_vram_frees"),
        (Self::Backoff, "backoff"),
    ];
}

words!(Cause);
words!(RetryClass);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_its_value() {
        for (cause, word) in Cause::NAMES {
            assert_eq!(Cause::parse(word), Some(cause));
            assert_eq!(cause.as_str(), word);
        }
        for (class, word) in RetryClass::NAMES {
            assert_eq!(RetryClass::parse(word), Some(class));
        }
    }
}
