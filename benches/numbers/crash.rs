//! From a crash to the word of it, and to a server that answers again.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use llama_orch::api::client::Client;
use llama_orch::domain::event::{EventFilter, EventType};

use crate::home::{self, Home, MAIN, SIMULATED, kill};
use crate::table::{
    Floor, Target, median, milliseconds, once, percentile, row, skipped, timed, wait_until,
};

/// Crashes that are timed: as many as a configuration may ask to be restarted.
const CRASHES: usize = 100;

pub(crate) fn measure() {
    crash_to_event();
    crash_to_answer();
}

/// A client that waits at the owner's socket hears of the end of a run.
fn crash_to_event() {
    let home = Home::new(1, SIMULATED);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let floor = Floor {
        what: "kill -9 until the kernel tells of it",
        value: timed(50, || {
            let mut child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
            kill(child.id().cast_signed());
            child.wait().unwrap();
        }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = Client::socket(&home.path().join("state/llama-orch.sock"));
    let times: Vec<f64> = (0..CRASHES)
        .map(|_| {
            let pid = runtime.block_on(running(&client));
            let newest = EventFilter {
                limit: Some(1),
                ..EventFilter::default()
            };
            let seen = runtime.block_on(client.events(&newest, Duration::ZERO));
            let next = EventFilter {
                kinds: vec![EventType::Crashed],
                after_id: Some(seen.unwrap().last_id),
                limit: Some(1),
                ..EventFilter::default()
            };
            // The client waits already when it happens.
            runtime.block_on(async {
                let waiting = tokio::spawn({
                    let client = client.clone();
                    async move { client.events(&next, Duration::from_secs(30)).await }
                });
                tokio::time::sleep(Duration::from_millis(5)).await;
                let begun = Instant::now();
                kill(pid);
                let told = waiting.await.unwrap().unwrap();
                assert_eq!(told.events[0].event_type, "crashed");
                milliseconds(begun.elapsed())
            })
        })
        .collect();
    let (middle, worst) = (median(times.clone()), percentile(times, 99));
    row("crash to event, median", middle, "ms", &floor, Target::None);
    row(
        "crash to event, p99",
        worst,
        "ms",
        &floor,
        Target::AtMost(10.0),
    );
}

/// Waits until the instance runs and is ready, and returns its pid.
async fn running(client: &Client) -> i32 {
    let mut generation = 0;
    loop {
        let body = client
            .instances_after(generation, Duration::from_secs(1))
            .await
            .unwrap();
        let snapshot = body.to_snapshot();
        generation = snapshot.generation;
        let row = &snapshot.rows[0];
        if let (Some(pid), "ready") = (row.pid, row.state_word()) {
            return pid;
        }
    }
}

/// From kill -9 to the first 200 of the next process, restart delay 0.
fn crash_to_answer() {
    let what = "crash to a new pid that serves, delay 0";
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let simulated = SIMULATED.replace("\"auto\"", &port.to_string());
    let (kind, config, mut bare) = match home::real_server() {
        Some((server, model)) => {
            let config = home::real_config(&server, &model, &port.to_string());
            let mut bare = Command::new(&server);
            bare.arg("--model").arg(&model);
            bare.args(["--ctx-size", "512", "--parallel", "1"]);
            ("real", config, bare)
        }
        None => {
            skipped(
                what,
                "LLAMA_SERVER and TINY_GGUF name no server; simulated instead",
            );
            let mut bare = Command::new(MAIN);
            bare.args(["sim", "--sim-load-time", "0"]);
            ("simulated", simulated, bare)
        }
    };
    bare.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    let floor = Floor {
        what: "a shell loop",
        value: shell_loop(&bare, port),
    };
    let home = Home::new(1, &config);
    home.run(&["daemon", "start"]);
    home.run(&["up", "--all"]);
    let times = (0..15)
        .map(|_| {
            wait_until(|| is_healthy(port) && home.running() == 1);
            let pid = home.run_file(0).unwrap().child.pid;
            once(|| {
                kill(pid);
                wait_until(|| is_healthy(port));
            })
        })
        .collect();
    let what = format!("{what}, {kind}");
    row(&what, median(times), "ms", &floor, Target::Above(2.0));
}

/// What a shell needs: `while :; do server; done`.
fn shell_loop(bare: &Command, port: u16) -> f64 {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "while :; do \"$0\" \"$@\"; done"]);
    shell.arg(bare.get_program()).args(bare.get_args());
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut shell = shell.process_group(0).spawn().unwrap();
    let pid = shell.id();
    let child = || -> Option<i32> {
        let path = format!("/proc/{pid}/task/{pid}/children");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let times = (0..15)
        .map(|_| {
            wait_until(|| is_healthy(port));
            let server = child().unwrap();
            once(|| {
                kill(server);
                wait_until(|| is_healthy(port));
            })
        })
        .collect();
    shell.kill().unwrap();
    shell.wait().unwrap();
    // Its last server lost its parent; it is found by its port.
    let group = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok(); // or none is left
    wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_err());
    median(times)
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
