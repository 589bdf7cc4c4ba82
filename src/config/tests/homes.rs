//! Whole homes: many instances, settings and defaults, and files that are no files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::finding::{Finding, Severity};
use crate::config::home::{Home, HomeOrigin};
use crate::config::load::{ConfigSet, load};
use crate::config::settings::Access;
use crate::domain::instance::{Binary, Port};
use crate::domain::work::TimeLimit;

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
        [work]\nmax_parallel = 2\ntime_limit = \"1h 30m\"\nremote_commands = true\n\
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
        set.settings.api.access,
        Access::Token {
            file: set_root(&home).join("state/token")
        }
    );
    let work = set.settings.work;
    assert_eq!((work.max_parallel, work.remote_commands), (2, true));
    assert_eq!(work.time_limit, TimeLimit::Of(Duration::from_secs(5400)));
    assert_eq!(set.settings.dashboard["theme"].as_str(), Some("dark"));
    assert_eq!(set.settings.dashboard["keys"]["quit"].as_str(), Some("x"));
    let told: Vec<_> = set.all_findings().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains(":23:2: dashbord is not"), "{told:#?}");
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

#[test]
fn the_api_listens_where_it_is_told_and_beyond_this_machine_only_with_a_token() {
    let rows = [
        ("", None, true, ""),
        ("listen = 9090", Some("127.0.0.1:9090"), true, ""),
        ("listen = \"0.0.0.0:9090\"", Some("0.0.0.0:9090"), true, ""),
        (
            "listen = \"[::1]:9090\"\nrequire_token = false",
            Some("[::1]:9090"),
            false,
            "",
        ),
        (
            "listen = \"0.0.0.0:9090\"\nrequire_token = false",
            None,
            false,
            ":3:17: api.require_token = false lets everybody in who reaches 0.0.0.0:9090; without a \
             token only a loopback address is allowed",
        ),
        (
            "listen = \"localhost:9090\"",
            None,
            true,
            "must be an IP address and port, such as \"127.0.0.1:9090\", or a port from 1 to 65535",
        ),
        ("listen = 0", None, true, "a port from 1 to 65535"),
        (
            "listen = 9090\nrequire_token = 0",
            Some("127.0.0.1:9090"),
            true,
            "true or false",
        ),
    ];
    for (text, address, token, told) in rows {
        let home = TestHome::new(&[("orchestrator.toml", &format!("[api]\n{text}"))]);
        let settings = home.load().settings;
        let listen = settings.api.listen.map(|address| address.to_string());
        assert_eq!(listen.as_deref(), address, "{text}");
        let wants = match settings.api.access {
            Access::Token { file } => file == set_root(&home).join("state/api-token"),
            Access::Anybody => false,
        };
        assert_eq!(wants, token, "{text}");
        let findings: Vec<_> = settings.findings.iter().map(ToString::to_string).collect();
        match told {
            "" => assert!(findings.is_empty(), "{findings:?}"),
            _ => assert!(findings[0].contains(told), "{findings:?}"),
        }
    }
}
