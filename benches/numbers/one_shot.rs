//! One-shot commands, with an owner and without.

use std::process::Command;

use crate::home::{Home, SIMULATED};
use crate::table::{Floor, Target, row, timed};

/// Instances, then the milliseconds that are allowed with an owner and without.
const FLEETS: [(usize, f64, f64); 2] = [(20, 3.0, 8.0), (100, 5.0, 12.0)];

pub(crate) fn measure() {
    let floor = Floor {
        what: "true",
        value: timed(50, || {
            Command::new("true").status().unwrap();
        }),
    };
    for (instances, with, without) in FLEETS {
        let home = Home::new(instances, SIMULATED);
        let ps = || timed(30, || drop(home.run(&["--ps"])));
        let what = format!("--ps, {instances} instances, no owner");
        row(&what, ps(), "ms", &floor, Target::AtMost(without));
        home.run(&["daemon", "start"]);
        let what = format!("--ps, {instances} instances, with an owner");
        row(&what, ps(), "ms", &floor, Target::AtMost(with));
        let restart = timed(5, || drop(home.run(&["daemon", "restart"])));
        let what = format!("daemon restart, {instances} stopped instances");
        row(&what, restart, "ms", &floor, Target::AtMost(1000.0));
    }
}
