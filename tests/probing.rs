//! How servers are asked: whom a probe reaches, whom it leaves alone, and what it leaves behind.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use llama_orch::process::os;
use serde_json::Value;

use crate::support::{Guarded, Ran, TestHome, complete, is_gone, wait_until};

/// Every name by which a program may be told of a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// A proxy that counts who comes.
struct Proxy {
    address: SocketAddr,
    callers: Arc<AtomicUsize>,
}

impl Proxy {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let callers = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&callers);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, callers }
    }

    fn callers(&self) -> usize {
        self.callers.load(Ordering::SeqCst)
    }

    fn told_to(&self, mut command: Command) -> Command {
        for name in PROXIES {
            command.env(name, format!("http://{}", self.address));
        }
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        command
    }
}

#[test]
fn proxies_in_the_environment_touch_neither_a_probe_nor_a_command() {
    let proxy = Proxy::listen();
    let home = TestHome::new();
    home.simulated("http", &[], "");
    home.simulated("tcp", &[], "healthcheck.type = \"tcp\"");
    home.simulated("warm", &[], "healthcheck.warmup_enabled = true");
    let ok = |args: &[&str]| {
        let ran = Ran::from(proxy.told_to(home.command(args)).output().unwrap());
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.stdout, ran.stderr);
    };
    ok(&["daemon", "start"]);
    let owner = home.owner().unwrap();
    for name in PROXIES {
        let told = os::environment_variable(owner, name).unwrap();
        assert!(told.is_some(), "the owner does not know of {name}");
    }
    ok(&["up", "--all"]);
    let mut watching = proxy.told_to(home.command(&["ps", "--watch"]));
    let watcher = Guarded(watching.stdout(Stdio::null()).spawn().unwrap());
    for name in ["http", "tcp", "warm"] {
        home.wait_for(name, "asked for its counters", |row| {
            row["slots"].is_number() && row["busy_slots"].is_number()
        });
    }
    drop(watcher);
    for words in [&["health", "--all"][..], &["describe", "http"], &["events"]] {
        ok(words);
    }
    ok(&["daemon", "stop"]);
    // Without an owner the command itself asks the servers.
    ok(&["health", "--all"]);
    ok(&["down", "--all"]);
    assert_eq!(proxy.callers(), 0, "somebody asked the proxy");
    drop(TcpStream::connect(proxy.address).unwrap());
    wait_until("a caller is counted", || proxy.callers() == 1);
}

/// Watches an idle server, whose log must not grow by that, and then one that works.
pub(crate) fn watched_idle_and_at_work(home: &TestHome, name: &str) {
    home.ok(&["daemon", "start"]);
    home.ok(&["up", name]);
    let watcher = home.watcher();
    let idle = || {
        let log = home.whole_log(name, "stderr");
        let log = String::from_utf8_lossy(&log);
        log.matches("all slots are idle").count()
    };
    let until = |seconds: u64| {
        let uptime = |row: &Value| row["uptime_seconds"].as_u64();
        home.wait_for(name, "up for a while", |row| uptime(row) >= Some(seconds))
    };
    let row = until(5);
    assert!(row["busy_slots"].is_number(), "it was asked: {row}");
    let before = idle();
    assert!(before > 1, "it logs that it was asked");
    until(17);
    // Asked every two seconds, it would have said so six times.
    assert!(idle() - before <= 1, "{} lines more", idle() - before);
    let port = u16::try_from(row["port"].as_u64().unwrap()).unwrap();
    // A small model is soon at the end of its context, maybe between two looks: so again and again.
    let client = std::thread::spawn(move || while complete(port, 100_000).is_ok() {});
    home.wait_for(name, "seen to work", |row| {
        row["busy_slots"] == 1 && row["tokens_per_second"].as_f64() > Some(0.0)
    });
    home.ok(&["down", name, "--force"]);
    client.join().unwrap();
    drop(watcher);
    home.ok(&["daemon", "stop"]);
}

#[test]
fn watching_an_idle_server_does_not_fill_its_log() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    watched_idle_and_at_work(&home, "a");
}

#[test]
fn a_script_whose_time_is_over_leaves_nothing_behind() {
    let home = TestHome::new();
    let pids = home.path().join("pids");
    // One child stays in the session, one leaves it, and one leaves its parent too.
    let script = format!(
        "[ -e {pids:?} ] && exit 0; \
         (echo $$; sleep 600 & echo $!; setsid sleep 600 & echo $!; \
         (setsid sleep 600 & echo $!)) > {pids:?}.new; \
         mv {pids:?}.new {pids:?}; wait; sleep 600"
    );
    let script = script.replace('"', "'");
    home.simulated(
        "a",
        &[],
        &format!(
            "healthcheck.type = \"custom\"\nhealthcheck.timeout = 2\nhealthcheck.shell = true\n\
             healthcheck.custom_script = {script:?}"
        ),
    );
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a", "--no-wait"]);
    // The second look is satisfied at once; the first one was over by then.
    home.wait_state("a", "ready");
    let text = fs::read_to_string(&pids).unwrap();
    let pids: Vec<i32> = text.lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 4, "{text}");
    for pid in pids {
        assert!(is_gone(pid), "pid {pid} of the script goes on");
    }
    home.ok(&["daemon", "stop", "--instances"]);
}
