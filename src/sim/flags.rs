//! What llama-server takes on its command line and in its environment, as far as it matters here.

use std::fmt::Write as _;

use super::console::To;
use super::faults::Faults;

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Wish {
    Serve(Box<Options>),
    Print {
        text: String,
        to: To,
    },
    /// A grandchild that only sleeps.
    Sleep {
        deaf: bool,
    },
}

/// A server's settings.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) model: String,
    pub(super) alias: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) context: u32,
    pub(super) slots: u32,
    pub(super) api_key: Option<String>,
    pub(super) metrics: bool,
    pub(super) faults: Faults,
}

/// Whether a flag is followed by a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Value,
    Nothing,
}

/// Names of one flag, its variable, what it takes, its line in the help.
type Flag = (&'static [&'static str], &'static str, Takes, &'static str);

const FLAGS: &[Flag] = &[
    (
        &["-h", "--help", "--usage"],
        "",
        Takes::Nothing,
        "print usage and exit",
    ),
    (
        &["--version"],
        "",
        Takes::Nothing,
        "show version and build info",
    ),
    (
        &["--list-devices"],
        "",
        Takes::Nothing,
        "print list of available devices and exit",
    ),
    (
        &["-m", "--model"],
        "LLAMA_ARG_MODEL",
        Takes::Value,
        "model path to load",
    ),
    (
        &["-hf", "-hfr", "--hf-repo"],
        "LLAMA_ARG_HF_REPO",
        Takes::Value,
        "Hugging Face model repository",
    ),
    (
        &["-a", "--alias"],
        "LLAMA_ARG_ALIAS",
        Takes::Value,
        "set alias for model name",
    ),
    (
        &["--host"],
        "LLAMA_ARG_HOST",
        Takes::Value,
        "ip address to listen, or bind to an UNIX socket if the address ends with .sock",
    ),
    (
        &["--port"],
        "LLAMA_ARG_PORT",
        Takes::Value,
        "port to listen",
    ),
    (
        &["-c", "--ctx-size"],
        "LLAMA_ARG_CTX_SIZE",
        Takes::Value,
        "size of the prompt context",
    ),
    (
        &["-b", "--batch-size"],
        "LLAMA_ARG_BATCH",
        Takes::Value,
        "logical maximum batch size",
    ),
    (
        &["-ub", "--ubatch-size"],
        "LLAMA_ARG_UBATCH",
        Takes::Value,
        "physical maximum batch size",
    ),
    (
        &["-t", "--threads"],
        "LLAMA_ARG_THREADS",
        Takes::Value,
        "number of CPU threads to use during generation",
    ),
    (
        &["-tb", "--threads-batch"],
        "",
        Takes::Value,
        "number of threads to use during batch processing",
    ),
    (
        &["-n", "--predict", "--n-predict"],
        "LLAMA_ARG_N_PREDICT",
        Takes::Value,
        "number of tokens to predict",
    ),
    (
        &["-np", "--parallel"],
        "LLAMA_ARG_N_PARALLEL",
        Takes::Value,
        "number of server slots",
    ),
    (
        &["-to", "--timeout"],
        "LLAMA_ARG_TIMEOUT",
        Takes::Value,
        "server read/write timeout in seconds",
    ),
    (
        &["-ngl", "--gpu-layers", "--n-gpu-layers"],
        "LLAMA_ARG_N_GPU_LAYERS",
        Takes::Value,
        "max. number of layers to store in VRAM",
    ),
    (
        &["-dev", "--device"],
        "LLAMA_ARG_DEVICE",
        Takes::Value,
        "comma-separated list of devices to use for offloading",
    ),
    (
        &["-fit", "--fit"],
        "LLAMA_ARG_FIT",
        Takes::Value,
        "whether to adjust unset arguments to fit in device memory",
    ),
    (
        &["-fa", "--flash-attn"],
        "LLAMA_ARG_FLASH_ATTN",
        Takes::Value,
        "set Flash Attention use",
    ),
    (
        &["-ctk", "--cache-type-k"],
        "LLAMA_ARG_CACHE_TYPE_K",
        Takes::Value,
        "KV cache data type for K",
    ),
    (
        &["-ctv", "--cache-type-v"],
        "LLAMA_ARG_CACHE_TYPE_V",
        Takes::Value,
        "KV cache data type for V",
    ),
    (
        &["-lv", "--verbosity", "--log-verbosity"],
        "LLAMA_ARG_LOG_VERBOSITY",
        Takes::Value,
        "set the verbosity threshold",
    ),
    (
        &["--api-key"],
        "LLAMA_API_KEY",
        Takes::Value,
        "API key to use for authentication",
    ),
    (
        &["--api-key-file"],
        "",
        Takes::Value,
        "path to file containing API keys",
    ),
    (
        &["--metrics"],
        "LLAMA_ARG_ENDPOINT_METRICS",
        Takes::Nothing,
        "enable prometheus compatible metrics endpoint",
    ),
    (
        &["--slots"],
        "LLAMA_ARG_ENDPOINT_SLOTS",
        Takes::Nothing,
        "expose slots monitoring endpoint",
    ),
    (
        &["--props"],
        "LLAMA_ARG_ENDPOINT_PROPS",
        Takes::Nothing,
        "enable changing global properties",
    ),
    (
        &["--no-webui"],
        "LLAMA_ARG_NO_WEBUI",
        Takes::Nothing,
        "disable the Web UI",
    ),
    (
        &["-cb", "--cont-batching"],
        "LLAMA_ARG_CONT_BATCHING",
        Takes::Nothing,
        "enable continuous batching",
    ),
    (
        &["--jinja"],
        "LLAMA_ARG_JINJA",
        Takes::Nothing,
        "use jinja template for chat",
    ),
    (
        &["--embedding", "--embeddings"],
        "LLAMA_ARG_EMBEDDINGS",
        Takes::Nothing,
        "restrict to only support embedding use case",
    ),
    (
        &["--pooling"],
        "LLAMA_ARG_POOLING",
        Takes::Value,
        "pooling type for embeddings",
    ),
    (
        &["--sleep-idle-seconds"],
        "",
        Takes::Value,
        "seconds of idleness after which the server sleeps",
    ),
    (
        &["--sim-load"],
        "SIM_LOAD",
        Takes::Value,
        "simulation: time the load takes (250ms, 3s, 1m)",
    ),
    (
        &["--sim-load-failure"],
        "SIM_LOAD_FAILURE",
        Takes::Value,
        "simulation: missing-file, bad-magic, unknown-arch, out-of-memory, kv-cache, compute-buffers, vulkan-oom or invalid-device",
    ),
    (
        &["--sim-crash-after"],
        "SIM_CRASH_AFTER",
        Takes::Value,
        "simulation: end by itself this long after the load",
    ),
    (
        &["--sim-crash-code"],
        "SIM_CRASH_CODE",
        Takes::Value,
        "simulation: the exit code of that end (1)",
    ),
    (
        &["--sim-crash-signal"],
        "SIM_CRASH_SIGNAL",
        Takes::Value,
        "simulation: the signal of that end, a number",
    ),
    (
        &["--sim-hang"],
        "SIM_HANG",
        Takes::Value,
        "simulation: inference (only /health answers) or all (nothing answers)",
    ),
    (
        &["--sim-ignore-term"],
        "SIM_IGNORE_TERM",
        Takes::Nothing,
        "simulation: do not hear SIGTERM",
    ),
    (
        &["--sim-exit-delay"],
        "SIM_EXIT_DELAY",
        Takes::Value,
        "simulation: time the clean-up takes",
    ),
    (
        &["--sim-flood"],
        "SIM_FLOOD",
        Takes::Value,
        "simulation: log lines a second, 0 for as many as possible",
    ),
    (
        &["--sim-flood-lines"],
        "SIM_FLOOD_LINES",
        Takes::Value,
        "simulation: stop the flood after so many lines",
    ),
    (
        &["--sim-flood-width"],
        "SIM_FLOOD_WIDTH",
        Takes::Value,
        "simulation: bytes of a flood line, newline included (40)",
    ),
    (
        &["--sim-flood-stream"],
        "SIM_FLOOD_STREAM",
        Takes::Value,
        "simulation: stdout, stderr or both (stderr)",
    ),
    (
        &["--sim-sleepers"],
        "SIM_SLEEPERS",
        Takes::Value,
        "simulation: grandchildren in sessions of their own",
    ),
    (
        &["--sim-sleepers-deaf"],
        "SIM_SLEEPERS_DEAF",
        Takes::Nothing,
        "simulation: they do not hear SIGTERM",
    ),
    (
        &["--sim-rss-mib"],
        "SIM_RSS_MIB",
        Takes::Value,
        "simulation: memory to hold",
    ),
    (
        &["--sim-traffic"],
        "SIM_TRAFFIC",
        Takes::Value,
        "simulation: tokens a second that made-up clients ask for",
    ),
    (
        &["--sim-token-rate"],
        "SIM_TOKEN_RATE",
        Takes::Value,
        "simulation: tokens a second of one answer (50)",
    ),
    (
        &["--sim-sleeper"],
        "",
        Takes::Nothing,
        "simulation: be such a grandchild",
    ),
];

