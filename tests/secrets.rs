//! Keys stay where they were written: no argument, log, event, bundle, table or file of ours has them.

use std::fs;
use std::path::Path;

use crate::support::{Ran, TestHome, kill_hard, wait_until};

/// Every secret of the test has this in it.
const SECRET: &str = "s3cret";

/// Where secrets are allowed to be: what the user wrote, and the files that start a run (0600).
fn is_their_place(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    ["config.toml", "key.txt", "spec.json"]
        .iter()
        .any(|known| name == *known)
}

/// Lists the files below a folder that hold a secret where none may be.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(leaks(&path));
        } else if path.is_file() && !is_their_place(&path) {
            let bytes = fs::read(&path).unwrap_or_default();
            if String::from_utf8_lossy(&bytes).contains(SECRET) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_key_is_in_nothing_that_is_shown_or_kept() {
    let home = TestHome::new();
    fs::write(home.path().join("key.txt"), "s3cret-of-the-file\n").unwrap();
    let more = "restart_policy.initial_delay = 0\nenv.HF_TOKEN = \"s3cret-of-the-environment\"";
    let load = ["--sim-load-time", "0"];
    home.simulated(
        "file",
        &[&load[..], &["--api-key-file", "key.txt"]].concat(),
        more,
    );
    home.simulated(
        "plain",
        &[&load[..], &["--api_key", "s3cret-in-sight"]].concat(),
        more,
    );
    let mut said = String::new();
    let mut run = |args: &[&str]| -> Ran {
        let ran = home.run(args);
        said.extend([ran.stdout.as_str(), ran.stderr.as_str()]);
        ran
    };
    run(&["daemon", "start"]);
    run(&["config", "validate"]);
    run(&["config", "lint"]);
    assert_eq!(run(&["up", "--all"]).code, 0);
    let argv = fs::read(format!("/proc/{}/cmdline", home.pid("file"))).unwrap();
    let argv = String::from_utf8_lossy(&argv).into_owned();
    assert!(argv.contains("key.txt") && !argv.contains(SECRET), "{argv}");
    // A change of the key is drift, and is told without it.
    let changed = more.replace("environment", "other environment");
    home.simulated(
        "plain",
        &[&load[..], &["--api-key", "s3cret-in-sight-2"]].concat(),
        &changed,
    );
    for name in ["file", "plain"] {
        kill_hard(home.pid(name));
        let crashes = home.path().join("state/crashes").join(name);
        wait_until("a bundle is kept", || {
            fs::read_dir(&crashes).is_ok_and(|mut found| {
                found.any(|one| one.unwrap().path().join("about.json").exists())
            })
        });
        home.wait_for(name, "ready again", |row| row["state"] == "ready");
        let folder = home.path().join(format!("bundle-{name}"));
        run(&[
            "bundle",
            name,
            "--folder",
            "--output",
            folder.to_str().unwrap(),
        ]);
        for args in [
            &["describe", name][..],
            &["describe", name, "--json"],
            &["config", "show", name],
            &["logs", name],
        ] {
            run(args);
        }
    }
    for args in [
        &["ps", "--json"][..],
        &["events", "-n", "1000"],
        &["events", "-n", "1000", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["orphans"],
        &["doctor"],
        &["devices"],
        &["health", "--all"],
    ] {
        run(args);
    }
    run(&["down", "--all"]);
    run(&["daemon", "stop"]);
    run(&["describe", "plain", "--json"]);
    assert!(!said.contains(SECRET), "{said}");
    assert!(said.contains("***"), "nothing was masked:\n{said}");
    assert_eq!(leaks(home.path()), Vec::<String>::new());
}
