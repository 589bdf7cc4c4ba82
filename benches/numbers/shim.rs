//! What a shim costs while its server does nothing.

use llama_orch::domain::run::StopMode;
use llama_orch::process::runfiles::RunPaths;

use crate::runs;
use crate::table::{Floor, Target, row};

/// Private memory beside another shim: what both map alike is not private.
pub(crate) fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let lives = ["one", "two"].map(|name| {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).unwrap();
        let spec = runs::spec(&place, "/bin/sleep", &["600"]);
        runs::launch(&RunPaths::new(place.join("run")), &spec)
    });
    let floor = Floor {
        what: "sleep, its server",
        value: private_kilobytes(lives[0].run.child.pid),
    };
    let ours = private_kilobytes(lives[0].run.shim.pid);
    row(
        "private memory of a shim beside another",
        ours,
        "kB",
        &floor,
        Target::AtMost(300.0),
    );
    for live in lives {
        runs::end(&live, StopMode::Kill);
    }
}

fn private_kilobytes(pid: i32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    text.lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum()
}
