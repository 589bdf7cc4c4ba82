//! The owner's side of runs with the real shim: proofs, ends and takeovers, and shims that fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use llama_orch::domain::exit::ExitStatus;
use llama_orch::domain::run::{ProcessId, StopMode};
use llama_orch::process::adopt::{self, Adoption};
use llama_orch::process::identity::{self, Proof};
use llama_orch::process::launch::{self, LaunchError, ShimProgram};
use llama_orch::process::live::LiveRun;
use llama_orch::process::runfiles::{
    self, ChildFile, PROTOCOL, ProcessFile, RunFile, RunPaths, SpecFile, TOKEN_VARIABLE,
};
use llama_orch::process::watch::PidWatcher;
use llama_orch::process::{orphans, os, tree};
use rustix::process::Signal;

use crate::support::{PATIENCE, run, wait_until, write_script};

/// A server that says so and then waits to be stopped.
const WAITING: &str = "echo up; exec sleep 600";

struct Rig {
    folder: tempfile::TempDir,
    paths: RunPaths,
    shim: ShimProgram,
    token: String,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = RunPaths::new(folder.path().join("run"));
        fs::create_dir(paths.dir()).unwrap();
        Self {
            folder,
            paths,
            shim: ShimProgram::at(PathBuf::from(env!("CARGO_BIN_EXE_llama-orch-shim"))),
            token: format!("process-test-{}", uuid::Uuid::new_v4()),
        }
    }

    /// Replaces the shim by a script that fails in its own way; `$3` is the run's folder.
    fn with_fake_shim(script: &str) -> Self {
        let mut rig = Self::new();
        let path = rig.folder.path().join("shim");
        write_script(&path, &format!("#!/bin/sh\n{script}\n"));
        rig.shim = ShimProgram::at(path);
        rig
    }

    fn spec(&self, script: &str) -> SpecFile {
        let folder = self.folder.path();
        run::script(folder, folder, &self.token, script)
    }

    fn try_launch(&self, script: &str) -> Result<LiveRun, LaunchError> {
        launch::launch(&self.paths, &self.spec(script), &self.shim)
    }

    /// Starts a server and waits for its first line.
    fn launch(&self, script: &str) -> LiveRun {
        let live = self.try_launch(script).unwrap();
        self.wait_for_log("up\n");
        live
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("stdout.log")).unwrap_or_default()
    }

    fn wait_for_log(&self, ending: &str) {
        wait_until(ending, || self.log().ends_with(ending));
    }

    fn status_at_the_end(&self, live: &LiveRun) -> Option<ExitStatus> {
        wait_for_end(live);
        adopt::collect_exit(&self.paths, &live.run, Some(live.child())).status()
    }

    fn edit_run(&self, change: impl FnOnce(&mut RunFile)) {
        let mut run: RunFile = runfiles::read(&self.paths.run()).unwrap().unwrap();
        change(&mut run);
        runfiles::write(&self.paths.run(), &run).unwrap();
    }

    fn carriers(&self) -> usize {
        let scan = orphans::scan(|token| token != self.token).unwrap();
        scan.orphans.len()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // What a failed test left behind; a shim ends with its server.
        orphans::stop_token(&self.token, StopMode::Kill, PATIENCE).ok();
    }
}

fn wait_for_end(live: &LiveRun) {
    assert!(os::readable_within(&live.watched_fd(), PATIENCE));
    live.reap_shim();
}

/// Kills a process that the run describes, and waits until it is dead.
fn kill(process: ProcessId) {
    let pidfd = os::open_pidfd(process.pid).unwrap();
    assert_eq!(os::identity(process.pid).unwrap(), process);
    os::signal(&pidfd, Signal::KILL).unwrap();
    assert!(os::readable_within(&pidfd, PATIENCE));
}

fn stop(rig: &Rig, live: &LiveRun) -> Option<ExitStatus> {
    live.stop(StopMode::Gentle).unwrap();
    rig.status_at_the_end(live)
}

