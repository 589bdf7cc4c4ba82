//! Every field a file can have: its kind, its bounds and what a change of it needs.
//!
//! A new field is a row here and a line in `spec.rs` (or `settings.rs`), which turns checked
//! values into a spec; a field that the running server was started with also needs a line in
//! `drift.rs`.

use crate::domain::work::TimeLimit;

/// One field of a file.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted path, such as `server.port`.
    pub path: &'static str,
    pub kind: Kind,
    pub change: Change,
    /// What it is for, as a short sentence without a full stop.
    pub about: &'static str,
}

/// What a change of a field needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A restart of the instance; until then it is drift.
    Static,
    /// Nothing: it applies to the running instance at once.
    Dynamic,
    /// Nothing: it is only carried along.
    Note,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// Text of one line, without control characters.
    Line,
    /// An instance's name.
    Name,
    Path,
    /// A host name, an IP address or the path of a socket.
    Host,
    /// A UUID.
    Uid,
    /// Eight digits.
    Number8,
    /// Words under the rule of names.
    Tags,
    Texts,
    /// A table of strings.
    Map,
    Flag,
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// Seconds, or text such as "1m 5s" in TOML.
    Seconds {
        min: f64,
        max: f64,
    },
    Words(&'static [&'static str]),
    /// A port number or "auto".
    Port,
    /// A count, "all" or "auto".
    Layers,
    /// One HTTP status or a list of them.
    Statuses,
    /// IP address and port to listen on.
    Address,
    /// Anything at all.
    Free,
}

const fn field(path: &'static str, kind: Kind, change: Change, about: &'static str) -> Field {
    Field {
        path,
        kind,
        change,
        about,
    }
}

const fn integer(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max }
}

const fn number(min: f64, max: f64) -> Kind {
    Kind::Number { min, max }
}

const fn seconds(min: f64, max: f64) -> Kind {
    Kind::Seconds { min, max }
}

const DAY: f64 = 86_400.0;
const U32: i64 = u32::MAX as i64;
const BACKENDS: &[&str] = &["cpu", "vulkan", "cuda", "metal", "hip", "rocm", "sycl"];
const PROBES: &[&str] = &["http", "tcp", "custom"];

