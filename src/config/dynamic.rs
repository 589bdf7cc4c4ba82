//! The fields whose change needs no restart, flat and as text, to be compared and shown.

use std::collections::BTreeMap;
use std::time::Duration;

use super::tree::{Node, Value};
use crate::domain::instance::{InstanceSpec, ProbeKind, Shell};

/// Returns the fields that apply to a running instance at once, as text.
// The paths are those of `fields.rs` with `Change::Dynamic`; a test holds the two together.
#[must_use]
pub fn dynamic_fields(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut put = |field: &str, value: String| {
        fields.insert(field.to_owned(), value);
    };
    put("display_name", spec.display_name.clone());
    if !spec.tags.is_empty() {
        put("tags", spec.tags.join(", "));
    }
    put("autostart", spec.autostart.to_string());
    if let Some(order) = spec.sort_order {
        put("sort_order", order.to_string());
    }
    if let Some(metadata) = &spec.model_metadata {
        put("model_metadata", metadata.clone());
    }
    put("stop_grace", seconds(spec.stop_grace));
    let policy = &spec.restart_policy;
    put("restart_policy.enabled", policy.enabled.to_string());
    put("restart_policy.max_retries", policy.max_retries.to_string());
    put(
        "restart_policy.backoff_multiplier",
        policy.backoff_multiplier.to_string(),
    );
    put(
        "restart_policy.initial_delay",
        seconds(policy.initial_delay),
    );
    put("restart_policy.max_delay", seconds(policy.max_delay));
    put("restart_policy.jitter", policy.jitter.to_string());
    fields.extend(healthcheck(spec));
    fields
}

fn healthcheck(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let check = &spec.healthcheck;
    let mut fields = BTreeMap::new();
    let mut put = |field: &str, value: String| {
        fields.insert(format!("healthcheck.{field}"), value);
    };
    match &check.probe {
        ProbeKind::Http {
            path,
            expected_status,
            expected_body,
        } => {
            put("type", "http".to_owned());
            put("path", path.clone());
            let statuses: Vec<_> = expected_status.iter().map(u16::to_string).collect();
            put("expected_status", statuses.join(", "));
            if let Some(body) = expected_body {
                put("expected_body", body.clone());
            }
        }
        ProbeKind::Tcp => put("type", "tcp".to_owned()),
        ProbeKind::Script { command, shell } => {
            put("type", "custom".to_owned());
            put("custom_script", command.clone());
            put("shell", (*shell == Shell::Yes).to_string());
        }
    }
    put("interval", seconds(check.interval));
    put("timeout", seconds(check.timeout));
    put("retries", check.retries.to_string());
    put("retry_delay", seconds(check.retry_delay));
    put("start_period", seconds(check.start_period));
    put(
        "start_timeout",
        seconds(check.start_timeout.unwrap_or(Duration::ZERO)),
    );
    put("backoff_enabled", check.backoff.enabled.to_string());
    put("backoff_base", format!("{} s", check.backoff.base));
    put("backoff_max", format!("{} s", check.backoff.max));
    put("backoff_jitter", check.backoff.jitter.to_string());
    put("warmup_enabled", check.warmup_prompt.is_some().to_string());
    if let Some(prompt) = &check.warmup_prompt {
        put("warmup_prompt", prompt.clone());
    }
    fields
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Writes a value of any kind in one line, the same for the same meaning in TOML and JSON: JSON's
/// null is what TOML leaves out.
pub(super) fn compact(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Flag(flag) => flag.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Other(_, text) => text.clone(),
        Value::List(items) => {
            let items: Vec<_> = items.iter().filter(is_set).map(compact).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(entries) => {
            let mut parts: Vec<_> = entries
                .iter()
                .filter(|entry| is_set(&&entry.node))
                .map(|entry| format!("{}: {}", entry.key, compact(&entry.node)))
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(", "))
        }
    }
}

fn is_set(node: &&Node) -> bool {
    !matches!(node.value, Value::Null)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::config::fields::{Change, INSTANCE};
    use crate::config::home::{Home, HomeOrigin};
    use crate::config::load;

    /// Together they set every field whose change applies at once.
    const FILES: [&str; 2] = [
        "server.port = 1\nrouter = true\ntags = [\"x\"]\nsort_order = 1\nmodel_metadata = {a = [1, true]}\n\
         healthcheck.expected_body = \"ok\"\nhealthcheck.warmup_enabled = true\n",
        "server.port = 1\nrouter = true\nhealthcheck.type = \"custom\"\n\
         healthcheck.custom_script = \"true\"\n",
    ];

    fn fields(text: &str) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(folder.path(), HomeOrigin::Flag).expect("a home");
        let path = folder.path().join("instances/a/config.toml");
        fs::create_dir_all(folder.path().join("instances/a")).expect("a folder");
        fs::write(&path, text).expect("write");
        let loaded = load::load_file(&home, &path)
            .unwrap_or_else(|broken| unreachable!("a good configuration: {}", broken.reason()));
        dynamic_fields(&loaded.spec)
    }

    #[test]
    fn exactly_the_fields_that_apply_at_once_are_listed() {
        let listed: BTreeSet<String> = FILES
            .iter()
            .flat_map(|text| fields(text))
            .map(|(field, _)| field)
            .collect();
        let known: BTreeSet<String> = INSTANCE
            .iter()
            .filter(|field| field.change == Change::Dynamic)
            .map(|field| field.path.to_owned())
            .collect();
        assert_eq!(listed, known);
    }

    #[test]
    fn notes_are_written_in_one_line_whatever_their_order() {
        let one = fields("server.port = 1\nrouter = true\n[model_metadata]\nb = \"x\"\na = 1.5\n");
        assert_eq!(one["model_metadata"], "{a: 1.5, b: \"x\"}");
    }
}