#[test]
fn a_run_is_launched_proven_and_stopped() {
    let rig = Rig::new();
    let live = rig.launch(WAITING);
    assert!(live.has_shim() && live.child_is_alive());
    let run = &live.run;
    assert!(matches!(
        identity::prove_child(run.child, &rig.token, &run.boot_id),
        Proof::Proven(_)
    ));
    // The pid of another process that started one tick later.
    let reused = ChildFile {
        start: run.child.start + 1,
        ..run.child
    };
    assert!(matches!(
        identity::prove_child(reused, &rig.token, &run.boot_id),
        Proof::Reused
    ));
    assert_eq!(
        fs::metadata(rig.paths.spec()).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(tree::processes(run.child.pid, &rig.token).contains(&run.child.pid));
    assert_eq!(stop(&rig, &live), Some(ExitStatus::Signal(15)));
    assert_eq!(rig.carriers(), 0);
    let Adoption::Ended(_, exit) = adopt::inspect(&rig.paths) else {
        unreachable!("its end is on record");
    };
    assert!(exit.requested);
}

#[test]
fn a_killed_server_is_recorded_by_its_shim() {
    let rig = Rig::new();
    let live = rig.launch(WAITING);
    kill(ProcessId::from(live.run.child));
    assert_eq!(rig.status_at_the_end(&live), Some(ExitStatus::Signal(9)));
    assert!(adopt::is_recorded(&rig.paths, &live.run));
}

#[test]
fn the_end_of_a_run_whose_shim_and_server_were_killed_is_learned_from_the_kernel() {
    let rig = Rig::new();
    let live = rig.launch(WAITING);
    kill(ProcessId::from(live.run.shim));
    kill(ProcessId::from(live.run.child));
    let Adoption::Vanished(run) = adopt::inspect(&rig.paths) else {
        unreachable!("neither lives, and nobody recorded the end");
    };
    // An owner that never held the server finds its zombie or nothing, but never another end.
    let unheld = adopt::collect_exit(&rig.paths, &run, None).status();
    assert!(unheld.is_none() || unheld == Some(ExitStatus::Signal(9)));
    let held = rig.status_at_the_end(&live);
    // Kernels before 6.15 forget, once somebody else has reaped it.
    assert!(held.is_none() || held == Some(ExitStatus::Signal(9)));
}

#[test]
fn a_lost_shim_is_replaced_with_and_without_an_owner_that_held_the_pipes() {
    for kept_spares in [true, false] {
        let rig = Rig::new();
        let mut live =
            rig.launch("trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done");
        kill(ProcessId::from(live.run.shim));
        live.reap_shim();
        let spares = live.take_spares().filter(|_| kept_spares);
        let Adoption::ShimGone(found) = adopt::inspect(&rig.paths) else {
            unreachable!("the server lives and its shim does not");
        };
        drop(found);
        let attached = adopt::attach(&rig.paths, spares, &rig.shim).unwrap();
        assert!(attached.run.attached);
        let Adoption::Live(found) = adopt::inspect(&rig.paths) else {
            unreachable!("both are proven");
        };
        drop(found);
        let status = stop(&rig, &attached);
        assert!(status.is_none() || status == Some(ExitStatus::Code(4)));
        assert_eq!(rig.log(), "up\nbye\n", "spares kept: {kept_spares}");
        assert_eq!(rig.carriers(), 0);
    }
}

#[test]
fn the_last_words_of_a_server_that_died_without_a_shim_are_in_the_log() {
    let rig = Rig::new();
    let script = "echo up; while [ ! -e go ]; do sleep 0.01; done; echo last words; exit 6";
    let mut live = rig.launch(script);
    kill(ProcessId::from(live.run.shim));
    live.reap_shim();
    fs::write(rig.folder.path().join("go"), "").unwrap();
    assert!(os::readable_within(live.child(), PATIENCE));
    let attached = adopt::attach(&rig.paths, live.take_spares(), &rig.shim);
    // Whoever reaps orphans on this machine may have been faster: then no shim can attach.
    if let Ok(attached) = attached {
        wait_for_end(&attached);
        assert_eq!(rig.log(), "up\nlast words\n");
    }
    let status = adopt::collect_exit(&rig.paths, &live.run, Some(live.child())).status();
    assert!(status.is_none() || status == Some(ExitStatus::Code(6)));
}

#[test]
fn a_wrapper_script_that_becomes_the_server_is_still_proven() {
    let rig = Rig::new();
    let live = rig
        .try_launch("while [ ! -e go ]; do sleep 0.01; done; exec sh -c 'echo up; exec sleep 600'")
        .unwrap();
    let before = (live.run.child.exe_dev, live.run.child.exe_ino);
    fs::write(rig.folder.path().join("go"), "").unwrap();
    wait_until("another executable", || {
        os::executable(live.run.child.pid).is_ok_and(|now| now != before)
    });
    let Adoption::Live(found) = adopt::inspect(&rig.paths) else {
        unreachable!("pid, start and token are still those of the run");
    };
    drop(found);
    stop(&rig, &live);
}

#[test]
fn files_that_do_not_fit_the_processes_are_told_apart() {
    let rig = Rig::new();
    assert!(matches!(adopt::inspect(&rig.paths), Adoption::Nothing));
    let live = rig.launch(WAITING);
    let good = fs::read(rig.paths.run()).unwrap();

    rig.edit_run(|run| run.boot_id = "another boot".to_owned());
    assert!(matches!(adopt::inspect(&rig.paths), Adoption::Rebooted(_)));

    fs::write(rig.paths.run(), &good).unwrap();
    rig.edit_run(|run| run.token = "another token".to_owned());
    assert!(matches!(
        adopt::inspect(&rig.paths),
        Adoption::Unproven { .. }
    ));

    fs::write(rig.paths.run(), &good).unwrap();
    rig.edit_run(|run| run.run_id = "another run".to_owned());
    assert!(matches!(adopt::inspect(&rig.paths), Adoption::Nothing));

    fs::write(rig.paths.run(), "{").unwrap();
    assert!(matches!(
        adopt::inspect(&rig.paths),
        Adoption::Damaged { .. }
    ));

    fs::write(rig.paths.run(), &good).unwrap();
    assert!(matches!(adopt::inspect(&rig.paths), Adoption::Live(_)));
    stop(&rig, &live);
}

#[test]
fn what_lives_of_an_unproven_run_is_found_by_its_token() {
    let rig = Rig::new();
    let live = rig.launch(WAITING);
    assert_eq!(adopt::survivors(&rig.paths).unwrap().len(), 1);
    kill(ProcessId::from(live.run.shim));
    fs::remove_file(rig.paths.run()).unwrap();
    assert!(matches!(adopt::inspect(&rig.paths), Adoption::Nothing));
    assert!(matches!(rig.try_launch(WAITING), Err(LaunchError::Busy)));
    let found = adopt::survivors(&rig.paths).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].process, ProcessId::from(live.run.child));
    orphans::stop(&found[0], StopMode::Gentle, PATIENCE).unwrap();
    wait_until("the lock is free", || {
        !launch::tree_is_locked(&rig.paths).unwrap()
    });
    assert!(adopt::survivors(&rig.paths).unwrap().is_empty());
}

