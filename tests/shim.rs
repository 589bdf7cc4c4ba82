//! The shim with real processes: logs, stops, exit codes, and what happens when it is killed.

use std::fs;
use std::path::{Path, PathBuf};

use llama_orch::domain::exit::ExitStatus;
use llama_orch::domain::run::StopMode;
use llama_orch::process::adopt::{self, Adoption};
use llama_orch::process::launch::{self, LaunchError, ShimProgram};
use llama_orch::process::live::LiveRun;
use llama_orch::process::log_counts::{self, Logged};
use llama_orch::process::os;
use llama_orch::process::runfiles::{self, AskFile, ExitFile, PROTOCOL, RunPaths, SpecFile};

use crate::support::{PATIENCE, is_gone, run, wait_until, write_script};

/// Length of one numbered line, newline included.
const LINE: usize = 40;

struct Rig {
    folder: tempfile::TempDir,
    paths: RunPaths,
    shim: ShimProgram,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = RunPaths::new(folder.path().join("run"));
        let shim = ShimProgram::at(PathBuf::from(env!("CARGO_BIN_EXE_llama-orch-shim")));
        Self {
            folder,
            paths,
            shim,
        }
    }

    /// How much was logged to a stream until now, by all runs.
    fn counted(&self, log: &str) -> Logged {
        let logs = ["stdout.log", "stderr.log"].map(|log| self.log(log));
        let counted = log_counts::read(&self.paths.log_counts(), [&logs[0], &logs[1]]).unwrap();
        counted[usize::from(log == "stderr.log")]
    }

    fn spec(&self, script: &str) -> SpecFile {
        let token = format!("shim-test-{}", uuid::Uuid::new_v4());
        let folder = self.folder.path();
        run::script(folder, &folder.join("logs"), &token, script)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn launch(&self, spec: &SpecFile) -> LiveRun {
        launch::launch(&self.paths, spec, &self.shim).unwrap()
    }

    fn exit(&self, live: &LiveRun) -> ExitFile {
        assert!(
            os::readable_within(&live.watched_fd(), PATIENCE),
            "the shim did not end"
        );
        live.reap_shim();
        runfiles::read::<ExitFile>(&self.paths.exit())
            .unwrap()
            .expect("a record")
    }

    /// All of a stream's files, oldest first.
    fn whole_log(&self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in (1..=100).rev() {
            bytes.extend(fs::read(self.log(&format!("{name}.{number}"))).unwrap_or_default());
        }
        bytes.extend(fs::read(self.log(name)).unwrap_or_default());
        bytes
    }
}

/// A shell loop that writes numbered lines of fixed length until it is killed.
fn flood(count: u64) -> String {
    format!("exec awk 'BEGIN {{ for (i = 1; i <= {count}; i++) printf \"line %034d\\n\", i }}'")
}

/// Returns how many lines there are, after checking that they are whole, in order and unique.
fn count_numbered(bytes: &[u8]) -> u64 {
    assert_eq!(bytes.len() % LINE, 0, "a torn line at the end");
    let mut expected = 1;
    for line in bytes.chunks(LINE) {
        let text = std::str::from_utf8(line).unwrap();
        assert_eq!(
            text,
            format!("line {expected:034}\n"),
            "lost, doubled or torn"
        );
        expected += 1;
    }
    expected - 1
}

#[test]
fn the_way_a_server_ends_is_recorded() {
    for (script, expected) in [
        ("exit 0", ExitStatus::Code(0)),
        ("exit 7", ExitStatus::Code(7)),
        ("kill -11 $$", ExitStatus::Signal(11)),
    ] {
        let rig = Rig::new();
        let live = rig.launch(&rig.spec(&format!("echo out; echo err >&2; {script}")));
        let exit = rig.exit(&live);
        assert_eq!(exit.status(), Some(expected), "{script}");
        assert!(!exit.requested);
        assert_eq!(rig.whole_log("stdout.log"), b"out\n");
        assert_eq!(rig.whole_log("stderr.log"), b"err\n");
        assert!(matches!(adopt::inspect(&rig.paths), Adoption::Ended(_, _)));
    }
}

