//! What every field is when nobody sets it, learned by reading a file that sets nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Value;

use super::home::{Home, HomeOrigin};
use super::load::interpret;
use super::registry::Registry;
use super::settings::Settings;
use super::spec::DEFAULT_BINARY;
use super::tree::{Format, Source};
use super::values::values;

/// Fields whose value in such a file is not a default: they are needed, or made from the name.
const NOT_A_DEFAULT: [&str; 3] = ["name", "display_name", "server.port"];

/// Returns the built-in values by field, in the words of a file of this format; a field without
/// one is absent.
///
/// # Panics
///
/// Never: the text that is read is a constant, and a test reads it.
#[must_use]
pub fn defaults(format: Format) -> BTreeMap<&'static str, Value> {
    let (file, text) = match format {
        Format::Toml => (
            "config.toml",
            "name = \"x\"\nserver.port = \"auto\"\nrouter = true",
        ),
        Format::LegacyJson => ("config.json", "{\"name\": \"x\", \"router\": true}"),
    };
    let home = Home::open(Path::new("/"), HomeOrigin::Flag).expect("the root is a directory");
    let registry = Registry::read(PathBuf::new(), PathBuf::new());
    let source = Source::new(PathBuf::from(file), text, format);
    let loaded = interpret(&home, &Settings::default(), &registry, &source)
        .expect("the smallest file is a good one");
    let mut values = values(&loaded.spec);
    values.retain(|field, _| !NOT_A_DEFAULT.contains(field));
    let text = |text: &str| Value::String(text.to_owned());
    values.insert("binary.path", text(DEFAULT_BINARY));
    values.insert("logs.stdout", text("logs/{name}/stdout.log"));
    values.insert("logs.stderr", text("logs/{name}/stderr.log"));
    values.insert("router", Value::Boolean(false));
    values.insert("healthcheck.warmup_prompt", text("Hello"));
    values.insert("healthcheck.shell", Value::Boolean(false));
    if format == Format::LegacyJson {
        values.insert(
            "server.port",
            Value::Integer(super::spec::LEGACY_PORT.into()),
        );
    }
    values
}

/// Returns the built-in values of `orchestrator.toml` by field; a field without one is absent.
#[must_use]
pub fn of_settings() -> BTreeMap<&'static str, Value> {
    let built_in = Settings::default();
    let count = |count: u32| Value::Integer(count.into());
    let text = |text: &str| Value::String(text.to_owned());
    BTreeMap::from([
        (
            "supervisor.max_loading",
            count(built_in.supervisor.max_loading),
        ),
        ("supervisor.stop_grace", Value::Integer(10)),
        ("api.token_file", text("state/api-token")),
        ("api.require_token", Value::Boolean(true)),
        (
            "retention.events_days",
            count(built_in.retention.events_days),
        ),
        (
            "retention.events_rows",
            count(built_in.retention.events_rows),
        ),
        ("memory.refuse", Value::Boolean(built_in.memory_refuse)),
        ("work.max_parallel", count(built_in.work.max_parallel)),
        ("work.time_limit", Value::Integer(0)),
        (
            "work.remote_commands",
            Value::Boolean(built_in.work.remote_commands),
        ),
        ("models.folders", Value::Array(Vec::new())),
        ("dashboard.theme", text("auto")),
        ("dashboard.ascii", Value::Boolean(false)),
        ("dashboard.mouse", Value::Boolean(true)),
        ("dashboard.on_quit", text("ask")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_two_formats_differ_where_they_should() {
        let (toml, json) = (defaults(Format::Toml), defaults(Format::LegacyJson));
        let differing: Vec<_> = json
            .iter()
            .filter(|(field, value)| toml.get(*field) != Some(value))
            .map(|(field, value)| format!("{field} {value}"))
            .collect();
        assert_eq!(
            differing,
            [
                "logs.max_size_mb 100",
                "logs.rotation 5",
                "model.batch_size 512",
                "model.threads 8",
                "server.port 8001",
            ]
        );
        assert_eq!(toml["healthcheck.interval"], Value::Integer(10));
        assert_eq!(toml["server.host"], Value::String("127.0.0.1".to_owned()));
    }
}
