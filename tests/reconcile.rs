//! Files that change under a fleet, and a world that is not as it is believed to be.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use llama_orch::process::os;

use crate::support::{TestHome, is_gone, kill_hard, real_server, wait_until, with_token};

/// Waits for an event that begins so, as `type instance message`.
fn wait_event(home: &TestHome, begins: &str) -> String {
    let mut found = None;
    wait_until(begins, || {
        found = home
            .events()
            .into_iter()
            .find(|event| event.starts_with(begins));
        found.is_some()
    });
    found.unwrap()
}

/// Has the owner read the files, probe and look over everything now.
fn look(home: &TestHome) {
    home.run(&["health"]);
}

fn plan(home: &TestHome, name: &str) -> Value {
    let ran = home.run(&["plan", name, "--json"]);
    let plans: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    plans.into_iter().next().unwrap()
}

#[test]
fn an_edit_applies_what_it_can_and_shows_the_rest_as_drift() {
    let home = TestHome::new();
    home.simulated("a", &["--api-key", "s3cret"], "tags = [\"x\"]");
    home.simulated("other", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let (pid, other) = (home.pid("a"), home.pid("other"));

    home.simulated(
        "a",
        &["--api-key", "s3cret"],
        "tags = [\"y\"]\nhealthcheck.interval = 3",
    );
    let event = wait_event(&home, "config_changed a applied");
    assert!(
        event.contains("healthcheck.interval: 10 s → 3 s; tags: x → y"),
        "{event}"
    );
    let row = home.row("a");
    assert_eq!(
        (&row["tags"][0], &row["drift"]),
        (&"y".into(), &false.into())
    );

    home.simulated(
        "a",
        &["--api-key", "0ther"],
        "tags = [\"y\"]\nmodel.context_size = 99",
    );
    let event = wait_event(&home, "config_changed a changed, needs a restart");
    assert!(event.contains("model.context_size: 4096 → 99"), "{event}");
    assert!(
        !event.contains("s3cret") && !event.contains("0ther"),
        "{event}"
    );
    let row = home.wait_for("a", "drifted", |row| row["drift"] == true);
    assert_eq!(row["pid"], pid);

    let planned = plan(&home, "a");
    assert_eq!(planned["action"], "restart");
    let text = home.ok(&["plan"]).stdout;
    assert!(
        text.contains("model.context_size: 4096 → 99  (needs a restart)"),
        "{text}"
    );
    assert!(
        !text.contains("s3cret") && !text.contains("0ther"),
        "{text}"
    );
    home.ok(&["apply"]);
    let row = home.row("a");
    assert_eq!(
        (&row["state"], &row["drift"]),
        (&"ready".into(), &false.into())
    );
    assert_ne!(row["pid"], pid);
    assert_eq!(home.pid("other"), other, "nothing else was touched");
    assert_eq!(plan(&home, "a")["action"], "nothing");
    home.ok(&["apply", "a"]);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_plan_is_made_and_carried_out_without_an_owner_too() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    home.simulated("a", &[], "model.context_size = 99");
    assert_eq!(
        plan(&home, "a")["changes"][0]["field"],
        "model.context_size"
    );
    home.ok(&["apply", "a"]);
    assert_ne!(home.pid("a"), pid);
    assert_eq!(plan(&home, "a")["action"], "nothing");
    home.ok(&["down", "a"]);
}

#[test]
fn a_run_whose_file_broke_or_changed_shows_what_it_was_started_with() {
    let home = TestHome::new();
    let gpu = "gpu.backend = \"cuda\"\ngpu.device_id = 3";
    home.simulated("a", &[], gpu);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let is_shown = || {
        let row = home.row("a");
        let shown = [&row["backend"], &row["device"]];
        assert_eq!(shown, ["cuda", "GPU3"], "{row}");
    };
    is_shown();
    home.simulated("a", &[], "gpu.backend = \"cpu\"");
    home.wait_for("a", "drifted", |row| row["drift"] == true);
    is_shown();
    home.config("a", "gpu = ");
    home.wait_for("a", "broken", |row| row["broken"] == true);
    is_shown();
    // An owner that never saw a good file, and no owner at all.
    home.ok(&["daemon", "restart"]);
    is_shown();
    home.ok(&["daemon", "stop"]);
    is_shown();
    home.ok(&["down", "a"]);
    assert_eq!(home.row("a")["backend"], "-", "nothing is known of it now");
}

#[test]
fn a_real_server_is_edited_planned_and_applied() {
    let home = TestHome::new();
    let Some((server, model)) = real_server("a_real_server_is_edited_planned_and_applied", &home)
    else {
        return;
    };
    let config = |context: u32, interval: u32| {
        let (server, model) = (server.display(), model.display());
        home.config(
            "r",
            &format!(
                "binary.path = \"{server}\"\nmodel.path = \"{model}\"\nserver.port = \"auto\"\n\
                 model.context_size = {context}\nhealthcheck.interval = {interval}\n"
            ),
        );
    };
    config(256, 10);
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "r"]);
    let pid = home.pid("r");
    config(512, 5);
    wait_event(
        &home,
        "config_changed r applied to the running instance: healthcheck.interval",
    );
    wait_event(
        &home,
        "config_changed r changed, needs a restart: model.context_size: 256 → 512",
    );
    home.wait_for("r", "drifted", |row| row["drift"] == true);
    assert_eq!(home.pid("r"), pid);
    let planned = plan(&home, "r");
    assert_eq!(planned["action"], "restart");
    home.ok(&["apply", "r"]);
    let row = home.wait_state("r", "ready");
    assert_ne!(row["pid"], pid);
    assert_eq!(row["drift"], false);
    let command = fs::read(format!("/proc/{}/cmdline", row["pid"])).unwrap();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    assert!(command.contains("--ctx-size 512"), "{command}");
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_broken_file_keeps_the_run_and_names_the_place() {
    let home = TestHome::new();
    home.simulated("a", &[], "restart_policy.initial_delay = 0");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    home.config(
        "a",
        "binary.path = \"builtin:sim\"\nserver.port = \"nowhere\"\n",
    );
    let row = home.wait_for("a", "broken", |row| row["broken"] == true);
    assert_eq!((&row["pid"], &row["state"]), (&pid.into(), &"ready".into()));
    assert!(
        row["reason"].as_str().unwrap().contains("config.toml:2:"),
        "{row}"
    );
    let event = wait_event(&home, "config_broken a ");
    assert!(event.contains("config.toml:2:15:"), "{event}");
    assert!(
        event.contains("goes on with the last good configuration"),
        "{event}"
    );
    // Its restarts go on too; a person's are refused.
    assert_eq!(home.run(&["restart", "a"]).code, 1);
    assert_eq!(home.run(&["plan", "a"]).code, 1);
    kill_hard(pid);
    let row = home.wait_for("a", "up again", |row| {
        row["state"] == "ready" && row["pid"] != pid
    });
    assert_eq!(row["broken"], true);
    home.simulated("a", &[], "restart_policy.initial_delay = 0");
    home.wait_for("a", "whole", |row| row["broken"] == false);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn a_deleted_file_keeps_the_run_under_this_owner_and_the_next() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pid = home.pid("a");
    fs::remove_dir_all(home.path().join("instances/a")).unwrap();
    let row = home.wait_for("a", "without a file", |row| row["broken"] == true);
    assert_eq!((&row["pid"], &row["state"]), (&pid.into(), &"ready".into()));
    wait_event(&home, "config_broken a its configuration file is gone");
    home.ok(&["daemon", "restart"]);
    look(&home);
    assert!(!is_gone(pid), "it was ended because its file is gone");
    home.simulated("a", &[], "");
    home.wait_for("a", "whole", |row| {
        row["broken"] == false && row["pid"] == pid
    });
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn folders_come_and_go_and_a_file_is_replaced() {
    let home = TestHome::new();
    home.ok(&["daemon", "start"]);
    home.simulated("new", &[], "autostart = true");
    home.wait_state("new", "ready");
    // As an editor does it: another file takes the name.
    let folder = home.path().join("instances/new");
    let text = fs::read_to_string(folder.join("config.toml")).unwrap();
    fs::write(
        folder.join("config.toml.new"),
        format!("{text}tags = [\"x\"]\n"),
    )
    .unwrap();
    fs::rename(folder.join("config.toml.new"), folder.join("config.toml")).unwrap();
    home.wait_for("new", "tagged", |row| row["tags"][0] == "x");
    home.ok(&["down", "new"]);
    fs::remove_dir_all(&folder).unwrap();
    home.wait_for("new", "away", Value::is_null);
    // It was stopped by a person, and so it stays when its folder comes back.
    home.simulated("new", &[], "autostart = true");
    home.wait_for("new", "back", |row| !row.is_null());
    look(&home);
    assert_eq!(home.row("new")["state"], "stopped");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn broken_settings_leave_the_last_good_ones_in_force() {
    let home = TestHome::new();
    let settings = home.path().join("orchestrator.toml");
    fs::write(&settings, "[defaults]\ntags = [\"ours\"]\n").unwrap();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    assert_eq!(home.row("a")["tags"][0], "ours");
    fs::write(&settings, "[defaults]\ntags = 7\n").unwrap();
    let event = wait_event(&home, "config_broken - ");
    assert!(event.contains("orchestrator.toml:2:"), "{event}");
    assert_eq!(home.row("a")["tags"][0], "ours");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_stranger_on_a_stopped_instances_port_is_told_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = TestHome::new();
    home.config(
        "a",
        &format!("binary.path = \"builtin:sim\"\nserver.port = {port}\n"),
    );
    home.ok(&["daemon", "start"]);
    look(&home);
    look(&home);
    let own = std::process::id();
    let begins = format!("port_taken a its port {port} is held by pid {own} ");
    let events = home.events();
    let told = events
        .iter()
        .filter(|event| event.starts_with(&begins))
        .count();
    assert_eq!(told, 1, "{events:#?}");
    home.ok(&["daemon", "stop"]);
}

/// A server whose shim and run file are gone.
fn orphaned(home: &TestHome) -> i32 {
    home.simulated("a", &[], "");
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    kill_hard(run.shim.pid);
    fs::remove_file(home.run_paths("a").run()).unwrap();
    // A start that young could still be under way.
    let spec = fs::File::options()
        .write(true)
        .open(home.run_paths("a").spec())
        .unwrap();
    spec.set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    run.child.pid
}

#[test]
fn an_orphan_is_found_listed_with_proof_and_adopted() {
    let home = TestHome::new();
    let pid = orphaned(&home);
    let token = os::environment_variable(pid, llama_orch::process::runfiles::TOKEN_VARIABLE);
    let token = token.unwrap().unwrap();
    home.ok(&["down", "a", "--no-wait"]);
    home.ok(&["daemon", "start"]);
    look(&home);
    look(&home);
    let events = home.events();
    let found = |event: &&String| event.starts_with(&format!("orphan_found a pid {pid} "));
    assert_eq!(events.iter().filter(found).count(), 1, "{events:#?}");
    assert!(!is_gone(pid), "an orphan is never ended by itself");
    let listed: Vec<Value> = serde_json::from_str(&home.ok(&["orphans", "--json"]).stdout).unwrap();
    assert_eq!(listed[0]["pid"], pid);
    assert!(listed[0]["proof"].as_str().unwrap().contains(&token[..8]));
    home.ok(&["orphans", "--adopt", &pid.to_string()]);
    let row = home.wait_state("a", "ready");
    assert_eq!(row["pid"], pid);
    wait_event(&home, "reconciled a ");
    home.ok(&["down", "a"]);
    assert_eq!(with_token(&token), [0; 0]);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn an_orphan_is_stopped_when_that_is_asked_for() {
    let home = TestHome::new();
    let pid = orphaned(&home);
    home.run(&["down", "a", "--no-wait"]);
    home.ok(&["daemon", "start"]);
    look(&home);
    assert_eq!(home.run(&["orphans", "--stop", "1"]).code, 2);
    home.ok(&["orphans", "--stop", &pid.to_string()]);
    wait_until("it is gone", || is_gone(pid));
    wait_event(&home, "orphan_stopped ");
    home.ok(&["daemon", "stop"]);
}

#[test]
fn what_a_killed_shim_leaves_behind_is_reaped() {
    let home = TestHome::new();
    home.simulated(
        "a",
        &["--sim-grandchildren", "3"],
        "restart_policy.enabled = false",
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    let owner = home.owner().unwrap();
    kill_hard(run.shim.pid);
    wait_until("a new shim attached", || {
        home.run_file("a")
            .is_some_and(|now| now.attached && now.shim.pid != run.shim.pid)
    });
    let family = with_token(&run.token);
    assert!(family.len() > 1, "{family:?}");
    for pid in family {
        kill_hard(pid);
    }
    let zombies = || -> Vec<i32> {
        let pids = os::all_pids().unwrap();
        let is_zombie =
            |pid: &i32| os::stat(*pid).is_ok_and(|stat| stat.parent == owner && stat.state == 'Z');
        pids.into_iter().filter(is_zombie).collect()
    };
    wait_until("nothing is left", || {
        look(&home);
        zombies().is_empty()
    });
    home.ok(&["daemon", "stop"]);
}

#[test]
fn a_quiet_fleet_has_nothing_to_correct() {
    let home = TestHome::new();
    for number in 0..5 {
        home.simulated(&format!("i{number}"), &["--sim-grandchildren", "1"], "");
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "i0", "i1", "i2", "i3"]);
    home.ok(&["restart", "i1"]);
    home.ok(&["down", "i2"]);
    for _ in 0..10 {
        look(&home);
    }
    let corrections = [
        "reconciled",
        "orphan_found",
        "orphan_stopped",
        "port_taken",
        "config_",
    ];
    let events = home.events();
    let corrected = |event: &&String| corrections.iter().any(|kind| event.starts_with(kind));
    assert_eq!(events.iter().find(corrected), None);
    home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn what_runs_can_be_stopped_whatever_became_of_its_file() {
    let home = TestHome::new();
    for name in ["whole", "broken", "gone"] {
        home.simulated(name, &["--sim-load-time", "0"], "");
    }
    home.ok(&["up", "--all"]);
    let pids = ["whole", "broken", "gone"].map(|name| home.pid(name));
    home.config("broken", "server.port = \"many\"\n");
    fs::remove_dir_all(home.path().join("instances/gone")).unwrap();
    home.ok(&["down", "--all"]);
    for pid in pids {
        assert!(is_gone(pid), "pid {pid} goes on");
    }
}