/// Given values by the first name of their flag; later ones win.
struct Given(Vec<(&'static str, String)>);

impl Given {
    fn last(&self, names: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| *name == names)
            .map(|(_, value)| value.as_str())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.last(name) {
            Some(text) => text.parse().map_err(|_| {
                format!("error while handling argument \"{name}\": invalid number {text}")
            }),
            None => Ok(default),
        }
    }
}

/// Reads arguments and environment; the arguments win.
pub(super) fn parse(
    args: &[String],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Wish, String> {
    let mut given = Given(Vec::new());
    for (names, variable, takes, _) in FLAGS {
        let value = if variable.is_empty() {
            None
        } else {
            environment(variable)
        };
        let Some(value) = value else { continue };
        let on = *takes == Takes::Value || !matches!(value.as_str(), "" | "0" | "false" | "off");
        if let (true, Some(name)) = (on, names.first()) {
            given.0.push((name, value));
        }
    }
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some((names, _, takes, _)) = FLAGS
            .iter()
            .find(|(names, ..)| names.contains(&arg.as_str()))
        else {
            return Err(format!("error: invalid argument: {arg}"));
        };
        let value = match takes {
            Takes::Nothing => String::new(),
            Takes::Value => rest
                .next()
                .ok_or_else(|| format!("error: expected value for argument: {arg}"))?
                .clone(),
        };
        if let Some(name) = names.first() {
            given.0.push((name, value));
        }
    }
    if given.last("-h").is_some() {
        return Ok(Wish::Print {
            text: help(),
            to: To::Stdout,
        });
    }
    if given.last("--version").is_some() {
        let text = format!(
            "version: 0 (simulated by llama-orch {})\nbuilt with rustc for Linux\n",
            env!("CARGO_PKG_VERSION")
        );
        return Ok(Wish::Print {
            text,
            to: To::Stderr,
        });
    }
    if given.last("--list-devices").is_some() {
        let text = "Available devices:\n  (none)\n".to_owned();
        return Ok(Wish::Print {
            text,
            to: To::Stdout,
        });
    }
    if given.last("--sim-sleeper").is_some() {
        return Ok(Wish::Sleep {
            deaf: given.last("--sim-sleepers-deaf").is_some(),
        });
    }
    let api_key = match given.last("--api-key-file") {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| format!("error: failed to open file '{path}': {error}"))?
                .trim()
                .to_owned(),
        ),
        None => given.last("--api-key").map(str::to_owned),
    };
    let model = given
        .last("-m")
        .or(given.last("-hf"))
        .unwrap_or("simulated.gguf")
        .to_owned();
    Ok(Wish::Serve(Box::new(Options {
        alias: given
            .last("-a")
            .map_or_else(|| model.clone(), str::to_owned),
        model,
        host: given.last("--host").unwrap_or("127.0.0.1").to_owned(),
        port: given.number("--port", 8080)?,
        context: given.number("-c", 4096)?,
        slots: given
            .number::<i64>("-np", 1)
            .map(|slots| u32::try_from(slots).unwrap_or(4).max(1))?,
        api_key,
        metrics: given.last("--metrics").is_some(),
        faults: Faults::read(|name| given.last(name).map(str::to_owned))?,
    })))
}

