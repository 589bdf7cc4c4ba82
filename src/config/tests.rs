//! The configurations in `tests/data/config`, whole homes, and noise.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_assert, proptest};
use proptest::sample::Index;

use super::drift::{drift, static_fields};
use super::finding::{Finding, Severity};
use super::home::{Home, HomeOrigin};
use super::load::{Broken, ConfigSet, Loaded, interpret, load};
use super::registry::Registry;
use super::render;
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

struct TestHome {
    dir: tempfile::TempDir,
}

impl TestHome {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("make a temporary directory");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("the path has a folder")).expect("make it");
            fs::write(path, text).expect("write a file");
        }
        Self { dir }
    }

    fn load(&self) -> ConfigSet {
        load(&Home::open(self.dir.path(), HomeOrigin::Flag).expect("open the home"))
    }
}

/// Returns the rows in one line each: the name, `!` when broken, and what was found.
fn rows(set: &ConfigSet) -> Vec<String> {
    let line = |name: &str, mark: &str, findings: &[Finding]| {
        let told: Vec<_> = findings.iter().map(|one| one.message.clone()).collect();
        format!("{name}{mark} {}", told.join("; "))
            .trim_end()
            .to_owned()
    };
    set.rows
        .iter()
        .map(|row| match row {
            Ok(loaded) => line(loaded.spec.name.as_str(), "", &loaded.warnings),
            Err(broken) => line(broken.name.as_str(), "!", &broken.findings),
        })
        .collect()
}

const GOOD: &str = "router = true\nserver.port = \"auto\"";

#[test]
fn one_broken_file_never_stops_the_others() {
    let home = TestHome::new(&[
        ("instances/b/config.toml", GOOD),
        (
            "instances/a/config.toml",
            "router = true\nserver.port = \"auto\"\nsort_order = 9",
        ),
        ("instances/c/config.toml", "server.port = "),
        ("instances/both/config.toml", GOOD),
        ("instances/both/config.json", "{}"),
        ("instances/My Dir/config.toml", GOOD),
        (
            "instances/named dir/config.toml",
            "name = \"named\"\nrouter = true\nserver.port = 9000",
        ),
        ("instances/empty/notes.txt", "not an instance"),
        ("instances/.hidden/config.toml", GOOD),
        ("instances/stray.toml", GOOD),
    ]);
    let set = home.load();
    let rows = rows(&set);
    let starts = [
        "a",
        "b",
        "both! holds both",
        "c! is not TOML",
        "my-dir! name is missing",
        "named",
    ];
    assert_eq!(rows.len(), starts.len(), "{rows:#?}");
    for (row, start) in rows.iter().zip(starts) {
        assert!(row.starts_with(start), "{rows:#?}");
    }
    assert!(set.findings.is_empty());
}

#[test]
fn shared_names_and_ids_break_both_and_each_keeps_its_own_row() {
    let uid = "instance_uid = \"9b2c7e0a-3f1d-4c58-8e64-0a1b2c3d4e5f\"\n";
    let home = TestHome::new(&[
        (
            "instances/one/config.toml",
            &format!("name = \"x\"\n{GOOD}"),
        ),
        ("instances/x/config.toml", GOOD),
        ("instances/three/config.toml", &format!("{uid}{GOOD}")),
        ("instances/four/config.toml", &format!("{uid}{GOOD}")),
    ]);
    let set = home.load();
    let rows = rows(&set);
    let starts = [
        "four! instance_uid is also",
        "one! name \"x\"",
        "three! instance_uid",
        "x! name \"x\"",
    ];
    for (row, start) in rows.iter().zip(starts) {
        assert!(row.starts_with(start), "{rows:#?}");
    }
    let Some(Err(broken)) = set.rows.get(1) else {
        unreachable!("row 1 is broken");
    };
    let finding = &broken.findings[0];
    assert_eq!((finding.line, finding.column), (1, 8));
    assert!(
        finding.message.ends_with("instances/x/config.toml"),
        "{}",
        finding.message
    );
}

