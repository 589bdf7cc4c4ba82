//! The dashboard's numbers, each next to what was promised.
//!
//! `cargo bench --bench dashboard` prints one line per number. Nothing here fails: a number is read
//! by a person.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use llama_orch::domain::fleet::{FleetSnapshot, InstanceRow};
use llama_orch::domain::instance::InstanceName;
use llama_orch::domain::lifecycle::{Desired, Health, Status};
use llama_orch::domain::readings::Readings;
use llama_orch::tui::measure::{self, Cause};
use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const MAIN: &str = env!("CARGO_BIN_EXE_llama-orch");

/// What begins every frame.
const FRAME: &[u8] = b"\x1b[?2026h";

fn main() {
    for rows in [50, 1000, 10_000] {
        let snapshot = fleet(rows);
        for (cause, what) in [(Cause::Picture, "a new picture"), (Cause::Key, "a key")] {
            let mut times = measure::frames(&snapshot, 300, cause);
            times.sort();
            println!(
                "frame after {what}, {rows} rows: median {:.2} ms, p99 {:.2} ms (promised: p99 4 ms \
                 at 1000)",
                millis(times[150]),
                millis(times[297])
            );
        }
    }
    in_a_terminal();
    unplugged();
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn fleet(rows: usize) -> FleetSnapshot {
    let row = |number: usize| InstanceRow {
        name: InstanceName::parse(&format!("instance-{number:05}")).unwrap(),
        display_name: String::new(),
        tags: vec![format!("tag{}", number % 7)],
        desired: Desired::Running,
        status: Status::Running,
        health: Health::Healthy,
        reason: None,
        failure: None,
        run: None,
        pid: Some(4711),
        port: Some(8080),
        host: "127.0.0.1".to_owned(),
        backend: "cuda".to_owned(),
        device: "GPU0".to_owned(),
        model: "Qwen3-Coder-30B-Q4_K_M".to_owned(),
        started_at: Some(1_699_000_000.0),
        restart_at: None,
        restarts: 0,
        exit: None,
        autopsy: None,
        progress: None,
        readings: Readings {
            tokens_per_second: Some((number * 7919 % 1000) as f32),
            busy_slots: Some(1),
            slots: Some(4),
            ..Readings::default()
        },
        drift: false,
        broken: false,
    };
    FleetSnapshot {
        generation: 1,
        rows: (0..rows).map(row).collect(),
        ..FleetSnapshot::default()
    }
}

/// Idle cost, memory and the answer to a key while one log is flooded.
fn in_a_terminal() {
    let folder = tempfile::Builder::new().prefix("lob-").tempdir().unwrap();
    config(folder.path(), "flooded", "\"--sim-flood\", \"20000\"");
    for number in 0..20 {
        config(
            folder.path(),
            &format!("i{number:02}"),
            "\"--sim-load-time\", \"0\"",
        );
    }
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(MAIN);
        command
            .arg("--home")
            .arg(folder.path())
            .args(args)
            .output()
            .unwrap()
    };
    run(&["daemon", "start"]);
    let names: Vec<String> = (0..20).map(|number| format!("i{number:02}")).collect();
    let mut up = vec!["up"];
    up.extend(names.iter().map(String::as_str));
    run(&up);
    let (mut pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(Size::new(36, 120)).unwrap();
    let mut child = Command::new(MAIN)
        .args(["--home", folder.path().to_str().unwrap()])
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .spawn(pts)
        .unwrap();
    collect(&mut pty, Duration::from_secs(8));
    let before = cpu_ticks(child.id());
    let written = collect(&mut pty, Duration::from_secs(10));
    let spent = cpu_ticks(child.id()) - before;
    let frames = written
        .windows(FRAME.len())
        .filter(|part| *part == FRAME)
        .count();
    println!(
        "idle, 20 instances, attached: {:.2} % of a core, {:.1} frames/s (promised: 0.5 %, 1)",
        spent as f64 / 10.0,
        frames as f64 / 10.0
    );
    println!("memory: {} MiB resident", resident_kib(child.id()) / 1024);
    run(&["up", "flooded"]);
    pty.write_all(b"G").unwrap();
    collect(&mut pty, Duration::from_secs(3));
    let mut times: Vec<Duration> = (0..200)
        .map(|number| {
            collect(&mut pty, Duration::from_millis(37));
            let begin = Instant::now();
            pty.write_all(if number % 2 == 0 { b"k" } else { b"j" })
                .unwrap();
            wait(&pty, Duration::from_secs(5));
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "key to bytes under 20,000 lines/s: median {:.1} ms, p99 {:.1} ms (promised: p99 20 ms)",
        millis(times[100]),
        millis(times[198])
    );
    child.kill().unwrap();
    child.wait().unwrap();
    run(&["down", "--all", "--force"]);
    run(&["daemon", "stop"]);
}

/// From the loss of the terminal to the end of the dashboard, with a daemon in its place.
fn unplugged() {
    let folder = tempfile::Builder::new().prefix("lob-").tempdir().unwrap();
    config(folder.path(), "one", "\"--sim-load-time\", \"0\"");
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(MAIN);
        command.arg("--home").arg(folder.path()).args(args);
        command.output().unwrap().stdout
    };
    let (mut pty, pts) = pty_process::blocking::open().unwrap();
    pty.resize(Size::new(36, 120)).unwrap();
    let mut child = Command::new(MAIN)
        .args(["--home", folder.path().to_str().unwrap()])
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8")
        .spawn(pts)
        .unwrap();
    collect(&mut pty, Duration::from_secs(2));
    run(&["up", "one"]);
    let begin = Instant::now();
    drop(pty);
    child.wait().unwrap();
    let time = begin.elapsed();
    let status = String::from_utf8(run(&["daemon", "status"])).unwrap();
    println!(
        "a lost terminal: gone after {:.0} ms (promised: 3000), then: {}",
        millis(time),
        status.trim()
    );
    run(&["down", "--all", "--force"]);
    run(&["daemon", "stop"]);
}

fn config(home: &Path, name: &str, args: &str) {
    let folder = home.join("instances").join(name);
    fs::create_dir_all(&folder).unwrap();
    let text = format!("args = [{args}]\nbinary.path = \"builtin:sim\"\nserver.port = \"auto\"\n");
    fs::write(folder.join("config.toml"), text).unwrap();
}

/// Reads for so long.
fn collect(pty: &mut Pty, time: Duration) -> Vec<u8> {
    let end = Instant::now() + time;
    let mut all = Vec::new();
    let mut buffer = [0; 65_536];
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        if wait(pty, rest) {
            let count = pty.read(&mut buffer).unwrap_or(0);
            all.extend_from_slice(&buffer[..count]);
        }
    }
    all
}

fn wait(pty: &Pty, time: Duration) -> bool {
    let limit = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap(),
        tv_nsec: time.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(pty, PollFlags::IN)];
    poll(&mut fds, Some(&limit)).is_ok_and(|count| count > 0)
}

/// Hundredths of a second of processor time, user and system.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
