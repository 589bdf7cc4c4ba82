//! Checked values become an instance's spec: defaults, and the rules between fields.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check::Checked;
use super::finding::Severity;
use super::home::Home;
use super::registry::Registry;
use super::tree::Format;
use crate::domain::instance::{
    Backend, Binary, Gpu, Healthcheck, InstanceName, InstanceSpec, Layers, Logs, Model, Port,
    ProbeBackoff, ProbeKind, Server, Shell,
};
use crate::domain::restart::RestartPolicy;
use crate::domain::secrets;

/// What stands in `binary.path` for the simulated server.
pub const SIMULATED: &str = "builtin:sim";

/// What `binary.path` is when nothing is said.
pub(super) const DEFAULT_BINARY: &str = "llama-server";

/// The port of the predecessor's files that name none.
pub(super) const LEGACY_PORT: u16 = 8001;

/// Context sizes the predecessor accepted; others are rarely meant.
const USUAL_CONTEXT: std::ops::RangeInclusive<u32> = 512..=262_144;

/// Arguments of llama-server that name a model.
const MODEL_FLAGS: [&str; 12] = [
    "-m",
    "--model",
    "-mu",
    "--model-url",
    "-dr",
    "--docker-repo",
    "-hf",
    "-hfr",
    "--hf-repo",
    "-hff",
    "--hf-file",
    "--models-preset",
];

/// Variables of llama-server that name a model.
const MODEL_VARIABLES: [&str; 4] = [
    "LLAMA_ARG_MODEL",
    "LLAMA_ARG_MODEL_URL",
    "LLAMA_ARG_HF_REPO",
    "LLAMA_ARG_DOCKER_REPO",
];

/// What an instance's file does not say itself.
pub(super) struct Context<'a> {
    pub(super) home: &'a Home,
    /// The name of the directory that holds the file.
    pub(super) directory: &'a str,
    pub(super) format: Format,
    /// Of the supervisor's settings; for instances that name none.
    pub(super) stop_grace: Option<Duration>,
    pub(super) registry: &'a Registry,
}

/// Returns the spec, or `None` when something was found that must be corrected.
pub(super) fn spec(checked: &mut Checked<'_>, context: &Context<'_>) -> Option<InstanceSpec> {
    let root = context.home.root();
    let name = name(checked, context);
    let binary = binary(checked, context);
    let server = server(checked, context);
    let healthcheck = healthcheck(checked);
    let model = model(checked, context, binary.as_ref());
    let label = name
        .as_ref()
        .map_or(context.directory, InstanceName::as_str);
    let logs = logs(checked, context, label);
    let gpu = gpu(checked);
    advise(checked, context.format, &server, &model);
    if checked.has_errors() {
        return None;
    }
    let name = name?;
    Some(InstanceSpec {
        display_name: checked
            .text("display_name")
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| name.to_string()),
        name,
        tags: checked.texts("tags").unwrap_or_default(),
        autostart: checked.flag("autostart").unwrap_or(false),
        sort_order: checked.integer("sort_order"),
        instance_uid: checked.text("instance_uid"),
        instance_no: checked.text("instance_no"),
        binary: binary?,
        model,
        server: Server {
            host: absolute_socket(root, server.host),
            ..server
        },
        gpu,
        env: checked.map("env").unwrap_or_default(),
        args: checked.texts("args").unwrap_or_default(),
        healthcheck,
        restart_policy: restart_policy(checked),
        stop_grace: checked
            .duration("stop_grace")
            .or(context.stop_grace)
            .unwrap_or(Duration::from_secs(10)),
        router: checked.flag("router").unwrap_or(false),
        logs,
        model_metadata: checked.carried("model_metadata"),
    })
}

fn name(checked: &mut Checked<'_>, context: &Context<'_>) -> Option<InstanceName> {
    if checked.is_wrong("name") {
        return None;
    }
    if let Some(text) = checked.text("name") {
        return InstanceName::parse(&text).ok();
    }
    if context.format == Format::LegacyJson {
        let message = "name is missing".to_owned();
        let help = "config.json needs the field \"name\"";
        checked.complain(Severity::Error, "name", message, help);
        return None;
    }
    let parsed = InstanceName::parse(context.directory);
    if parsed.is_err() {
        let message = format!(
            "name is missing, and the directory's name {:?} cannot stand for it",
            context.directory
        );
        let help = "a name is 1 to 64 of a-z, 0-9, '_' and '-', first and last a letter or digit";
        checked.complain(Severity::Error, "name", message, help);
    }
    parsed.ok()
}

fn binary(checked: &mut Checked<'_>, context: &Context<'_>) -> Option<Binary> {
    let path = checked.text("binary.path");
    // A pinned build is that build or an error, whatever else the file says.
    if let Some(id) = checked.text("binary.binary_id").filter(|id| !id.is_empty()) {
        return match context.registry.resolve(&id) {
            Ok(executable) => Some(Binary::File(executable)),
            Err(error) => {
                let message = format!("binary.binary_id {error}");
                checked.complain(Severity::Error, "binary.binary_id", message, &error.help());
                None
            }
        };
    }
    Some(match path.as_deref() {
        None => Binary::InPath(DEFAULT_BINARY.to_owned()),
        Some(SIMULATED) => Binary::Simulated,
        Some(bare) if !bare.contains(['/', '\\']) => Binary::InPath(bare.to_owned()),
        Some(path) => Binary::File(absolute(context.home.root(), path)),
    })
}

