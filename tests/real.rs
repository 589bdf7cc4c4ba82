//! A real llama-server in trouble: what the simulated one only imitates.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use llama_orch::process::os;
use rustix::process::Signal;
use serde_json::Value;

use crate::probing::watched_idle_and_at_work;
use crate::support::gguf::{self, Shape};
use crate::support::{
    Loads, TestHome, complete, free_port, kill_hard, real_server, wait_until, write_script,
};

fn signal(pid: i32, signal: Signal) {
    os::signal(os::open_pidfd(pid).unwrap(), signal).unwrap();
}

fn reason(row: &Value) -> &str {
    row["reason"].as_str().unwrap_or_default()
}

#[test]
fn a_port_taken_after_the_preflight_is_waited_for() {
    let home = TestHome::new();
    let test = "a_port_taken_after_the_preflight_is_waited_for";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    // Answers the preflight as the server does, and starts it when the port is somebody else's.
    let late = home.path().join("late");
    let (launched, taken) = (home.path().join("launched"), home.path().join("taken"));
    write_script(
        &late,
        &format!(
            "#!/bin/sh\nfor word; do case $word in --port)\n  : >{launched:?}\n  \
             while [ ! -e {taken:?} ]; do sleep 0.01; done;;\nesac; done\nexec {server:?} \"$@\"\n"
        ),
    );
    let port = free_port();
    let more = format!("server.port = {port}\nrestart_policy.initial_delay = 0.1");
    home.serving("r", &late, &model, &more);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r", "--no-wait"]);
    wait_until("the preflight is over", || launched.exists());
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    fs::write(&taken, "").unwrap();
    let row = home.wait_for("r", "waiting for its port", |row| row["state"] == "backoff");
    assert_eq!(row["autopsy"]["cause"], "port_in_use", "{row}");
    let evidence = row["autopsy"]["evidence"].as_str().unwrap();
    assert!(
        evidence.contains("couldn't bind HTTP server socket"),
        "{row}"
    );
    let own = std::process::id();
    home.wait_for("r", "told who holds it", |row| {
        reason(row).contains(&format!("in use by pid {own} "))
    });
    drop(stranger);
    let row = home.wait_state("r", "ready");
    assert_eq!((&row["port"], &row["restarts"]), (&port.into(), &1.into()));
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_large_model_is_seen_to_load_and_a_stop_meanwhile_is_no_crash() {
    let home = TestHome::new();
    let test = "a_large_model_is_seen_to_load_and_a_stop_meanwhile_is_no_crash";
    let Some((server, _)) = real_server(test, &home) else {
        return;
    };
    // A gigabyte, all of it a hole in the file.
    let model = home.path().join("large.gguf");
    let shape = Shape {
        feed_forward: 700_000,
        ..Shape::default()
    };
    gguf::write_hollow(&model, &shape);
    let more = "args = [\"--load-mode\", \"none\", \"--no-warmup\"]";
    home.serving("r", &server, &model, more);
    home.serving("next", &server, &model, more);
    fs::write(
        home.path().join("orchestrator.toml"),
        "[supervisor]\nmax_loading = 1\n",
    )
    .unwrap();
    home.ok(&["daemon", "start"]);
    let watcher = home.watcher();
    home.ok(&["up", "r", "next", "--no-wait"]);
    let row = home.wait_for("r", "seen to read", |row| {
        row["state"] == "loading" && reason(row).starts_with("reading ")
    });
    // Held there, so that the stop surely finds it loading.
    signal(home.pid("r"), Signal::STOP);
    assert!(reason(&row).contains(" of 1.1 GB"), "{row}");
    assert!(
        row["progress"]
            .as_u64()
            .is_some_and(|percent| percent < 100),
        "{row}"
    );
    assert_eq!(reason(&home.row("next")), "waiting for others to load");
    let again = home.run(&["up", "next"]);
    assert_eq!(again.code, 3, "{}", again.stderr);
    assert!(
        again.stderr.contains("waiting for its turn"),
        "{}",
        again.stderr
    );
    home.ok(&["down", "r"]);
    let row = home.wait_state("r", "stopped");
    assert_eq!(row["exit"]["signal"], 15, "{row}");
    assert_eq!(row["autopsy"]["cause"], "stopped", "{row}");
    assert_eq!(home.run(&["bundle", "r"]).code, 1, "no crash, no bundle");
    // Its place is free now.
    home.wait_state("next", "ready");
    drop(watcher);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_sleeping_server_is_watched_and_never_woken() {
    let home = TestHome::new();
    let test = "a_sleeping_server_is_watched_and_never_woken";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    let more = "args = [\"--sleep-idle-seconds\", \"1\"]\nhealthcheck.interval = 1";
    home.serving("r", &server, &model, more);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    let log = |text: &str| {
        let log = home.whole_log("r", "stderr");
        String::from_utf8_lossy(&log).matches(text).count()
    };
    wait_until("it sleeps", || log("entering sleeping state") > 0);
    let watcher = home.watcher();
    let probes = || -> u64 {
        let text = home.ok(&["health", "r", "--history", "--json"]).stdout;
        let history: Value = serde_json::from_str(&text).unwrap();
        let rollups = history["rollups"].as_array().unwrap().iter();
        rollups.filter_map(|rollup| rollup["probes"].as_u64()).sum()
    };
    let before = probes();
    home.ok(&["health", "r"]);
    home.ok(&["describe", "r"]);
    wait_until("it was probed some times more", || probes() >= before + 4);
    let row = home.row("r");
    assert_eq!((&row["state"], &row["slots"]), (&"ready".into(), &1.into()));
    assert_eq!(log("exiting sleeping state"), 0, "something woke it");
    // A request does.
    let port = u16::try_from(row["port"].as_u64().unwrap()).unwrap();
    complete(port, 1).unwrap();
    wait_until("it is awake", || log("exiting sleeping state") > 0);
    drop(watcher);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn watching_an_idle_server_does_not_fill_its_log_and_its_work_is_seen_all_the_same() {
    let home = TestHome::new();
    let test = "watching_an_idle_server_does_not_fill_its_log_and_its_work_is_seen_all_the_same";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    home.serving("r", &server, &model, "");
    watched_idle_and_at_work(&home, "r");
}

#[test]
fn five_real_servers_killed_at_once_come_back_two_at_a_time() {
    let home = TestHome::new();
    let test = "five_real_servers_killed_at_once_come_back_two_at_a_time";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    let names = ["r1", "r2", "r3", "r4", "r5"];
    for name in names {
        let more = "restart_policy.initial_delay = 0\nrestart_policy.backoff_multiplier = 1";
        home.serving(name, &server, &model, more);
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let mut pids: BTreeMap<&str, i32> = names.map(|name| (name, home.pid(name))).into();
    for _ in 0..2 {
        for pid in pids.values() {
            signal(*pid, Signal::KILL);
        }
        for (name, pid) in &mut pids {
            let row = home.wait_for(name, "ready with another process", |row| {
                row["state"] == "ready" && row["pid"] != *pid
            });
            *pid = i32::try_from(row["pid"].as_i64().unwrap()).unwrap();
        }
    }
    let expected = Loads {
        starts: names.len() * 3,
        most_at_once: 2,
    };
    assert_eq!(home.loads(), expected);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn five_real_servers_that_crash_by_themselves_come_back_two_at_a_time() {
    let home = TestHome::new();
    let test = "five_real_servers_that_crash_by_themselves_come_back_two_at_a_time";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    // Twice each has too little memory for its threads or its model, and dies while it loads.
    let limited = format!(
        "#!/bin/sh\nexport GGML_NO_BACKTRACE=1\nfor word; do case $word in --port)\n  echo >>\"$0.starts\"\n  \
         [ $(wc -l <\"$0.starts\") -gt 2 ] || ulimit -v 100000;;\nesac; done\n\
         exec {server:?} \"$@\"\n"
    );
    let names = ["r1", "r2", "r3", "r4", "r5"];
    for name in names {
        let program = home.path().join(name);
        write_script(&program, &limited);
        let more = "restart_policy.initial_delay = 0\nrestart_policy.backoff_multiplier = 1";
        home.serving(name, &program, &model, more);
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all", "--no-wait"]);
    for name in names {
        let row = home.wait_state(name, "ready");
        assert_eq!(row["restarts"], 2, "{row}");
    }
    let expected = Loads {
        starts: names.len() * 3,
        most_at_once: 2,
    };
    assert_eq!(home.loads(), expected);
    let crashes = home.events();
    let crashes = crashes.iter().filter(|event| event.starts_with("crashed "));
    assert_eq!(crashes.count(), names.len() * 2);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_real_server_without_its_model_is_not_even_started() {
    let home = TestHome::new();
    let test = "a_real_server_without_its_model_is_not_even_started";
    let Some((server, model)) = real_server(test, &home) else {
        return;
    };
    let own = home.path().join("own.gguf");
    fs::copy(model, &own).unwrap();
    home.serving("r", &server, &own, "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    fs::remove_file(&own).unwrap();
    // A restart that nobody asked for finds it gone: no loop, a reason and a remedy.
    kill_hard(home.pid("r"));
    let row = home.wait_state("r", "failed");
    assert_eq!(row["autopsy"]["cause"], "model_missing", "{row}");
    assert!(
        reason(&row).starts_with("the model file is missing: "),
        "{row}"
    );
    let remedy = row["autopsy"]["remedy"].as_str().unwrap();
    assert!(remedy.contains("model.path"), "{row}");
    // The next owner knows as much.
    home.ok(&["daemon", "restart"]);
    let later = home.row("r");
    for key in ["state", "reason", "failure", "autopsy"] {
        assert_eq!(later[key], row[key], "{key}");
    }
    home.ok(&["daemon", "stop"]);
}
