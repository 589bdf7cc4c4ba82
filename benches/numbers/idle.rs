//! What an owner costs while its servers do nothing.

use std::time::{Duration, Instant};

use crate::home::{Home, SIMULATED};
use crate::table::{Floor, Target, row};

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(30);

pub(crate) fn measure() {
    let home = Home::new(20, SIMULATED);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let pid = home.owner();
    let before = usage(pid);
    let deadline = Instant::now() + WATCHED;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
    let after = usage(pid);
    let floor = Floor {
        what: "one tick of the kernel's CPU clock",
        value: 1e3 / rustix::param::clock_ticks_per_second() as f64,
    };
    let what = "owner of 20 idle servers, CPU time in 30 s";
    row(what, after.0 - before.0, "ms", &floor, Target::AtMost(60.0));
    let floor = Floor {
        what: "one a second",
        value: 1.0,
    };
    let switches = (after.1 - before.1) / WATCHED.as_secs_f64();
    let what = "owner of 20 idle servers, context switches";
    row(what, switches, "/s", &floor, Target::AtMost(10.0));
}

/// Milliseconds of CPU time, and context switches of all threads.
fn usage(pid: i32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let switches = tasks
        .filter_map(Result::ok)
        .map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default())
        .flat_map(|text| {
            text.lines()
                .filter(|line| line.contains("ctxt_switches"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
                .collect::<Vec<f64>>()
        })
        .sum();
    (
        ticks * 1e3 / rustix::param::clock_ticks_per_second() as f64,
        switches,
    )
}
