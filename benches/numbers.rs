//! The numbers that are promised, each next to a floor measured in the same run.
//!
//! `cargo bench` prints one line per number: what, the median of several runs, the floor, the
//! ratio. Machines are noisy; the ratio is what counts. Nothing here fails: a number is read by a
//! person.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use llama_orch::process::launch::{self, ShimProgram};
use llama_orch::process::os;
use llama_orch::process::runfiles::{
    PROTOCOL, RUN_VARIABLE, RunFile, RunPaths, SpecFile, TOKEN_VARIABLE, read,
};

const MAIN: &str = env!("CARGO_BIN_EXE_llama-orch");
const SHIM: &str = env!("CARGO_BIN_EXE_llama-orch-shim");

/// Nothing that is waited for here takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(instances: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("lob-").tempdir().unwrap();
        let home = Self { folder };
        for number in 0..instances {
            let text = "args = [\"--sim-load-time\", \"0\"]\nbinary.path = \"builtin:sim\"\n\
                        server.port = \"auto\"\nrestart_policy.initial_delay = 0\n";
            home.config(&format!("i{number:03}"), text);
        }
        home
    }

    fn config(&self, name: &str, text: &str) {
        let folder = self.folder.path().join("instances").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
    }

    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(MAIN);
        command.arg("--home").arg(self.folder.path()).args(args);
        command.stdin(Stdio::null());
        command
    }

    fn run_file(&self, name: &str) -> Option<RunFile> {
        let paths = RunPaths::new(self.folder.path().join("state/runs").join(name));
        read(&paths.run()).ok().flatten()
    }

    fn owner(&self) -> i32 {
        let text = self.run(&["daemon", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.command(&["down", "--all", "--force"]).output().ok();
        self.command(&["daemon", "stop"]).output().ok();
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(runs: usize, mut work: impl FnMut()) -> Duration {
    work();
    let once = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    median((0..runs).map(|_| once(&mut work)).collect())
}

fn line(what: &str, value: Duration, floor_name: &str, floor: Duration) {
    println!(
        "{what:<46} {:>9.2} ms   floor {:>9.2} ms ({floor_name})   ratio {:.2}",
        value.as_secs_f64() * 1e3,
        floor.as_secs_f64() * 1e3,
        value.as_secs_f64() / floor.as_secs_f64()
    );
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting");
        std::hint::spin_loop();
    }
}

fn kill(pid: i32) {
    let pidfd = os::open_pidfd(pid).unwrap();
    os::signal(&pidfd, rustix::process::Signal::KILL).unwrap();
    assert!(os::readable_within(&pidfd, PATIENCE));
}

fn main() {
    one_shot();
    fleet(100);
    crash_to_new_run();
    log_path();
    shim_memory();
}

fn one_shot() {
    let floor = timed(50, || {
        Command::new("true").status().unwrap();
    });
    for instances in [20, 100] {
        let home = Home::new(instances);
        let without = timed(30, || {
            home.run(&["ps"]);
        });
        line(
            &format!("ps, {instances} instances, no owner"),
            without,
            "true",
            floor,
        );
        home.run(&["daemon", "start"]);
        let with = timed(30, || {
            home.run(&["ps"]);
        });
        line(
            &format!("ps, {instances} instances, with an owner"),
            with,
            "true",
            floor,
        );
        let stop = timed(5, || {
            home.run(&["daemon", "restart"]);
        });
        line("daemon restart (stop and start)", stop, "true", floor);
    }
}

/// Adoption and stop of many runs.
fn fleet(instances: usize) {
    let home = Home::new(instances);
    home.run(&["daemon", "start"]);
    let up = Instant::now();
    home.run(&["up", "--all"]);
    let up = up.elapsed();
    let floor = timed(10, || {
        for pid in os::all_pids().unwrap() {
            os::stat(pid).ok(); // it may just have ended
        }
    });
    line(
        &format!("up --all, {instances} instances"),
        up,
        "one stat of every process",
        floor,
    );
    let adoption = median(
        (0..5)
            .map(|_| {
                kill(home.owner());
                let begun = Instant::now();
                home.run(&["daemon", "start"]);
                begun.elapsed()
            })
            .collect(),
    );
    line(
        &format!("kill -9 of the owner to {instances} adopted"),
        adoption,
        "one stat of every process",
        floor,
    );
    let down = Instant::now();
    home.run(&["down", "--all"]);
    line(
        &format!("down --all, {instances} instances"),
        down.elapsed(),
        "one stat of every process",
        floor,
    );
}

/// From a kill -9 of the server to a new process of it.
fn crash_to_new_run() {
    let home = Home::new(1);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let floor = timed(20, || {
        let mut child = Command::new(MAIN)
            .args(["sim", "--version"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.wait().unwrap();
    });
    let times = (0..4)
        .map(|_| {
            let old = home.run_file("i000").unwrap();
            let begun = Instant::now();
            kill(old.child.pid);
            wait_until(|| {
                home.run_file("i000")
                    .is_some_and(|run| run.run_id != old.run_id)
            });
            begun.elapsed()
        })
        .collect();
    line(
        "crash to a new process, delay 0",
        median(times),
        "spawn and reap of the server",
        floor,
    );
}

/// Bytes a second through a shim, with rotation, against `| cat > file`.
fn log_path() {
    const BYTES: u64 = 300_000_000;
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "yes 'a line of output that is about as long as usual lines are' | head -c {BYTES}"
    );
    let target = folder.path().join("cat.log");
    let floor = timed(3, || {
        let piped = format!("({script}) | cat > {}", target.display());
        Command::new("/bin/sh")
            .args(["-c", &piped])
            .status()
            .unwrap();
    });
    fs::remove_file(&target).unwrap();
    let paths = RunPaths::new(folder.path().join("run"));
    let through = timed(3, || {
        let live = launch::launch(&paths, &spec(folder.path(), &script), &shim()).unwrap();
        assert!(os::readable_within(&live.watched_fd(), PATIENCE));
        live.reap_shim();
    });
    line(
        "300 MB through a shim, rotated at 100 MB",
        through,
        "| cat > file",
        floor,
    );
    let rate = BYTES as f64 / 1e6 / through.as_secs_f64();
    println!("{:<46} {rate:>9.0} MB/s", "  which is");
}

/// Private memory of an idle shim beside another: what both map alike is not private.
fn shim_memory() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let paths = RunPaths::new(folder.path().join(name));
        let script = "exec sleep 600";
        launch::launch(&paths, &spec(&folder.path().join(name), script), &shim()).unwrap()
    };
    let folders = ["one", "two"];
    folders
        .iter()
        .for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
    let lives = folders.map(start);
    let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", lives[0].run.shim.pid)).unwrap();
    let private: u64 = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    println!(
        "{:<46} {private:>9} kB",
        "private memory of a shim beside another"
    );
    for live in lives {
        live.stop(llama_orch::domain::run::StopMode::Kill).unwrap();
        assert!(os::readable_within(&live.watched_fd(), PATIENCE));
        live.reap_shim();
    }
}

fn shim() -> ShimProgram {
    ShimProgram::at(PathBuf::from(SHIM))
}

fn spec(folder: &Path, script: &str) -> SpecFile {
    let run_id = uuid::Uuid::now_v7().to_string();
    let token = format!("bench-{run_id}");
    let variables = [
        ("PATH", "/usr/bin:/bin"),
        (TOKEN_VARIABLE, &token),
        (RUN_VARIABLE, &run_id),
    ];
    SpecFile {
        version: PROTOCOL,
        instance: "bench".to_owned(),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        run_id,
        token,
        cwd: folder.to_owned(),
        stdout: folder.join("logs/stdout.log"),
        stderr: folder.join("logs/stderr.log"),
        max_size: 100 << 20,
        rotation: 3,
        grace_ms: 10_000,
        host: "127.0.0.1".to_owned(),
        port: None,
        open_files: None,
        oom: None,
        config: std::collections::BTreeMap::new(),
    }
}
