//! What an owner costs while nothing happens and nobody looks, next to the bare questions it asks.
//!
//! `cargo bench --bench idle` prints CPU time, context switches and memory of an owner of 20 and of
//! 1000 servers, each probed every 10 s; `-- 50` takes another number. The floor is a plain loop
//! that asks as many times for `/health`: connect, write, read, close. It takes about two minutes
//! for 1000 servers, most of it to start them; a fleet that is not up in time is measured as it is,
//! and said so. Whatever was started ends with the bench, interrupted or not. Nothing here fails: a
//! number is read by a person.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const MAIN: &str = env!("CARGO_BIN_EXE_llama-orch");

/// Three rounds of probes.
const WINDOW: Duration = Duration::from_secs(30);

/// Every probe has found its place, and what a start costs is over.
const SETTLING: Duration = Duration::from_secs(15);

/// Seconds in which a fleet has to be up: two cores start about twenty servers in one.
const START: u64 = 120;

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
struct Used {
    cpu: Duration,
    switches: u64,
}

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(instances: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("lob-").tempdir().unwrap();
        fs::write(
            folder.path().join("orchestrator.toml"),
            "[supervisor]\nmax_loading = 16\n",
        )
        .unwrap();
        for number in 0..instances {
            let instance = folder.path().join(format!("instances/i{number:04}"));
            fs::create_dir_all(&instance).unwrap();
            let text = "args = [\"--sim-load-time\", \"0\"]\nbinary.path = \"builtin:sim\"\n\
                        server.port = \"auto\"\n";
            fs::write(instance.join("config.toml"), text).unwrap();
        }
        let home = Self { folder };
        home.end_with_us();
        home
    }

    /// A bench that is interrupted takes its servers along.
    fn end_with_us(&self) {
        let path = self.folder.path().to_owned();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).unwrap();
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                end(&path);
                fs::remove_dir_all(&path).ok(); // what is left is only files
                std::process::exit(128 + signal);
            }
        });
    }

    fn run(&self, args: &[&str]) -> String {
        let output = command(self.folder.path(), args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn owner(&self) -> i32 {
        let text = self.run(&["daemon", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }

    /// The ports of all servers that are ready.
    fn ports(&self) -> Vec<u16> {
        let text = self.run(&["ps", "--json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let ready = rows.iter().filter(|row| row["state"] == "ready");
        ready
            .map(|row| u16::try_from(row["port"].as_u64().unwrap()).unwrap())
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        end(self.folder.path());
    }
}

fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(MAIN);
    command.arg("--home").arg(home).args(args);
    command.stdin(Stdio::null());
    command
}

/// Ends the servers, then the owner; it stops them itself if a command cannot.
fn end(home: &Path) {
    command(home, &["down", "--all", "--force"]).output().ok();
    command(home, &["daemon", "stop", "--instances"])
        .output()
        .ok();
}

/// Sums up all threads; those that ended in between are missed, which is little.
fn used(folder: &Path) -> Used {
    let mut total = Used {
        cpu: Duration::ZERO,
        switches: 0,
    };
    for thread in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        total.cpu += on_cpu(&read("schedstat"));
        let status = read("status");
        let counts = status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        total.switches += counts.sum::<u64>();
    }
    total
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn on_cpu(schedstat: &str) -> Duration {
    let nanoseconds = schedstat.split_whitespace().next().unwrap_or("0");
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

fn resident_mb(pid: i32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<f64>().unwrap() / 1024.0
}

fn ask(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request =
        format!("GET /health HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Asks as many questions as the owner did, spread over the same time, from a thread of its own.
fn floor(ports: Vec<u16>) -> Used {
    let rounds = 3;
    let asking = move || {
        let spent = || on_cpu(&fs::read_to_string("/proc/thread-self/schedstat").unwrap());
        let before = spent();
        let questions = ports.len() * rounds;
        let pause = WINDOW / u32::try_from(questions).unwrap();
        let begun = Instant::now();
        for (number, port) in ports.iter().cycle().take(questions).enumerate() {
            let due = begun + pause * u32::try_from(number).unwrap();
            sleep(due.saturating_duration_since(Instant::now()));
            ask(*port);
        }
        // One to sleep and one to wait for the answer.
        Used {
            cpu: spent().saturating_sub(before),
            switches: 2 * questions as u64,
        }
    };
    std::thread::spawn(asking).join().unwrap()
}

fn idle(instances: usize) {
    let home = Home::new(instances);
    home.run(&["daemon", "start"]);
    let begun = Instant::now();
    let wait = format!("--wait={START}");
    let up = command(home.folder.path(), &["up", "--all", &wait]).output();
    up.unwrap(); // how many are ready, is asked next
    let started = begun.elapsed().as_secs_f64();
    let owner = home.owner();
    let ports = home.ports();
    assert!(!ports.is_empty(), "no server is ready after {START} s");
    let count = ports.len();
    println!("{count} of {instances} servers are ready after {started:.0} s");
    sleep(SETTLING);
    let threads = PathBuf::from(format!("/proc/{owner}/task"));
    let before = used(&threads);
    sleep(WINDOW);
    let after = used(&threads);
    let resident = resident_mb(owner);
    let floor = floor(ports);
    let cpu = after.cpu.saturating_sub(before.cpu);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{:<46} {:>9.2} ms   floor {:>9.2} ms (as many bare questions)   ratio {:.2}",
        format!("owner of {count} idle servers, CPU in 30 s"),
        milliseconds(cpu),
        milliseconds(floor.cpu),
        cpu.as_secs_f64() / floor.cpu.as_secs_f64(),
    );
    println!(
        "{:<46} {:>9.2} %",
        "  of a core, beside the questions",
        cpu.saturating_sub(floor.cpu).as_secs_f64() / WINDOW.as_secs_f64() * 100.0,
    );
    let per_second = |count: u64| count as f64 / WINDOW.as_secs_f64();
    println!(
        "{:<46} {:>9.2} /s   floor {:>9.2} /s (two for each question)",
        "  context switches",
        per_second(after.switches.saturating_sub(before.switches)),
        per_second(floor.switches),
    );
    println!("{:<46} {resident:>9.1} MB", "  resident");
}

fn main() {
    // Cargo adds flags of its own.
    let wanted: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let sizes = if wanted.is_empty() {
        vec![20, 1000]
    } else {
        wanted
    };
    for instances in sizes {
        idle(instances);
    }
}
