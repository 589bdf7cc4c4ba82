//! Holds the import rule of the layers and the one-line purpose of every file.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with the layers it may import.
const LAYERS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("store", &["domain"]),
    ("process", &["domain"]),
    ("logs", &["domain"]),
    ("probes", &["domain"]),
    ("api", &["domain"]),
    (
        "supervisor",
        &["domain", "config", "store", "process", "logs", "probes"],
    ),
    (
        "daemon",
        &[
            "domain",
            "config",
            "store",
            "process",
            "logs",
            "probes",
            "api",
            "supervisor",
        ],
    ),
    ("tui", &["domain", "api"]),
    // `logs`, `store` and `supervisor` are read here only by commands that run without an owner.
    (
        "cli",
        &[
            "domain",
            "config",
            "store",
            "process",
            "logs",
            "probes",
            "api",
            "supervisor",
            "daemon",
            "tui",
            "sim",
        ],
    ),
    ("sim", &[]),
];

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    if !folder.exists() {
        return;
    }
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for (layer, allowed) in LAYERS {
        let folder = root().join("src").join(layer);
        if !folder.exists() {
            continue;
        }
        let mut files = Vec::new();
        source_files(&folder, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for (other, _) in LAYERS {
                    let used = code.contains(&format!("crate::{other}::"));
                    if used && other != layer && !allowed.contains(&other) {
                        wrong.push(format!(
                            "{}:{}: {layer} imports {other}",
                            file.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports that go up:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_file_says_on_its_first_line_what_it_is_for() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        source_files(&root().join(folder), &mut files);
    }
    let silent: Vec<_> = files
        .iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "no //! on line 1: {silent:?}");
}

/// A test that moves or is renamed takes its name in the documents along.
#[test]
fn documents_name_tests_that_exist() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        source_files(&root().join(folder), &mut files);
    }
    let sources: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    for document in ["README.md", "tests/failures.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        // What stands between backticks, as far as it is a path that ends in a sentence.
        let names = text.split('`').skip(1).step_by(2).filter_map(|code| {
            let (module, name) = code.rsplit_once("::")?;
            (name.matches('_').count() >= 2).then_some((module, name))
        });
        for (module, name) in names {
            let file = module.rsplit("::").next().unwrap();
            let found = sources.iter().any(|(path, source)| {
                path.components().any(|part| {
                    Path::new(part.as_os_str())
                        .file_stem()
                        .is_some_and(|stem| stem == file)
                }) && source.contains(&format!("fn {name}()"))
            });
            assert!(found, "{document}: there is no {module}::{name}");
        }
    }
}
