//! What an owner costs while nothing happens and nobody looks, next to the bare questions it asks.
//!
//! `cargo bench --bench idle` prints CPU time, context switches and memory of an owner of 20 and of
//! 1000 servers, each probed every 10 s. The floor is a plain loop that asks as many times for
//! `/health`: connect, write, read, close. Nothing here fails: a number is read by a person.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MAIN: &str = env!("CARGO_BIN_EXE_llama-orch");

/// Three rounds of probes.
const WINDOW: Duration = Duration::from_secs(30);

/// Every probe has found its place, and what a start costs is over.
const SETTLING: Duration = Duration::from_secs(15);

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
        Self { folder }
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(MAIN);
        command.arg("--home").arg(self.folder.path()).args(args);
        command.stdin(Stdio::null());
        command
    }

    fn owner(&self) -> i32 {
        let text = self.run(&["daemon", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }

    fn ports(&self) -> Vec<u16> {
        let text = self.run(&["ps", "--json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert!(rows.iter().all(|row| row["state"] == "ready"));
        let port = |row: &serde_json::Value| u16::try_from(row["port"].as_u64().unwrap()).unwrap();
        rows.iter().map(port).collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.command(&["down", "--all", "--force"]).output().ok();
        self.command(&["daemon", "stop"]).output().ok();
    }
}

/// Sums up all threads; those that ended in between are missed, which is little.
fn used(folder: &Path) -> Used {
    let mut total = Used {
        cpu: Duration::ZERO,
        switches: 0,
    };
    for thread in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        let nanoseconds = read("schedstat");
        let nanoseconds = nanoseconds.split_whitespace().next().unwrap_or("0");
        total.cpu += Duration::from_nanos(nanoseconds.parse().unwrap());
        let status = read("status");
        let counts = status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        total.switches += counts.sum::<u64>();
    }
    total
}

fn resident_mb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
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
fn floor(ports: &[u16]) -> Used {
    let questions: Vec<u16> = ports
        .iter()
        .copied()
        .cycle()
        .take(ports.len() * 3)
        .collect();
    let asking = move || {
        let own = Path::new("/proc/thread-self");
        let spent = || {
            let text = fs::read_to_string(own.join("schedstat")).unwrap();
            let nanoseconds = text.split_whitespace().next().unwrap().parse().unwrap();
            Duration::from_nanos(nanoseconds)
        };
        let before = spent();
        let pause = WINDOW / u32::try_from(questions.len()).unwrap();
        let begun = Instant::now();
        for (number, port) in questions.iter().enumerate() {
            let due = begun + pause * u32::try_from(number).unwrap();
            sleep(due.saturating_duration_since(Instant::now()));
            ask(*port);
        }
        // One to sleep and one to wait for the answer.
        Used {
            cpu: spent().saturating_sub(before),
            switches: 2 * questions.len() as u64,
        }
    };
    std::thread::spawn(asking).join().unwrap()
}

fn idle(instances: usize) {
    let home = Home::new(instances);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all", "--wait=300"]);
    let owner = home.owner();
    let ports = home.ports();
    sleep(SETTLING);
    let threads = format!("/proc/{owner}/task");
    let before = used(Path::new(&threads));
    sleep(WINDOW);
    let after = used(Path::new(&threads));
    let floor = floor(&ports);
    let cpu = after.cpu.saturating_sub(before.cpu);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{:<46} {:>9.2} ms   floor {:>9.2} ms (as many bare questions)   ratio {:.2}",
        format!("owner of {instances} idle servers, CPU in 30 s"),
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
    println!("{:<46} {:>9} MB", "  resident", resident_mb(owner));
}

fn main() {
    idle(20);
    idle(1000);
}
