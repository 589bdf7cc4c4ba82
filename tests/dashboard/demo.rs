//! `llama-orch demo`: every state there is, and nothing left of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::terminal::Terminal;
use crate::support::{end_runs_of, is_gone, kill_hard, wait_until};

/// A demo in a temporary folder of its own, at a size that shows all of it.
struct Demo {
    folder: tempfile::TempDir,
    terminal: Terminal,
}

impl Demo {
    fn open() -> Self {
        let folder = tempfile::Builder::new().prefix("lo-").tempdir().unwrap();
        let terminal = Self::again(folder.path());
        Self { folder, terminal }
    }

    fn again(folder: &Path) -> Terminal {
        let program = env!("CARGO_BIN_EXE_llama-orch");
        let path = folder.to_str().unwrap();
        let mut terminal = Terminal::open(program, &["demo"], &[("TMPDIR", path)]);
        terminal.resize(120, 64);
        terminal
    }

    fn homes(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// The pids of a home's servers, but for those that are there to end by themselves.
    fn servers(home: &Path) -> Vec<i32> {
        let ran = Command::new(env!("CARGO_BIN_EXE_llama-orch"))
            .arg("--home")
            .arg(home)
            .args(["ps", "--json"])
            .output()
            .unwrap();
        let rows: Vec<Value> = serde_json::from_slice(&ran.stdout).unwrap();
        let stay = |row: &&Value| row["name"] != "judge-70b" && row["name"] != "draft-600m";
        let rows = rows.iter().filter(stay);
        let pids = rows.filter_map(|row| row["pid"].as_i64());
        pids.map(|pid| i32::try_from(pid).unwrap()).collect()
    }
}

/// Ends what a failed test leaves, before its folder goes.
struct Cleaner<'a>(&'a Path);

impl Drop for Cleaner<'_> {
    fn drop(&mut self) {
        let homes = fs::read_dir(self.0).into_iter().flatten();
        homes
            .filter_map(Result::ok)
            .for_each(|home| end_runs_of(&home.path()));
    }
}

/// Whether a line of the table has all of these.
fn has_row(terminal: &Terminal, parts: &[&str]) -> bool {
    let text = terminal.text();
    text.lines()
        .any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn a_demo_shows_every_state_and_leaves_nothing() {
    let mut demo = Demo::open();
    let folder = demo.folder.path().to_owned();
    let _cleaner = Cleaner(&folder);
    let states: [&[&str]; 10] = [
        &["coder-30b", "● ready"],
        &["rerank-m3 ≠", "● ready"],
        &["vision-11b", "◐ loading"],
        &["judge-70b", "◐ backoff"],
        &["draft-600m", "✗ failed: out of VRAM"],
        &["guard-3b", "✗ unhealthy"],
        &["wedged-14b", "✗ wedged"],
        &["tts-port", "◐ backoff"],
        &["typo-9b", "✗ invalid"],
        &["spare-7b", "○ stopped"],
    ];
    demo.terminal.wait("every state at once", |terminal| {
        states.iter().all(|state| has_row(terminal, state))
    });
    // The reasons of those that a state alone does not explain.
    demo.terminal.write("/wedged-14b\r");
    demo.terminal.wait_text("wedged: ");
    demo.terminal.wait_text("slots busy, but no answer");
    demo.terminal.write("/\x15tts-port\r");
    demo.terminal.wait_text("is held by");
    demo.terminal.write("/\x15draft\r");
    demo.terminal.wait_text("fewer gpu.layers");
    let homes = demo.homes();
    assert_eq!(homes.len(), 1, "{homes:?}");
    let servers = Demo::servers(&homes[0]);
    assert!(servers.len() >= 7, "{servers:?}");
    demo.terminal.write("q");
    assert_eq!(demo.terminal.exit_code(), Some(0));
    assert_eq!(demo.homes(), Vec::<PathBuf>::new());
    assert!(servers.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn the_next_demo_sweeps_away_one_that_was_killed_and_no_other() {
    let demo = Demo::open();
    let mut killed = demo.terminal;
    killed.wait("it runs", |terminal| {
        has_row(terminal, &["chat-8b", "● ready"])
    });
    let demo = Demo {
        terminal: Demo::again(demo.folder.path()),
        folder: demo.folder,
    };
    let path = demo.folder.path().to_owned();
    let _cleaner = Cleaner(&path);
    let mut second = demo.terminal;
    second.wait("the other one", |terminal| {
        has_row(terminal, &["chat-8b", "● ready"])
    });
    let folder = demo.folder;
    let of = |pid: i32| {
        let entries = fs::read_dir(folder.path()).unwrap();
        let prefix = format!("llama-orch-demo-{pid}-");
        entries.map(|entry| entry.unwrap().path()).find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&prefix)
        })
    };
    let dead = of(killed.pid()).unwrap();
    let alive = of(second.pid()).unwrap();
    let (left, others) = (Demo::servers(&dead), Demo::servers(&alive));
    assert!(!left.is_empty() && !others.is_empty());
    kill_hard(killed.pid());
    assert!(left.iter().all(|pid| !is_gone(*pid)), "servers outlive it");
    killed.exit_code();
    let mut third = Demo::again(folder.path());
    third.wait_text("what was left of a demo that was killed is gone now");
    assert!(!dead.exists());
    wait_until("its servers are gone", || {
        left.iter().all(|pid| is_gone(*pid))
    });
    assert!(alive.exists());
    assert!(others.iter().all(|pid| !is_gone(*pid)));
    for terminal in [&mut second, &mut third] {
        terminal.write("q");
        assert_eq!(terminal.exit_code(), Some(0));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