#[test]
fn a_program_that_cannot_run_is_reported_by_name() {
    let rig = Rig::new();
    let mut spec = rig.spec("");
    spec.program = PathBuf::from("/nonexistent/llama-server");
    let error = launch::launch(&rig.paths, &spec, &rig.shim).unwrap_err();
    assert!(
        matches!(&error, LaunchError::Exec { message } if message.contains("/nonexistent/llama-server")),
        "{error}"
    );
}

#[test]
fn a_second_start_is_refused_while_anything_of_the_first_lives() {
    let rig = Rig::new();
    let spec = rig.spec("exec sleep 60");
    let live = rig.launch(&spec);
    let second = launch::launch(&rig.paths, &spec, &rig.shim);
    assert!(matches!(second, Err(LaunchError::Busy)));
    live.stop(StopMode::Kill).unwrap();
    rig.exit(&live);
}

#[test]
fn the_server_runs_with_no_signal_blocked_and_none_ignored() {
    // As a shell's `&`, nohup and a careless parent leave it.
    for ignored in ["", "trap '' INT QUIT", "trap '' HUP TERM TSTP ALRM USR1"] {
        let mut rig = Rig::new();
        let real = env!("CARGO_BIN_EXE_llama-orch-shim");
        let script = format!("#!/bin/sh\n{ignored}\nexec {real} \"$@\"\n");
        let path = rig.folder.path().join("shim");
        write_script(&path, &script);
        rig.shim = ShimProgram::at(path);
        let live = rig.launch(&rig.spec("exec cat /proc/self/status"));
        rig.exit(&live);
        let status = String::from_utf8(rig.whole_log("stdout.log")).unwrap();
        for mask in ["SigBlk", "SigIgn"] {
            let line = status.lines().find(|line| line.starts_with(mask)).unwrap();
            let bits = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
            // From 32 on they are the C library's own, inherited from whoever runs the tests.
            assert_eq!(bits & 0x7fff_ffff, 0, "{ignored}: {line}");
        }
    }
}

#[test]
fn a_gentle_stop_asks_and_a_deaf_server_is_killed_after_its_grace() {
    let rows = [
        (
            "trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done",
            10_000,
            StopMode::Gentle,
            ExitStatus::Code(3),
        ),
        (
            "trap '' TERM; echo up; while :; do sleep 0.01; done",
            100,
            StopMode::Gentle,
            ExitStatus::Signal(9),
        ),
        (
            "trap '' TERM; echo up; while :; do sleep 0.01; done",
            10_000,
            StopMode::Kill,
            ExitStatus::Signal(9),
        ),
    ];
    for (script, grace_ms, mode, expected) in rows {
        let rig = Rig::new();
        let mut spec = rig.spec(script);
        spec.grace_ms = grace_ms;
        let live = rig.launch(&spec);
        wait_until("the server is up", || {
            rig.whole_log("stdout.log") == b"up\n"
        });
        live.stop(mode).unwrap();
        let exit = rig.exit(&live);
        assert_eq!(exit.status(), Some(expected), "{script}");
        assert!(exit.requested);
    }
}

#[test]
fn a_server_that_needs_a_second_request_gets_it_before_it_is_killed() {
    let rig = Rig::new();
    let second = "n=0; trap 'n=$((n+1)); test $n -lt 2 || exit 1' TERM";
    let mut spec = rig.spec(&format!("{second}; echo up; while :; do sleep 0.01; done"));
    // Asked again after three seconds, killed after four.
    spec.grace_ms = 4_000;
    let live = rig.launch(&spec);
    wait_until("the server is up", || {
        rig.whole_log("stdout.log") == b"up\n"
    });
    live.stop(StopMode::Gentle).unwrap();
    let exit = rig.exit(&live);
    assert_eq!(exit.status(), Some(ExitStatus::Code(1)));
    assert!(exit.requested);
    assert!(exit.ended_at - exit.started_at >= 3.0, "{exit:?}");
}

