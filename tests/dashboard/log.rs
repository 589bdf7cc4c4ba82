//! The log pane: it follows, stops when somebody looks back, finds, and misses nothing.

use super::open;
use crate::support::terminal::Terminal;
use crate::support::{TestHome, wait_until};

/// The instance whose log is looked at.
const NAME: &str = "talker";

/// A home with an instance that writes numbered lines of this length for ever, its log in the
/// whole of a terminal.
fn talking(length: &str, rate: &str) -> (TestHome, Terminal) {
    let home = TestHome::new();
    home.simulated(
        NAME,
        &[
            "--sim-load-time",
            "0",
            "--sim-flood",
            rate,
            "--sim-flood-length",
            length,
        ],
        "autostart = true\nlogs.max_size_mb = 1\nlogs.rotation = 5",
    );
    let mut terminal = Terminal::dashboard(&home, &[]);
    terminal.wait_text("● ready");
    terminal.write("3z");
    terminal.wait("lines of the flood", |terminal| {
        numbers(terminal).len() > 20
    });
    (home, terminal)
}

/// The numbers of the flood's lines on the screen, top to bottom.
fn numbers(terminal: &Terminal) -> Vec<u64> {
    let number = |line: &str| {
        let (_, rest) = line.split_once("flood ")?;
        rest.get(..10)?.parse().ok()
    };
    terminal.text().lines().filter_map(number).collect()
}

fn are_consecutive(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[test]
fn it_follows_until_somebody_scrolls_up_and_finds_what_is_searched_for() {
    let (_home, mut terminal) = talking("100", "40");
    terminal.wait_text("● FOLLOW");
    let first = numbers(&terminal)[0];
    terminal.wait("newer lines", |terminal| {
        numbers(terminal)
            .first()
            .is_some_and(|number| *number > first)
    });
    terminal.write("k");
    terminal.wait_text("newer, f follows");
    let stopped = numbers(&terminal);
    terminal.wait("more of them that are not shown", |terminal| {
        !terminal.text().contains(" 1 newer,") && terminal.text().contains("newer, f follows")
    });
    assert_eq!(numbers(&terminal), stopped, "it moved");
    assert!(are_consecutive(&stopped), "{stopped:?}");
    terminal.write("/flood 00000000(03|07) \r");
    terminal.wait_text("of 2 matches");
    terminal.write("g/flood 00000000(04|08|12) \r");
    terminal.wait_text("1 of 3 matches");
    terminal.write("n");
    terminal.wait_text("2 of 3 matches");
    terminal.write("N");
    terminal.wait_text("1 of 3 matches");
    terminal.write("&!flood\r");
    terminal.wait("the other lines", |terminal| {
        terminal.text().contains("without \"flood\"")
            && terminal.text().contains("listening on")
            && numbers(terminal).is_empty()
    });
    terminal.write("&\x15\rf");
    terminal.wait("the flood again", |terminal| {
        terminal.text().contains("● FOLLOW") && numbers(terminal).len() > 20
    });
}

#[test]
fn rotation_and_another_run_leave_no_gap_in_it() {
    let (home, mut terminal) = talking("4000", "150");
    let rotated = home.path().join("logs").join(NAME).join("stderr.log.1");
    let begun = numbers(&terminal).last().copied().unwrap_or_default();
    // A file holds 262 of these lines.
    terminal.wait("more lines than a file holds", |terminal| {
        let shown = numbers(terminal);
        assert!(are_consecutive(&shown), "{shown:?}");
        shown.last().is_some_and(|last| *last > begun + 600)
    });
    assert!(rotated.exists());
    // Across the border of two files, upwards.
    terminal.write("k");
    terminal.wait_text("f follows");
    let bottom = numbers(&terminal).last().copied().unwrap_or_default();
    while numbers(&terminal)
        .last()
        .is_some_and(|last| *last > bottom - 300)
    {
        let before = numbers(&terminal);
        terminal.write("\x1b[5~");
        terminal.wait("older lines", |terminal| {
            let shown = numbers(terminal);
            !shown.is_empty() && shown[0] < before[0] && are_consecutive(&shown)
        });
    }
    terminal.write("f");
    terminal.wait_text("● FOLLOW");
    let first = home.pid(NAME);
    home.ok(&["restart", NAME]);
    wait_until("another run", || {
        let pid = home.pid(NAME);
        pid != first && pid != 0
    });
    let newest = numbers(&terminal).last().copied().unwrap_or_default();
    terminal.wait("the new run's own numbers", |terminal| {
        let shown = numbers(terminal);
        shown.len() > 20
            && are_consecutive(&shown)
            && shown.last().is_some_and(|last| *last < newest)
    });
    terminal.write("/listening on\r");
    terminal.wait_text("match");
}

#[test]
fn an_event_leads_to_what_was_logged_around_it() {
    let (home, mut terminal) = open(&["chat"], &[]);
    let first = home.pid("chat");
    crate::support::kill_hard(first);
    terminal.wait_text("SIGKILL");
    home.wait_for("chat", "ready again", |row| {
        row["state"] == "ready" && row["pid"] != first
    });
    terminal.write("2v/SIGKILL\r");
    terminal.wait("only that event", |terminal| {
        terminal
            .text()
            .contains("Events  warnings and errors /SIGKILL")
    });
    terminal.write("\rz");
    // The old run's last words are above the sign, the new run's first ones at it.
    terminal.wait("both runs around the sign", |terminal| {
        let text = terminal.text();
        let lines: Vec<&str> = text.lines().collect();
        let sign = lines.iter().position(|line| line.contains("│▶ "));
        sign.is_some_and(|sign| {
            let above = lines[..sign].join("\n");
            let below = lines[sign..].join("\n");
            above.contains("all slots are idle") && below.contains("listening on")
        })
    });
}

#[test]
fn lines_are_selected_by_keys_and_mouse_and_copied() {
    let (_home, mut terminal) = open(&["chat"], &[]);
    terminal.write("3z");
    terminal.wait_text("all slots are idle");
    terminal.write("vkk");
    terminal.wait_text("3 lines selected");
    terminal.write("y");
    terminal.wait_text("copied 3 lines");
    let copied = terminal.clipboard();
    assert_eq!(copied.lines().count(), 3, "{copied}");
    assert!(copied.contains("all slots are idle"), "{copied}");
    let row = terminal.row_of("listening on");
    terminal.drag((20, row), (30, row + 1));
    terminal.wait_text("2 lines selected");
    terminal.write("y");
    terminal.wait_text("copied 2 lines");
    let copied = terminal.clipboard();
    assert!(
        copied
            .lines()
            .next()
            .is_some_and(|line| line.contains("listening on")),
        "{copied}"
    );
    terminal.write("v");
    terminal.wait_text("1 line selected");
    terminal.write("\x1b");
    terminal.wait("nothing selected", |terminal| {
        !terminal.text().contains("selected")
    });
}
