//! Bytes through a shim into rotated logs, and what they cost.

use std::process::Command;
use std::time::Duration;

use llama_orch::process::os;
use llama_orch::process::runfiles::RunPaths;

use crate::runs;
use crate::table::{Floor, Target, median, once, row, timed};

const BYTES: u64 = 300_000_000;

pub(crate) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "yes 'a line of output that is about as long as usual lines are' | head -c {BYTES}"
    );
    let target = folder.path().join("cat.log");
    let floor = timed(5, || {
        let piped = format!("({script}) | cat > {}", target.display());
        Command::new("/bin/sh")
            .args(["-c", &piped])
            .status()
            .unwrap();
    });
    std::fs::remove_file(&target).unwrap();
    let paths = RunPaths::new(folder.path().join("run"));
    let mut costs = Vec::new();
    let times = (0..5)
        .map(|_| {
            let spec = runs::spec(folder.path(), "/bin/sh", &["-c", &script]);
            once(|| {
                let live = runs::launch(&paths, &spec);
                let mut cost = 0.0;
                while !os::readable_within(&live.watched_fd(), Duration::from_millis(5)) {
                    cost = cpu_seconds(live.run.shim.pid).max(cost);
                }
                live.reap_shim();
                costs.push(cost);
            })
        })
        .collect();
    let rate = |milliseconds: f64| BYTES as f64 / 1e3 / milliseconds;
    let ours = median(times);
    println!(
        "  300 MB: {:.0} MB/s through a shim, {:.0} MB/s through cat",
        rate(ours),
        rate(floor)
    );
    let floor = Floor {
        what: "| cat > file, at 0.8 of its speed or more",
        value: floor,
    };
    row(
        "300 MB through a shim, rotated at 100 MB",
        ours,
        "ms",
        &floor,
        Target::Times(1.25),
    );
    let floor = Floor {
        what: "the time it took",
        value: ours / 1e3,
    };
    let what = "  CPU time of the shim for it";
    row(what, median(costs), "s", &floor, Target::AtMost(0.35));
}

/// User and system time of a process.
fn cpu_seconds(pid: i32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / rustix::param::clock_ticks_per_second() as f64
}
