//! A panic, on purpose, in the dashboard and beside it.

use super::open;
use crate::support::wait_until;

/// Reads the report of panics in a home.
fn report(home: &crate::support::TestHome) -> String {
    let path = home.path().join("logs/daemon/dashboard-panics.txt");
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_panic_elsewhere_keeps_the_screen_and_is_told() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let pid = home.pid("chat");
    terminal.write(":panic-task\r");
    terminal.wait_text("a panic, and the rest goes on: on purpose, in a task");
    assert!(terminal.screen().alternate_screen());
    wait_until("it is reported", || report(&home).contains("in a task"));
    // Keys and answers still come through.
    terminal.write("/nothing-like-it");
    terminal.wait_text("None of 1 instances is shown");
    terminal.write("\x1b");
    terminal.wait_text("● ready");
    terminal.write("5");
    terminal.wait_text("on purpose, in a task");
    assert_eq!(home.pid("chat"), pid);
}

#[test]
fn a_panic_of_the_dashboard_gives_the_terminal_back_and_hands_over() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let pid = home.pid("chat");
    assert!(!terminal.is_cooked());
    terminal.write(":panic-dashboard\r");
    assert_eq!(terminal.exit_code(), Some(1));
    terminal.wait("the rest of the words", |terminal| {
        terminal.text().contains("daemon looks after them")
    });
    assert!(!terminal.screen().alternate_screen());
    assert!(!terminal.screen().hide_cursor());
    assert!(terminal.is_cooked());
    // A path is longer than a line here.
    let words = terminal.text().replace('\n', "");
    assert!(words.contains("the report is in"), "{words}");
    assert!(words.contains("dashboard-panics.txt"), "{words}");
    let report = report(&home);
    assert!(report.contains("thread tui panicked at"), "{report}");
    assert!(report.contains("on purpose, in the dashboard"), "{report}");
    let status = home.ok(&["daemon", "status"]).stdout;
    assert!(status.starts_with("daemon"), "{status}");
    assert_eq!(home.pid("chat"), pid);
    home.ok(&["down", "--all"]);
    home.ok(&["daemon", "stop"]);
}
