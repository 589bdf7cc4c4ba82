//! The files in `tests/data/import`, whole; and commands as rows of data.

use std::fs;
use std::path::Path;

use super::command::{self, Request};
use super::{Import, Imported, KnownFlag, Takes, presets, swap, words};
use crate::config::home::{Home, HomeOrigin};
use crate::config::settings::Settings;

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    fs::read_to_string(folder.join(name)).expect("read the case")
}

/// Returns everything that was made of a file, after checking that each instance is a good one.
fn shown(import: &Import) -> String {
    let home = Home::open(Path::new("/nowhere"), HomeOrigin::Flag).expect("open a home");
    let mut text = String::new();
    for Imported {
        name, draft, notes, ..
    } in &import.instances
    {
        let path = home.instances_dir().join(name.as_str()).join("config.toml");
        let file = draft.text();
        let findings = super::check(&home, &Settings::default(), &path, &file);
        assert!(!findings.iter().any(|one| one.is_error()), "{findings:?}");
        text = format!("{text}== {name}\n{file}-- {}\n\n", notes.join("\n-- "));
    }
    format!("{text}-- {}", import.notes.join("\n-- "))
}

fn ports() -> impl FnMut(u16) -> Option<u16> {
    let mut given = 0;
    move |first| {
        given += 1;
        Some(first + given - 1)
    }
}

/// The flags of the presets' case; the real table is the simulated server's.
fn flag(word: &str) -> Option<KnownFlag> {
    let rows = [
        ("-c --ctx-size", "--ctx-size", Takes::Value, None),
        ("-ngl --n-gpu-layers", "--n-gpu-layers", Takes::Value, None),
        (
            "--jinja --no-jinja",
            "--jinja",
            Takes::Nothing,
            Some("--no-jinja"),
        ),
        (
            "--mmap --no-mmap",
            "--mmap",
            Takes::Nothing,
            Some("--no-mmap"),
        ),
        ("--chat-template", "--chat-template", Takes::Value, None),
        (
            "--cache-ram LLAMA_ARG_CACHE_RAM",
            "--cache-ram",
            Takes::Value,
            None,
        ),
        ("-m --model", "--model", Takes::Value, None),
        ("-np --parallel", "--parallel", Takes::Value, None),
    ];
    rows.into_iter()
        .find(|(spellings, ..)| spellings.split(' ').any(|one| one == word))
        .map(|(_, name, takes, off)| KnownFlag { name, takes, off })
}

#[test]
fn llama_swap_becomes_instances_and_a_report() {
    let mut port = ports();
    let mut world = swap::World {
        variable: &|name| (name == "MODELS_DIR").then(|| "/srv/models".to_owned()),
        port: &mut port,
    };
    let import = swap::import(&data("llama-swap.yaml"), &mut world, &mut Vec::new());
    let text = shown(&import.expect("it is YAML"));
    assert!(
        !text.contains("s3cret") && !text.contains("sk-other"),
        "{text}"
    );
    insta::assert_snapshot!(text);
}

#[test]
fn presets_become_instances_and_a_report() {
    let mut port = ports();
    let text = data("presets.ini");
    let import = presets::import(&text, &flag, &mut || port(8081), &mut Vec::new());
    insta::assert_snapshot!(shown(&import.expect("it is INI")));
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let error = presets::import("[a]\nno value", &flag, &mut || None, &mut Vec::new());
    assert_eq!(error.expect_err("it is no INI").line, 2);
    let mut port = ports();
    let mut world = swap::World {
        variable: &|_| None,
        port: &mut port,
    };
    let error = swap::import("a: 1\nb: [", &mut world, &mut Vec::new());
    assert!(error.is_err());
    // Macros in a circle end.
    let text = "macros: {a: '${b} ${b}', b: '${a} ${a}'}\nmodels: {x: {cmd: '${a}'}}";
    let import = swap::import(text, &mut world, &mut Vec::new()).expect("it is YAML");
    assert_eq!(import.instances.len(), 0);
}

/// A command, the name it gives, and values it must have.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

#[test]
fn a_command_keeps_its_meaning() {
    let rows: [Row; 9] = [
        (
            "llama-server -m /m/a.gguf --port 9000",
            "a",
            &[
                ("server.port", "9000"),
                ("model.path", "\"/m/a.gguf\""),
                ("model.context_size", "0"),
            ],
        ),
        ("llama-server -m a.gguf", "a", &[("server.port", "8080")]),
        (
            "env A=1 CUDA_VISIBLE_DEVICES=1 /b/llama-server -m a.gguf -ngl 99",
            "a",
            &[
                ("gpu.backend", "\"cuda\""),
                ("gpu.layers", "99"),
                ("binary.path", "\"/b/llama-server\""),
            ],
        ),
        (
            "llama-server -m a.gguf -ngl all --device Vulkan1",
            "a",
            &[
                ("gpu.backend", "\"vulkan\""),
                ("gpu.layers", "\"all\""),
                ("args", "[\"--device\", \"Vulkan1\"]"),
            ],
        ),
        (
            "llama-server -m a.gguf -ngl 5",
            "a",
            &[("args", "[\"-ngl\", \"5\"]")],
        ),
        (
            "llama-server -m a.gguf -t -1 --alias Big,small --api-key k",
            "big",
            &[(
                "args",
                "[\"-t\", \"-1\", \"--alias\", \"Big,small\", \"--api-key-file\", \"instances/big/api.key\"]",
            )],
        ),
        ("llama-server", "llama", &[("router", "true")]),
        (
            "llama-server -hf o/R-GGUF:Q4 --host 127.0.0.1,/x.sock",
            "r-gguf-q4",
            &[(
                "args",
                "[\"-hf\", \"o/R-GGUF:Q4\", \"--host\", \"127.0.0.1,/x.sock\"]",
            )],
        ),
        (
            "llama-server --models-preset p.ini",
            "llama",
            &[("router", "true")],
        ),
    ];
    for (text, name, expected) in rows {
        let words = words::split(text).expect("words");
        let request = Request {
            words: &words,
            ..Request::default()
        };
        let imported = command::import(&request, &mut Vec::new()).expect("it is llama-server");
        assert_eq!(imported.name.as_str(), name, "{text}");
        for (field, value) in expected {
            let found = imported.draft.value(field).map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(*value), "{text}: {field}");
        }
        shown(&Import {
            instances: vec![imported],
            notes: Vec::new(),
        });
    }
    for other in ["", "python -m vllm", "docker run llama-server"] {
        let words = words::split(other).expect("words");
        let request = Request {
            words: &words,
            ..Request::default()
        };
        assert!(
            command::import(&request, &mut Vec::new()).is_err(),
            "{other}"
        );
    }
}
