//! The life of an owner: started and stopped often, told about by systemd's protocol, stopped under
//! load, left by its terminal. Instances never notice.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use llama_orch::process::os;
use rustix::process::Signal;

use crate::support::{Guarded, PATIENCE, TestHome, is_gone, kill_hard, wait_until};

#[test]
fn ten_starts_and_stops_in_a_row_leave_the_instance_alone() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let run = home.run_file("a").unwrap();
    for round in 0..10 {
        home.ok(&["daemon", "stop"]);
        assert_eq!(home.owner(), None, "round {round}");
        home.ok(&["daemon", "start"]);
        assert_eq!(home.wait_state("a", "ready")["pid"], run.child.pid);
    }
    let kept = home.run_file("a").unwrap();
    assert_eq!((kept.run_id, kept.shim), (run.run_id, run.shim));
    home.ok(&["daemon", "stop", "--instances"]);
    assert!(is_gone(run.child.pid) && is_gone(run.shim.pid));
}

#[test]
fn systemd_hears_of_a_foreground_daemon_and_servers_do_not_hear_of_systemd() {
    let home = TestHome::new();
    home.simulated("a", &[], "");
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = home.command(&["--daemon"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "9");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = Guarded(command.spawn().unwrap());
    assert_eq!(hear().trim(), "READY=1");
    // Ready means that the socket answers.
    assert_eq!(home.owner(), Some(daemon.0.id().cast_signed()));
    home.ok(&["up", "a"]);
    let server = home.pid("a");
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC"] {
        assert_eq!(os::environment_variable(server, variable).unwrap(), None);
    }
    let pidfd = os::open_pidfd(daemon.0.id().cast_signed()).unwrap();
    os::signal(pidfd, Signal::TERM).unwrap();
    assert_eq!(hear().trim(), "STOPPING=1");
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0));
    assert!(!is_gone(server));
    home.ok(&["down", "a"]);
}

#[test]
fn a_daemon_stops_under_load_and_every_client_hears_something() {
    let home = TestHome::new();
    for number in 0..6 {
        home.simulated(
            &format!("i{number}"),
            &["--sim-flood", "20000", "--sim-load-time", "0"],
            "logs.max_size_mb = 1",
        );
    }
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "--all"]);
    let before: Vec<i32> = (0..6)
        .map(|number| home.pid(&format!("i{number}")))
        .collect();
    let over = AtomicBool::new(false);
    thread::scope(|threads| {
        for number in 0..4 {
            let (home, over) = (&home, &over);
            threads.spawn(move || {
                let name = format!("i{number}");
                while !over.load(Ordering::Relaxed) {
                    // With an owner and without: reading always works.
                    home.ok(&["ps", "--json"]);
                    home.run(&["describe", &name]);
                }
            });
        }
        // It has five seconds by itself, and says so with its exit code.
        home.ok(&["daemon", "stop"]);
        home.ok(&["daemon", "start"]);
        home.ok(&["daemon", "stop"]);
        over.store(true, Ordering::Relaxed);
    });
    let after: Vec<i32> = (0..6)
        .map(|number| home.pid(&format!("i{number}")))
        .collect();
    assert_eq!(before, after);
    home.ok(&["down", "--all"]);
}

#[test]
fn a_closed_terminal_ends_neither_a_server_nor_a_daemon() {
    // Once with the default command, which owns the home itself, and once with a daemon.
    for args in [&[][..], &["--daemon"]] {
        let home = TestHome::new();
        home.simulated("a", &[], "autostart = true");
        let (terminal, inside) = pty_process::blocking::open().unwrap();
        terminal.resize(pty_process::Size::new(30, 100)).unwrap();
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_llama-orch"));
        let child = command
            .arg("--home")
            .arg(home.path())
            .args(args)
            .env("TERM", "xterm-256color")
            .spawn(inside)
            .unwrap();
        let mut program = Guarded(child);
        // What it draws is read, as a terminal does, until the terminal goes away.
        let mut screen = std::fs::File::from(rustix::io::dup(&terminal).unwrap());
        let reader = thread::spawn(move || {
            let mut drawn = 0;
            let mut bytes = [0; 4096];
            while let Ok(read) = std::io::Read::read(&mut screen, &mut bytes) {
                drawn += read;
                if read == 0 || drawn > 0 {
                    break;
                }
            }
            drawn
        });
        assert_eq!(home.wait_state("a", "ready")["state"], "ready");
        let server = home.pid("a");
        assert!(reader.join().unwrap() > 0, "{args:?} draws something");
        drop(terminal);
        let owner = program.0.id().cast_signed();
        if args.is_empty() {
            // It hands over to a daemon, as far as it is given the time.
            program.0.wait().unwrap();
            assert_ne!(home.owner(), Some(owner));
        } else {
            assert_eq!(home.owner(), Some(owner));
            kill_hard(owner);
        }
        assert!(!is_gone(server), "{args:?}");
        home.ok(&["down", "a"]);
        home.run(&["daemon", "stop"]);
    }
}

