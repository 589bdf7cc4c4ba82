//! The dashboard in a real terminal: imports, the memory before a start, crashes, findings.

use std::fs;

use crate::diagnosis::wrapped;
use crate::support::terminal::Terminal;
use crate::support::{TestHome, kill_hard, wait_until};

/// The first words of the empty screen.
const EMPTY: &str = "No instances yet.";

#[test]
fn an_empty_home_takes_over_what_llama_swap_ran() {
    let home = TestHome::new();
    let file = home.path().join("swap.yaml");
    let text = "models:\n  tiny:\n    cmd: llama-server --port ${PORT} -m tiny.gguf\n    ttl: 60\n";
    fs::write(&file, text).unwrap();
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text(EMPTY);
    terminal.write("N1");
    terminal.wait_text("llama-swap's file:");
    terminal.write(&format!("{}\r", file.display()));
    terminal.wait_text("Take 1 instance over?");
    terminal.wait_text("ttl");
    assert!(!home.path().join("instances/tiny").exists(), "only a look");
    terminal.write("w");
    terminal.wait("the row", |terminal| {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("tiny") && line.contains("○ stopped"))
    });
    assert!(home.path().join("instances/tiny/config.toml").exists());
}

#[test]
fn a_command_typed_into_the_empty_screen_becomes_an_instance() {
    let home = TestHome::new();
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text(EMPTY);
    terminal.write("N3");
    terminal.wait_text("command: ");
    terminal.write("llama-server -m 'my models/chat.gguf' -c 8192 --port 8099\r");
    terminal.wait_text("model.context_size = 8192");
    terminal.write("w");
    terminal.wait_text("written: chat");
    let text = fs::read_to_string(home.path().join("instances/chat/config.toml")).unwrap();
    assert!(text.contains("\"my models/chat.gguf\""), "{text}");
}

#[test]
fn what_will_not_fit_is_asked_about_and_started_all_the_same() {
    let home = TestHome::new();
    let huge = "model.context_size = 2000000000\nserver.parallel = 64";
    wrapped(&home, "huge", huge);
    wrapped(&home, "small", "");
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text("○ stopped");
    terminal.write("As");
    terminal.wait_text("huge will not fit into memory");
    terminal.wait_text("host needs");
    terminal.wait_text("small");
    wait_until("small runs", || home.pid("small") > 0);
    assert!(home.row("huge")["run_id"].is_null(), "nobody said yes yet");
    terminal.write("y");
    wait_until("huge was started", || {
        home.row("huge")["run_id"].is_string()
    });
}

#[test]
fn the_newest_crash_is_opened_and_exported() {
    let home = TestHome::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let args = ["--sim-load-time", "0"];
    home.simulated("chat", &args, "autostart = true");
    let program = env!("CARGO_BIN_EXE_llama-orch");
    let place = home.path().display();
    let command = format!(
        "cd {} && exec {program} --home {place}",
        elsewhere.path().display()
    );
    let mut terminal = Terminal::open("sh", &["-c", &command], &[]);
    terminal.wait_text("● ready");
    let crashes = home.path().join("state/crashes/chat");
    kill_hard(home.pid("chat"));
    wait_until("a bundle is kept", || {
        let kept = fs::read_dir(&crashes).into_iter().flatten().flatten();
        // One that is not whole yet begins with a dot.
        let mut names = kept.map(|entry| entry.file_name());
        names.any(|name| !name.to_string_lossy().starts_with('.'))
    });
    terminal.write("b");
    terminal.wait_text("chat: crash 1 of 1");
    terminal.wait_text("killed by SIGKILL");
    terminal.wait_text("last words");
    terminal.write("e");
    terminal.wait_text("exported to");
    assert!(elsewhere.path().join("chat-crash.tar").exists());
}

#[test]
fn the_doctors_findings_are_shown_with_what_to_do() {
    let home = TestHome::new();
    home.config(
        "gone",
        "binary.path = \"/nonexistent/x\"\nrouter = true\nserver.port = \"auto\"",
    );
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text("gone");
    terminal.write("D");
    terminal.wait_text("/nonexistent/x does not exist");
    terminal.wait_text("→ correct binary.path");
    terminal.resize(80, 24);
    terminal.wait_text("c close   r look again   y copy");
}
