//! Work units in a real terminal: made, taken, freed and removed, and changed from elsewhere.

use crate::support::TestHome;
use crate::support::terminal::Terminal;

#[test]
fn units_are_made_moved_and_removed_and_what_others_do_is_seen() {
    let home = TestHome::new();
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text("in-process");
    terminal.write("6");
    terminal.wait_text("no work units");
    terminal.write("n");
    terminal.wait_text("name of the new work unit:");
    terminal.write("login\r");
    terminal.wait_text("created login: READY in phase GOAL");
    terminal.wait_text("● READY");
    // Somebody else, by command: it goes through the dashboard, which owns the home.
    home.ok(&["work-unit", "create", "tests", "--blocked-by", "login"]);
    terminal.wait_text("waits for login");
    terminal.write("s");
    terminal.wait_text("◐ RUNNING");
    let taken = home.run(&["work-unit", "status", "login", "RUNNING"]);
    assert_eq!(taken.code, 3, "{}", taken.stderr);
    terminal.write("x");
    terminal.wait_text("why login needs attention:");
    terminal.write("which one?\r");
    terminal.wait_text("✗ NEEDS_ATTENTION");
    terminal.wait("the reason is shown below", |terminal| {
        let text = terminal.text();
        let mut lines = text.lines();
        lines.any(|line| line.contains("reason") && line.contains("which one?"))
    });
    terminal.write("d");
    terminal.wait_text("✓ DONE");
    terminal.wait("the one that waited is free", |terminal| {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("tests") && line.contains("● READY"))
    });
    terminal.write("i");
    terminal.wait_text("NEEDS_ATTENTION in GOAL → DONE in COMPLETE");
    terminal.write("\x1b");
    terminal.wait("the history is closed", |terminal| {
        !terminal.text().contains("History of")
    });
    terminal.write("X");
    terminal.wait_text("These wait for it no longer: tests");
    terminal.write("y");
    terminal.wait_text("removed login");
    let listed = home.ok(&["work-unit", "list"]).stdout;
    assert!(
        listed.contains("tests") && !listed.contains("login"),
        "{listed}"
    );
}