#[test]
fn the_daemons_log_is_rotated_when_it_is_full() {
    let home = TestHome::new();
    let folder = home.path().join("logs/daemon");
    std::fs::create_dir_all(&folder).unwrap();
    let full = std::fs::File::create(folder.join("daemon.log")).unwrap();
    full.set_len(10 << 20).unwrap();
    home.ok(&["daemon", "start"]);
    home.ok(&["daemon", "stop"]);
    let length = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    assert_eq!(length("daemon.log.1"), 10 << 20);
    assert!((1..1 << 20).contains(&length("daemon.log")));
}

#[test]
fn twenty_instances_asked_for_at_once_by_twenty_commands_all_come_up() {
    let home = TestHome::new();
    for number in 0..20 {
        home.simulated(&format!("i{number:02}"), &["--sim-load-time", "0"], "");
    }
    home.ok(&["daemon", "start"]);
    thread::scope(|threads| {
        for number in 0..20 {
            let home = &home;
            threads.spawn(move || home.ok(&["up", &format!("i{number:02}")]));
        }
    });
    let rows = home.ps();
    assert!(rows.iter().all(|row| row["state"] == "ready"), "{rows:#?}");
    let pids: std::collections::BTreeSet<i64> =
        rows.iter().filter_map(|row| row["pid"].as_i64()).collect();
    assert_eq!(pids.len(), 20);
    home.ok(&["down", "--all"]);
    wait_until("none is left", || {
        pids.iter().all(|pid| is_gone(*pid as i32))
    });
    home.ok(&["daemon", "stop"]);
}

#[test]
fn an_owner_whose_socket_and_lock_were_removed_is_within_reach_again() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "0"], "");
    home.ok(&["daemon", "start"]);
    home.ok(&["up", "a"]);
    let (owner, server) = (home.owner().unwrap(), home.pid("a"));
    let files = ["llama-orch.sock", "daemon.pid"].map(|name| home.path().join("state").join(name));
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }
    // Whoever only looks takes nothing; whoever would act has to wait for a home that is held again.
    wait_until("the owner answers", || home.owner() == Some(owner));
    wait_until("the lock is there", || files[1].exists());
    assert_eq!(home.pid("a"), server);
    let label = std::fs::read_to_string(&files[1]).unwrap();
    assert_eq!(label.trim(), format!("{owner} daemon"));
    // It is the lock that counts: the home is not taken a second time.
    let second = home.run(&["--daemon"]);
    assert_eq!(second.code, 10, "{}", second.stderr);
    home.ok(&["down", "a"]);
    assert!(is_gone(server));
    home.ok(&["daemon", "stop"]);
    wait_until("it has ended", || is_gone(owner));
}

#[test]
fn what_a_server_and_its_owner_log_is_for_their_user_alone() {
    let home = TestHome::new();
    home.simulated("a", &["--sim-load-time", "0"], "");
    // Nothing is hidden by this one.
    let script = r#"umask 000; "$@" daemon start && "$@" up a && "$@" down a && "$@" daemon stop"#;
    let ran = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            script,
            "sh",
            env!("CARGO_BIN_EXE_llama-orch"),
            "--home",
        ])
        .arg(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    for folder in ["logs", "logs/a", "logs/daemon", "state"] {
        let folder = home.path().join(folder);
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for folder in ["logs/a", "logs/daemon"] {
        let entries = std::fs::read_dir(home.path().join(folder)).unwrap();
        let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
