//! `llama-orch demo`: a temporary home whose simulated fleet shows every state there is.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Opening, run};
use crate::api::client::{Client, pace};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Output;
use crate::config::home::{Home, HomeOrigin};
use crate::domain::lifecycle::{Health, Status};

/// The instance whose file is changed while it runs.
const DRIFTED: &str = "rerank-m3";

/// The longest the drifted instance is waited for.
const DRIFT_TIME: Duration = Duration::from_secs(120);

/// How long one question for the fleet waits.
const POLL: Duration = Duration::from_secs(5);

/// Ready instances: name, model, backend, slots, and what they do.
const FLEET: [Demo; 12] = [
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
        more: "[healthcheck]\ninterval = 15\ntimeout = 1\nretries = 10\n",
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
        more: "[healthcheck]\ninterval = 15\ntimeout = 1\nretries = 10\n",
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

/// The instance whose port another program has.
const FOREIGN_PORT: &str = "tts-port";

/// The instance that nobody starts.
const STOPPED: &str = "spare-7b";

/// One instance of the demo.
struct Demo {
    name: &'static str,
    model: &'static str,
    tags: &'static str,
    gpu: Option<u32>,
    parallel: u32,
    args: &'static [&'static str],
    /// Further tables of its file.
    more: &'static str,
}

/// Opens the dashboard over the demo, and leaves nothing of it behind.
///
/// # Errors
///
/// As the dashboard.
pub(in crate::cli) async fn demo(ascii: bool, output: &Output) -> Result<Exit, CliError> {
    let folder = Folder::create()?;
    // Another program on the port of one instance: this one.
    let stranger = TcpListener::bind("127.0.0.1:0")?;
    let port = stranger.local_addr()?.port();
    for (order, instance) in FLEET.iter().enumerate() {
        write(&folder.path, instance, order, port, instance.parallel)?;
    }
    let home = Home::open(&folder.path, HomeOrigin::Flag)
        .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
    let drift = tokio::spawn(drift(home.clone(), folder.path.clone(), port));
    let opening = Opening {
        ascii,
        temporary: true,
        notices: vec![
            "A demo: twelve simulated servers in every state there is. q ends it and removes it all.".to_owned(),
        ],
        ..Opening::default()
    };
    let result = run(&home, opening, output).await;
    drift.abort();
    drop(stranger);
    if result.is_ok() {
        output.say("the demo is over; nothing of it is left");
    }
    result
}

/// Changes a file while its instance runs.
async fn drift(home: Home, folder: PathBuf, port: u16) {
    let client = Client::socket(&home.socket());
    let ready = async {
        let mut seen = 0;
        loop {
            let Ok(body) = client.instances_after(seen, POLL).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            seen = body.generation;
            let is_ready = body.to_snapshot().rows.iter().any(|row| {
                row.name.as_str() == DRIFTED
                    && (row.status, row.health) == (Status::Running, Health::Healthy)
            });
            if is_ready {
                return;
            }
            tokio::time::sleep(pace::WATCHING).await;
        }
    };
    if tokio::time::timeout(DRIFT_TIME, ready).await.is_ok()
        && let Some(order) = FLEET.iter().position(|instance| instance.name == DRIFTED)
    {
        let instance = &FLEET[order];
        if let Err(error) = write(&folder, instance, order, port, instance.parallel * 2) {
            tracing::warn!(%error, "change the drifted demo instance");
        }
        client.refresh(None, POLL).await.ok(); // the owner sees the file by itself, too
    }
}

/// Writes the file of one instance.
fn write(folder: &Path, instance: &Demo, order: usize, port: u16, parallel: u32) -> io::Result<()> {
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

/// The folder of the demo; removed when dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> io::Result<Self> {
        let name = format!(
            "llama-orch-demo-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "remove the demo");
        }
    }
}