fn model(checked: &mut Checked<'_>, context: &Context<'_>, binary: Option<&Binary>) -> Model {
    let path = checked
        .text("model.path")
        .map(|path| absolute(context.home.root(), &path));
    if let Some(path) = &path {
        let is_gguf = path
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
        if !is_gguf {
            let message = "model.path does not end in .gguf".to_owned();
            let help = "llama-server reads models in the GGUF format only";
            checked.complain(Severity::Error, "model.path", message, help);
        }
    } else if !checked.is_wrong("model.path")
        && binary != Some(&Binary::Simulated)
        && !may_lack_model(checked)
    {
        let message = "model.path is missing".to_owned();
        let help = "set model.path, name a model in args (-hf, --model), or set router = true";
        checked.complain(Severity::Error, "model.path", message, help);
    }
    let legacy = |value| (context.format == Format::LegacyJson).then_some(value);
    Model {
        path,
        context_size: checked.count("model.context_size").unwrap_or(4096),
        batch_size: checked.count("model.batch_size").or(legacy(512)),
        threads: checked.count("model.threads").or(legacy(8)),
    }
}

/// Returns whether a model is named elsewhere, or none is wanted, or nobody can tell.
fn may_lack_model(checked: &Checked<'_>) -> bool {
    let unclear = ["router", "args", "env"]
        .iter()
        .any(|path| checked.is_wrong(path));
    unclear
        || checked.flag("router") == Some(true)
        || checked
            .texts("args")
            .is_some_and(|args| args.iter().any(|arg| names_model(arg)))
        || checked
            .map("env")
            .is_some_and(|env| MODEL_VARIABLES.iter().any(|name| env.contains_key(*name)))
}

fn names_model(argument: &str) -> bool {
    let flag = argument.split('=').next().unwrap_or(argument);
    // Presets such as --gpt-oss-20b-default bring their model along.
    MODEL_FLAGS.contains(&flag) || (flag.starts_with("--") && flag.ends_with("-default"))
}

fn server(checked: &mut Checked<'_>, context: &Context<'_>) -> Server {
    let host = checked
        .text("server.host")
        .unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = match (checked.port("server.port"), context.format) {
        (Some(port), _) => port,
        (None, Format::LegacyJson) => Port::Fixed(LEGACY_PORT),
        (None, Format::Toml) => {
            let needed = !host.ends_with(".sock") && !checked.is_wrong("server");
            if needed {
                let message = "server.port is missing".to_owned();
                let help = "set [server] port to a number from 1 to 65535, or to \"auto\"";
                checked.complain(Severity::Error, "server.port", message, help);
            }
            Port::Auto
        }
    };
    Server {
        host,
        port,
        timeout: checked.count("server.timeout").unwrap_or(600),
        parallel: checked.count("server.parallel").unwrap_or(1),
    }
}

fn gpu(checked: &Checked<'_>) -> Gpu {
    Gpu {
        backend: checked
            .text("gpu.backend")
            .and_then(|word| Backend::parse(&word))
            .unwrap_or(Backend::Cpu),
        device_id: checked.count("gpu.device_id").unwrap_or(0),
        layers: checked.layers("gpu.layers").unwrap_or(Layers::Count(0)),
    }
}

fn healthcheck(checked: &mut Checked<'_>) -> Healthcheck {
    let seconds = |checked: &Checked<'_>, path: &str, default: f64| {
        checked
            .duration(path)
            .unwrap_or(Duration::from_secs_f64(default))
    };
    let start_timeout = seconds(checked, "healthcheck.start_timeout", 3600.0);
    let warmup = checked.flag("healthcheck.warmup_enabled") == Some(true);
    Healthcheck {
        probe: probe(checked),
        interval: seconds(checked, "healthcheck.interval", 10.0),
        timeout: seconds(checked, "healthcheck.timeout", 5.0),
        retries: checked.count("healthcheck.retries").unwrap_or(3),
        retry_delay: seconds(checked, "healthcheck.retry_delay", 1.0),
        start_period: seconds(checked, "healthcheck.start_period", 60.0),
        start_timeout: (!start_timeout.is_zero()).then_some(start_timeout),
        backoff: ProbeBackoff {
            enabled: checked.flag("healthcheck.backoff_enabled").unwrap_or(true),
            base: seconds(checked, "healthcheck.backoff_base", 1.0).as_secs_f64(),
            max: seconds(checked, "healthcheck.backoff_max", 60.0).as_secs_f64(),
            jitter: checked.number("healthcheck.backoff_jitter").unwrap_or(0.1),
        },
        warmup_prompt: warmup.then(|| {
            checked
                .text("healthcheck.warmup_prompt")
                .unwrap_or_else(|| "Hello".to_owned())
        }),
    }
}

