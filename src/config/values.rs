//! A spec as the values a file would hold, and where each of them was said.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::fields::INSTANCE;
use super::load::Loaded;
use super::settings::Settings;
use super::tree::{Node, Source};
use crate::domain::instance::{Binary, InstanceSpec, Layers, Port, ProbeKind, Shell};
use crate::domain::secrets;

/// One value that an instance runs with; secrets are masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// Dotted path; a variable of `env` has its own.
    pub field: String,
    /// `None` when nothing is set and llama-server decides.
    pub value: Option<Value>,
    pub origin: Origin,
}

/// Who said what a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The instance's own file or `orchestrator.toml`.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    /// `supervisor.stop_grace` of `orchestrator.toml`.
    Supervisor,
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                write!(f, "{}:{line}:{column}", name.display())
            }
            Self::Supervisor => f.write_str("orchestrator.toml supervisor.stop_grace"),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

/// Returns every value of an instance with its origin, in the order of the table of fields.
#[must_use]
pub fn effective(loaded: &Loaded, settings: &Settings) -> Vec<Effective> {
    let values = values(&loaded.spec);
    let origin = |field: &str| match loaded.origins.get(field) {
        Some(origin) => origin.clone(),
        None if field == "stop_grace" && settings.supervisor.stop_grace.is_some() => {
            Origin::Supervisor
        }
        None => Origin::BuiltIn,
    };
    let mut all = Vec::new();
    for field in INSTANCE {
        match (field.path, values.get(field.path)) {
            ("env", Some(Value::Table(variables))) => {
                for (name, value) in variables {
                    let path = format!("env.{name}");
                    let shown = value.as_str().unwrap_or_default();
                    all.push(Effective {
                        value: Some(Value::String(secrets::mask_variable(name, shown))),
                        origin: origin(&path),
                        field: path,
                    });
                }
            }
            ("args", _) => all.push(Effective {
                field: "args".to_owned(),
                value: Some(texts(&secrets::mask_args(&loaded.spec.args))),
                origin: origin("args"),
            }),
            (path, Some(value)) => all.push(Effective {
                field: path.to_owned(),
                value: Some(value.clone()),
                origin: origin(path),
            }),
            // What the predecessor only noted is shown when it is there; nothing is made of it.
            (path, None) if UNSET.contains(&path) => all.push(Effective {
                field: path.to_owned(),
                value: None,
                origin: origin(path),
            }),
            (_, None) => {}
        }
    }
    all
}

/// Fields that may be absent and are worth a line then.
const UNSET: [&str; 4] = [
    "sort_order",
    "model.path",
    "model.batch_size",
    "model.threads",
];

/// Returns where each field of a file was said; a variable of `env` has its own entry.
pub(super) fn origins(root: &Node, sources: &[&Source]) -> BTreeMap<String, Origin> {
    let mut origins = BTreeMap::new();
    collect(root, "", sources, &mut origins);
    origins
}

fn collect(node: &Node, table: &str, sources: &[&Source], origins: &mut BTreeMap<String, Origin>) {
    for entry in node.entries() {
        let path = if table.is_empty() {
            entry.key.clone()
        } else {
            format!("{table}.{}", entry.key)
        };
        let place = &entry.node.place;
        if let Some(source) = sources.get(place.source) {
            let (line, column) = source.position(place.span.start);
            origins.insert(
                path.clone(),
                Origin::File {
                    path: source.path.clone(),
                    line,
                    column,
                },
            );
        }
        collect(&entry.node, &path, sources, origins);
    }
}

/// Returns the values of a spec under the names and in the units of the table of fields.
/// Secrets are not masked.
#[must_use]
pub fn values(spec: &InstanceSpec) -> BTreeMap<&'static str, Value> {
    let mut values = BTreeMap::new();
    let mut put = |field: &'static str, value: Value| {
        values.insert(field, value);
    };
    put("name", text(spec.name.as_str()));
    put("display_name", text(&spec.display_name));
    put("tags", texts(&spec.tags));
    put("autostart", Value::Boolean(spec.autostart));
    if let Some(order) = spec.sort_order {
        put("sort_order", Value::Integer(order));
    }
    if let Some(uid) = &spec.instance_uid {
        put("instance_uid", text(uid));
    }
    if let Some(number) = &spec.instance_no {
        put("instance_no", text(number));
    }
    put(
        "binary.path",
        match &spec.binary {
            Binary::InPath(name) => text(name),
            Binary::File(path) => text(&path.to_string_lossy()),
            Binary::Simulated => text(super::SIMULATED),
        },
    );
    if let Some(path) = &spec.model.path {
        put("model.path", text(&path.to_string_lossy()));
    }
    put("model.context_size", count(spec.model.context_size));
    if let Some(size) = spec.model.batch_size {
        put("model.batch_size", count(size));
    }
    if let Some(threads) = spec.model.threads {
        put("model.threads", count(threads));
    }
    put("server.host", text(&spec.server.host));
    put(
        "server.port",
        match spec.server.port {
            Port::Auto => text("auto"),
            Port::Fixed(port) => count(u32::from(port)),
        },
    );
    put("server.timeout", count(spec.server.timeout));
    put("server.parallel", count(spec.server.parallel));
    put("gpu.backend", text(spec.gpu.backend.as_str()));
    put("gpu.device_id", count(spec.gpu.device_id));
    put(
        "gpu.layers",
        match spec.gpu.layers {
            Layers::Count(layers) => count(layers),
            Layers::All => text("all"),
            Layers::Auto => text("auto"),
        },
    );
    let variables = spec
        .env
        .iter()
        .map(|(name, value)| (name.clone(), text(value)));
    put("env", Value::Table(variables.collect::<Table>()));
    put("args", texts(&spec.args));
    values.extend(health_values(spec));
    values.extend(rest_values(spec));
    values
}

