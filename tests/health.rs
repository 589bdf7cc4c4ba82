//! Servers that work, hang, stop and lie: what is seen of them, and what follows.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Guarded, TestHome, real_server};

#[test]
fn a_watched_run_shows_what_it_uses_and_how_much_it_works() {
    let home = TestHome::new();
    let key = home.path().join("key");
    fs::write(&key, "# ours\ns3cret\n").unwrap();
    let args = [
        "--sim-traffic",
        "500",
        "--sim-rss-mib",
        "48",
        "--api-key-file",
        key.to_str().unwrap(),
    ];
    home.simulated("a", &args, "server.parallel = 3");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let watcher = watch(&home);
    home.wait_for("a", "seen to work", |row| {
        number(row, "tokens_per_second") > 0.0
            && number(row, "prompt_tokens_per_second") > 0.0
            && number(row, "rss_bytes") > f64::from(48 << 20)
            && row["cpu_percent"].is_number()
            && row["busy_slots"].is_number()
            && row["slots"] == 3
    });
    let text = home.ok(&["describe", "a"]).stdout;
    assert!(text.contains("of 3 busy"), "{text}");
    assert!(text.contains(" resident"), "{text}");
    drop(watcher);
    home.ok(&["down", "a"]);
    assert_eq!(home.row("a")["rss_bytes"], Value::Null);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_real_server_is_seen_to_generate() {
    let home = TestHome::new();
    let test = "a_real_server_is_seen_to_generate";
    if !real(test, &home, "r", "") {
        return;
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    let watcher = watch(&home);
    let before = number(&home.row("r"), "cpu_percent");
    let port = port(&home, "r");
    // One answer is a matter of milliseconds; the client asks until the server is gone.
    let asking = std::thread::spawn(move || while complete(port, 400).is_ok() {});
    home.wait_for("r", "seen to generate", |row| {
        number(row, "tokens_per_second") > 0.0
            && row["busy_slots"] == 1
            && row["slots"] == 1
            && number(row, "rss_bytes") > 1e6
            && number(row, "cpu_percent") > before
    });
    drop(watcher);
    home.ok(&["down", "r", "--force"]);
    asking.join().unwrap();
    home.ok(&["daemon", "stop"]);
}

/// Configures a real llama-server, if there is one.
fn real(test: &str, home: &TestHome, name: &str, more: &str) -> bool {
    let Some((server, model)) = real_server(test, home) else {
        return false;
    };
    home.config(
        name,
        &format!(
            "binary.path = {server:?}\nmodel.path = {model:?}\nmodel.context_size = 512\n\
             server.port = \"auto\"\n{more}\n"
        ),
    );
    true
}

/// A reader that waits for news, so that runs are measured often.
fn watch(home: &TestHome) -> Guarded {
    let mut command = home.command(&["ps", "--watch"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Guarded(command.spawn().unwrap())
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_default()
}

fn port(home: &TestHome, name: &str) -> u16 {
    u16::try_from(home.row(name)["port"].as_u64().unwrap()).unwrap()
}

/// Asks for a completion and waits for its end, or the server's.
fn complete(port: u16, tokens: u32) -> io::Result<String> {
    let body = format!(r#"{{"prompt": "a", "n_predict": {tokens}, "ignore_eos": true}}"#);
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let request = format!(
        "POST /completion HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