#[test]
fn a_stop_leaves_no_detached_grandchild_behind() {
    let rig = Rig::new();
    let script = "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 600' & setsid sleep 601 & wait";
    let live = rig.launch(&rig.spec(script));
    wait_until("the grandchild is there", || {
        rig.whole_log("stdout.log").ends_with(b"\n")
    });
    let pid: i32 = String::from_utf8(rig.whole_log("stdout.log"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(!is_gone(pid));
    live.stop(StopMode::Gentle).unwrap();
    rig.exit(&live);
    assert!(is_gone(pid));
    assert!(!launch::tree_is_locked(&rig.paths).unwrap());
}

/// A shell that passes nothing on, and what it runs, which takes a little time to end.
const SHELL_AND_TOOL: &str = "sh -c 'trap \"sleep 0.1; echo bye; exit 0\" TERM; echo up; \
     while :; do sleep 0.01; done'; echo never";

#[test]
fn a_tree_that_is_asked_finishes_within_its_grace_and_a_leader_takes_it_along() {
    let rows = [(AskFile::Tree, "up\nbye\n"), (AskFile::Leader, "up\n")];
    for (ask, expected) in rows {
        let rig = Rig::new();
        let mut spec = rig.spec(SHELL_AND_TOOL);
        spec.ask = ask;
        spec.grace_ms = 60_000;
        let live = rig.launch(&spec);
        wait_until("the tool is up", || rig.whole_log("stdout.log") == b"up\n");
        live.stop(StopMode::Gentle).unwrap();
        let exit = rig.exit(&live);
        assert_eq!(exit.status(), Some(ExitStatus::Signal(15)), "{ask:?}");
        let log = String::from_utf8(rig.whole_log("stdout.log")).unwrap();
        assert_eq!(log, expected, "{ask:?}");
        assert!(!launch::tree_is_locked(&rig.paths).unwrap());
    }
}

#[test]
fn an_attached_shim_asks_the_tree_too_and_kills_the_deaf() {
    let rig = Rig::new();
    let deaf = "sh -c 'trap \"\" TERM; while :; do sleep 0.01; done' &";
    let mut spec = rig.spec(&format!("{deaf} {SHELL_AND_TOOL}"));
    spec.ask = AskFile::Tree;
    spec.grace_ms = 5_000;
    let mut live = rig.launch(&spec);
    wait_until("the tool is up", || rig.whole_log("stdout.log") == b"up\n");
    kill_hard(live.run.shim.pid);
    assert!(os::readable_within(&live.watched_fd(), PATIENCE));
    live.reap_shim();
    let attached = adopt::attach(&rig.paths, live.take_spares(), &rig.shim).unwrap();
    attached.stop(StopMode::Gentle).unwrap();
    assert!(os::readable_within(&attached.watched_fd(), PATIENCE));
    attached.reap_shim();
    assert_eq!(rig.whole_log("stdout.log"), b"up\nbye\n");
    assert!(!launch::tree_is_locked(&rig.paths).unwrap());
}

#[test]
fn a_late_shim_does_not_run_again_what_was_run() {
    let rig = Rig::new();
    let spec = rig.spec("echo once");
    let live = rig.launch(&spec);
    rig.exit(&live);
    // As if an owner had died after it had started this shim, which only now gets the processor.
    let late = std::process::Command::new(env!("CARGO_BIN_EXE_llama-orch-shim"))
        .args(["--protocol", &PROTOCOL.to_string()])
        .arg(rig.paths.dir())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&late.stdout), "\"busy\"\n");
    assert_eq!(rig.whole_log("stdout.log"), b"once\n");
}

