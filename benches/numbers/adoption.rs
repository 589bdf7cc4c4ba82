//! From the death of an owner or of a shim to runs that are looked after again.

use std::process::{Command, Stdio};
use std::time::Duration;

use llama_orch::domain::run::StopMode;
use llama_orch::process::os;

use crate::home::{Home, SIMULATED, kill};
use crate::runs::{self, SHIM};
use crate::table::{Floor, Target, median, once, row, timed, wait_until};

/// Runs that a new owner finds: many, and more than anybody has.
const MANY: [(usize, f64); 2] = [(100, f64::INFINITY), (1000, 300.0)];

pub(crate) fn measure() {
    for (instances, limit) in MANY {
        owner_killed(instances, limit);
    }
    shim_killed();
}

/// Real shims whose server is a `sleep`: what adoption proves does not depend on the program.
fn owner_killed(instances: usize, limit: f64) {
    let home = Home::new(instances, SIMULATED);
    let lives: Vec<_> = (0..instances)
        .map(|number| {
            let folder = home.path().join("runs").join(number.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let spec = runs::spec(&folder, "/bin/sleep", &["3600"]);
            runs::launch(&home.run_paths(number), &spec)
        })
        .collect();
    let look = || {
        for pid in os::all_pids().unwrap() {
            os::stat(pid).ok(); // it may just have ended
        }
    };
    let floor = Floor {
        what: "one stat of every process",
        value: timed(10, look),
    };
    home.run(&["daemon", "start"]);
    assert_eq!(home.running(), instances);
    let adoption = median(
        (0..5)
            .map(|_| {
                kill(home.owner());
                once(|| drop(home.run(&["daemon", "start"])))
            })
            .collect(),
    );
    assert_eq!(home.running(), instances);
    let target = if limit.is_finite() {
        Target::AtMost(limit)
    } else {
        Target::None
    };
    let what = format!("owner killed: start to {instances} runs adopted");
    row(&what, adoption, "ms", &floor, target);
    kill(home.owner());
    for live in &lives {
        live.stop(StopMode::Kill).unwrap();
    }
    lives.iter().for_each(runs::finish);
}

fn shim_killed() {
    let home = Home::new(1, SIMULATED);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let floor = Floor {
        what: "spawn and reap of a shim",
        value: timed(20, || {
            let mut shim = Command::new(SHIM);
            shim.args(["--protocol", "1", "--check"]);
            shim.stderr(Stdio::null()).status().unwrap();
        }),
    };
    let times = (0..20)
        .map(|_| {
            // The owner holds the new shim and the pipes before the next one dies.
            std::thread::sleep(Duration::from_millis(200));
            let before = home.run_file(0).unwrap().shim;
            once(|| {
                kill(before.pid);
                wait_until(|| {
                    home.run_file(0)
                        .is_some_and(|run| run.attached && run.shim != before)
                });
            })
        })
        .collect();
    row(
        "shim killed: run adopted again",
        median(times),
        "ms",
        &floor,
        Target::AtMost(50.0),
    );
}
