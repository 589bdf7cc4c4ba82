//! What can go wrong on demand.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::console::log;

/// The faults of one simulated server; the default is none.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) load: Duration,
    pub(super) load_failure: Option<LoadFailure>,
    pub(super) crash_after: Option<Duration>,
    pub(super) crash: Crash,
    pub(super) hang: Hang,
    pub(super) ignore_term: bool,
    pub(super) exit_delay: Duration,
    flood: Option<Flood>,
    sleepers: u32,
    sleepers_deaf: bool,
    rss_mib: usize,
    /// Tokens a second, over all made-up clients.
    pub(super) traffic: f64,
    /// Tokens a second of one real answer.
    pub(super) token_rate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Code(u8),
    Signal(i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hang {
    Nothing,
    /// `/health` answers, completions, metrics and slots do not.
    Inference,
    Everything,
}

/// Loads fail in these ways, with llama-server's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadFailure {
    MissingFile,
    BadMagic,
    UnknownArchitecture,
    OutOfMemory,
    KvCache,
    ComputeBuffers,
    VulkanOutOfMemory,
    InvalidDevice,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Flood {
    /// Lines a second; 0 as fast as they are read.
    rate: u64,
    /// 0 for ever.
    lines: u64,
    width: usize,
    stdout: bool,
    stderr: bool,
}

impl Faults {
    /// Reads the faults from flag values by the flags' names.
    pub(super) fn read(given: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let time = |name: &str| given(name).map(|text| duration(name, &text)).transpose();
        let number = |name: &str| -> Result<Option<f64>, String> {
            given(name)
                .map(|text| text.parse().map_err(|_| wrong(name, &text)))
                .transpose()
        };
        let crash = match (number("--sim-crash-signal")?, number("--sim-crash-code")?) {
            (Some(signal), _) => Crash::Signal(signal as i32),
            (None, code) => Crash::Code(code.unwrap_or(1.0) as u8),
        };
        let hang = match given("--sim-hang").as_deref() {
            None => Hang::Nothing,
            Some("inference") => Hang::Inference,
            Some("all") => Hang::Everything,
            Some(other) => return Err(wrong("--sim-hang", other)),
        };
        let load_failure = match given("--sim-load-failure") {
            Some(name) => {
                Some(LoadFailure::parse(&name).ok_or_else(|| wrong("--sim-load-failure", &name))?)
            }
            None => None,
        };
        let stream = given("--sim-flood-stream").unwrap_or_else(|| "stderr".to_owned());
        let flood = match number("--sim-flood")? {
            Some(rate) => Some(Flood {
                rate: rate as u64,
                lines: number("--sim-flood-lines")?.unwrap_or(0.0) as u64,
                width: number("--sim-flood-width")?
                    .unwrap_or(40.0)
                    .clamp(20.0, 1e6) as usize,
                stdout: matches!(stream.as_str(), "stdout" | "both"),
                stderr: matches!(stream.as_str(), "stderr" | "both"),
            }),
            None => None,
        };
        Ok(Self {
            load: time("--sim-load")?.unwrap_or(Duration::from_millis(20)),
            load_failure,
            crash_after: time("--sim-crash-after")?,
            crash,
            hang,
            ignore_term: given("--sim-ignore-term").is_some(),
            exit_delay: time("--sim-exit-delay")?.unwrap_or(Duration::ZERO),
            flood,
            sleepers: number("--sim-sleepers")?.unwrap_or(0.0) as u32,
            sleepers_deaf: given("--sim-sleepers-deaf").is_some(),
            rss_mib: number("--sim-rss-mib")?.unwrap_or(0.0) as usize,
            traffic: number("--sim-traffic")?.unwrap_or(0.0),
            token_rate: number("--sim-token-rate")?.unwrap_or(50.0).max(0.1),
        })
    }

    /// Starts grandchildren that leave our session and our process group.
    pub(super) fn start_sleepers(&self) {
        for _ in 0..self.sleepers {
            let mut command = Command::new("/proc/self/exe");
            command.args(["sim", "--sim-sleeper"]);
            if self.sleepers_deaf {
                command.arg("--sim-sleepers-deaf");
            }
            // Nobody waits for them: that is the point.
            if let Err(error) = command.stdin(Stdio::null()).spawn() {
                log(&format!("W start a sleeper: {error}"));
            }
        }
    }

    /// Holds memory that is really there.
    pub(super) fn ballast(&self) -> Vec<u8> {
        let mut ballast = vec![0; self.rss_mib << 20];
        for page in ballast.chunks_mut(4096) {
            page[0] = 1;
        }
        ballast
    }

    /// Starts the thread that writes the flood; it blocks, as a real log thread would, when nobody
    /// reads.
    pub(super) fn start_flood(&self) {
        let Some(flood) = self.flood else { return };
        let started = std::thread::Builder::new()
            .name("flood".to_owned())
            .spawn(move || {
                flood.write();
            });
        if let Err(error) = started {
            log(&format!("W start the flood: {error}"));
        }
    }
}

impl Flood {
    fn write(self) {
        /// Lines written together, so that a fast flood does not cost a call for each.
        const TOGETHER: u64 = 100;
        let mut number = 0;
        loop {
            let together = if self.rate == 0 {
                TOGETHER
            } else {
                self.rate.div_ceil(100).max(1)
            };
            let mut text = Vec::new();
            for _ in 0..together {
                if self.lines != 0 && number == self.lines {
                    break;
                }
                number += 1;
                let digits = self.width - "flood \n".len();
                writeln!(text, "flood {number:0digits$}").ok(); // a string takes everything
            }
            if text.is_empty() {
                return;
            }
            if self.stdout {
                std::io::stdout().write_all(&text).ok(); // EPIPE must not end a server
            }
            if self.stderr {
                std::io::stderr().write_all(&text).ok(); // EPIPE must not end a server
            }
            if self.rate != 0 {
                std::thread::sleep(Duration::from_secs_f64(together as f64 / self.rate as f64));
            }
        }
    }
}

/// Sleeps in a session of its own until it is killed.
pub(super) fn sleeper(deaf: bool) -> u8 {
    rustix::process::setsid().ok(); // it leads a group: then it stays in this session
    if deaf {
        let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, flag).ok(); // then it is not deaf
    }
    loop {
        std::thread::park();
    }
}

