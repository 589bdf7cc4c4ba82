//! The commands as a person types them: what they print, and how they exit.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;

use crate::support::{TestHome, is_gone, with_token};

#[test]
fn a_server_goes_up_is_seen_and_goes_down() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    let up = home.ok(&["up", "a"]);
    assert!(
        up.stderr.contains("a: ready at http://127.0.0.1:"),
        "{}",
        up.stderr
    );
    assert!(
        up.stderr
            .contains("start a supervisor: llama-orch --home /"),
        "{}",
        up.stderr
    );
    let row = home.row("a");
    assert_eq!(
        (&row["status"], &row["health"]),
        (&"running".into(), &"healthy".into())
    );
    let table = home.ok(&["--ps"]).stdout;
    assert!(table.starts_with("NAME\tPID\tPORT\tBACKEND\tDEVICE\tMODEL\tSTATUS\tHEALTH\tUPTIME\n"));
    assert!(
        home.ok(&["logs", "a", "--stderr"])
            .stdout
            .contains("listening on http://")
    );
    let token = home.run_file("a").unwrap().token;
    home.ok(&["down", "a"]);
    assert_eq!(home.row("a")["status"], "stopped");
    assert_eq!(with_token(&token), [0; 0]);
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.simulated("slow", &["--sim-load-time", "1m"], "");
    home.simulated(
        "dead",
        &["--sim-load-failure", "bad-magic"],
        "restart_policy.max_retries = 0",
    );
    home.config(
        "nobinary",
        "binary.path = \"/nonexistent/llama-server\"\nserver.port = \"auto\"\nrouter = true",
    );
    home.config("broken", "server.port = 99999\nmodel.path = \"x.gguf\"");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    home.config(
        "taken",
        &format!("binary.path = \"builtin:sim\"\nserver.port = {port}"),
    );
    home.ok(&["up", "a"]);
    let rows: [(&[&str], i32, &str); 11] = [
        (&["up", "a"], 3, "already running"),
        (&["up", "--all", "--tag", "x"], 64, "cannot be used with"),
        (&["up", "b"], 2, "no instance is called"),
        (&["down", "slow"], 8, "not running"),
        (&["up", "nobinary"], 5, "/nonexistent/llama-server"),
        (&["up", "broken"], 1, "99999"),
        (&["up", "dead"], 7, "the model is no GGUF file"),
        (&["up", "slow", "--wait=0"], 7, "not there in time"),
        (&["down", "slow"], 0, "stopped"),
        (&["up", "taken"], 4, "in use by pid"),
        (&["daemon", "stop"], 10, "nothing to stop"),
    ];
    for (args, code, text) in rows {
        let ran = home.run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{args:?}: {}", ran.stderr);
    }
    home.ok(&["down", "--all"]);
}

#[test]
fn one_broken_file_is_a_row_and_stops_no_other() {
    let home = TestHome::new();
    home.simulated("good", &[], "");
    home.config("bad", "server.port = [");
    let ran = home.ok(&["ps"]);
    assert!(
        ran.stdout.contains("bad\t") && ran.stdout.contains("invalid"),
        "{}",
        ran.stdout
    );
    let ran = home.run(&["up", "--all"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("bad: "), "{}", ran.stderr);
    assert_eq!(home.row("good")["state"], "ready");
    home.ok(&["down", "good"]);
}

#[test]
fn a_dashboard_without_a_screen_is_refused_before_anything_is_begun_for_it() {
    let home = TestHome::new();
    home.simulated("a", &[], "autostart = true");
    let ran = home.run(&["dashboard"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("needs a terminal"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ps prints the table"), "{}", ran.stderr);
    assert_eq!(home.row("a")["state"], "stopped");
    assert!(!home.path().join("state").exists());
}

#[test]
fn a_terminal_that_only_prints_gets_the_table_without_colours() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    let (mut terminal, inside) = pty_process::blocking::open().unwrap();
    let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_llama-orch"));
    let mut program = command
        .arg("--home")
        .arg(home.path())
        .env("TERM", "dumb")
        .spawn(inside)
        .unwrap();
    let mut text = String::new();
    // A terminal whose program has ended answers with an error.
    terminal.read_to_string(&mut text).ok();
    assert!(program.wait().unwrap().success(), "{text}");
    assert!(text.contains("NAME") && text.contains("stopped"), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let home = TestHome::new();
    home.simulated("coder", &[], "");
    let ran = home.run(&["up", "codr"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("did you mean \"coder\"?"),
        "{}",
        ran.stderr
    );
    let ran = home.run(&["up", "coder", "--wait", "30"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--wait=30"), "{}", ran.stderr);
}

#[test]
fn a_kill_is_at_once_and_a_restart_makes_a_new_run() {
    let home = TestHome::new();
    home.simulated(
        "deaf",
        &[
            "--sim-ignore-sigterm",
            "--sim-grandchildren",
            "2",
            "--sim-grandchildren-ignore-sigterm",
        ],
        "",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "deaf"]);
    let first = home.run_file("deaf").unwrap();
    home.ok(&["restart", "deaf", "--force"]);
    assert_eq!(with_token(&first.token), [0; 0]);
    let second = home.run_file("deaf").unwrap();
    assert_ne!(first.run_id, second.run_id);
    home.ok(&["down", "deaf", "--force"]);
    assert_eq!(with_token(&second.token), [0; 0]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn daemon_stop_leaves_instances_and_stop_instances_does_not() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    home.ok(&["daemon", "stop"]);
    assert!(!is_gone(pid));
    assert_eq!(home.run(&["daemon", "status"]).code, 10);
    assert_eq!(home.pid("a"), pid);
    home.ok(&["daemon", "start"]);
    assert_eq!(home.wait_state("a", "ready")["pid"], pid);
    home.ok(&["daemon", "stop", "--instances"]);
    assert!(is_gone(pid));
}

#[test]
fn describe_explains_command_paths_and_drift() {
    let home = TestHome::new();
    home.simulated("a", &["--api-key", "s3cret"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let text = home.ok(&["describe", "a"]).stdout;
    assert!(
        text.contains("--parallel 1") && !text.contains("s3cret"),
        "{text}"
    );
    // Anybody may read the arguments of a process.
    let command = fs::read(format!("/proc/{}/cmdline", home.pid("a"))).unwrap();
    assert!(!String::from_utf8_lossy(&command).contains("s3cret"));
    assert!(text.contains("LLAMA_API_KEY=***"), "{text}");
    home.simulated("a", &["--api-key", "s3cret"], "model.context_size = 99");
    let text = home.ok(&["describe", "a"]).stdout;
    assert!(text.contains("model.context_size: 4096 → 99"), "{text}");
    home.wait_for("a", "drifted", |row| row["drift"] == true);
    let talk = home.ok(&["ps"]).stderr;
    assert!(talk.contains("a: its file has changed since"), "{talk}");
    home.ok(&["daemon", "stop", "--instances"]);
}
