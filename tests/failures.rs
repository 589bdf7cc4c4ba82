//! What a machine does to its processes: pids that come again, reboots, memory and descriptors that
//! run out, processes that nobody may look into.

use std::process::{Command, Stdio};

use llama_orch::process::os;
use llama_orch::process::runfiles::{self, RunFile};
use rustix::process::Signal;

use crate::support::{
    Guarded, TestHome, is_gone, kill_hard, skipped, trials, wait_until, with_token,
};

/// Says to a copy of this test binary that it is where the test wants it.
const INSIDE: &str = "LLAMA_ORCH_TEST_INSIDE";

/// Runs one test again in a copy of this binary that a wrapper program puts somewhere else.
/// `None` when the machine does not let it.
fn inside(wrapper: &mut Command, test: &str) -> Option<()> {
    let ran = wrapper
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let words = String::from_utf8_lossy(&ran.stdout);
    if !words.contains("running 1 test") {
        return None;
    }
    let complaints = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words}{complaints}");
    Some(())
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

#[test]
fn a_pid_that_another_process_took_over_is_told_apart_and_left_alone() {
    let test = "failures::a_pid_that_another_process_took_over_is_told_apart_and_left_alone";
    if is_inside() {
        take_pids_over();
        return;
    }
    // The shell is the first process of its namespace and reaps what nobody else does.
    let mut wrapper = Command::new("unshare");
    wrapper.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    wrapper.args(["/bin/sh", "-c", "\"$0\" \"$@\"; exit $?"]);
    if inside(&mut wrapper, test).is_none() {
        skipped(test, "a pid namespace needs root");
    }
}

fn take_pids_over() {
    let home = TestHome::new();
    home.simulated("a", &[], "restart_policy.enabled = false");
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    kill_hard(run.shim.pid);
    kill_hard(run.child.pid);
    wait_until("both are reaped", || {
        os::stat(run.shim.pid).is_err() && os::stat(run.child.pid).is_err()
    });
    let strangers = [run.shim.pid, run.child.pid].map(sleeper_with_pid);
    // Readers and owners see that these are others, and nobody touches them.
    assert!(home.row("a")["pid"].is_null());
    home.ok(&["daemon", "start"]);
    wait_until("its end is told", || {
        home.events()
            .iter()
            .any(|event| event.starts_with("crashed a ended while nobody watched"))
    });
    assert!(home.row("a")["pid"].is_null());
    home.run(&["down", "a", "--force"]);
    home.ok(&["up", "a"]);
    assert_ne!(home.pid("a"), run.child.pid);
    home.ok(&["down", "a", "--force"]);
    home.ok(&["daemon", "stop"]);
    for mut stranger in strangers {
        assert!(stranger.0.try_wait().unwrap().is_none(), "it was signalled");
    }
}

/// Starts a process that gets a given, free pid.
fn sleeper_with_pid(pid: i32) -> Guarded {
    loop {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let sleeper = Guarded(Command::new("/bin/sleep").arg("600").spawn().unwrap());
        // A thread of somebody else may have taken the number, but not for ever.
        if sleeper.0.id().cast_signed() == pid {
            return sleeper;
        }
    }
}

#[test]
fn after_a_reboot_a_run_is_over_and_what_was_wanted_starts_again() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    kill_hard(home.owner().unwrap());
    kill_hard(run.shim.pid);
    // In the next boot its numbers belong to a process that has nothing to do with it.
    let mut stranger = Guarded(Command::new("/bin/sleep").arg("600").spawn().unwrap());
    let pid = stranger.0.id().cast_signed();
    let start = os::identity(pid).unwrap().start_ticks;
    let mut before = run.clone();
    before.boot_id = "11111111-2222-3333-4444-555555555555".to_owned();
    (before.shim.pid, before.shim.start) = (pid, start);
    (before.child.pid, before.child.start) = (pid, start);
    kill_hard(run.child.pid);
    runfiles::write(&home.run_paths("a").run(), &before).unwrap();

    home.ok(&["daemon", "start"]);
    let row = home.wait_state("a", "ready");
    assert_ne!(row["pid"], pid);
    let events = home.events();
    assert!(
        events
            .iter()
            .any(|event| event.contains(" a ") && event.contains("rebooted")),
        "{events:#?}"
    );
    home.ok(&["daemon", "stop", "--instances"]);
    assert!(stranger.0.try_wait().unwrap().is_none(), "it was signalled");
}

#[test]
fn a_process_that_nobody_may_look_into_is_shown_and_never_signalled() {
    let test = "failures::a_process_that_nobody_may_look_into_is_shown_and_never_signalled";
    if is_inside() {
        look_into_others();
        return;
    }
    // Somebody else's process, for a user who may not read its environment.
    let stranger = Guarded(Command::new("/bin/sleep").arg("600").spawn().unwrap());
    let mut wrapper = Command::new("setpriv");
    wrapper.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    wrapper.env("STRANGER", stranger.0.id().to_string());
    if inside(&mut wrapper, test).is_none() {
        skipped(
            test,
            "becoming another user, who may run this program, needs root",
        );
    }
}