fn probe(checked: &mut Checked<'_>) -> ProbeKind {
    match checked.text("healthcheck.type").as_deref() {
        Some("tcp") => ProbeKind::Tcp,
        Some("custom") => {
            let command = checked
                .text("healthcheck.custom_script")
                .unwrap_or_default();
            if command.trim().is_empty() && !checked.is_wrong("healthcheck.custom_script") {
                let message =
                    "healthcheck.custom_script is missing, which type \"custom\" needs".to_owned();
                let help = "a command; {host}, {port} and {name} are filled in";
                checked.complain(Severity::Error, "healthcheck.custom_script", message, help);
            }
            let shell = match checked.flag("healthcheck.shell") {
                Some(true) => Shell::Yes,
                Some(false) | None => Shell::No,
            };
            ProbeKind::Script { command, shell }
        }
        Some(_) | None => {
            let mut path = checked
                .text("healthcheck.path")
                .unwrap_or_else(|| "/health".to_owned());
            if !path.starts_with('/') {
                let message = "healthcheck.path does not begin with '/'".to_owned();
                path.insert(0, '/');
                let help = format!("it is read as {path:?}");
                checked.complain(Severity::Warning, "healthcheck.path", message, &help);
            }
            ProbeKind::Http {
                path,
                expected_status: checked
                    .statuses("healthcheck.expected_status")
                    .unwrap_or_else(|| vec![200]),
                expected_body: checked.text("healthcheck.expected_body"),
            }
        }
    }
}

fn restart_policy(checked: &Checked<'_>) -> RestartPolicy {
    let default = RestartPolicy::default();
    RestartPolicy {
        enabled: checked
            .flag("restart_policy.enabled")
            .unwrap_or(default.enabled),
        max_retries: checked
            .count("restart_policy.max_retries")
            .unwrap_or(default.max_retries),
        backoff_multiplier: checked
            .number("restart_policy.backoff_multiplier")
            .unwrap_or(default.backoff_multiplier),
        initial_delay: checked
            .duration("restart_policy.initial_delay")
            .unwrap_or(default.initial_delay),
        max_delay: checked
            .duration("restart_policy.max_delay")
            .unwrap_or(default.max_delay),
        jitter: checked
            .number("restart_policy.jitter")
            .unwrap_or(default.jitter),
    }
}

fn logs(checked: &mut Checked<'_>, context: &Context<'_>, name: &str) -> Logs {
    let path = |checked: &Checked<'_>, stream: &str| {
        let text = checked
            .text(&format!("logs.{stream}"))
            .unwrap_or_else(|| format!("logs/{{name}}/{stream}.log"));
        absolute(context.home.root(), &text.replace("{name}", name))
    };
    let (max_size_mb, rotation) = match context.format {
        Format::Toml => (10, 3),
        Format::LegacyJson => (100, 5),
    };
    let stdout = path(checked, "stdout");
    let stderr = path(checked, "stderr");
    if stdout == stderr {
        let message = "logs.stderr is the same file as logs.stdout".to_owned();
        let help = "each stream needs a file of its own";
        checked.complain(Severity::Error, "logs.stderr", message, help);
    }
    let megabytes = checked.count("logs.max_size_mb").unwrap_or(max_size_mb);
    Logs {
        stdout,
        stderr,
        max_size: u64::from(megabytes) * 1024 * 1024,
        rotation: checked.count("logs.rotation").unwrap_or(rotation),
    }
}

/// Tells of what works and is still rarely meant.
fn advise(checked: &mut Checked<'_>, format: Format, server: &Server, model: &Model) {
    if let Port::Fixed(port) = server.port
        && port < 1024
    {
        let message = format!("server.port {port} can be opened by the system's user only");
        let help = "ports from 1024 on are free for all";
        checked.complain(Severity::Warning, "server.port", message, help);
    }
    let size = model.context_size;
    if size != 0 && !USUAL_CONTEXT.contains(&size) {
        let message = format!("model.context_size {size} is unusual");
        let help = "usual are 512 to 262144, or 0 for the model's own";
        checked.complain(Severity::Warning, "model.context_size", message, help);
    }
    let args = checked.texts("args").unwrap_or_default();
    if args.iter().any(|argument| secrets::is_api_key(argument)) {
        let severity = match format {
            Format::Toml => Severity::Lint,
            Format::LegacyJson => Severity::Warning,
        };
        let message = "args hold --api-key: whoever may read this file has the key".to_owned();
        let help = "write the key into a file and use --api-key-file";
        checked.complain(severity, "args", message, help);
    }
}

/// Returns a path of a file, which may be relative to the home and use Windows separators.
pub(super) fn absolute(root: &Path, text: &str) -> PathBuf {
    // Going through the components drops "./", so that equal paths are equal.
    root.join(text.replace('\\', "/")).components().collect()
}

fn absolute_socket(root: &Path, host: String) -> String {
    if host.ends_with(".sock") {
        absolute(root, &host).to_string_lossy().into_owned()
    } else {
        host
    }
}
