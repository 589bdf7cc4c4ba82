//! The configurations in `tests/data/config`, field by field and finding by finding.

mod homes;
mod migrations;
mod noise;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::drift::{drift, static_fields};
use super::finding::Finding;
use super::home::{Home, HomeOrigin};
use super::load::{Broken, Loaded, interpret};
use super::registry::Registry;
use super::settings::Settings;
use super::tree::{Format, Source};
use crate::domain::instance::{Backend, Binary, InstanceSpec, Layers, Port, ProbeKind, Shell};

fn corpus(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/config")
        .join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("read the corpus")
        .map(|entry| entry.expect("read an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "expected"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no {kind} configurations");
    files
}

fn format_of(path: &Path) -> Format {
    if path.extension().is_some_and(|ending| ending == "json") {
        Format::LegacyJson
    } else {
        Format::Toml
    }
}

/// Reads a text as the configuration of an instance in the directory `case` of a home that is
/// not there.
fn read(text: &str, format: Format) -> Result<Loaded, Broken> {
    let home = Home::open(Path::new("/nowhere"), HomeOrigin::Flag).expect("open a home");
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    let path = home.instances_dir().join("case").join(match format {
        Format::Toml => "config.toml",
        Format::LegacyJson => "config.json",
    });
    let source = Source::new(path, text, format);
    interpret(&home, &Settings::default(), &registry, &source)
}

fn read_file(path: &Path) -> Result<Loaded, Broken> {
    read(
        &fs::read_to_string(path).expect("read a configuration"),
        format_of(path),
    )
}

fn good(name: &str) -> InstanceSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/config/good")
        .join(name);
    read_file(&path)
        .expect("a good configuration was refused")
        .spec
}

/// Compares findings with the lines `severity line:column field | part of the message` of the
/// file beside a configuration; no file means no findings. Returns what was found instead.
fn compare(path: &Path, findings: &[Finding]) -> Option<String> {
    let expected = fs::read_to_string(format!("{}.expected", path.display())).unwrap_or_default();
    let found: Vec<_> = findings
        .iter()
        .map(|one| {
            let Finding {
                severity,
                line,
                column,
                field,
                message,
                ..
            } = one;
            format!("{severity} {line}:{column} {field} | {message}")
        })
        .collect();
    let matches = found.len() == expected.lines().count()
        && found.iter().zip(expected.lines()).all(|(found, expected)| {
            let (place, part) = expected.split_once(" | ").unwrap_or((expected, ""));
            found.starts_with(&format!("{place} | ")) && found.contains(part)
        });
    (!matches).then(|| format!("{}\n{}\n", path.display(), found.join("\n")))
}