#[test]
fn rotation_under_a_flood_loses_doubles_and_tears_nothing() {
    let rig = Rig::new();
    let mut spec = rig.spec(&flood(200_000));
    spec.max_size = 300_000;
    spec.rotation = 60;
    let live = rig.launch(&spec);
    let exit = rig.exit(&live);
    assert_eq!(exit.status(), Some(ExitStatus::Code(0)));
    assert_eq!(count_numbered(&rig.whole_log("stdout.log")), 200_000);
    for entry in fs::read_dir(rig.folder.path().join("logs")).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::metadata(&path).unwrap().len();
        assert!(
            length <= spec.max_size,
            "{} has {length} bytes",
            path.display()
        );
        if path.extension().is_none_or(|ending| ending != "idx") {
            assert_eq!(
                fs::read(&path).unwrap().len() % LINE,
                0,
                "{} tears a line",
                path.display()
            );
        }
    }
    check_index(&rig.log("stdout.log.idx"));
}

fn check_index(path: &Path) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len() % 16, 0);
    let records: Vec<(u64, u64)> = bytes
        .chunks(16)
        .map(|record| {
            let number = |range: std::ops::Range<usize>| {
                u64::from_le_bytes(record[range].try_into().unwrap())
            };
            (number(0..8), number(8..16))
        })
        .collect();
    assert!(records.is_sorted(), "{records:?}");
    assert_eq!(records.first().map(|record| record.0), Some(0));
}

#[test]
fn only_the_newest_files_are_kept() {
    let rig = Rig::new();
    let mut spec = rig.spec(&flood(100_000));
    spec.max_size = 200_000;
    spec.rotation = 2;
    let live = rig.launch(&spec);
    rig.exit(&live);
    let bytes = rig.whole_log("stdout.log");
    assert!(bytes.len() as u64 <= 3 * spec.max_size);
    assert!(bytes.ends_with(format!("line {:034}\n", 100_000).as_bytes()));
    assert!(!rig.log("stdout.log.3").exists());
}

#[test]
fn a_line_longer_than_the_file_is_split_and_only_such_a_line() {
    let rig = Rig::new();
    let mut spec = rig.spec("echo first; head -c 700000 /dev/zero | tr '\\0' x; echo; echo last");
    spec.max_size = 200_000;
    spec.rotation = 20;
    let live = rig.launch(&spec);
    rig.exit(&live);
    let bytes = rig.whole_log("stdout.log");
    assert!(bytes.starts_with(b"first\n") && bytes.ends_with(b"x\nlast\n"));
    assert_eq!(bytes.iter().filter(|byte| **byte == b'x').count(), 700_000);
}

#[test]
fn killing_the_shim_under_a_flood_costs_no_line_and_no_exit_code() {
    for round in 0..8 {
        let rig = Rig::new();
        let mut spec = rig.spec(&flood(400_000));
        spec.max_size = 1 << 20;
        spec.rotation = 40;
        let mut live = Box::new(rig.launch(&spec));
        // Somewhere in the middle, each time somewhere else.
        let some = 1 + round * 150_000;
        wait_until("some lines are there", || {
            fs::metadata(rig.log("stdout.log")).is_ok_and(|file| file.len() > some)
                || rig.log("stdout.log.1").exists()
        });
        let shim = live.run.shim.pid;
        kill_hard(shim);
        assert!(os::readable_within(&live.watched_fd(), PATIENCE));
        live.reap_shim();
        let spares = live.take_spares();
        let attached = adopt::attach(&rig.paths, spares, &rig.shim).unwrap();
        assert!(attached.run.attached);
        assert!(os::readable_within(&attached.watched_fd(), PATIENCE));
        attached.reap_shim();
        let exit = adopt::collect_exit(&rig.paths, &attached.run, Some(live.child()));
        assert_eq!(exit.status(), Some(ExitStatus::Code(0)), "round {round}");
        assert_eq!(
            count_numbered(&rig.whole_log("stdout.log")),
            400_000,
            "round {round}"
        );
    }
}

