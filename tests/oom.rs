//! A server that the kernel kills for its memory: needs a memory control group of our own.

use crate::support::TestHome;
use crate::support::cgroup::Group;

#[test]
fn a_server_that_the_kernel_kills_for_memory_is_named_so() {
    let test = "a_server_that_the_kernel_kills_for_memory_is_named_so";
    let Some(group) = Group::new(test) else {
        return;
    };
    let home = TestHome::new();
    home.simulated(
        "a",
        &["--sim-rss-mib", "4000", "--sim-load-time", "0ms"],
        "restart_policy.max_retries = 0",
    );
    let up = group.command(&home, &["up", "a"]).output().unwrap();
    let said = String::from_utf8_lossy(&up.stderr);
    assert!(
        said.contains("killed by the kernel because memory ran out"),
        "{said}"
    );
    assert!(said.contains("oom_kill 1 in "), "{said}");
    assert_eq!(home.row("a")["autopsy"]["cause"], "oom_killed");
    drop(home);
}

#[test]
fn a_stop_while_it_loads_is_a_stop_and_no_crash() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "10m"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    home.wait_for("a", "running", |row| row["pid"].is_i64());
    home.ok(&["down", "a"]);
    let row = home.wait_state("a", "stopped");
    assert_eq!(row["autopsy"]["cause"], "stopped", "{row}");
    assert_eq!(row["exit"]["signal"], 15, "{row}");
    assert_eq!(home.run(&["bundle", "a"]).code, 1);
    home.ok(&["daemon", "stop"]);
}
