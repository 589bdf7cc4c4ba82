//! The dashboard in a real terminal.

mod demo;
mod elsewhere;
mod log;
mod models;
mod outside;
mod panics;
mod work;

use std::time::Duration;

use crate::support::terminal::Terminal;
use crate::support::{TestHome, is_gone, kill_hard, wait_until};

/// What begins every frame.
const FRAME: &[u8] = b"\x1b[?2026h";

/// A home with ready instances of these names and the dashboard over it.
fn open(names: &[&str], variables: &[(&str, &str)]) -> (TestHome, Terminal) {
    let home = TestHome::new();
    for name in names {
        home.simulated(name, &["--sim-load-time", "0"], "autostart = true");
    }
    let mut terminal = Terminal::dashboard(&home, variables);
    for name in names {
        terminal.wait(&format!("{name} ready"), |terminal| {
            let text = terminal.text();
            text.lines()
                .any(|line| line.contains(name) && line.contains("● ready"))
        });
    }
    (home, terminal)
}

#[test]
fn fast_keys_all_arrive_in_their_order() {
    let (_home, mut terminal) = open(&["chat"], &[]);
    terminal.wait_text("in-process");
    terminal.write("/abcdefghijklmno");
    terminal.wait_text("filter: abcdefghijklmno");
    terminal.write("\x1b");
    terminal.wait_text("? help");
}

#[test]
fn filtering_marking_and_stopping_stops_exactly_those() {
    let (home, mut terminal) = open(&["one-a", "one-b", "two"], &[]);
    let (a, b, other) = (home.pid("one-a"), home.pid("one-b"), home.pid("two"));
    terminal.write("/one-\r");
    terminal.wait_text("2 shown");
    terminal.write("Ax");
    terminal.wait_text("Stop 2 instances?");
    terminal.write("y");
    wait_until("both are gone", || is_gone(a) && is_gone(b));
    terminal.wait_text("one-b: stopped");
    assert_eq!(home.pid("two"), other);
}

#[test]
fn a_crash_is_told_where_it_is_seen() {
    let (home, mut terminal) = open(&["chat"], &[]);
    kill_hard(home.pid("chat"));
    terminal.wait("the alert", |terminal| {
        terminal.text().contains("SIGKILL") && terminal.text().contains("2 Events (")
    });
}

#[test]
fn a_crash_is_told_over_a_log_that_has_the_whole_screen() {
    let (home, mut terminal) = open(&["chat"], &[]);
    terminal.write("3z");
    terminal.wait("only the log", |terminal| {
        !terminal.text().contains("1 Instances") && terminal.text().contains("3 Log chat")
    });
    kill_hard(home.pid("chat"));
    terminal.wait("the toast", |terminal| {
        terminal.text().contains("▌ chat ") && terminal.text().contains("SIGKILL")
    });
}

#[test]
fn events_for_an_instance_are_asked_for_on_the_command_line() {
    let home = TestHome::new();
    for name in ["one", "two"] {
        home.simulated(name, &["--sim-load-time", "0"], "autostart = true");
    }
    let path = home.path().to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_llama-orch");
    let args = ["--home", path, "--events-for", "two"];
    let mut terminal = Terminal::open(program, &args, &[]);
    terminal.wait("only the events of two", |terminal| {
        let text = terminal.text();
        let events = |name: &str| {
            text.lines()
                .filter(|line| line.contains("INFO") && line.contains(name))
                .count()
        };
        text.contains("Events  two") && events(" two ") > 1 && events(" one ") == 0
    });
}

#[test]
fn an_edit_returns_with_the_plan_of_what_changes() {
    let home_tools = tempfile::tempdir().unwrap();
    let editor = home_tools.path().join("editor");
    std::fs::write(&editor, "echo 'server.parallel = 3' >> \"$1\"\n").unwrap();
    let command = format!("sh {}", editor.display());
    let (_home, mut terminal) = open(&["chat"], &[("EDITOR", &command), ("VISUAL", "")]);
    terminal.write("e");
    terminal.wait_text("Restart chat to apply?");
    terminal.wait_text("server.parallel");
    terminal.write("y");
    terminal.wait_text("chat: ready at");
}

#[test]
fn a_storm_of_sizes_ends_with_a_whole_screen() {
    let (_home, mut terminal) = open(&["chat"], &[]);
    for step in 0..60_u16 {
        terminal.resize(1 + (step * 37) % 200, 1 + (step * 13) % 60);
    }
    terminal.resize(100, 30);
    terminal.wait("the last size", |terminal| {
        let text = terminal.text();
        text.lines().count() == 30 && text.contains("● ready") && text.contains("q quit")
    });
}

