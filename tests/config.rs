//! Configuration from the command line: checked, shown, converted, and never changed unasked.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::support::TestHome;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Every file below a folder with its content, sorted.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(everything(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn validate_points_at_every_mistake_and_fails() {
    let home = TestHome::new();
    home.simulated("good", &[], "");
    home.config(
        "bad",
        "binary.path = \"builtin:sim\"\n[server]\nprot = 1\nport = 70000\n[gpu]\nbackend = \"vulcan\"",
    );
    let ran = home.run(&["config", "validate"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for part in [
        "error: server.port must be a port from 1 to 65535, or \"auto\", not 70000\n --> instances/bad/config.toml:4:8\n  |\n4 | port = 70000\n  |        ^^^^^\n",
        "help: did you mean \"vulkan\"?",
        "warning: server.prot is not a known field",
        "help: did you mean server.port?",
    ] {
        assert!(ran.stdout.contains(part), "{part}\n{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "2 files: 2 errors, 1 warning\n");
    let file = home.path().join("instances/good/config.toml");
    let ok = home.ok(&["config", "validate", file.to_str().unwrap()]);
    assert_eq!(ok.stderr, "1 file, nothing to complain about\n");
    let folder = home.path().join("instances/bad");
    let report = home.run(&["config", "validate", "--json", folder.to_str().unwrap()]);
    let report = json(&report.stdout);
    assert_eq!(report["valid"], false);
    let first = &report["findings"][0];
    assert_eq!((&first["line"], &first["column"]), (&3.into(), &1.into()));
    assert_eq!(first["field"], "server.prot");
}

#[test]
fn settings_and_other_homes_are_validated_by_their_path() {
    let home = TestHome::new();
    fs::write(
        home.path().join("orchestrator.toml"),
        "[supervisor]\nmax_loading = 0\n[defaults.server]\nport = \"x\"",
    )
    .unwrap();
    let path = home.path().join("orchestrator.toml");
    let ran = home.run(&["config", "validate", path.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    for part in [
        "supervisor.max_loading must be",
        "defaults.server.port must be",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    let other = TestHome::new();
    other.config("a", "server.port = ");
    let ran = home.run(&["config", "validate", other.path().to_str().unwrap()]);
    assert!(ran.stdout.contains("is not TOML"), "{}", ran.stdout);
    let empty = tempfile::tempdir().unwrap();
    let ran = home.run(&["config", "validate", empty.path().to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("holds no configuration"),
        "{}",
        ran.stderr
    );
}

#[test]
fn lint_looks_at_the_machine() {
    let home = TestHome::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    fs::write(home.path().join("text.gguf"), "no model").unwrap();
    fs::write(home.path().join("short.gguf"), "GGUF").unwrap();
    crate::support::gguf::write_tiny(&home.path().join("tiny.gguf"));
    let rows: [(&str, String, &str); 12] = [
        (
            "backend",
            "server.port = \"auto\"\ngpu.backend = \"cuda\"".to_owned(),
            "the build lists no such device",
        ),
        (
            "device",
            "server.port = \"auto\"\nargs = [\"--device\", \"CUDA7\"]".to_owned(),
            "knows no device CUDA7",
        ),
        (
            "context",
            "server.port = \"auto\"\nmodel = { path = \"tiny.gguf\", context_size = 100000 }"
                .to_owned(),
            "beyond the",
        ),
        ("port", format!("server.port = {taken}"), "is in use by pid"),
        (
            "open",
            "server.port = \"auto\"\nserver.host = \"0.0.0.0\"".to_owned(),
            "without a key",
        ),
        (
            "model",
            "server.port = \"auto\"\nmodel.path = \"gone.gguf\"".to_owned(),
            "gone.gguf does not exist",
        ),
        (
            "text",
            "server.port = \"auto\"\nmodel.path = \"text.gguf\"".to_owned(),
            "is no GGUF model",
        ),
        (
            "short",
            "server.port = \"auto\"\nmodel.path = \"short.gguf\"".to_owned(),
            "is truncated",
        ),
        (
            "threads",
            "server.port = \"auto\"\nmodel.threads = 256".to_owned(),
            "more than the",
        ),
        (
            "logs",
            "server.port = \"auto\"\nlogs.stdout = \"text.gguf/out.log\"".to_owned(),
            "text.gguf is not a folder",
        ),
        (
            "args",
            "server.port = \"auto\"\nargs = [\"--api-key-file\", \"gone.key\", \"-c\", \"1\"]"
                .to_owned(),
            "--api-key-file gone.key does not exist",
        ),
        (
            "layers",
            "server.port = \"auto\"\ngpu.layers = \"all\"".to_owned(),
            "has no effect",
        ),
    ];
    for (name, text, _) in &rows {
        home.config(name, &format!("binary.path = \"builtin:sim\"\n{text}"));
    }
    home.config(
        "binary",
        "binary.path = \"/gone/llama-server\"\nrouter = true\nserver.port = \"auto\"",
    );
    for (name, _, part) in &rows {
        let ran = home.run(&["config", "lint", name]);
        assert_eq!(ran.code, 1, "{name}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(part), "{name}: {}", ran.stdout);
        assert!(ran.stdout.contains("lint: "), "{name}: {}", ran.stdout);
    }
    let ran = home.run(&["config", "lint", "binary"]);
    assert!(
        ran.stdout.contains("/gone/llama-server does not exist"),
        "{}",
        ran.stdout
    );
    // A plain validation knows nothing of the machine.
    home.ok(&["config", "validate"]);
}

#[test]
fn lint_does_not_take_an_instances_own_server_for_a_stranger() {
    let home = TestHome::new();
    let port = llama_orch::process::ports::choose_free("127.0.0.1", Some).unwrap();
    home.config(
        "a",
        &format!("binary.path = \"builtin:sim\"\nserver.port = {port}"),
    );
    home.ok(&["up", "a"]);
    let ran = home.ok(&["config", "lint", "a"]);
    assert_eq!(ran.stdout, "");
    home.ok(&["down", "a"]);
}

#[test]
fn show_tells_every_value_and_who_said_it_but_no_secret() {
    let home = TestHome::new();
    fs::write(
        home.path().join("orchestrator.toml"),
        "[defaults]\nmodel.context_size = 1024\n[defaults.env]\nB = \"2\"\n[supervisor]\nstop_grace = 3",
    )
    .unwrap();
    home.config(
        "a",
        "binary.path = \"builtin:sim\"\nserver.port = 9999\nargs = [\"--api-key\", \"s3cret\"]\nenv.MY_TOKEN = \"s3cret\"",
    );
    let text = home.ok(&["config", "show", "a"]).stdout;
    for line in [
        "FIELD\tVALUE\tORIGIN",
        "server.port\t9999\tconfig.toml:2:15",
        "model.context_size\t1024\torchestrator.toml:2:22",
        "model.threads\t-\tbuilt-in",
        "env.B\t\"2\"\torchestrator.toml:4:5",
        "stop_grace\t3\torchestrator.toml supervisor.stop_grace",
        "healthcheck.interval\t10\tbuilt-in",
        "args\t[\"--api-key\", \"***\"]\tconfig.toml:3:8",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let body = home.ok(&["config", "show", "a", "--json"]).stdout;
    assert!(!text.contains("s3cret") && !body.contains("s3cret"));
    let body = json(&body);
    let values = body["values"].as_array().unwrap();
    let of = |field: &str| values.iter().find(|one| one["field"] == field).unwrap();
    assert_eq!(of("server.port")["value"], 9999);
    assert_eq!(of("model.context_size")["origin"], "orchestrator.toml");
    assert_eq!(home.run(&["config", "show", "b"]).code, 2);
}

#[test]
fn the_schema_of_both_files_is_printed() {
    let home = TestHome::new();
    let schema = json(&home.ok(&["config", "schema"]).stdout);
    let port = schema.pointer("/properties/server/properties/port/oneOf/0/maximum");
    assert_eq!(port, Some(&65535.into()));
    let settings = json(&home.ok(&["config", "schema", "--orchestrator"]).stdout);
    assert!(
        settings
            .pointer("/properties/retention/properties/events_days")
            .is_some()
    );
}

#[test]
fn migrate_is_a_dry_run_until_it_is_told_to_write() {
    let home = TestHome::new();
    let folder = home.path().join("instances/old");
    fs::create_dir_all(&folder).unwrap();
    let text = include_str!("data/config/good/legacy-all.json");
    fs::write(folder.join("config.json"), text).unwrap();
    let broken = home.path().join("instances/broken");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("config.json"), "{\"name\": 5}").unwrap();
    home.simulated("new", &[], "");

    let before = everything(home.path());
    let dry = home.run(&["config", "migrate"]);
    assert_eq!(dry.code, 1, "one of the two is broken");
    assert!(
        dry.stdout.contains("display_name = \"Every field\""),
        "{}",
        dry.stdout
    );
    assert!(dry.stderr.contains("name must be"), "{}", dry.stderr);
    assert!(dry.stderr.contains("add --write"), "{}", dry.stderr);
    assert_eq!(everything(home.path()), before);

    let shown = json(&home.ok(&["config", "show", "every", "--json"]).stdout);
    let ran = home.ok(&["config", "migrate", "every", "--write", "--json"]);
    assert_eq!(json(&ran.stdout)[0]["written"], true);
    assert_eq!(
        fs::read_to_string(folder.join("config.json.bak")).unwrap(),
        text
    );
    let after = json(&home.ok(&["config", "show", "every", "--json"]).stdout);
    let values = |body: &Value| -> Vec<(Value, Value)> {
        let all = body["values"].as_array().unwrap().iter();
        all.map(|one| (one["field"].clone(), one["value"].clone()))
            .collect()
    };
    assert_eq!(values(&shown), values(&after));
    let again = home.run(&["config", "migrate", "every"]);
    assert_eq!(again.code, 1);
    assert!(
        again.stderr.contains("has no config.json"),
        "{}",
        again.stderr
    );
}

#[test]
fn init_writes_a_file_that_is_good_explains_itself_and_is_not_overwritten() {
    let home = TestHome::new();
    crate::support::gguf::write_tiny(&home.path().join("only.gguf"));
    fs::create_dir(home.path().join("models")).unwrap();
    fs::rename(
        home.path().join("only.gguf"),
        home.path().join("models/only.gguf"),
    )
    .unwrap();
    let first = home.ok(&["init", "one"]);
    let path = home.path().join("instances/one/config.toml");
    assert_eq!(first.stdout.trim_end(), path.to_str().unwrap());
    assert!(first.stderr.contains(" up one\n"), "{}", first.stderr);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("path = \"models/only.gguf\""), "{text}");
    assert!(text.contains("# interval = 10 "), "{text}");
    for profile in ["cpu", "vulkan", "cuda", "hip", "metal"] {
        let threads = [
            "--threads",
            "1",
            "--context",
            "512",
            "--device",
            "1",
            "--layers",
            "7",
        ];
        let args = [&["init", profile, "--profile", profile], &threads[..]].concat();
        home.ok(&args);
        let shown = json(&home.ok(&["config", "show", profile, "--json"]).stdout);
        let values = shown["values"].as_array().unwrap();
        let of = |field: &str| {
            let one = values.iter().find(|one| one["field"] == field).unwrap();
            (one["value"].clone(), one["origin"].clone())
        };
        assert_eq!(of("gpu.backend"), (profile.into(), "file".into()));
        assert_eq!(of("gpu.layers"), (7.into(), "file".into()));
        assert_eq!(of("gpu.device_id"), (1.into(), "file".into()));
        assert_eq!(of("model.threads"), (1.into(), "file".into()));
        assert_eq!(of("model.context_size"), (512.into(), "file".into()));
    }
    // Every one got a port of its own.
    let ran = home.run(&["config", "lint"]);
    assert!(!ran.stdout.contains("is also that of"), "{}", ran.stdout);

    let again = home.run(&["init", "one"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("--force"), "{}", again.stderr);
    home.ok(&["init", "one", "--force", "--port", "auto"]);
    let backup = path.with_file_name("config.toml.bak");
    assert_eq!(fs::read_to_string(backup).unwrap(), text);
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("port = \"auto\"")
    );
    assert_eq!(home.run(&["init", "Bad Name"]).code, 64);
    home.config(
        "other",
        "name = \"taken\"\nrouter = true\nserver.port = \"auto\"",
    );
    assert_eq!(home.run(&["init", "taken"]).code, 1);
}

#[test]
fn what_init_writes_for_the_simulated_server_runs() {
    let home = TestHome::new();
    home.ok(&["init", "try", "--binary", "builtin:sim"]);
    home.ok(&["config", "lint", "try"]);
    home.ok(&["up", "try"]);
    home.ok(&["down", "try"]);
}

#[test]
fn an_imported_command_runs_and_its_key_is_in_no_command() {
    let home = TestHome::new();
    let port = llama_orch::process::ports::choose_free("127.0.0.1", Some).unwrap();
    let port = port.to_string();
    let words = [
        "import",
        "command",
        "--name",
        "x",
        "--write",
        "--",
        "builtin:sim",
        "--port",
        &port,
        "--api-key",
        "s3cret",
        "-c",
        "777",
    ];
    let mut dry = words.to_vec();
    dry.retain(|word| *word != "--write");
    let before = everything(home.path());
    let shown = home.ok(&dry);
    assert!(
        shown.stdout.contains("context_size = 777"),
        "{}",
        shown.stdout
    );
    assert!(shown.stderr.contains("add --write"), "{}", shown.stderr);
    assert!(!format!("{}{}", shown.stdout, shown.stderr).contains("s3cret"));
    assert_eq!(everything(home.path()), before);
    home.ok(&words);
    let key = home.path().join("instances/x/api.key");
    assert_eq!(fs::read_to_string(&key).unwrap(), "s3cret\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    home.ok(&["up", "x"]);
    let row = home.row("x");
    assert_eq!(row["port"].to_string(), port);
    home.ok(&["down", "x"]);
    let again = home.run(&words);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("there already"), "{}", again.stderr);
}

#[test]
fn files_of_others_are_imported_with_a_report() {
    let home = TestHome::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    let swap = data.join("llama-swap.yaml");
    let report = home.run(&[
        "import",
        "llama-swap",
        "--json",
        "--write",
        swap.to_str().unwrap(),
    ]);
    let report = json(&report.stdout);
    let names: Vec<_> = report["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["written"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("qwen3-30b", true), ("small", true)]);
    assert!(report["notes"].to_string().contains("docker is left out"));
    home.ok(&["config", "validate"]);
    let presets = data.join("presets.ini");
    let ran = home.ok(&["import", "presets", presets.to_str().unwrap()]);
    // The flags are those of a current llama-server.
    assert!(
        ran.stdout.contains("\"--cache-ram\", \"0\""),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("made-up is no flag"), "{}", ran.stderr);
    let wrong = home.path().join("wrong.ini");
    fs::write(&wrong, "[a]\nnonsense\n").unwrap();
    let ran = home.run(&["import", "presets", wrong.to_str().unwrap()]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("wrong.ini:2: "), "{}", ran.stderr);
}