fn look_into_others() {
    let pid: i32 = std::env::var("STRANGER").unwrap().parse().unwrap();
    assert!(os::environment_variable(pid, "PATH").is_err());
    let home = TestHome::new();
    home.simulated("a", &[], "restart_policy.enabled = false");
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    kill_hard(run.shim.pid);
    kill_hard(run.child.pid);
    // The files now name the stranger, down to the tick it started at.
    let mut other = run.clone();
    other.child.pid = pid;
    other.child.start = os::identity(pid).unwrap().start_ticks;
    runfiles::write(&home.run_paths("a").run(), &other).unwrap();
    home.ok(&["daemon", "start"]);
    wait_until("it is told", || {
        home.events()
            .iter()
            .any(|event| event.contains(&format!("pid {pid} may be its server but is not proven")))
    });
    // The scan says how much it could not see, and takes a run that just starts for no orphan.
    let shown = home.ok(&["orphans"]);
    let words = format!("{}{}", shown.stdout, shown.stderr);
    assert!(
        words.contains("no orphans") && words.contains("could not be looked at"),
        "{words}"
    );
    home.run(&["down", "a", "--force"]);
    home.ok(&["daemon", "stop"]);
    assert!(!is_gone(pid));
    std::fs::remove_file(home.run_paths("a").run()).unwrap();
}

#[test]
fn a_stopped_process_still_obeys_a_stop() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let pidfd = os::open_pidfd(home.pid("a")).unwrap();
    os::signal(pidfd, Signal::STOP).unwrap();
    wait_until("it is stopped", || {
        os::stat(home.pid("a")).is_ok_and(|stat| stat.state == 'T')
    });
    home.ok(&["down", "a"]);
    let row = home.row("a");
    assert_eq!(
        (&row["state"], &row["exit"]["code"]),
        (&"stopped".into(), &0.into())
    );
    home.ok(&["daemon", "stop"]);
}

/// The kernel's choice, its SIGKILL, and that nobody else goes with it; `oom` has the real thing
/// where a memory cgroup can be made.
#[test]
fn short_of_memory_the_kernel_takes_the_server_and_not_its_shim() {
    let home = TestHome::new();
    home.simulated("a", &[], "restart_policy.initial_delay = 0");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    let badness = |pid: i32| -> i32 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().parse().unwrap()
    };
    let usual = badness(std::process::id().cast_signed());
    assert_eq!(badness(run.child.pid), 200.max(usual));
    assert_eq!(badness(run.shim.pid), usual);
    assert_eq!(badness(home.owner().unwrap()), usual);
    kill_hard(run.child.pid);
    let row = home.wait_for("a", "another run", |row| {
        row["state"] == "ready" && row["pid"] != run.child.pid
    });
    assert_eq!(row["exit"]["signal"], 9);
    home.ok(&["daemon", "stop", "--instances"]);
}

/// A fleet that is too large for its owner's descriptors: in the suite a small one, and with
/// `LLAMA_ORCH_TRIALS` the one of 200 instances and 256 descriptors.
fn too_large() -> (usize, usize) {
    match trials(0) {
        0 => (40, 104),
        _ => (200, 256),
    }
}

#[test]
fn an_owner_short_of_descriptors_answers_and_keeps_what_it_has() {
    let home = TestHome::new();
    let (instances, descriptors) = too_large();
    for number in 0..instances {
        home.simulated(&format!("i{number:03}"), &["--sim-load-time", "0"], "");
    }
    // Both limits, so that it cannot help itself.
    let ran = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_llama-orch"))
        .arg("--home")
        .arg(home.path())
        .args(["daemon", "start"])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    home.ok(&["up", "--all", "--no-wait"]);
    let short = |rows: &[serde_json::Value]| {
        rows.iter().any(|row| {
            row["state"]
                .as_str()
                .is_some_and(|state| state.starts_with("backoff"))
                && row["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.contains("no room"))
        })
    };
    // It goes on answering while it has no room for more.
    wait_until("it is short of descriptors", || short(&home.ps()));
    let rows = home.ps();
    let ready: Vec<&serde_json::Value> = rows.iter().filter(|row| row["pid"].is_i64()).collect();
    assert!(ready.len() > descriptors / 16, "{} run", ready.len());
    assert!(
        rows.iter().all(|row| row["status"] != "failed"),
        "{rows:#?}"
    );
    assert!(
        rows.iter().all(|row| row["restarts"] == 0),
        "our own lack is no crash of theirs"
    );
    let runs: Vec<(String, RunFile)> = ready
        .iter()
        .filter_map(|row| row["name"].as_str())
        .filter_map(|name| Some((name.to_owned(), home.run_file(name)?)))
        .collect();
    assert!(runs.iter().all(|(_, run)| !is_gone(run.child.pid)));
    home.ok(&["down", "--all", "--force"]);
    for (name, run) in runs {
        assert_eq!(with_token(&run.token), [0; 0], "{name}");
    }
    home.ok(&["daemon", "stop"]);
}