#[test]
fn a_log_is_rotated_when_told() {
    let rig = Rig::new();
    let live = rig.launch(WAITING);
    live.rotate().unwrap();
    let old = rig.folder.path().join("stdout.log.1");
    wait_until("the rotated log", || old.exists());
    assert_eq!(fs::read_to_string(old).unwrap(), "up\n");
    stop(&rig, &live);
    assert!(live.rotate().is_err());
}

#[test]
fn a_shim_that_fails_is_explained_and_leaves_nothing_behind() {
    let rows = [
        ("exec >&-; sleep 0.05; exit 65", "another protocol"),
        ("echo out of luck >&2; exit 1", "out of luck"),
        ("exit 3", "with code 3"),
        ("echo nonsense; exec sleep 600", "without a word"),
        ("echo '\"busy\"'", "still lives"),
        ("echo '\"ok\"'; exec sleep 600", "read run.json"),
        (
            "echo '{\"error\":{\"message\":\"run /x: gone\",\"errno\":2,\"during\":\"exec\"}}'",
            "run /x: gone",
        ),
        (
            "echo '{\"error\":{\"message\":\"make a pipe\",\"errno\":24,\"during\":\"setup\"}}'",
            "no room for it: make a pipe",
        ),
        // Longer than the time that a shim has for its report.
        ("exec sleep 600", "did not report within 5 s"),
    ];
    for (script, expected) in rows {
        // It is found by the token that it would never have in reality.
        let rig = Rig::with_fake_shim(&format!("export {TOKEN_VARIABLE}=TOKEN\n{script}"));
        let path = rig.folder.path().join("shim");
        let text = fs::read_to_string(&path).unwrap();
        write_script(&path, &text.replace("TOKEN\n", &format!("{}\n", rig.token)));
        let error = rig.try_launch(WAITING).unwrap_err();
        assert!(error.to_string().contains(expected), "{script}: {error}");
        assert_eq!(rig.carriers(), 0, "{script}");
    }
}

