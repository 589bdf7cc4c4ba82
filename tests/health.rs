//! Servers that work, hang, stop and lie: what is seen of them, and what follows.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use llama_orch::process::os;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Loads, TestHome, complete, free_port, is_gone, kill_hard, real_server, wait_until,
};

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
    let watcher = home.watcher();
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
    let watcher = home.watcher();
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

/// Probes that find out within seconds what takes a minute with the usual settings.
const QUICK: &str = "healthcheck.interval = 1\nhealthcheck.timeout = 1\nhealthcheck.retries = 2\n\
                     healthcheck.retry_delay = 0.1\nstop_grace = 1\n";

/// A bad run is followed by the next at once, as often as it takes.
const EAGER: &str = "restart_policy.initial_delay = 0\nrestart_policy.backoff_multiplier = 1\n\
                     restart_policy.max_retries = 100\n";

#[test]
fn a_server_that_answers_nothing_any_more_is_started_again() {
    let home = TestHome::new();
    let args = ["--sim-hang", "all", "--sim-hang-after", "300ms"];
    home.simulated("a", &args, &format!("{QUICK}{EAGER}"));
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let first = home.run_file("a").unwrap();
    wait_until("another run follows", || {
        home.run_file("a")
            .is_some_and(|run| run.run_id != first.run_id)
    });
    assert!(is_gone(first.child.pid));
    tells(
        &home,
        "health_changed a 2 probes failed in a row: unreachable: no answer in time",
    );
    home.ok(&["down", "a"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_server_whose_inference_hangs_is_found_wedged_although_it_says_ok() {
    let home = TestHome::new();
    let args = ["--sim-hang", "inference", "--sim-hang-after", "1s"];
    let quick = QUICK.replace("retries = 2", "retries = 1");
    home.simulated("a", &args, &format!("{quick}{EAGER}"));
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let first = home.run_file("a").unwrap();
    let port = port(&home, "a");
    let waiting = std::thread::spawn(move || complete(port, 100_000));
    wait_until("another run follows", || {
        home.run_file("a")
            .is_some_and(|run| run.run_id != first.run_id)
    });
    waiting.join().unwrap().ok(); // cut off with the run
    tells(
        &home,
        "health_changed a health unhealthy (was healthy): wedged: ",
    );
    tells(&home, "no answer on /metrics, no counter moved");
    home.ok(&["down", "a"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_silent_server_that_nobody_waits_for_is_left_alone() {
    let home = TestHome::new();
    let args = ["--sim-hang", "inference", "--sim-hang-after", "300ms"];
    let quick = QUICK.replace("retries = 2", "retries = 1");
    home.simulated("a", &args, &format!("{quick}{EAGER}"));
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    // Nobody waits for it: what hangs costs nobody anything, and is not ended.
    let probes = || home.row("a")["uptime_seconds"].as_u64().unwrap_or(0);
    wait_until("it has been silent for longer than a wedge may be", || {
        probes() >= 8
    });
    assert_eq!(home.row("a")["state"], "ready");
    assert_eq!(home.pid("a"), pid);
    home.ok(&["down", "a"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_stopped_real_server_is_unhealthy_and_healthy_again_when_it_goes_on() {
    let home = TestHome::new();
    let test = "a_stopped_real_server_is_unhealthy_and_healthy_again_when_it_goes_on";
    if !real(
        test,
        &home,
        "r",
        &format!("{QUICK}restart_policy.enabled = false"),
    ) {
        return;
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    let pid = home.pid("r");
    signal(pid, Signal::STOP);
    let row = home.wait_state("r", "unhealthy");
    let reason = row["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("unreachable: no answer in time"),
        "{reason}"
    );
    signal(pid, Signal::CONT);
    assert_eq!(home.wait_state("r", "ready")["pid"], pid);
    home.ok(&["down", "r"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_stopped_real_server_is_started_again_where_the_policy_says_so() {
    let home = TestHome::new();
    let test = "a_stopped_real_server_is_started_again_where_the_policy_says_so";
    if !real(test, &home, "r", &format!("{QUICK}{EAGER}")) {
        return;
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    let pid = home.pid("r");
    signal(pid, Signal::STOP);
    home.wait_for("r", "ready with another process", |row| {
        row["state"] == "ready" && row["pid"] != pid
    });
    assert!(is_gone(pid));
    tells(&home, "health_changed r 2 probes failed in a row");
    assert_eq!(home.row("r")["restarts"], 1);
    home.ok(&["down", "r"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_start_that_stands_still_is_ended_with_the_reason() {
    let home = TestHome::new();
    let more = "healthcheck.start_period = 1\nrestart_policy.max_retries = 0";
    home.simulated("a", &["--sim-load-time", "10m"], more);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    let row = home.wait_state("a", "failed");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("no progress for "), "{reason}");
    assert_eq!(row["autopsy"]["cause"], "start_timed_out");
    home.ok(&["down", "a"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn an_answer_of_another_process_does_not_count() {
    let home = TestHome::new();
    let port = free_port();
    let script = home.path().join("idle.sh");
    fs::write(&script, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!("binary.path = {script:?}\nrouter = true\nserver.port = {port}\n{QUICK}");
    home.config("a", &text);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    wait_until("it runs", || home.row("a")["pid"].is_number());
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _length = stream.read(&mut [0; 4096]); // the request does not matter
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"status\":\"ok\"}";
            stream.write_all(answer.as_bytes()).ok(); // the client may be gone
        }
    });
    let row = home.wait_for("a", "told of the stranger", |row| row["reason"].is_string());
    let own = std::process::id();
    let expected = format!("another process answers on port {port}: pid {own} (");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.starts_with(&expected), "{reason}");
    assert_eq!(row["health"], "unknown");
    home.ok(&["down", "a", "--force"]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn every_kind_of_probe_and_address_finds_a_server_ready() {
    let home = TestHome::new();
    let socket = home.path().join("a.sock");
    let script = "healthcheck.type = \"custom\"\nhealthcheck.custom_script = ";
    let rows = [
        ("tcp", "healthcheck.type = \"tcp\"".to_owned()),
        ("six", "server.host = \"::1\"".to_owned()),
        ("unix", format!("server.host = {socket:?}")),
        ("body", "healthcheck.expected_body = \"ok\"".to_owned()),
        (
            "v1",
            "healthcheck.path = \"/v1/health\"\nhealthcheck.expected_status = 200".to_owned(),
        ),
        (
            "script",
            format!("{script}\"test {{name}}:{{host}} = script:127.0.0.1\""),
        ),
        ("warm", "healthcheck.warmup_enabled = true".to_owned()),
    ];
    for (name, more) in &rows {
        home.simulated(name, &[], more);
    }
    home.simulated(
        "bad-body",
        &[],
        "healthcheck.expected_body = \"never said\"",
    );
    home.simulated("bad-script", &[], &format!("{script}\"false\""));
    home.ok(&["daemon", "start"]);
    let names: Vec<&str> = rows.iter().map(|(name, _)| *name).collect();
    home.ok(&[&["up"], &names[..]].concat());
    for name in &names {
        assert_eq!(home.row(name)["state"], "ready", "{name}");
    }
    let log = String::from_utf8(home.whole_log("warm", "stderr")).unwrap();
    assert!(
        log.contains("/completion"),
        "no warm-up was asked for: {log}"
    );
    home.ok(&["up", "bad-body", "bad-script", "--no-wait"]);
    let row = home.wait_state("bad-body", "error");
    assert_eq!(row["reason"], "answered 200: {\"status\":\"ok\"}");
    assert_ne!(home.row("bad-script")["state"], "ready");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn five_servers_that_crash_at_once_load_two_at_a_time() {
    let home = TestHome::new();
    let names = ["c1", "c2", "c3", "c4", "c5"];
    let policy = "restart_policy.initial_delay = 0.2\nrestart_policy.max_retries = 3";
    let args = [
        "--sim-load-time",
        "100ms",
        "--sim-crash-after",
        "50ms",
        "--sim-crash",
        "3",
    ];
    for name in names {
        home.simulated(name, &args, policy);
    }
    home.ok(&["daemon", "start"]);
    home.ok(&[&["up", "--no-wait"], &names[..]].concat());
    for name in names {
        home.wait_state(name, "failed");
        assert_eq!(home.row(name)["restarts"], 3);
    }
    let expected = Loads {
        starts: names.len() * 4,
        most_at_once: 2,
    };
    assert_eq!(home.loads(), expected);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_new_owner_believes_what_the_last_one_knew() {
    let home = TestHome::new();
    home.simulated("a", &[], QUICK);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    kill_hard(home.owner().unwrap());
    home.ok(&["daemon", "start"]);
    let row = home.row("a");
    assert_eq!((&row["state"], &row["pid"]), (&"ready".into(), &pid.into()));
    let fell = |event: &String| event.contains("(was healthy)");
    assert!(!home.events().iter().any(fell), "{:#?}", home.events());
    home.ok(&["daemon", "stop", "--instances"]);
}

/// Some event of the database holds this text.
fn tells(home: &TestHome, text: &str) {
    let events = home.events();
    assert!(
        events.iter().any(|event| event.contains(text)),
        "{text}: {events:#?}"
    );
}

fn signal(pid: i32, signal: Signal) {
    os::signal(os::open_pidfd(pid).unwrap(), signal).unwrap();
}

/// Configures a real llama-server, if there is one.
fn real(test: &str, home: &TestHome, name: &str, more: &str) -> bool {
    let Some((server, model)) = real_server(test, home) else {
        return false;
    };
    home.serving(name, &server, &model, more);
    true
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_default()
}

fn port(home: &TestHome, name: &str) -> u16 {
    u16::try_from(home.row(name)["port"].as_u64().unwrap()).unwrap()
}
