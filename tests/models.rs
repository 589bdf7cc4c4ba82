//! Models found on this machine, and instances made of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::gguf::{Shape, write_hollow, write_tiny};
use crate::support::{Ran, TestHome};

/// What would say where models are instead of the user's folder.
const VARIABLES: [&str; 7] = [
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "LLAMA_CACHE",
    "OLLAMA_MODELS",
    "LLAMA_ORCH_HOME",
];

/// A user's folder below the home, with a model in the Hugging Face cache that sees.
fn furnish(home: &TestHome) -> PathBuf {
    let user = home.path().join("user");
    let repository = user.join(".cache/huggingface/hub/models--owner--Seer-GGUF");
    let snapshot = repository.join("snapshots/0123");
    let blobs = repository.join("blobs");
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    write_tiny(&blobs.join("aa"));
    let clip = Shape {
        architecture: "clip",
        ..Shape::default()
    };
    write_hollow(&blobs.join("bb"), &clip);
    symlink("../../blobs/aa", snapshot.join("Seer-8B-Q4_K_M.gguf")).unwrap();
    symlink("../../blobs/bb", snapshot.join("mmproj-F16.gguf")).unwrap();
    fs::create_dir_all(home.path().join("models")).unwrap();
    user
}

fn run(home: &TestHome, user: &Path, args: &[&str]) -> Ran {
    let mut command = home.command(args);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    // What is typed is taken from here; nothing in this folder is called as a model is.
    command.env("HOME", user).current_dir(user);
    Ran::from(command.output().unwrap())
}

fn listed(home: &TestHome, user: &Path, words: &[&str]) -> Vec<Value> {
    let ran = run(home, user, &[&["models", "--json"], words].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn models_are_found_where_other_programs_keep_them_with_the_context_that_fits() {
    let home = TestHome::new();
    let user = furnish(&home);
    write_tiny(&home.path().join("models/mine.gguf"));
    fs::create_dir_all(home.path().join("more")).unwrap();
    fs::write(home.path().join("more/cut.gguf"), "GGUF").unwrap();
    fs::write(
        home.path().join("orchestrator.toml"),
        "[models]\nfolders = [\"more\"]\n",
    )
    .unwrap();
    home.config(
        "a",
        "binary.path = \"builtin:sim\"\nserver.port = \"auto\"\nmodel.path = \"models/mine.gguf\"",
    );
    let seer = &listed(&home, &user, &["owner", "seer"])[0];
    assert_eq!(seer["name"], "Seer-8B-Q4_K_M");
    assert_eq!(seer["group"], "owner/Seer-GGUF");
    assert_eq!(seer["store"], "huggingface");
    assert_eq!(seer["trained_context"], 2048);
    assert_eq!(seer["fitting_context"], 2048);
    assert_eq!(seer["verdict"], "fits");
    assert_eq!(seer["used_by"], Value::Array(Vec::new()));
    assert!(
        seer["projector"]
            .as_str()
            .unwrap()
            .ends_with("mmproj-F16.gguf")
    );
    let mine = &listed(&home, &user, &["mine"])[0];
    assert_eq!(mine["store"], "home");
    assert_eq!(mine["used_by"][0], "a");
    let cut = &listed(&home, &user, &["more", "cut"]);
    assert!(cut.is_empty(), "a folder of its own has no group: {cut:?}");
    let cut = &listed(&home, &user, &["cut"])[0];
    assert!(cut["reason"].as_str().unwrap().starts_with("is truncated"));

    let ran = run(&home, &user, &["models"]);
    let head = "NAME\tSIZE\tPARAMS\tQUANT\tTRAINED\tFITS\tFROM\tUSED BY\n";
    assert!(ran.stdout.starts_with(head), "{}", ran.stdout);
    let row = ran.stdout.lines().find(|line| line.starts_with("Seer"));
    let cells: Vec<&str> = row.unwrap().split('\t').collect();
    assert_eq!(
        cells[4..],
        ["2048", "2048", "huggingface owner/Seer-GGUF", "-"]
    );
    assert!(
        ran.stderr.contains("cut.gguf is truncated"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("hint: an instance of one"),
        "{}",
        ran.stderr
    );
    let none = run(&home, &user, &["models", "nothing-is-called-so"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
}

#[test]
fn an_instance_is_made_of_a_model_by_its_name() {
    let home = TestHome::new();
    let user = furnish(&home);
    let args = ["init", "eyes", "--model", "seer-8b", "--context", "fit"];
    let ran = run(&home, &user, &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let file = home.path().join("instances/eyes/config.toml");
    let table: toml::Table = fs::read_to_string(file).unwrap().parse().unwrap();
    let path = table["model"]["path"].as_str().unwrap();
    // Relative to the home, and the link with its name instead of the file it leads to.
    assert!(path.starts_with("user/.cache/huggingface/"), "{path}");
    assert!(path.ends_with("/Seer-8B-Q4_K_M.gguf"), "{path}");
    assert_eq!(table["model"]["context_size"].as_integer(), Some(2048));
    assert_eq!(table["args"][0].as_str(), Some("--mmproj"));
    assert!(ran.stderr.contains("its model is "), "{}", ran.stderr);

    // What has no name but a hash is linked into the home under the name that its store lists.
    let ollama = user.join(".ollama/models");
    let manifests = ollama.join("manifests/registry.ollama.ai/library/tongue");
    fs::create_dir_all(&manifests).unwrap();
    fs::create_dir_all(ollama.join("blobs")).unwrap();
    let blob = ollama.join("blobs/sha256-aa");
    write_tiny(&blob);
    fs::write(
        manifests.join("8b"),
        r#"{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:aa"}]}"#,
    )
    .unwrap();
    let tongue = &listed(&home, &user, &["tongue:8b"])[0];
    assert_eq!(tongue["fitting_context"], 2048, "{tongue}");
    let ran = run(&home, &user, &["init", "tongue", "--model", "tongue:8b"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let link = home.path().join("models/tongue-8b.gguf");
    assert_eq!(fs::read_link(&link).unwrap(), blob);
    let tongue = &listed(&home, &user, &["tongue"])[0];
    assert_eq!(
        (&tongue["store"], &tongue["used_by"][0]),
        (&"home".into(), &"tongue".into())
    );

    // Where names leave a choice, nothing is written.
    write_tiny(&home.path().join("models/seer-8b-other.gguf"));
    let ran = run(&home, &user, &["init", "b", "--model", "seer-8b"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("may be any of 2 models"),
        "{}",
        ran.stderr
    );
    let exact = run(&home, &user, &["init", "c", "--model", "seer-8b-q4_k_m"]);
    assert_eq!(exact.code, 0, "{}", exact.stderr);
    let ran = run(
        &home,
        &user,
        &["init", "b", "--model", "nothing-is-called-so"],
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(" models lists"), "{}", ran.stderr);
    assert!(!home.path().join("instances/b").exists());
}