#[test]
fn an_attached_shim_stops_the_whole_tree() {
    let rig = Rig::new();
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 600' & wait";
    let mut spec = rig.spec(script);
    spec.grace_ms = 50;
    let mut live = rig.launch(&spec);
    wait_until("the grandchild is there", || {
        rig.whole_log("stdout.log").ends_with(b"\n")
    });
    let grandchild: i32 = String::from_utf8(rig.whole_log("stdout.log"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kill_hard(live.run.shim.pid);
    assert!(os::readable_within(&live.watched_fd(), PATIENCE));
    live.reap_shim();
    let Adoption::ShimGone(_) = adopt::inspect(&rig.paths) else {
        unreachable!("the server lives and its shim does not");
    };
    let attached = adopt::attach(&rig.paths, live.take_spares(), &rig.shim).unwrap();
    attached.stop(StopMode::Gentle).unwrap();
    assert!(os::readable_within(&attached.watched_fd(), PATIENCE));
    attached.reap_shim();
    let exit = adopt::collect_exit(&rig.paths, &attached.run, Some(live.child()));
    assert_eq!(exit.status(), Some(ExitStatus::Signal(9)));
    assert!(exit.requested);
    wait_until("the grandchild is gone", || is_gone(grandchild));
    assert!(!launch::tree_is_locked(&rig.paths).unwrap());
}

fn kill_hard(pid: i32) {
    let pidfd = os::open_pidfd(pid).unwrap();
    os::signal(pidfd, rustix::process::Signal::KILL).unwrap();
}

/// A small file system of its own; `None` when this machine lets us have none.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.path)
            .status()
            .ok();
    }
}

#[test]
fn a_full_disk_drops_lines_and_never_blocks_the_server() {
    let mut rig = Rig::new();
    let Some(disk) = SmallDisk::mount(&rig.folder.path().join("logs")) else {
        crate::support::skipped(
            "a_full_disk_drops_lines_and_never_blocks_the_server",
            "mounting a small file system needs root",
        );
        return;
    };
    rig.paths = RunPaths::new(disk.path.join("run"));
    let ballast = disk.path.join("ballast");
    let over = rig.folder.path().join("over");
    let go_on = rig.folder.path().join("go");
    let script = format!(
        "{}; touch {}; while ! test -e {}; do sleep 0.01; done; sleep 1.2; echo the end",
        flood(100_000).trim_start_matches("exec "),
        over.display(),
        go_on.display()
    );
    fs::write(&ballast, vec![0; 500_000]).unwrap();
    let live = rig.launch(&rig.spec(&script));
    // 4 MB go through half a megabyte: the writer gets to its end all the same.
    wait_until("the flood is over", || over.exists());
    // All of it is counted while the disk is still full, although that is where it is counted.
    wait_until("the drops are told", || {
        let Logged {
            written, dropped, ..
        } = rig.counted("stdout.log");
        written + dropped >= 100_000 * LINE as u64
    });
    fs::remove_file(&ballast).unwrap();
    fs::write(&go_on, "").unwrap();
    let exit = rig.exit(&live);
    assert_eq!(exit.status(), Some(ExitStatus::Code(0)));
    assert!(exit.dropped_bytes > 3_000_000, "{}", exit.dropped_bytes);
    assert_eq!(rig.counted("stdout.log").dropped, exit.dropped_bytes);
    let text = String::from_utf8(rig.whole_log("stdout.log")).unwrap();
    let told = format!(
        "[llama-orch] {} bytes of log are missing here",
        exit.dropped_bytes
    );
    assert!(
        text.contains(&told),
        "{}",
        &text[text.len().saturating_sub(300)..]
    );
    assert!(text.ends_with("the end\n"));
}