#[test]
fn clicks_and_the_wheel_work_the_table() {
    let (_home, mut terminal) = open(&["one", "two"], &[]);
    let row = terminal.row_of("two  ");
    terminal.click(10, row);
    terminal.wait("the cursor on two", |terminal| {
        terminal
            .text()
            .lines()
            .any(|line| line.contains("▶") && line.contains("two"))
    });
    terminal.write(&format!("\x1b[<64;10;{}M", row + 1));
    terminal.wait("the cursor on one", |terminal| {
        terminal
            .text()
            .lines()
            .any(|line| line.contains("▶") && line.contains("one"))
    });
}

#[test]
fn a_border_is_dragged_and_stays_for_the_next_visit() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let border = terminal.row_of("2 Events") - 1;
    terminal.drag((60, border), (60, border + 6));
    let lower = |terminal: &Terminal| terminal.row_of("2 Events") >= border + 6;
    terminal.wait("a lower border", lower);
    let column = terminal.column_of("4 chat");
    let row = terminal.row_of("4 chat") + 2;
    terminal.drag((column - 2, row), (column - 22, row));
    terminal.wait("a wider detail", |terminal| {
        terminal.column_of("4 chat") <= column - 19
    });
    wait_until("it is remembered", || {
        let file = home.path().join("state/dashboard.toml");
        std::fs::read_to_string(file)
            .is_ok_and(|text| text.contains("table_share") && text.contains("events_share"))
    });
    terminal.write("q2");
    assert_eq!(terminal.exit_code(), Some(0));
    let mut again = Terminal::dashboard(&home, &[]);
    again.wait("the same borders", |terminal| {
        terminal.text().contains("4 chat")
            && terminal.row_of("2 Events") >= border + 6
            && terminal.column_of("4 chat") <= column - 19
    });
}

#[test]
fn a_suspended_dashboard_comes_back() {
    let home = TestHome::new();
    home.simulated("chat", &["--sim-load-time", "0"], "autostart = true");
    let mut terminal = Terminal::open("bash", &["--norc", "--noprofile", "-i"], &[]);
    let program = env!("CARGO_BIN_EXE_llama-orch");
    terminal.write(&format!("{program} --home {}\n", home.path().display()));
    terminal.wait_text("● ready");
    terminal.write("\x1a");
    terminal.wait("the shell", |terminal| {
        !terminal.screen().alternate_screen()
    });
    terminal.write("fg\n");
    terminal.wait("the dashboard", |terminal| {
        terminal.screen().alternate_screen() && terminal.text().contains("● ready")
    });
    terminal.write("q2");
    terminal.wait("the shell again", |terminal| {
        !terminal.screen().alternate_screen()
    });
    terminal.write("exit\n");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn a_hand_over_leaves_the_pids_and_a_daemon() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let pid = home.pid("chat");
    terminal.write("q");
    terminal.wait_text("Hand over");
    terminal.write("\r");
    assert_eq!(terminal.exit_code(), Some(0));
    assert_eq!(home.pid("chat"), pid);
    let status = home.ok(&["daemon", "status"]).stdout;
    assert!(status.starts_with("daemon"), "{status}");
    home.ok(&["down", "--all"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_lost_terminal_hands_over_and_ends() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let pid = home.pid("chat");
    terminal.unplug();
    terminal.exit_code();
    wait_until("a daemon owns the home", || home.owner().is_some());
    assert_eq!(home.pid("chat"), pid);
    home.ok(&["down", "--all"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn without_colours_the_selection_is_still_seen() {
    let (_home, mut terminal) = open(&["chat"], &[("NO_COLOR", "1")]);
    terminal.wait("a reversed row", |terminal| {
        let row = terminal.row_of("● ready");
        let screen = terminal.screen();
        screen.cell(row, 5).is_some_and(vt100::Cell::inverse)
    });
    let text = String::from_utf8_lossy(&terminal.written).into_owned();
    assert!(!text.contains("\x1b[38;"), "a colour was written");
}

#[test]
fn an_idle_dashboard_hardly_draws() {
    let (_home, mut terminal) = open(&["chat"], &[]);
    // The notices of the start go first.
    terminal.watch(Duration::from_secs(6));
    let written = terminal.watch(Duration::from_secs(5));
    let frames = written
        .windows(FRAME.len())
        .filter(|part| *part == FRAME)
        .count();
    assert!(frames <= 6, "{frames} frames in 5 s");
}
