//! The faults that can be ordered, and how a crash is carried out.

use std::ops::RangeInclusive;
use std::time::Duration;

use signal_hook::consts::signal;
use signal_hook::low_level;

use super::logfmt;

/// Which faults this run shows, and the pace of its work.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) load_time: Duration,
    pub(super) load_failure: Option<LoadFailure>,
    pub(super) need_model: bool,
    /// How long after ready, and how.
    pub(super) crash: Option<(Duration, Crash)>,
    /// How long after ready, and what.
    pub(super) hang: Option<(Duration, Hang)>,
    pub(super) sigterm: Sigterm,
    pub(super) stop_time: Duration,
    pub(super) flood: Option<Flood>,
    pub(super) grandchildren: Option<Grandchildren>,
    pub(super) resident_mib: usize,
    /// 0 means all tokens at once.
    pub(super) tokens_per_second: f64,
    /// Tokens per second at the top of a wave; 0 means no traffic.
    pub(super) traffic: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            load_time: Duration::from_millis(250),
            load_failure: None,
            need_model: false,
            crash: None,
            hang: None,
            sigterm: Sigterm::Graceful,
            stop_time: Duration::ZERO,
            flood: None,
            grandchildren: None,
            resident_mib: 0,
            tokens_per_second: 50.0,
            traffic: 0.0,
        }
    }
}

/// Why loading fails. A new kind also needs its messages in `load.rs` and its name in `flags.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadFailure {
    MissingFile,
    BadMagic,
    Corrupt,
    UnknownArchitecture,
    OutOfMemory,
    CudaOutOfMemory,
    VulkanOutOfMemory,
    KvCache,
    ComputeBuffers,
    InvalidDevice,
    Assert,
}

impl LoadFailure {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "missing-file" => Self::MissingFile,
            "bad-magic" => Self::BadMagic,
            "corrupt" => Self::Corrupt,
            "unknown-arch" => Self::UnknownArchitecture,
            "out-of-memory" => Self::OutOfMemory,
            "cuda-oom" => Self::CudaOutOfMemory,
            "vulkan-oom" => Self::VulkanOutOfMemory,
            "kv-cache" => Self::KvCache,
            "compute-buffers" => Self::ComputeBuffers,
            "invalid-device" => Self::InvalidDevice,
            "assert" => Self::Assert,
            _ => return None,
        })
    }
}

/// How the process ends abruptly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Exit(u8),
    Signal(i32),
    Assert,
    DeviceLost,
    CudaError,
}

impl Crash {
    pub(super) const DEFAULT: Self = Self::Signal(signal::SIGSEGV);

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(code) = text.parse() {
            return Some(Self::Exit(code));
        }
        Some(match text.strip_prefix("SIG").unwrap_or(text) {
            "assert" => Self::Assert,
            "device-lost" => Self::DeviceLost,
            "cuda-error" => Self::CudaError,
            "HUP" => Self::Signal(signal::SIGHUP),
            "INT" => Self::Signal(signal::SIGINT),
            "QUIT" => Self::Signal(signal::SIGQUIT),
            "ILL" => Self::Signal(signal::SIGILL),
            "ABRT" => Self::Signal(signal::SIGABRT),
            "BUS" => Self::Signal(signal::SIGBUS),
            "FPE" => Self::Signal(signal::SIGFPE),
            "KILL" => Self::Signal(signal::SIGKILL),
            "USR1" => Self::Signal(signal::SIGUSR1),
            "USR2" => Self::Signal(signal::SIGUSR2),
            "SEGV" => Self::Signal(signal::SIGSEGV),
            "PIPE" => Self::Signal(signal::SIGPIPE),
            "ALRM" => Self::Signal(signal::SIGALRM),
            "TERM" => Self::Signal(signal::SIGTERM),
            _ => return None,
        })
    }

    /// Returns what the real server's libraries print on the way down.
    fn last_words(self) -> &'static str {
        match self {
            Self::Exit(_) | Self::Signal(_) => "",
            Self::Assert => "ggml.c:3071: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed\n",
            Self::DeviceLost => {
                "terminate called after throwing an instance of 'vk::DeviceLostError'\n  \
                 what():  vk::Device::waitForFences: ErrorDeviceLost\n"
            }
            Self::CudaError => {
                "CUDA error: an illegal memory access was encountered\n  \
                 current device: 0, in function ggml_backend_cuda_synchronize at ggml-cuda.cu:2981\n  \
                 cudaStreamSynchronize(cuda_ctx->stream())\n\
                 ggml-cuda.cu:98: CUDA error\n"
            }
        }
    }

    /// Ends the process, or returns the code with which `main` has to end it.
    pub(super) fn carry_out(self) -> u8 {
        logfmt::write_stderr(self.last_words());
        let number = match self {
            Self::Exit(code) => return code,
            Self::Signal(number) => number,
            Self::Assert | Self::DeviceLost | Self::CudaError => signal::SIGABRT,
        };
        low_level::emulate_default_handler(number).ok(); // it returns only when it had no effect
        u8::try_from(128 + number).unwrap_or(u8::MAX)
    }
}

/// What never answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hang {
    Inference,
    All,
}

impl Hang {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "inference" => Some(Self::Inference),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}

/// What the first SIGTERM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sigterm {
    Graceful,
    StuckWhenBusy,
    Ignored,
}

/// A flood of numbered lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flood {
    /// 0 means as fast as possible.
    pub(super) lines_per_second: f64,
    pub(super) stream: FloodStream,
    /// 0 means for ever.
    pub(super) lines: u64,
    /// Bytes of a line with its end.
    pub(super) length: usize,
}

impl Flood {
    /// From the shortest line that holds its number to what a pipe takes in one piece (`PIPE_BUF`).
    pub(super) const LENGTHS: RangeInclusive<usize> = 20..=4096;
}

/// Where a flood goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloodStream {
    Stderr,
    Stdout,
    Both,
}

impl FloodStream {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "stderr" => Some(Self::Stderr),
            "stdout" => Some(Self::Stdout),
            "both" => Some(Self::Both),
            _ => None,
        }
    }
}

/// Processes that leave the server's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grandchildren {
    pub(super) number: u32,
    pub(super) sigterm: Sigterm,
}
