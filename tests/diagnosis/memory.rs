//! The memory fit against what a real llama-server reports at its start.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use crate::support::gguf::{Shape, write_hollow};
use crate::support::{TestHome, real_server};

/// With this variable set, what was estimated and what was reported is shown, in MiB.
const NUMBERS: &str = "LLAMA_ORCH_NUMBERS";

const MIB: f64 = (1 << 20) as f64;

/// Weights and caches are sums that both sides do alike; the log rounds each line to 0.01 MiB.
const SUM_TOLERANCE: f64 = 0.1;

/// Padding between tensors, which only the server counts.
const PADDING: f64 = 0.01;

/// Working memory is the outcome of an allocator: never estimated lower than this part of it …
const COMPUTE_AT_LEAST: f64 = 0.98;

/// … and never higher than this multiple, with some MiB for what small models round up.
const COMPUTE_AT_MOST: f64 = 1.45;
const COMPUTE_SLACK: f64 = 3.0;

fn wide() -> Shape {
    Shape {
        layers: 3,
        embedding: 1024,
        heads: 16,
        kv_heads: 4,
        feed_forward: 4096,
        context: 8192,
        ..Shape::default()
    }
}

fn shapes() -> Vec<(&'static str, Shape, &'static str)> {
    let experts = Shape {
        embedding: 512,
        heads: 8,
        kv_heads: 2,
        feed_forward: 1024,
        experts: (8, 2),
        half: true,
        ..wide()
    };
    let windowed = Shape {
        architecture: "gemma3",
        layers: 6,
        embedding: 256,
        heads: 4,
        kv_heads: 2,
        feed_forward: 1024,
        window: 512,
        ..wide()
    };
    let half = Shape {
        half: true,
        tied: true,
        ..wide()
    };
    vec![
        ("tiny", Shape::default(), "-c 2048"),
        ("grouped", wide(), "-c 4096"),
        ("the model's own context", half, "-c 0"),
        ("a quantised cache", half, "-c 8192 -ctk q8_0 -ctv q4_0"),
        ("slots apart", half, "-c 8192 -np 4"),
        ("slots together", half, "-c 8192 -np 4 -kvu"),
        ("small batches", half, "-c 8192 -ub 64"),
        ("without flash attention", half, "-c 4096 -fa off"),
        ("experts", experts, "-c 4096"),
        ("windows", windowed, "-c 8192 -np 2"),
        ("windows, whole", windowed, "-c 8192 --swa-full"),
        ("embeddings", wide(), "-c 2048 --embedding"),
        ("loaded", half, "-c 4096 --load-mode none"),
        ("a draft", half, "-c 4096 -md draft.gguf"),
    ]
}

/// Adds up the lines such as `CPU_Mapped model buffer size = 12.50 MiB`, in MiB.
fn reported(log: &str) -> BTreeMap<String, f64> {
    let line = Regex::new(r"(model|KV|compute) buffer size = +([0-9.]+) MiB").unwrap();
    let mut sums = BTreeMap::new();
    for found in line.captures_iter(log) {
        *sums.entry(found[1].to_owned()).or_insert(0.0) += found[2].parse::<f64>().unwrap();
    }
    sums
}

fn configure(home: &TestHome, server: &Path, name: &str, shape: &Shape, args: &str) {
    write_hollow(&home.path().join(format!("{name}.gguf")), shape);
    let args: Vec<String> = args
        .split_whitespace()
        .map(|word| format!("{word:?}"))
        .collect();
    home.config(
        name,
        &format!(
            "binary.path = {server:?}\nmodel.path = \"{name}.gguf\"\nserver.port = \"auto\"\n\
             args = [{}]\n",
            args.join(", ")
        ),
    );
}

/// Compares what was estimated before the start with what the server said at its start; returns both
/// in one line.
fn compare(home: &TestHome, name: &str, told: &str) -> Result<String, String> {
    let log = String::from_utf8_lossy(&home.whole_log(name, "stderr")).into_owned();
    let description: Value = serde_json::from_str(told).unwrap();
    let host = &description["memory"]["places"][0];
    let estimate = |part: &str| host[part].as_f64().unwrap_or(-1.0) / MIB;
    let server = reported(&log);
    let server = |part: &str| server.get(part).copied().unwrap_or(-1.0);
    let rows = [
        (
            "weights_bytes",
            server("model") * (1.0 - PADDING) - SUM_TOLERANCE,
            server("model") + SUM_TOLERANCE,
        ),
        (
            "cache_bytes",
            server("KV") - SUM_TOLERANCE,
            server("KV") + SUM_TOLERANCE,
        ),
        (
            "compute_bytes",
            server("compute") * COMPUTE_AT_LEAST,
            server("compute") * COMPUTE_AT_MOST + COMPUTE_SLACK,
        ),
    ];
    let mut numbers = String::new();
    for (part, least, most) in rows {
        let ours = estimate(part);
        if !(least..=most).contains(&ours) {
            return Err(format!(
                "{part}: {ours:.2} MiB is not in {least:.2}..{most:.2}"
            ));
        }
    }
    for (part, estimated) in [
        ("model", "weights_bytes"),
        ("KV", "cache_bytes"),
        ("compute", "compute_bytes"),
    ] {
        let (ours, theirs) = (estimate(estimated), server(part));
        write!(numbers, "  {part} {ours:.2}/{theirs:.2}").unwrap();
    }
    Ok(numbers)
}

#[test]
fn the_fit_agrees_with_what_a_real_server_allocates() {
    let home = TestHome::new();
    let test = "the_fit_agrees_with_what_a_real_server_allocates";
    let Some((server, _)) = real_server(test, &home) else {
        return;
    };
    let draft = Shape {
        layers: 1,
        ..Shape::default()
    };
    write_hollow(&home.path().join("draft.gguf"), &draft);
    let shapes = shapes();
    let names: Vec<String> = (0..shapes.len())
        .map(|number| format!("m{number}"))
        .collect();
    for ((_, shape, args), name) in shapes.iter().zip(&names) {
        configure(&home, &server, name, shape, args);
    }
    let told: Vec<String> = names
        .iter()
        .map(|name| home.ok(&["describe", name, "--json"]).stdout)
        .collect();
    home.ok(&["up", "--all"]);
    home.ok(&["down", "--all"]);
    let mut wrong = Vec::new();
    for ((what, _, args), (name, told)) in shapes.iter().zip(names.iter().zip(&told)) {
        match compare(&home, name, told) {
            Ok(numbers) if std::env::var_os(NUMBERS).is_some() => {
                writeln!(io::stderr(), "{what} ({args}):{numbers}").unwrap();
            }
            Ok(_) => {}
            Err(error) => wrong.push(format!("{what} ({args}): {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