#[test]
fn a_server_whose_shim_fails_after_starting_it_does_not_stay() {
    // The lock is inherited, as a real shim hands it down; then the report fails to come.
    let script = "cd \"$3\" && exec 9>tree.lock && flock 9 && cd .. && . ./start; exit 1";
    let rig = Rig::with_fake_shim(script);
    let start = format!(
        "export {TOKEN_VARIABLE}={}; setsid sleep 600 >up 2>&1 & \n",
        rig.token
    );
    fs::write(rig.folder.path().join("start"), start).unwrap();
    assert!(rig.try_launch(WAITING).is_err());
    assert!(rig.folder.path().join("up").exists(), "it was started");
    assert_eq!(rig.carriers(), 0);
    assert!(!launch::tree_is_locked(&rig.paths).unwrap());
}

#[test]
fn a_shims_end_is_never_taken_for_its_servers() {
    let rig = Rig::with_fake_shim("cp \"$3/../prepared\" \"$3/run.json\"; echo '\"ok\"'; exit 37");
    let mut ended = Command::new("/bin/true").spawn().unwrap();
    let pid = ended.id().cast_signed();
    let gone = os::identity(pid).unwrap();
    ended.wait().unwrap();
    let run = RunFile {
        version: PROTOCOL,
        run_id: "run".to_owned(),
        token: rig.token.clone(),
        boot_id: os::boot_id().unwrap(),
        shim: ProcessFile { pid, start: 1 },
        child: ChildFile {
            pid,
            start: gone.start_ticks,
            exe_dev: 0,
            exe_ino: 0,
        },
        port: None,
        started_at: 0.0,
        stopping_since: None,
        pipes: None,
        stop: None,
        stdout_start: None,
        stderr_start: None,
        attached: false,
        notes: Vec::new(),
    };
    runfiles::write(&rig.folder.path().join("prepared"), &run).unwrap();
    let live = rig.try_launch(WAITING).unwrap();
    assert!(!live.child_is_alive());
    assert!(os::readable_within(&live.watched_fd(), PATIENCE));
    // Before and after the shim is reaped.
    for _ in 0..2 {
        let exit = adopt::collect_exit(&rig.paths, &live.run, Some(live.child()));
        assert_eq!(exit.status(), None);
        live.reap_shim();
    }
}

#[test]
fn the_watcher_tells_the_end_of_a_run_and_nothing_of_a_forgotten_one() {
    let (sender, ends) = std::sync::mpsc::channel();
    let watcher = PidWatcher::start(move |key| sender.send(key).is_ok()).unwrap();
    let rigs = [Rig::new(), Rig::new(), Rig::new()];
    let runs = rigs.each_ref().map(|rig| rig.launch(WAITING));
    for (key, live) in (0..).zip(&runs) {
        watcher.watch(key, live.watched_fd()).unwrap();
    }
    watcher.forget(runs[0].watched_fd());
    for (rig, live) in rigs.iter().zip(&runs) {
        assert_eq!(stop(rig, live), Some(ExitStatus::Signal(15)));
    }
    let mut told = [
        ends.recv_timeout(PATIENCE).unwrap(),
        ends.recv_timeout(PATIENCE).unwrap(),
    ];
    told.sort_unstable();
    assert_eq!(told, [1, 2]);
    assert!(ends.try_recv().is_err());
}

/// Descriptors are counted per process, so this test runs itself again, alone in one.
const ALONE: &str = "LLAMA_ORCH_TEST_ALONE";

#[test]
fn a_start_without_enough_descriptors_is_refused_as_ours_and_starts_nothing() {
    if std::env::var_os(ALONE).is_some() {
        for free in [0, 1, 5, 6, 7, 20, 37, 38, 39, 40, 42] {
            start_with(free);
        }
        return;
    }
    let own = std::env::current_exe().unwrap();
    let name = "process::a_start_without_enough_descriptors_is_refused_as_ours_and_starts_nothing";
    let ran = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 96; exec \"$0\" --exact \"$1\""])
        .arg(own)
        .arg(name)
        .env(ALONE, "1")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{words}");
    assert!(words.contains("1 passed"), "{words}");
}

fn start_with(free: usize) {
    let rig = Rig::new();
    let mut taken: Vec<fs::File> = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - free);
    let started = rig.try_launch(WAITING);
    drop(taken);
    match started {
        Ok(live) => {
            // What a run takes, and what stays free for everything else.
            assert!(free > 37, "{free} cannot be enough");
            stop(&rig, &live);
        }
        Err(error) => assert!(
            free < 42 && matches!(error, LaunchError::Resources { .. }),
            "{free}: {error}"
        ),
    }
    assert_eq!(rig.carriers(), 0, "{free}");
    assert!(!launch::tree_is_locked(&rig.paths).unwrap(), "{free}");
}
