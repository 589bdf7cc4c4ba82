//! The dashboard over `--host`: another home by its socket, another machine by TCP and its token.

use std::fs;

use crate::support::terminal::Terminal;
use crate::support::{TestHome, kill_hard, wait_until};

/// The flags and the token that lead to a daemon of this home, by its socket and over TCP.
fn ways(home: &TestHome) -> [(String, String); 2] {
    let settings = "[api]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(home.path().join("orchestrator.toml"), settings).unwrap();
    home.ok(&["daemon", "start"]);
    let status = home.ok(&["daemon", "status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let url = status["tcp"]["url"].as_str().unwrap().to_owned();
    let token = fs::read_to_string(home.path().join("state/api-token")).unwrap();
    let socket = format!("unix://{}", home.path().display());
    [(socket, String::new()), (url, token.trim().to_owned())]
}

/// Opens the dashboard from a folder that has no home.
fn attached(way: &(String, String), nowhere: &tempfile::TempDir) -> Terminal {
    let (host, token) = way;
    let variables = [
        ("LLAMA_ORCH_TOKEN", token.as_str()),
        ("LLAMA_ORCH_HOME", nowhere.path().to_str().unwrap()),
        ("EDITOR", "false"),
        ("PAGER", "false"),
    ];
    let program = env!("CARGO_BIN_EXE_llama-orch");
    let mut terminal = Terminal::open(program, &["--host", host], &variables);
    terminal.wait_text("daemon ");
    terminal
}

/// What the detail pane says when it has the whole screen, down to the present run; without what is
/// measured.
fn detail(terminal: &mut Terminal) -> Vec<String> {
    terminal.wait_text("● ready");
    terminal.write("4z");
    terminal.wait("all of the detail pane", |terminal| {
        let text = terminal.text();
        let past = "│before  exited with code 0 after ";
        !text.contains("1 Instances") && text.contains(past) && text.contains(", as wanted, ")
    });
    let measured = ["│CPU ", "│RSS ", "│tok/s "];
    let shown = terminal.text();
    terminal.write("z1");
    terminal.wait_text("1 Instances");
    shown
        .lines()
        .skip_while(|line| !line.starts_with('│'))
        .take_while(|line| !line.starts_with("│run "))
        .filter(|line| !measured.iter().any(|label| line.starts_with(label)))
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn an_owner_elsewhere_tells_the_same_as_one_here() {
    let home = TestHome::new();
    let more = "nonsense = 1\nserver.parallel = 2";
    let args = ["--sim-load-time", "0", "--api-key", "s3cret"];
    home.simulated("chat", &args, "nonsense = 1");
    let ways = ways(&home);
    home.ok(&["up", "chat"]);
    home.ok(&["restart", "chat"]);
    home.simulated("chat", &args, more);
    home.wait_for("chat", "its drift", |row| row["drift"] == true);
    let nowhere = tempfile::tempdir().unwrap();
    let here = detail(&mut Terminal::dashboard(&home, &[]));
    let told = here.join("\n");
    for text in [
        "│state   ● ready, wanted running",
        "nonsense is not a known field",
        "server.parallel: ",
        "│command ",
        "args hold --api-key",
        "│config  instances/chat/config.toml",
        "│log     logs/chat/stderr.log",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
    for way in &ways {
        let mut terminal = attached(way, &nowhere);
        assert_eq!(detail(&mut terminal), here, "{}", way.0);
        terminal.write("y");
        terminal.wait_text("c  command");
        terminal.wait_text("f  configuration file");
    }
}

/// What is told in the corner, each on one line.
fn toasts(terminal: &Terminal) -> String {
    let text = terminal.text();
    let lines = text.lines().filter_map(|line| line.split_once('▌'));
    let words = lines.flat_map(|(_, told)| told.trim_end_matches('│').split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_needs_the_files_elsewhere_says_where_they_are() {
    let home = TestHome::new();
    home.simulated(
        "chat",
        &["--sim-load-time", "0"],
        "restart_policy.max_retries = 0",
    );
    let ways = ways(&home);
    home.ok(&["up", "chat"]);
    kill_hard(home.pid("chat"));
    wait_until("its crash was kept", || {
        fs::read_dir(home.path().join("state/crashes/chat")).is_ok_and(|found| found.count() > 0)
    });
    let nowhere = tempfile::tempdir().unwrap();
    let words = [
        format!("llama-orch --home {}", home.path().display()),
        format!("the files are on the machine of {}", ways[1].0),
    ];
    for (way, words) in ways.iter().zip(&words) {
        let mut terminal = attached(way, &nowhere);
        terminal.wait_text("▶  chat");
        for (key, what) in [
            ("e", "edit chat: "),
            ("n", "a new instance: "),
            ("N", "import: "),
        ] {
            terminal.write(key);
            terminal.wait(&format!("{key} refused"), |terminal| {
                let toasts = toasts(terminal);
                toasts.contains(what) && toasts.contains(words)
            });
        }
        terminal.write("b");
        terminal.wait_text("chat: crash 1 of 1");
        terminal.wait_text("last words");
        terminal.write("G");
        terminal.wait_text("kept in");
        terminal.wait_text("llama-orch bundle chat");
        assert!(!terminal.text().contains("$PAGER"), "{}", terminal.text());
    }
}