/// The fields of an instance's file.
#[rustfmt::skip]
pub const INSTANCE: &[Field] = &[
    field("name", Kind::Name, Change::Static, "The identity; the directory's name when absent (required in JSON)"),
    field("display_name", Kind::Line, Change::Dynamic, "Shown beside the name"),
    field("tags", Kind::Tags, Change::Dynamic, "Words to select instances by"),
    field("autostart", Kind::Flag, Change::Dynamic, "Start it when an owner first sees it"),
    field("sort_order", integer(i64::MIN, i64::MAX), Change::Dynamic, "Lower comes first in every list"),
    field("schema_version", Kind::Free, Change::Note, "The predecessor's version of the file"),
    field("instance_uid", Kind::Uid, Change::Note, "The predecessor's unique id"),
    field("instance_no", Kind::Number8, Change::Note, "The predecessor's number"),
    field("created_at", Kind::Free, Change::Note, "When the predecessor made the file"),
    field("updated_at", Kind::Free, Change::Note, "When the predecessor last wrote the file"),
    field("binary.path", Kind::Path, Change::Static, "A path, a bare name looked up in PATH, or \"builtin:sim\""),
    field("binary.binary_id", Kind::Text, Change::Static, "A build in bins/registry.json"),
    field("binary.version", Kind::Text, Change::Note, "The build's version"),
    field("binary.variant", Kind::Text, Change::Note, "The build's variant"),
    field("binary.source_url", Kind::Text, Change::Note, "Where the build came from"),
    field("binary.sha256", Kind::Text, Change::Note, "The build's checksum"),
    field("model.path", Kind::Path, Change::Static, "The .gguf file"),
    field("model.context_size", integer(0, U32), Change::Static, "Tokens; 0 takes the model's own"),
    field("model.batch_size", integer(1, 8192), Change::Static, "Tokens processed at once"),
    field("model.threads", integer(1, 256), Change::Static, "CPU threads"),
    field("server.host", Kind::Host, Change::Static, "Where the server listens"),
    field("server.port", Kind::Port, Change::Static, "The port, or \"auto\" for one chosen at each start"),
    field("server.timeout", integer(0, U32), Change::Static, "Seconds the server waits for a client"),
    field("server.parallel", integer(1, 64), Change::Static, "Requests served at once"),
    field("gpu.backend", Kind::Words(BACKENDS), Change::Static, "What the build computes on"),
    field("gpu.device_id", integer(0, U32), Change::Static, "Which device is made visible"),
    field("gpu.layers", Kind::Layers, Change::Static, "Layers held by the device"),
    field("env", Kind::Map, Change::Static, "Added to the server's environment"),
    field("args", Kind::Texts, Change::Static, "Passed to the server verbatim, last"),
    field("healthcheck.type", Kind::Words(PROBES), Change::Dynamic, "How the server is probed"),
    field("healthcheck.path", Kind::Text, Change::Dynamic, "What an http probe asks for"),
    field("healthcheck.expected_status", Kind::Statuses, Change::Dynamic, "Statuses that mean healthy"),
    field("healthcheck.expected_body", Kind::Text, Change::Dynamic, "Text a healthy answer holds"),
    field("healthcheck.custom_script", Kind::Text, Change::Dynamic, "The command of a custom probe; {host} {port} {name} are filled in"),
    field("healthcheck.shell", Kind::Flag, Change::Dynamic, "Run the command of a custom probe by the shell"),
    field("healthcheck.interval", seconds(1.0, 3600.0), Change::Dynamic, "Time between probes"),
    field("healthcheck.timeout", seconds(1.0, 60.0), Change::Dynamic, "How long a probe may take"),
    field("healthcheck.retries", integer(1, 10), Change::Dynamic, "Failures in a row that restart the instance"),
    field("healthcheck.retry_delay", seconds(0.1, 60.0), Change::Dynamic, "Time between failed probes"),
    field("healthcheck.start_period", seconds(0.0, DAY), Change::Dynamic, "Time without progress a start may take"),
    field("healthcheck.start_timeout", seconds(0.0, 7.0 * DAY), Change::Dynamic, "Hard limit of a start; 0 waits for ever"),
    field("healthcheck.backoff_enabled", Kind::Flag, Change::Dynamic, "Probe an unreachable server less often"),
    field("healthcheck.backoff_base", seconds(0.0, 3600.0), Change::Dynamic, "First delay of that"),
    field("healthcheck.backoff_max", seconds(0.0, DAY), Change::Dynamic, "Longest delay of that"),
    field("healthcheck.backoff_jitter", number(0.0, 1.0), Change::Dynamic, "Share of the delay left to chance"),
    field("healthcheck.warmup_enabled", Kind::Flag, Change::Dynamic, "Healthy only after a short completion was answered"),
    field("healthcheck.warmup_prompt", Kind::Text, Change::Dynamic, "The prompt of that completion"),
    field("restart_policy.enabled", Kind::Flag, Change::Dynamic, "Restart after a crash"),
    field("restart_policy.max_retries", integer(0, 100), Change::Dynamic, "Bad runs in a row before giving up"),
    field("restart_policy.backoff_multiplier", number(1.0, 10.0), Change::Dynamic, "Growth of the delay"),
    field("restart_policy.initial_delay", seconds(0.0, 60.0), Change::Dynamic, "First delay"),
    field("restart_policy.max_delay", seconds(0.0, 3600.0), Change::Dynamic, "Longest delay"),
    field("restart_policy.jitter", number(0.0, 1.0), Change::Dynamic, "Share of the delay left to chance"),
    field("stop_grace", seconds(0.0, 3600.0), Change::Dynamic, "Time between SIGTERM and SIGKILL"),
    field("router", Kind::Flag, Change::Static, "Runs without a model, as llama-server's router"),
    field("logs.stdout", Kind::Path, Change::Static, "Where stdout goes; {name} is filled in"),
    field("logs.stderr", Kind::Path, Change::Static, "Where stderr goes; {name} is filled in"),
    field("logs.max_size_mb", integer(1, 10_000), Change::Static, "MiB before a log is rotated"),
    field("logs.rotation", integer(1, 100), Change::Static, "Rotated logs that are kept"),
    field("parameter_mutability.static", Kind::Texts, Change::Note, "The predecessor's list; not used"),
    field("parameter_mutability.dynamic", Kind::Texts, Change::Note, "The predecessor's list; not used"),
    field("model_metadata", Kind::Free, Change::Dynamic, "Notes about the model, carried along"),
];

/// The words of `dashboard.theme`, as the dashboard knows them.
pub const THEMES: &[&str] = &["auto", "dark", "light", "terminal", "mono"];

/// The words of `dashboard.on_quit`.
pub const QUITTING: &[&str] = &["ask", "hand_over", "leave"];

