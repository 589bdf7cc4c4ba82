//! The instances of the demo, and their files.

use std::fs;
use std::io;
use std::path::Path;

/// The instance whose file is changed while it runs.
pub(super) const DRIFTED: &str = "rerank-m3";

/// The instance whose port another program has.
const FOREIGN_PORT: &str = "tts-port";

/// The instance that nobody starts.
const STOPPED: &str = "spare-7b";

/// Found within seconds, and left as it is: a demo shows the state, not the way out of it.
const QUICK: &str =
    "[healthcheck]\ninterval = 2\ntimeout = 1\nretries = 2\n[restart_policy]\nenabled = false\n";

/// An instance in every state, and what brings it there.
pub(super) const FLEET: [Demo; 12] = [
    Demo {
        name: "coder-30b",
        model: "Qwen3-Coder-30B-Q4_K_M",
        tags: "code",
        gpu: Some(0),
        parallel: 4,
        args: &["--sim-load-time", "2s", "--sim-traffic", "180"],
        more: "",
    },
    Demo {
        name: "chat-8b",
        model: "Llama-3.1-8B-Instruct-Q8_0",
        tags: "chat",
        gpu: Some(0),
        parallel: 8,
        args: &["--sim-load-time", "1s", "--sim-traffic", "95"],
        more: "",
    },
    Demo {
        name: "embed-bge",
        model: "bge-m3-f16",
        tags: "embedding",
        gpu: None,
        parallel: 1,
        args: &["--sim-load-time", "500ms"],
        more: "",
    },
    Demo {
        name: DRIFTED,
        model: "bge-reranker-v2-m3-Q8_0",
        tags: "embedding",
        gpu: None,
        parallel: 2,
        args: &["--sim-load-time", "1s", "--sim-traffic", "30"],
        more: "",
    },
    Demo {
        name: "vision-11b",
        model: "Llama-3.2-11B-Vision-Q4_K_M",
        tags: "chat",
        gpu: Some(1),
        parallel: 2,
        args: &["--sim-load-time", "10m"],
        more: "[healthcheck]\nstart_period = \"30m\"\n",
    },
    Demo {
        name: "judge-70b",
        model: "Llama-3.3-70B-Instruct-Q4_K_M",
        tags: "code",
        gpu: Some(0),
        parallel: 1,
        args: &[
            "--sim-load-time",
            "1s",
            "--sim-crash",
            "SIGSEGV",
            "--sim-crash-after",
            "3s",
        ],
        more: "[restart_policy]\ninitial_delay = \"1m\"\n",
    },
    Demo {
        name: "draft-600m",
        model: "Qwen3-0.6B-Q8_0",
        tags: "code",
        gpu: Some(1),
        parallel: 1,
        args: &["--sim-load-time", "1s", "--sim-load-failure", "vulkan-oom"],
        more: "[restart_policy]\nmax_retries = 0\n",
    },
    Demo {
        name: "guard-3b",
        model: "Llama-Guard-3-1B-Q8_0",
        tags: "chat",
        gpu: Some(1),
        parallel: 1,
        args: &[
            "--sim-load-time",
            "1s",
            "--sim-hang",
            "all",
            "--sim-hang-after",
            "4s",
        ],
        more: QUICK,
    },
    Demo {
        name: "wedged-14b",
        model: "Qwen2.5-14B-Instruct-Q5_K_M",
        tags: "chat",
        gpu: Some(1),
        parallel: 4,
        args: &[
            "--sim-load-time",
            "1s",
            "--sim-traffic",
            "60",
            "--sim-hang",
            "inference",
            "--sim-hang-after",
            "6s",
        ],
        more: QUICK,
    },
    Demo {
        name: "tts-port",
        model: "OuteTTS-0.2-500M-Q8_0",
        tags: "audio",
        gpu: None,
        parallel: 1,
        args: &["--sim-load-time", "1s"],
        more: "",
    },
    Demo {
        name: "typo-9b",
        model: "gemma-2-9b-it-Q4_K_M",
        tags: "spare",
        gpu: None,
        parallel: 1,
        args: &[],
        more: "[healthcheck]\ninterval = \"soon\"\n",
    },
    Demo {
        name: "spare-7b",
        model: "Mistral-7B-Instruct-v0.3-Q4_K_M",
        tags: "spare",
        gpu: Some(1),
        parallel: 2,
        args: &["--sim-load-time", "1s", "--sim-traffic", "20"],
        more: "",
    },
];

/// One instance of the demo.
pub(super) struct Demo {
    pub(super) name: &'static str,
    model: &'static str,
    tags: &'static str,
    gpu: Option<u32>,
    pub(super) parallel: u32,
    args: &'static [&'static str],
    /// Further tables of its file.
    more: &'static str,
}

/// Writes the file of one instance.
///
/// # Errors
///
/// Returns an error when the folder cannot be written.
pub(super) fn write(
    folder: &Path,
    instance: &Demo,
    order: usize,
    port: u16,
    parallel: u32,
) -> io::Result<()> {
    let port = if instance.name == FOREIGN_PORT {
        port.to_string()
    } else {
        "\"auto\"".to_owned()
    };
    let gpu = match instance.gpu {
        Some(device) => {
            format!("[gpu]\nbackend = \"cuda\"\ndevice_id = {device}\nlayers = \"all\"\n")
        }
        None => String::new(),
    };
    let text = format!(
        "tags = [\"{}\"]\nautostart = {}\nsort_order = {order}\nargs = {:?}\n[binary]\npath = \"builtin:sim\"\n\
         [model]\npath = \"models/{}.gguf\"\n[server]\nport = {port}\nparallel = {parallel}\n{gpu}{}",
        instance.tags,
        instance.name != STOPPED,
        instance.args,
        instance.model,
        instance.more,
    );
    let directory = folder.join("instances").join(instance.name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("config.toml"), text)
}