fn help() -> String {
    let mut text = "simulated llama-server of llama-orch\n\n----- params -----\n\n".to_owned();
    for (names, variable, takes, about) in FLAGS {
        let value = if *takes == Takes::Value { " VALUE" } else { "" };
        let flags = format!("{}{value}", names.join(", "));
        let variable = if variable.is_empty() {
            String::new()
        } else {
            format!(" (env: {variable})")
        };
        // Writing into a string cannot fail.
        writeln!(text, "{flags:<40}{about}{variable}").ok();
    }
    text
}

impl Options {
    pub(super) fn url(&self) -> String {
        if self.host.ends_with(".sock") {
            return format!("unix://{}", self.host);
        }
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("http://{host}:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn options(args: &str, environment: &[(&str, &str)]) -> Options {
        let look = |name: &str| {
            environment
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        };
        match parse(&words(args), look) {
            Ok(Wish::Serve(options)) => *options,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn arguments_win_over_the_environment_and_later_ones_over_earlier_ones() {
        let environment = [("LLAMA_ARG_PORT", "1"), ("LLAMA_ARG_ENDPOINT_METRICS", "1")];
        assert_eq!(options("", &environment).port, 1);
        assert_eq!(options("--port 2 --port 3", &environment).port, 3);
        assert!(options("", &environment).metrics);
        assert!(!options("", &[("LLAMA_ARG_ENDPOINT_METRICS", "0")]).metrics);
    }

    #[test]
    fn wrong_arguments_are_refused_in_llama_servers_words() {
        let rows = [
            ("--nonsense", "error: invalid argument: --nonsense"),
            ("--port", "error: expected value for argument: --port"),
        ];
        for (args, message) in rows {
            assert_eq!(
                parse(&words(args), |_| None).err().as_deref(),
                Some(message)
            );
        }
    }

    #[test]
    fn every_flag_stands_at_the_start_of_its_line_in_the_help() {
        let help = help();
        for (names, ..) in FLAGS {
            let first = names.join(", ");
            assert!(help.lines().any(|line| line.starts_with(&first)), "{first}");
        }
    }
}