/// The fields of `orchestrator.toml`; `defaults` holds instance fields and is checked as such.
#[rustfmt::skip]
pub const SETTINGS: &[Field] = &[
    field("defaults", Kind::Free, Change::Note, "Instance fields that every instance has unless its file says otherwise"),
    field("supervisor.max_loading", integer(1, 1000), Change::Dynamic, "Models loaded at once"),
    field("supervisor.stop_grace", seconds(0.0, 3600.0), Change::Dynamic, "Seconds between SIGTERM and SIGKILL, where an instance names none"),
    field("api.listen", Kind::Address, Change::Dynamic, "Where the API listens beside the socket; a port alone means 127.0.0.1"),
    field("api.token_file", Kind::Path, Change::Dynamic, "File with the token it wants, made when it is not there"),
    field("api.require_token", Kind::Flag, Change::Dynamic, "false lets everybody on this machine in; for loopback addresses only"),
    field("retention.events_days", integer(1, 36_500), Change::Dynamic, "Days events are kept"),
    field("retention.events_rows", integer(1000, 100_000_000), Change::Dynamic, "Events that are kept"),
    field("memory.refuse", Kind::Flag, Change::Dynamic, "Refuse a start that will not fit into memory"),
    field("work.max_parallel", integer(0, 10_000), Change::Dynamic, "Commands of work units that the owner runs at once; 0 runs none"),
    field("work.time_limit", seconds(0.0, TimeLimit::MOST_SECONDS), Change::Dynamic, "How long the command of one phase of a work unit may run before it is ended and the unit needs attention; 0 means no limit"),
    field("work.remote_commands", Kind::Flag, Change::Dynamic, "Take commands of work units from beyond the socket too: whoever has the API's token can then run programs here"),
    field("models.folders", Kind::Texts, Change::Dynamic, "Folders with models, beside the usual places; relative ones are in the home"),
    field("dashboard.theme", Kind::Words(THEMES), Change::Note, "Colours of the dashboard; auto goes by what the terminal says of itself"),
    field("dashboard.ascii", Kind::Flag, Change::Note, "Whether the dashboard draws with plain ASCII"),
    field("dashboard.mouse", Kind::Flag, Change::Note, "Whether the dashboard takes the mouse"),
    field("dashboard.on_quit", Kind::Words(QUITTING), Change::Note, "What quitting the dashboard does with running instances: asks, hands them to a daemon, or leaves them alone"),
    field("dashboard.columns", Kind::Texts, Change::Note, "Columns of the table, in their order; all that fit when absent"),
    field("dashboard.keys", Kind::Free, Change::Note, "A table of actions, each with its key or its list of keys"),
];

impl Kind {
    /// Returns what is allowed, to stand after "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Line => "a string of one line".to_owned(),
            Self::Name => {
                "1 to 64 of a-z, 0-9, '_' and '-', first and last a letter or digit".to_owned()
            }
            Self::Path => "a path in quotes".to_owned(),
            Self::Host => "a host name, an IP address or the path of a .sock file".to_owned(),
            Self::Uid => "a UUID".to_owned(),
            Self::Number8 => "a string of 8 digits".to_owned(),
            Self::Tags => {
                "a list of words of a-z, 0-9, '_' and '-', first and last a letter or digit"
                    .to_owned()
            }
            Self::Texts => "a list of strings".to_owned(),
            Self::Map => "a table of strings".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Integer {
                min: i64::MIN,
                max: i64::MAX,
            } => "a whole number".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Seconds { min, max } => format!("{min} to {max} seconds"),
            Self::Words(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Self::Port => "a port from 1 to 65535, or \"auto\"".to_owned(),
            Self::Layers => "a whole number from 0, \"all\" or \"auto\"".to_owned(),
            Self::Statuses => "an HTTP status from 100 to 599, or a list of them".to_owned(),
            Self::Address => {
                "an IP address and port, such as \"127.0.0.1:9090\", or a port from 1 to 65535"
                    .to_owned()
            }
            Self::Free => "anything".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::instance::Backend;

    #[test]
    fn no_field_is_listed_twice_or_is_also_a_table() {
        for fields in [INSTANCE, SETTINGS] {
            let mut seen = HashSet::new();
            for field in fields {
                assert!(seen.insert(field.path), "{}", field.path);
                let inside = format!("{}.", field.path);
                assert!(fields.iter().all(|other| !other.path.starts_with(&inside)));
            }
        }
    }

    #[test]
    fn the_backends_are_those_of_the_domain() {
        assert!(Backend::NAMES.iter().map(|(_, word)| word).eq(BACKENDS));
    }
}
