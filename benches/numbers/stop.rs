//! Stops: many at once, real servers, and a tree that does not want to.

use std::process::{Child, Command, Stdio};

use llama_orch::domain::run::StopMode;
use llama_orch::process::os;
use rustix::process::Signal;

use crate::home::{self, Home, MAIN, SIMULATED, kill};
use crate::runs;
use crate::table::{Floor, PATIENCE, Target, median, milliseconds, once, row, skipped, wait_until};

/// Between SIGTERM and SIGKILL of the tree that does not want to end.
const GRACE_MS: u64 = 500;

/// The default grace, and the second that many stops may take beside it.
const MANY_LIMIT_MS: f64 = 11_000.0;

pub(crate) fn measure() {
    many();
    real_servers();
    deaf_tree();
}

fn many() {
    let home = Home::new(100, SIMULATED);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let down = once(|| drop(home.run(&["down", "--all"])));
    let mut children: Vec<Child> = (0..100)
        .map(|_| {
            let mut sim = Command::new(MAIN);
            sim.args(["sim", "--port", "0", "--sim-load-time", "0"]);
            quiet(&mut sim).spawn().unwrap()
        })
        .collect();
    children.iter().for_each(until_it_listens);
    let floor = Floor {
        what: "SIGTERM and reap of 100 bare servers",
        value: once(|| terminate_and_reap(&mut children)),
    };
    let target = Target::AtMost(MANY_LIMIT_MS);
    row("down --all, 100 instances", down, "ms", &floor, target);
}

fn real_servers() {
    let what = "down --all, 20 idle real servers";
    let Some((server, model)) = home::real_server() else {
        skipped(what, "LLAMA_SERVER and TINY_GGUF name no server and model");
        return;
    };
    let home = Home::new(20, &home::real_config(&server, &model, "\"auto\""));
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let down = once(|| drop(home.run(&["down", "--all"])));
    let mut children: Vec<Child> = (0..20)
        .map(|_| {
            let mut bare = Command::new(&server);
            bare.arg("--model")
                .arg(&model)
                .args(["--ctx-size", "512", "--port", "0"]);
            quiet(&mut bare).spawn().unwrap()
        })
        .collect();
    children.iter().for_each(until_it_listens);
    let floor = Floor {
        what: "SIGTERM and reap of 20 bare ones",
        value: once(|| terminate_and_reap(&mut children)),
    };
    row(what, down, "ms", &floor, Target::Above(60.0));
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

/// A server that listens has loaded far enough to take a SIGTERM as a request.
fn until_it_listens(child: &Child) {
    let pid = child.id();
    wait_until(|| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = field.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
        caught.unwrap_or_default() >> (Signal::TERM.as_raw() - 1) & 1 == 1
    });
}

fn terminate_and_reap(children: &mut [Child]) {
    for child in &*children {
        os::signal(
            os::open_pidfd(child.id().cast_signed()).unwrap(),
            Signal::TERM,
        )
        .unwrap();
    }
    for child in children {
        child.wait().unwrap();
    }
}

/// A server and a grandchild in a session of its own; both ignore SIGTERM.
fn deaf_tree() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; exec sleep 600' & \
                  echo up; while :; do sleep 0.01; done";
    let log = folder.path().join("logs/stdout.log");
    let times = (0..5)
        .map(|_| {
            std::fs::remove_file(&log).ok(); // there is none the first time
            let paths = llama_orch::process::runfiles::RunPaths::new(folder.path().join("run"));
            let mut spec = runs::spec(folder.path(), "/bin/sh", &["-c", script]);
            spec.grace_ms = GRACE_MS;
            let token = spec.token.clone();
            let live = runs::launch(&paths, &spec);
            wait_until(|| std::fs::read(&log).is_ok_and(|text| text == b"up\n"));
            let time = once(|| runs::end(&live, StopMode::Gentle));
            let left = llama_orch::process::orphans::scan(|found| found != token).unwrap();
            assert!(left.orphans.is_empty(), "something is left");
            time
        })
        .collect();
    let floor = Floor {
        what: "the grace, and kill -9 of one process",
        value: GRACE_MS as f64 + kill_one(),
    };
    let what = "stop of a deaf server with a deaf grandchild";
    row(what, median(times), "ms", &floor, Target::Above(50.0));
}

fn kill_one() -> f64 {
    let times = (0..20).map(|_| {
        let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let begun = std::time::Instant::now();
        kill(child.id().cast_signed());
        let time = milliseconds(begun.elapsed());
        child.wait().unwrap();
        assert!(time < milliseconds(PATIENCE));
        time
    });
    median(times.collect())
}