#[test]
fn shared_ports_and_logs_are_lints_on_both() {
    let text = "router = true\nserver.port = 9000\nlogs.stdout = \"logs/shared.log\"";
    let home = TestHome::new(&[
        ("instances/a/config.toml", text),
        ("instances/b/config.toml", text),
        (
            "instances/c/config.toml",
            "router = true\nserver.port = 9001",
        ),
    ]);
    let set = home.load();
    let told = "server.port 9000 is also that of b; logs.stdout is also a log of b";
    assert_eq!(rows(&set)[0], format!("a {told}"));
    assert_eq!(rows(&set)[1], format!("b {}", told.replace("of b", "of a")));
    assert_eq!(rows(&set)[2], "c");
    assert!(
        set.all_findings()
            .all(|finding| finding.severity == Severity::Lint)
    );
    assert!(
        set.all_findings()
            .any(|finding| (finding.line, finding.column) == (2, 15))
    );
}

#[test]
fn settings_and_defaults_apply_to_every_instance() {
    let settings = "[defaults]\nstop_grace = 3\nargs = [\"--jinja\"]\ncolour = 1\n\
        [defaults.env]\nA = \"default\"\nB = \"default\"\n\
        [supervisor]\nmax_loading = 5\n[retention]\nevents_days = 1\n\
        [api]\nlisten = \"127.0.0.1:9090\"\ntoken_file = \"state/token\"\n\
        [dashboard]\ntheme = \"dark\"\n[dashboard.keys]\nquit = \"x\"\n[dashbord]\na = 1";
    let home = TestHome::new(&[
        ("orchestrator.toml", settings),
        (
            "instances/a/config.toml",
            &format!("{GOOD}\nenv.A = \"own\""),
        ),
        (
            "instances/b/config.toml",
            &format!("stop_grace = 4\nargs = []\n{GOOD}"),
        ),
    ]);
    let set = home.load();
    let specs: Vec<_> = set
        .rows
        .iter()
        .flatten()
        .map(|loaded| &loaded.spec)
        .collect();
    assert_eq!(specs[0].stop_grace, Duration::from_secs(3));
    assert_eq!(specs[0].args, ["--jinja"]);
    assert_eq!(
        specs[0].env.values().collect::<Vec<_>>(),
        ["own", "default"]
    );
    assert_eq!(specs[1].stop_grace, Duration::from_secs(4));
    assert!(specs[1].args.is_empty());
    assert_eq!(set.settings.supervisor.max_loading, 5);
    assert_eq!(set.settings.retention.events_days, 1);
    assert_eq!(set.settings.retention.events_rows, 200_000);
    assert_eq!(
        set.settings.api.listen.map(|listen| listen.port()),
        Some(9090)
    );
    assert_eq!(
        set.settings.api.token_file,
        Some(set_root(&home).join("state/token"))
    );
    assert_eq!(set.settings.dashboard["theme"].as_str(), Some("dark"));
    assert_eq!(set.settings.dashboard["keys"]["quit"].as_str(), Some("x"));
    let told: Vec<_> = set.all_findings().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains(":19:2: dashbord is not"), "{told:#?}");
    assert!(
        told[1].contains(":4:1: defaults.colour is not"),
        "{told:#?}"
    );
}

fn set_root(home: &TestHome) -> PathBuf {
    fs::canonicalize(home.dir.path()).expect("resolve the home")
}

#[test]
fn broken_settings_are_told_and_instances_load_with_built_in_ones() {
    let rows_of = [
        ("[supervisor\n", ":1:"),
        (
            "[supervisor]\nmax_loading = 0",
            ":2:15: supervisor.max_loading must be",
        ),
        (
            "[defaults]\nname = \"x\"\nstop_grace = 1",
            ":2:8: defaults.name belongs to one",
        ),
        (
            "[defaults]\nserver.port = \"x\"\nstop_grace = 1",
            ":2:15: defaults.server.port must",
        ),
    ];
    for (settings, part) in rows_of {
        let home = TestHome::new(&[
            ("orchestrator.toml", settings),
            ("instances/a/config.toml", GOOD),
        ]);
        let set = home.load();
        let told: Vec<_> = set
            .settings
            .findings
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            told.iter().any(|line| line.contains(part)),
            "{settings}: {told:#?}"
        );
        assert_eq!(set.settings.supervisor.max_loading, 2);
        let loaded = set.rows[0].as_ref().expect("the instance loads");
        assert_eq!(
            loaded.spec.stop_grace,
            Duration::from_secs(10),
            "{settings}"
        );
    }
}