impl LoadFailure {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "missing-file" => Self::MissingFile,
            "bad-magic" => Self::BadMagic,
            "unknown-arch" => Self::UnknownArchitecture,
            "out-of-memory" => Self::OutOfMemory,
            "kv-cache" => Self::KvCache,
            "compute-buffers" => Self::ComputeBuffers,
            "vulkan-oom" => Self::VulkanOutOfMemory,
            "invalid-device" => Self::InvalidDevice,
            _ => return None,
        })
    }

    pub(super) fn lines(self) -> &'static [&'static str] {
        const GAVE_UP: &str = "E srv  llama_server: exiting due to model loading error";
        match self {
            Self::MissingFile => &[
                "E gguf_init_from_file: failed to open GGUF file 'simulated.gguf' (No such file or directory)",
                "E llama_model_load: error loading model: llama_model_loader: failed to load model from simulated.gguf",
                GAVE_UP,
            ],
            Self::BadMagic => &[
                "E gguf_init_from_file_impl: invalid magic characters: 'XXXX', expected 'GGUF'",
                "E llama_model_load: error loading model: llama_model_loader: failed to load model from simulated.gguf",
                GAVE_UP,
            ],
            Self::UnknownArchitecture => &[
                "E llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'simulated'",
                GAVE_UP,
            ],
            Self::OutOfMemory => &[
                "E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 19456.00 MiB on device 0: cudaMalloc failed: out of memory",
                "E llama_model_load: error loading model: unable to allocate CUDA0 buffer",
                GAVE_UP,
            ],
            Self::KvCache => &[
                "E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache",
                GAVE_UP,
            ],
            Self::ComputeBuffers => &[
                "E graph_reserve: failed to allocate compute buffers",
                "E llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
                GAVE_UP,
            ],
            Self::VulkanOutOfMemory => &[
                "terminate called after throwing an instance of 'vk::OutOfDeviceMemoryError'",
                "  what():  vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
            ],
            Self::InvalidDevice => {
                &["error while handling argument \"--device\": invalid device: SIM9"]
            }
        }
    }
}

/// Reads `250ms`, `3s`, `1m` or a number of seconds.
fn duration(name: &str, text: &str) -> Result<Duration, String> {
    let (number, factor) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text, 1.0)
    };
    let seconds: f64 = number.trim().parse().map_err(|_| wrong(name, text))?;
    Duration::try_from_secs_f64(seconds * factor).map_err(|_| wrong(name, text))
}

fn wrong(name: &str, text: &str) -> String {
    format!("error while handling argument \"{name}\": {text} is not understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let rows = [
            ("250ms", Some(250)),
            ("3s", Some(3000)),
            ("1m", Some(60_000)),
            ("0.5", Some(500)),
            ("x", None),
            ("-1s", None),
        ];
        for (text, millis) in rows {
            assert_eq!(
                duration("--x", text).ok(),
                millis.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}