fn health_values(spec: &InstanceSpec) -> BTreeMap<&'static str, Value> {
    let health = &spec.healthcheck;
    let mut values = BTreeMap::new();
    let mut put = |field: &'static str, value: Value| {
        values.insert(field, value);
    };
    match &health.probe {
        ProbeKind::Http {
            path,
            expected_status,
            expected_body,
        } => {
            put("healthcheck.type", text("http"));
            put("healthcheck.path", text(path));
            let statuses = expected_status
                .iter()
                .map(|status| count(u32::from(*status)));
            put(
                "healthcheck.expected_status",
                Value::Array(statuses.collect()),
            );
            if let Some(body) = expected_body {
                put("healthcheck.expected_body", text(body));
            }
        }
        ProbeKind::Tcp => put("healthcheck.type", text("tcp")),
        ProbeKind::Script { command, shell } => {
            put("healthcheck.type", text("custom"));
            put("healthcheck.custom_script", text(command));
            put("healthcheck.shell", Value::Boolean(*shell == Shell::Yes));
        }
    }
    put("healthcheck.interval", seconds(health.interval));
    put("healthcheck.timeout", seconds(health.timeout));
    put("healthcheck.retries", count(health.retries));
    put("healthcheck.retry_delay", seconds(health.retry_delay));
    put("healthcheck.start_period", seconds(health.start_period));
    put(
        "healthcheck.start_timeout",
        seconds(health.start_timeout.unwrap_or_default()),
    );
    put(
        "healthcheck.backoff_enabled",
        Value::Boolean(health.backoff.enabled),
    );
    put("healthcheck.backoff_base", number(health.backoff.base));
    put("healthcheck.backoff_max", number(health.backoff.max));
    put("healthcheck.backoff_jitter", number(health.backoff.jitter));
    put(
        "healthcheck.warmup_enabled",
        Value::Boolean(health.warmup_prompt.is_some()),
    );
    if let Some(prompt) = &health.warmup_prompt {
        put("healthcheck.warmup_prompt", text(prompt));
    }
    values
}

fn rest_values(spec: &InstanceSpec) -> BTreeMap<&'static str, Value> {
    let policy = &spec.restart_policy;
    let logs = &spec.logs;
    let megabytes = i64::try_from(logs.max_size >> 20).unwrap_or(i64::MAX);
    BTreeMap::from([
        ("restart_policy.enabled", Value::Boolean(policy.enabled)),
        ("restart_policy.max_retries", count(policy.max_retries)),
        (
            "restart_policy.backoff_multiplier",
            number(policy.backoff_multiplier),
        ),
        (
            "restart_policy.initial_delay",
            seconds(policy.initial_delay),
        ),
        ("restart_policy.max_delay", seconds(policy.max_delay)),
        ("restart_policy.jitter", number(policy.jitter)),
        ("stop_grace", seconds(spec.stop_grace)),
        ("router", Value::Boolean(spec.router)),
        ("logs.stdout", text(&logs.stdout.to_string_lossy())),
        ("logs.stderr", text(&logs.stderr.to_string_lossy())),
        ("logs.max_size_mb", Value::Integer(megabytes)),
        ("logs.rotation", count(logs.rotation)),
    ])
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(texts: &[String]) -> Value {
    Value::Array(texts.iter().map(|one| text(one)).collect())
}

fn count(count: u32) -> Value {
    Value::Integer(i64::from(count))
}

/// Seconds without a fraction are whole numbers, as one would type them.
fn seconds(duration: Duration) -> Value {
    number(duration.as_secs_f64())
}

pub(super) fn number(number: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number below 2^53 loses nothing"
    )]
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::Integer(number as i64)
    } else {
        Value::Float(number)
    }
}