#[test]
fn autostart_comes_from_either_file() {
    for list in ["[\"a\", \"gone\"]", "{\"instances\": [\"a\", \"gone\"]}"] {
        let home = TestHome::new(&[
            ("autostart.json", list),
            ("instances/a/config.toml", GOOD),
            ("instances/b/config.toml", GOOD),
        ]);
        let set = home.load();
        let starts: Vec<_> = set
            .rows
            .iter()
            .flatten()
            .map(|one| one.spec.autostart)
            .collect();
        assert_eq!(starts, [true, false]);
        assert_eq!(set.findings.len(), 1);
        assert!(set.findings[0].message.contains("no instance \"gone\""));
    }
}

#[test]
fn files_that_are_no_text_are_findings() {
    let home = TestHome::new(&[("instances/a/config.toml", "x")]);
    let file = home.dir.path().join("instances/a/config.toml");
    fs::write(&file, b"a = 1\nb = \"\xff\"").expect("write bytes");
    assert_eq!(rows(&home.load()), ["a! is not UTF-8 text"]);
    fs::write(&file, "#".repeat(300 * 1024)).expect("write a large file");
    assert!(rows(&home.load())[0].starts_with("a! is larger than"));
    fs::remove_file(&file).expect("remove the file");
    std::os::unix::fs::symlink("gone", &file).expect("make a link");
    assert!(rows(&home.load())[0].starts_with("a! cannot be read"));
    fs::remove_file(&file).expect("remove the link");
    fs::create_dir(&file).expect("make a directory");
    assert_eq!(rows(&home.load()), ["a! is not a regular file"]);
}

#[test]
fn the_shipped_instances_are_without_findings_and_start_by_themselves() {
    let home = Home::open(Path::new(env!("CARGO_MANIFEST_DIR")), HomeOrigin::Flag).expect("open");
    let set = load(&home);
    let names: Vec<_> = set
        .rows
        .iter()
        .flatten()
        .map(|one| one.spec.name.as_str())
        .collect();
    assert_eq!(names, ["demo-chat", "demo-embed", "demo-slow"]);
    assert_eq!(set.all_findings().count(), 0);
    assert!(set.rows.iter().flatten().all(|one| {
        one.spec.autostart
            && one.spec.binary == Binary::Simulated
            && one.spec.server.port == Port::Auto
    }));
}

/// Reads any text, renders what was found, and checks that every place is in the text.
fn survives(text: &str, format: Format) -> Result<(), String> {
    let (Ok(Loaded {
        warnings: findings, ..
    })
    | Err(Broken { findings, .. })) = read(text, format);
    let rendered = render::findings(&findings, Path::new("/"));
    if rendered.contains('\u{1b}') {
        return Err(format!("{text:?} reaches the terminal"));
    }
    let lines: Vec<_> = text.split('\n').collect();
    for finding in findings {
        let length = finding
            .line
            .checked_sub(1)
            .and_then(|line| lines.get(line))
            .map_or(0, |line| line.chars().count());
        let is_whole = finding.line == 0 && finding.column == 0;
        if !is_whole && !(1..=length + 1).contains(&finding.column) {
            return Err(format!("{finding} is outside of {text:?}"));
        }
    }
    Ok(())
}

fn mutated() -> impl Strategy<Value = (String, Format)> {
    const PIECES: [&str; 16] = [
        "\"",
        "'''",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "-1",
        "1e400",
        "null",
        "true",
        "\\u0000",
        "ü",
        "99999999999999999999",
    ];
    let files: Vec<_> = corpus("good").into_iter().chain(corpus("bad")).collect();
    let edits = proptest::collection::vec((any::<Index>(), any::<Index>(), any::<Index>()), 1..6);
    (any::<Index>(), edits).prop_map(move |(file, edits)| {
        let path = file.get(&files);
        let mut text: Vec<char> = fs::read_to_string(path)
            .expect("read a configuration")
            .chars()
            .collect();
        for (start, length, piece) in edits {
            let start = start.index(text.len() + 1);
            let end = (start + length.index(12)).min(text.len());
            text.splice(start..end, piece.get(&PIECES).chars());
        }
        (text.into_iter().collect(), format_of(path))
    })
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "\\PC*|[\\[\\]{}=.\"'a-z0-9\\n, :#-]{0,200}") {
        for format in [Format::Toml, Format::LegacyJson] {
            let result = survives(&text, format);
            prop_assert!(result.is_ok(), "{result:?}");
        }
    }

    #[test]
    fn no_damage_to_a_configuration_is_too_strange((text, format) in mutated()) {
        let result = survives(&text, format);
        prop_assert!(result.is_ok(), "{result:?}");
    }
}
