//! `config lint` over a corpus: a folder per case in `tests/data/config/lint`, each of its files an
//! instance, and `expected` what a person reads.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::gguf::write_tiny;
use crate::support::{TestHome, write_script};

/// What a case may name: a server with the help of a recorded build and two devices, models, and a
/// port that a stranger holds.
fn furnish(home: &TestHome) -> PathBuf {
    let tiny = home.path().join("tiny.gguf");
    write_tiny(&tiny);
    let bytes = fs::read(&tiny).unwrap();
    fs::write(home.path().join("short.gguf"), &bytes[..bytes.len() - 1000]).unwrap();
    fs::write(home.path().join("text.gguf"), "no model at all").unwrap();
    let help = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/help.txt");
    let script = format!(
        "#!/bin/sh\ncase $1 in --help) cat {help:?};; --list-devices) echo 'Available devices:'; \
         echo '  CUDA0: Example GPU (8192 MiB, 8000 MiB free)'; \
         echo '  CUDA1: Example GPU (8192 MiB, 900 MiB free)';; esac"
    );
    let server = home.path().join("llama-server");
    write_script(&server, &script);
    server
}

/// Lints the instances of a case; what differs from machine to machine has a name instead.
fn told(case: &Path) -> String {
    let home = TestHome::new();
    let server = furnish(&home);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text
                .replace("{server}", server.to_str().unwrap())
                .replace("{taken}", &taken);
            home.config(path.file_stem().unwrap().to_str().unwrap(), &text);
        }
    }
    let ran = home.run(&["config", "lint"]);
    let text = format!("{}exit {}\n", ran.stdout, ran.code)
        .replace(env!("CARGO_BIN_EXE_llama-orch"), "llama-orch")
        .replace(home.path().to_str().unwrap(), "HOME")
        .replace(&taken, "PORT");
    let text = Regex::new(r"pid \d+ \([^)]*\)")
        .unwrap()
        .replace_all(&text, "pid PID (PROGRAM)");
    let processors = Regex::new(r"the \d+ processors").unwrap();
    processors
        .replace_all(&text, "the N processors")
        .into_owned()
}

#[test]
fn each_mistake_is_told_as_a_person_wants_to_read_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config/lint");
    let mut cases: Vec<PathBuf> = fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 14, "{} cases", cases.len());
    let mut unlike = Vec::new();
    for case in cases {
        let told = told(&case);
        let file = case.join("expected");
        if std::env::var_os("KEEP_SHAPES").is_some() {
            fs::write(&file, &told).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if told != expected {
            unlike.push(format!("{}:\n{told}", case.display()));
        }
        assert!(!told.contains("s3cret"), "a key is shown:\n{told}");
    }
    assert!(
        unlike.is_empty(),
        "KEEP_SHAPES=1 keeps what it is now:\n{}",
        unlike.join("\n")
    );
}

#[test]
fn init_gives_a_new_instance_the_device_with_the_most_room_of_those_its_build_lists() {
    let home = TestHome::new();
    let server = furnish(&home);
    let init = |name: &str, more: &[&str]| {
        let args = ["init", name, "--model", "tiny.gguf", "--context", "1024"];
        let binary = ["--binary", server.to_str().unwrap()];
        let mut command = home.command(&[&args[..], &binary[..], more].concat());
        let ran = crate::support::Ran::from(command.current_dir(home.path()).output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let file = home.path().join(format!("instances/{name}/config.toml"));
        (fs::read_to_string(file).unwrap(), ran.stderr)
    };
    let (text, _) = init("a", &["--profile", "cuda"]);
    let line = text.lines().find(|line| line.contains("device_id"));
    assert_eq!(
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")),
        Some(
            "device_id = 0 # CUDA0 (Example GPU, 7.8 GiB of 8.0 GiB free); also CUDA1 (Example \
             GPU, 900 MiB of 8.0 GiB free)"
                .to_owned()
        ),
        "{text}"
    );
    let (text, _) = init("b", &["--profile", "cuda", "--device", "1"]);
    assert!(text.contains("device_id = 1"), "{text}");
    // A bare name would be one in PATH.
    assert!(text.contains("path = \"./llama-server\""), "{text}");
    let (_, told) = init("c", &[]);
    assert!(
        told.contains("this build can use CUDA0") && told.contains("--profile cuda"),
        "{told}"
    );
}

#[test]
fn init_asks_for_no_longer_context_than_its_model_has() {
    let home = TestHome::new();
    let server = furnish(&home);
    let model = home.path().join("tiny.gguf");
    let (server, model) = (server.to_str().unwrap(), model.to_str().unwrap());
    let ran = home.ok(&["init", "a", "--model", model, "--binary", server]);
    let text = fs::read_to_string(ran.stdout.trim_end()).unwrap();
    assert!(text.contains("\ncontext_size = 2048 "), "{text}");
    assert!(ran.stderr.contains("hint: start it"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("lint:"), "{}", ran.stderr);
    let ran = home.ok(&["init", "b", "--model", "gone.gguf", "--binary", server]);
    let first = "hint: mend what is told above, then start it";
    assert!(ran.stderr.contains(first), "{}", ran.stderr);
}
