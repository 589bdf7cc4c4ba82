//! One configured llama-server, checked and ready to use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::restart::RestartPolicy;

/// The longest name, so that it fits into paths and columns.
const NAME_LIMIT: usize = 64;

/// The identity of an instance: 1–64 of `a-z 0-9 _ -`, first and last a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceName(String);

/// The text is not an instance name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a name: 1 to 64 of a-z, 0-9, '_' and '-', first and last a letter or digit"
)]
pub struct InvalidName {
    pub text: String,
}

/// Everything needed to run, probe and restart one instance. Paths are absolute, except a bare
/// binary name that is looked up in PATH.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSpec {
    pub name: InstanceName,
    pub display_name: String,
    pub tags: Vec<String>,
    pub autostart: bool,
    pub sort_order: Option<i64>,
    pub instance_uid: Option<String>,
    pub instance_no: Option<String>,
    pub binary: Binary,
    pub model: Model,
    pub server: Server,
    pub gpu: Gpu,
    /// Added to the server's environment; wins over everything we set.
    pub env: BTreeMap<String, String>,
    /// Passed to the server verbatim, after our own.
    pub args: Vec<String>,
    pub healthcheck: Healthcheck,
    pub restart_policy: RestartPolicy,
    pub stop_grace: Duration,
    /// The server may run without a model, as llama-server's router.
    pub router: bool,
    pub logs: Logs,
    /// Notes about the model, carried along, in one line.
    pub model_metadata: Option<String>,
}

/// Which program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binary {
    /// A bare name, looked up in PATH.
    InPath(String),
    File(PathBuf),
    /// The simulated server that is part of this program.
    Simulated,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// `None` for a router, or when `args` name the model.
    pub path: Option<PathBuf>,
    /// Tokens; 0 takes the model's own.
    pub context_size: u32,
    pub batch_size: Option<u32>,
    pub threads: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name, IPv4, IPv6 or a `*.sock` path.
    pub host: String,
    pub port: Port,
    /// Seconds llama-server waits for a client; `--timeout`.
    pub timeout: u32,
    pub parallel: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Chosen at each start.
    Auto,
    Fixed(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    pub backend: Backend,
    pub device_id: u32,
    pub layers: Layers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Cpu,
    Vulkan,
    Cuda,
    Metal,
    Hip,
    Rocm,
    Sycl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    Count(u32),
    All,
    Auto,
}

/// How an instance is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Healthcheck {
    pub probe: ProbeKind,
    pub interval: Duration,
    pub timeout: Duration,
    /// Failures in a row, after the first healthy answer, that restart the run.
    pub retries: u32,
    pub retry_delay: Duration,
    /// Time without any progress allowed before the first healthy answer.
    pub start_period: Duration,
    /// Hard cap of a start; `None` waits for ever.
    pub start_timeout: Option<Duration>,
    pub backoff: ProbeBackoff,
    /// The prompt of the warm-up completion, when one is wanted.
    pub warmup_prompt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    Http {
        path: String,
        expected_status: Vec<u16>,
        expected_body: Option<String>,
    },
    Tcp,
    Script {
        command: String,
        shell: Shell,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    No,
    Yes,
}

/// Spacing of probes while a server cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeBackoff {
    pub enabled: bool,
    /// Seconds.
    pub base: f64,
    /// Seconds.
    pub max: f64,
    pub jitter: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    /// Bytes per file before it is rotated.
    pub max_size: u64,
    /// Rotated files kept beside the live one.
    pub rotation: u32,
}

impl InstanceName {
    /// Checks the text against the rule for names.
    ///
    /// # Errors
    ///
    /// Returns the text back when it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends_well = bytes.first().is_some_and(edge) && bytes.last().is_some_and(edge);
        let inner_well = bytes
            .iter()
            .all(|byte| edge(byte) || matches!(byte, b'_' | b'-'));
        if bytes.len() > NAME_LIMIT || !ends_well || !inner_well {
            return Err(InvalidName {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Backend {
    /// Every backend with its word in the configuration.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::Cpu, "cpu"),
        (Self::Vulkan, "vulkan"),
        (Self::Cuda, "cuda"),
        (Self::Metal, "metal"),
        (Self::Hip, "hip"),
        (Self::Rocm, "rocm"),
        (Self::Sycl, "sycl"),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(backend, _)| *backend == self)
            .map_or("cpu", |(_, word)| word)
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(_, name)| *name == word)
            .map(|(backend, _)| *backend)
    }
}

impl InstanceSpec {
    /// Returns the device column: what the configuration picks, `-` on the CPU.
    #[must_use]
    pub fn device_label(&self) -> String {
        device_label(self.gpu.backend, self.gpu.device_id)
    }

    /// Returns the model column: the file's stem, or what `args` name.
    #[must_use]
    pub fn model_label(&self) -> String {
        model_label(self.model.path.as_deref(), self.router)
    }
}

/// Returns the device column of a backend and its device, `-` on the CPU.
#[must_use]
pub fn device_label(backend: Backend, device_id: u32) -> String {
    match backend {
        Backend::Cpu => "-".to_owned(),
        Backend::Vulkan
        | Backend::Cuda
        | Backend::Metal
        | Backend::Hip
        | Backend::Rocm
        | Backend::Sycl => format!("GPU{device_id}"),
    }
}

/// Returns the model column of a model file, or of none.
#[must_use]
pub fn model_label(path: Option<&Path>, router: bool) -> String {
    match path {
        Some(path) => {
            let stem = path.file_stem().unwrap_or(path.as_os_str());
            stem.to_string_lossy().into_owned()
        }
        None if router => "router".to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An instance of this name with small values.
    pub(crate) fn spec(name: &str) -> InstanceSpec {
        InstanceSpec {
            name: InstanceName::parse(name).expect("a good name"),
            display_name: name.to_owned(),
            tags: Vec::new(),
            autostart: false,
            sort_order: None,
            instance_uid: None,
            instance_no: None,
            binary: Binary::Simulated,
            model: Model {
                path: None,
                context_size: 0,
                batch_size: None,
                threads: None,
            },
            server: Server {
                host: "127.0.0.1".to_owned(),
                port: Port::Auto,
                timeout: 600,
                parallel: 1,
            },
            gpu: Gpu {
                backend: Backend::Cpu,
                device_id: 0,
                layers: Layers::Count(0),
            },
            env: BTreeMap::new(),
            args: Vec::new(),
            healthcheck: Healthcheck {
                probe: ProbeKind::Tcp,
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(5),
                retries: 3,
                retry_delay: Duration::from_secs(1),
                start_period: Duration::from_secs(60),
                start_timeout: Some(Duration::from_secs(3600)),
                backoff: ProbeBackoff {
                    enabled: true,
                    base: 1.0,
                    max: 60.0,
                    jitter: 0.1,
                },
                warmup_prompt: None,
            },
            restart_policy: RestartPolicy {
                max_retries: 3,
                ..RestartPolicy::default()
            },
            stop_grace: Duration::from_secs(10),
            router: false,
            logs: Logs {
                stdout: "/o".into(),
                stderr: "/e".into(),
                max_size: 1 << 20,
                rotation: 3,
            },
            model_metadata: None,
        }
    }

    #[test]
    fn names_follow_their_rule() {
        let longest = "a".repeat(64);
        for good in ["a", "0", "a-b_c9", "qwen3-coder", longest.as_str()] {
            assert!(InstanceName::parse(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in ["", "-a", "a-", "A", "a b", "ä", "../x", too_long.as_str()] {
            assert!(InstanceName::parse(bad).is_err(), "{bad}");
        }
    }
}