#[test]
fn good_configurations_are_read_with_just_their_warnings() {
    let unlike = |path: &PathBuf| match read_file(path) {
        Ok(loaded) => compare(path, &loaded.warnings),
        Err(broken) => Some(format!("{}: {}", path.display(), broken.reason())),
    };
    let unlike: Vec<_> = corpus("good").iter().filter_map(unlike).collect();
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

#[test]
fn bad_configurations_are_refused_with_every_error_and_its_place() {
    let unlike = |path: &PathBuf| match read_file(path) {
        Ok(_) => Some(format!("{} was accepted", path.display())),
        Err(broken) => compare(path, &broken.findings),
    };
    let unlike: Vec<_> = corpus("bad").iter().filter_map(unlike).collect();
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

#[test]
fn a_short_file_gets_the_defaults_of_its_format() {
    let toml = good("minimal.toml");
    assert_eq!(toml.name.as_str(), "case");
    assert_eq!(toml.display_name, "case");
    assert_eq!(toml.binary, Binary::InPath("llama-server".to_owned()));
    assert_eq!(
        toml.model.path.as_deref(),
        Some(Path::new("/nowhere/models/tiny.gguf"))
    );
    assert_eq!((toml.model.batch_size, toml.model.threads), (None, None));
    assert_eq!((toml.logs.max_size, toml.logs.rotation), (10 << 20, 3));
    assert_eq!(toml.logs.stdout, Path::new("/nowhere/logs/case/stdout.log"));
    assert_eq!(toml.server.host, "127.0.0.1");
    assert_eq!(
        toml.healthcheck.start_timeout,
        Some(Duration::from_secs(3600))
    );
    assert_eq!(toml.healthcheck.warmup_prompt, None);
    assert_eq!(toml.stop_grace, Duration::from_secs(10));

    let json = good("legacy-defaults.json");
    assert_eq!(json.server.port, Port::Fixed(8001));
    assert_eq!(
        (json.model.batch_size, json.model.threads),
        (Some(512), Some(8))
    );
    assert_eq!((json.logs.max_size, json.logs.rotation), (100 << 20, 5));
}

#[test]
fn every_field_reaches_the_spec() {
    let spec = good("everything.toml");
    assert_eq!(spec.name.as_str(), "every-field");
    assert_eq!(spec.display_name, "Every field");
    assert_eq!(spec.tags, ["gpu", "chat"]);
    assert!(spec.autostart && spec.router);
    assert_eq!(spec.sort_order, Some(-3));
    let uid = "9b2c7e0a-3f1d-4c58-8e64-0a1b2c3d4e5f";
    assert_eq!(spec.instance_uid.as_deref(), Some(uid));
    assert_eq!(spec.instance_no.as_deref(), Some("00000042"));
    assert_eq!(spec.stop_grace, Duration::from_secs(65));
    assert_eq!(spec.args, ["--flash-attn", "on"]);
    assert_eq!(
        spec.binary,
        Binary::File("/nowhere/bins/b9000/llama-server".into())
    );
    assert_eq!(
        spec.model.path.as_deref(),
        Some(Path::new("/nowhere/models/big.GGUF"))
    );
    assert_eq!(spec.model.context_size, 0);
    assert_eq!(
        (spec.model.batch_size, spec.model.threads),
        (Some(1024), Some(12))
    );
    assert_eq!(
        (spec.server.host.as_str(), spec.server.port),
        ("::1", Port::Auto)
    );
    assert_eq!((spec.server.timeout, spec.server.parallel), (30, 4));
    assert_eq!((spec.gpu.backend, spec.gpu.device_id), (Backend::Vulkan, 1));
    assert_eq!(spec.gpu.layers, Layers::All);
    assert_eq!(spec.env.get("GGML_LOG").map(String::as_str), Some("1"));
    let probe = ProbeKind::Http {
        path: "/v1/health".to_owned(),
        expected_status: vec![204],
        expected_body: Some("ok".to_owned()),
    };
    let health = &spec.healthcheck;
    assert_eq!(health.probe, probe);
    assert_eq!(health.interval, Duration::from_millis(1500));
    assert_eq!(health.timeout, Duration::from_secs(2));
    assert_eq!(health.retries, 4);
    assert_eq!(health.retry_delay, Duration::from_millis(500));
    assert_eq!(health.start_period, Duration::from_secs(120));
    assert_eq!(health.start_timeout, None);
    assert!(!health.backoff.enabled);
    assert_eq!(
        (
            health.backoff.base,
            health.backoff.max,
            health.backoff.jitter
        ),
        (2.0, 30.0, 0.0)
    );
    assert_eq!(health.warmup_prompt.as_deref(), Some("Hi"));
    let restart = spec.restart_policy;
    assert!(!restart.enabled);
    assert_eq!(
        (
            restart.max_retries,
            restart.backoff_multiplier,
            restart.jitter
        ),
        (0, 1.5, 1.0)
    );
    assert_eq!(restart.initial_delay, Duration::from_millis(500));
    assert_eq!(restart.max_delay, Duration::from_secs(10));
    assert_eq!(spec.logs.stdout, Path::new("/var/log/every-field/out.log"));
    assert_eq!(spec.logs.stderr, Path::new("/nowhere/logs/every-field.err"));
    assert_eq!((spec.logs.max_size, spec.logs.rotation), (7 << 20, 9));
}

#[test]
fn the_predecessors_looseness_is_accepted_in_its_files() {
    let spec = good("legacy.json");
    assert_eq!(
        spec.model.path.as_deref(),
        Some(Path::new("/nowhere/models/qwen.gguf"))
    );
    assert_eq!(
        (spec.model.context_size, spec.model.threads),
        (8192, Some(6))
    );
    assert_eq!(spec.server.port, Port::Fixed(8005));
    assert_eq!(spec.args, ["--temp", "0.7"]);
    assert_eq!(spec.healthcheck.interval, Duration::from_secs(15));
    assert_eq!(spec.display_name, "legacy");
}

#[test]
fn a_custom_probe_and_the_simulated_server_need_little() {
    let text = "server.port = \"auto\"\nbinary.path = \"builtin:sim\"\n\
                [healthcheck]\ntype = \"custom\"\ncustom_script = \"probe {port}\"\nshell = true";
    let spec = read(text, Format::Toml).expect("read").spec;
    assert_eq!(spec.binary, Binary::Simulated);
    let command = "probe {port}".to_owned();
    assert_eq!(
        spec.healthcheck.probe,
        ProbeKind::Script {
            command,
            shell: Shell::Yes
        }
    );
}

#[test]
fn drift_names_the_static_fields_that_differ_and_no_secret() {
    let before = "server.port = 1025\nargs = [\"-m\", \"a\", \"--api-key\", \"one\"]\ntags = []\n\
                  env = { HF_TOKEN = \"one\", A = \"1\" }";
    let after = "server.port = 1026\nargs = [\"-m\", \"a\", \"--api-key\", \"two\"]\ntags = [\"x\"]\n\
                 env = { HF_TOKEN = \"two\", B = \"1\" }";
    let fields = |text| static_fields(&read(text, Format::Toml).expect("read").spec);
    let (before, after) = (fields(before), fields(after));
    assert_eq!(drift(&before, &before), []);
    let changes = drift(&before, &after);
    let names: Vec<_> = changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(
        names,
        ["args", "env.A", "env.B", "env.HF_TOKEN", "server.port"]
    );
    let shown: String = changes.iter().map(ToString::to_string).collect();
    assert!(!shown.contains("one") && !shown.contains("two"), "{shown}");
    assert!(shown.contains("server.port: 1025 → 1026"), "{shown}");
    assert!(shown.contains("env.A: 1 → (not set)"), "{shown}");
}
