//! Work units whose commands the owner runs, with real processes: phases, instances, ends and
//! their explanations, cancellation, logs. `survival` has the deaths of owners and shims.

mod ends;
mod forced;
mod late;
mod limits;
mod random;
mod survival;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use llama_orch::process::runfiles::{self, RunFile, RunPaths};
use serde_json::Value;

use crate::api::http::Place;
use crate::support::{PATIENCE, TestHome, is_gone, real_server, wait_until, write_script};

/// A home with an owner that runs as many commands at once, and what units are asked in it.
struct Rig {
    home: TestHome,
}

impl Rig {
    /// Writes the settings; no owner is started yet.
    fn new(places: u32) -> Self {
        let home = TestHome::new();
        fs::create_dir(home.path().join("tree")).unwrap();
        let rig = Self { home };
        rig.places(places, 30);
        rig
    }

    /// Changes how many commands may run at once, and how long a stopped one may take.
    fn places(&self, places: u32, grace: u32) {
        self.settings(places, grace, "");
    }

    /// As [`Rig::places`], with another line of `[work]`.
    fn settings(&self, places: u32, grace: u32, more: &str) {
        let text = format!(
            "[work]\nmax_parallel = {places}\n{more}\n[supervisor]\nstop_grace = {grace}\n"
        );
        fs::write(self.home.path().join("orchestrator.toml"), text).unwrap();
    }

    fn worktree(&self) -> PathBuf {
        self.home.path().join("tree")
    }

    /// Creates a unit that works in the worktree; `more` are options.
    fn create(&self, chunk: &str, more: &[&str]) {
        let worktree = self.worktree();
        let mut args = vec!["work-unit", "create", chunk, "--worktree"];
        args.push(worktree.to_str().unwrap());
        args.extend(more);
        self.home.ok(&args);
    }

    /// Creates a unit with the same command for each of these phases, from the first of them on.
    fn create_with_all(&self, chunk: &str, phases: &[&str], line: &str) {
        let commands = phases.iter().map(|phase| format!("{phase}={line}"));
        let commands: Vec<String> = commands.collect();
        let mut options = vec!["--phase", phases[0]];
        for command in &commands {
            options.extend(["--command", command]);
        }
        self.create(chunk, &options);
    }

    fn show(&self, chunk: &str) -> Value {
        let text = self.home.ok(&["work-unit", "show", chunk, "--json"]).stdout;
        serde_json::from_str(&text).unwrap()
    }

    fn wait_for(&self, chunk: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let unit = self.show(chunk);
            if condition(&unit) {
                return unit;
            }
            let events = self.home.events();
            assert!(
                Instant::now() < deadline,
                "{chunk} never became {what}: {unit:#}\n{events:#?}"
            );
        }
    }

    fn wait_status(&self, chunk: &str, status: &str) -> Value {
        self.wait_for(chunk, status, |unit| unit["status"] == status)
    }

    /// What the commands wrote into a file of the worktree.
    fn written(&self, name: &str) -> String {
        fs::read_to_string(self.worktree().join(name)).unwrap_or_default()
    }

    /// Writes a file in one step: a command that waits for it never reads half of it.
    fn write(&self, name: &str, text: &str) {
        let unfinished = self.worktree().join(format!("{name}.unfinished"));
        fs::write(&unfinished, text).unwrap();
        fs::rename(&unfinished, self.worktree().join(name)).unwrap();
    }

    fn run_paths(&self, chunk: &str) -> RunPaths {
        RunPaths::new(self.home.path().join("state/runs/work").join(chunk))
    }

    /// A command may have done something before its shim has written down what it started.
    fn run_file(&self, chunk: &str) -> RunFile {
        let path = self.run_paths(chunk).run();
        let mut found = None;
        wait_until("it runs", || {
            found = runfiles::read(&path).unwrap();
            found.is_some()
        });
        found.unwrap()
    }

    /// The events that tell of one unit.
    fn told(&self, chunk: &str) -> Vec<String> {
        let mut events = self.home.events();
        let (colon, space) = (format!(" - {chunk}: "), format!(" - {chunk} "));
        events.retain(|event| event.contains(&colon) || event.contains(&space));
        events
    }
}

#[test]
fn the_commands_of_a_unit_run_phase_by_phase_and_talk_to_its_instance() {
    let rig = Rig::new(1);
    rig.home.simulated("coder", &[], "");
    rig.home.ok(&["daemon", "start"]);
    assert_eq!(rig.home.row("coder")["state"], "stopped");
    let ask = "GOAL=curl -sS --noproxy '*' $OPENAI_BASE_URL/models > models; env > environment; \
               echo asked; pwd >&2";
    rig.create(
        "parser.v2",
        &[
            "--instance",
            "coder",
            "--command",
            ask,
            "--command",
            "PLAN=echo PLAN >> trace",
            "--command",
            "IMPLEMENT=echo IMPLEMENT >> trace",
            "--command",
            "COMPLETE=echo COMPLETE >> trace",
        ],
    );
    let unit = rig.wait_status("parser.v2", "DONE");
    assert_eq!(unit["phase"], "COMPLETE");
    assert_eq!(rig.written("trace"), "PLAN\nIMPLEMENT\nCOMPLETE\n");
    let numbers = Place::socket(&rig.home).get("/metrics").send().text();
    for number in [
        "llama_orch_work_units{status=\"DONE\"} 1\n",
        "llama_orch_work_unit_ends_total{end=\"succeeded\"} 4\n",
        "llama_orch_work_unit_ends_total{end=\"failed\"} 0\n",
    ] {
        assert!(numbers.contains(number), "{number}{numbers}");
    }
    let models: Value = serde_json::from_str(&rig.written("models")).unwrap();
    assert_eq!(models["data"][0]["id"], "coder");
    assert_eq!(rig.home.row("coder")["state"], "ready");
    let environment = rig.written("environment");
    let worktree = rig.worktree().canonicalize().unwrap();
    for line in [
        "LLAMA_ORCH_CHUNK=parser.v2".to_owned(),
        "LLAMA_ORCH_PHASE=GOAL".to_owned(),
        "LLAMA_ORCH_INSTANCE=coder".to_owned(),
        "OPENAI_API_KEY=none".to_owned(),
        format!(
            "LLAMA_ORCH_HOME={}",
            rig.home.path().canonicalize().unwrap().display()
        ),
    ] {
        assert!(
            environment.lines().any(|found| found == line),
            "{line}\n{environment}"
        );
    }
    // The output is a log like any other, with and without an owner.
    let logs = ["work-unit", "logs", "parser.v2"];
    let expected = format!("asked\n{}\n", worktree.display());
    assert_eq!(rig.home.ok(&logs).stdout, expected);
    rig.home.ok(&["daemon", "stop", "--instances"]);
    assert_eq!(rig.home.ok(&logs).stdout, expected);
    let told = rig.told("parser.v2");
    for event in [
        "work_unit_changed - parser.v2: needs instance coder, which is started",
        "work_unit_changed - parser.v2: RUNNING → READY, GOAL → PLAN",
        "work_unit_done - parser.v2 is DONE: RUNNING → DONE in phase COMPLETE",
    ] {
        assert!(
            told.iter().any(|found| found == event),
            "{event}\n{told:#?}"
        );
    }
}

/// A unit, its options, and the reason, evidence and remedy that are expected.
type Row<'a> = (&'a str, &'a [&'a str], &'a str, Option<&'a str>, &'a str);

#[test]
fn every_way_to_fail_is_explained_with_its_last_words() {
    let rig = Rig::new(0);
    rig.write("plain", "echo never\n");
    write_script(&rig.worktree().join("lost"), "#!/nonexistent/interpreter\n");
    // It is never healthy, however late the crash is.
    let policy = "restart_policy.enabled = false\nhealthcheck.expected_body = \"never\"";
    rig.home.simulated("broken", &["--sim-crash", "3"], policy);
    rig.home.simulated("gone", &[], "");
    rig.home.ok(&["daemon", "start"]);
    let lines = "GOAL=for n in 1 2 3 4 5 6; do echo out $n; done; echo oops >&2; exit 3";
    let rows: [Row<'_>; 9] = [
        (
            "code",
            &["--command", lines],
            "exited with code 3",
            Some("out 3\nout 4\nout 5\nout 6\noops"),
            "its log may say more: llama-orch work-unit logs code",
        ),
        (
            "unknown",
            &["--command", "GOAL=no-such-tool-anywhere"],
            "exited with code 127: something it runs was not found",
            None,
            "it has the owner's PATH, not that of your shell; a full path is always found",
        ),
        (
            "signal",
            &["--command", "GOAL=kill -SEGV $$"],
            "its command was killed by SIGSEGV",
            None,
            "its log may say more: llama-orch work-unit logs signal",
        ),
        (
            "missing",
            &["--", "no-such-tool-anywhere", "--flag"],
            "the command of GOAL cannot be run: there is no no-such-tool-anywhere in its PATH",
            None,
            "it is run without a shell and with the owner's PATH; a full path is always found",
        ),
        (
            "plain",
            &["--", "./plain"],
            "the command of GOAL cannot be run: TREE/./plain cannot be executed: Permission \
             denied (os error 13)",
            None,
            "a path is taken from the worktree; chmod +x makes a script executable",
        ),
        (
            "lost",
            &["--", "./lost"],
            "the command of GOAL cannot be run: run TREE/./lost: No such file or directory (os \
             error 2)",
            None,
            "a script begins with #! and an interpreter that exists",
        ),
        (
            "elsewhere",
            &["--worktree", "/nonexistent/tree", "--command", "GOAL=true"],
            "its worktree /nonexistent/tree does not exist",
            None,
            "make it, or name another; then llama-orch work-unit status elsewhere READY",
        ),
        (
            "gone",
            &["--instance", "gone", "--command", "GOAL=true"],
            "the instance it needs, gone, does not exist",
            None,
            "make it: llama-orch init gone; or give the unit another instance",
        ),
        (
            "crashing",
            &["--instance", "broken", "--command", "GOAL=true"],
            "the instance it needs, broken, failed: exited with code 3",
            None,
            "its log may say more: llama-orch logs broken",
        ),
    ];
    for (chunk, options, ..) in &rows {
        // Its own worktree comes last and wins.
        let mut args = vec!["work-unit", "create", *chunk];
        let worktree = rig.worktree();
        if !options.contains(&"--worktree") {
            args.extend(["--worktree", worktree.to_str().unwrap()]);
        }
        args.extend(*options);
        rig.home.ok(&args);
    }
    fs::remove_dir_all(rig.home.path().join("instances/gone")).unwrap();
    rig.places(4, 30);
    let tree = rig.worktree().display().to_string();
    for (chunk, _, reason, evidence, remedy) in rows {
        let unit = rig.wait_status(chunk, "NEEDS_ATTENTION");
        assert_eq!(unit["reason"], reason.replace("TREE", &tree), "{chunk}");
        assert_eq!(unit["remedy"], remedy, "{chunk}");
        if let Some(evidence) = evidence {
            assert_eq!(unit["evidence"], evidence, "{chunk}");
        }
        assert_eq!(unit["phase"], "GOAL", "{chunk}");
        assert_eq!(unit["run_id"], Value::Null, "{chunk}");
    }
    // What was mended runs again.
    rig.write("flag", "");
    rig.home.ok(&[
        "work-unit",
        "edit",
        "code",
        "--command",
        "GOAL=test -e flag",
    ]);
    rig.home.ok(&["work-unit", "status", "code", "READY"]);
    rig.wait_for("code", "planned", |unit| {
        unit["phase"] == "PLAN" && unit["status"] == "READY"
    });
    rig.home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn fifty_units_begin_in_their_order_and_three_run_at_once() {
    let rig = Rig::new(0);
    rig.home.ok(&["daemon", "start"]);
    let names: Vec<String> = (0..50).map(|number| format!("u{number:02}")).collect();
    let command = "COMPLETE=mkdir -p here/$LLAMA_ORCH_CHUNK; ls here | wc -l >> counts; \
                   echo $LLAMA_ORCH_CHUNK >> trace; rmdir here/$LLAMA_ORCH_CHUNK";
    for name in &names {
        rig.create(name, &["--phase", "COMPLETE", "--command", command]);
    }
    // With 0 nothing runs, and nobody is told to look at it.
    assert!(names.iter().all(|name| rig.show(name)["status"] == "READY"));
    rig.places(3, 30);
    for name in &names {
        rig.wait_status(name, "DONE");
    }
    let begun: Vec<String> = rig
        .home
        .events()
        .iter()
        .filter_map(|event| event.strip_suffix(": READY → RUNNING in phase COMPLETE"))
        .filter_map(|event| event.rsplit(' ').next().map(str::to_owned))
        .collect();
    assert_eq!(begun, names);
    let counts = rig.written("counts");
    let most = counts
        .lines()
        .filter_map(|line| line.trim().parse::<u32>().ok())
        .max();
    assert!(most.is_some_and(|most| most <= 3), "{counts}");
    let mut ran: Vec<String> = rig.written("trace").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, names);
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_cancelled_command_goes_with_everything_it_started() {
    let rig = Rig::new(1);
    rig.places(1, 1);
    rig.home.ok(&["daemon", "start"]);
    let command = "GOAL=setsid sh -c 'trap \"\" TERM; echo $$ > detached; exec sleep 600' & \
                   sh -c 'trap \"echo tidy > tidied; exit 0\" TERM; echo $$ > asked; \
                   while :; do sleep 0.01; done'";
    rig.create("long", &["--command", command]);
    rig.create("next", &["--command", "GOAL=true"]);
    let pid = |name: &str| -> i32 {
        wait_until("it runs", || rig.written(name).ends_with('\n'));
        rig.written(name).trim().parse().unwrap()
    };
    let pids = [pid("detached"), pid("asked")];
    let unit = rig.show("long");
    assert_eq!(unit["status"], "RUNNING");
    assert_eq!(unit["run_id"], rig.run_file("long").run_id.as_str());
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    // Its place is taken, and nobody else may take or delete it meanwhile.
    assert_eq!(rig.show("next")["status"], "READY");
    assert_ne!(rig.home.run(&["work-unit", "rm", "long"]).code, 0);
    let cancel = [
        "work-unit",
        "status",
        "long",
        "NEEDS_ATTENTION",
        "--reason",
        "wrong branch",
    ];
    rig.home.ok(&cancel);
    let unit = rig.wait_for("long", "over", |unit| unit["run_id"].is_null());
    assert_eq!(unit["status"], "NEEDS_ATTENTION");
    assert_eq!(unit["reason"], "wrong branch");
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    assert_eq!(rig.written("tidied"), "tidy\n");
    rig.wait_for("next", "over", |unit| unit["phase"] == "PLAN");
    rig.home.ok(&["work-unit", "rm", "long"]);
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_daemon_that_stops_says_what_goes_on_and_stops_everything_when_told() {
    let rig = Rig::new(1);
    rig.home.simulated("coder", &[], "");
    rig.home.ok(&["daemon", "start"]);
    let command = "GOAL=echo $$ > pid; exec sleep 600";
    rig.create("v1.long", &["--instance", "coder", "--command", command]);
    rig.create(
        "next",
        &["--instance", "coder", "--command", "GOAL=touch begun"],
    );
    wait_until("it runs", || rig.written("pid").ends_with('\n'));
    let command: i32 = rig.written("pid").trim().parse().unwrap();
    let pids = [command, rig.home.pid("coder")];
    let told = rig.home.ok(&["daemon", "stop"]).stderr;
    assert!(told.contains("instances keep running"), "{told}");
    assert!(told.contains("go on: v1.long\n"), "{told}");
    assert!(
        told.contains("work-unit status v1.long NEEDS_ATTENTION"),
        "{told}"
    );
    assert!(pids.iter().all(|pid| !is_gone(*pid)));
    rig.home.ok(&["daemon", "start"]);
    let told = rig.home.ok(&["daemon", "stop", "--instances"]).stderr;
    assert!(told.contains("v1.long: its command is stopped"), "{told}");
    assert!(told.contains("coder: stopped"), "{told}");
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    let unit = rig.show("v1.long");
    assert_eq!(unit["status"], "NEEDS_ATTENTION");
    assert_eq!(
        unit["reason"],
        "its command was stopped together with the daemon"
    );
    // Nobody took the place that became free, nor started the instance for it.
    assert_eq!(rig.show("next")["status"], "READY");
    assert!(!rig.worktree().join("begun").exists());
    assert_eq!(rig.home.row("coder")["state"], "stopped");
}

#[test]
fn whoever_stops_an_instance_that_a_unit_waits_for_is_obeyed() {
    let rig = Rig::new(1);
    rig.home.simulated("slow", &["--sim-load-time", "600s"], "");
    rig.home.ok(&["daemon", "start"]);
    rig.create("waiting", &["--instance", "slow", "--command", "GOAL=true"]);
    rig.home.wait_state("slow", "loading");
    assert_eq!(rig.show("waiting")["status"], "READY");
    rig.home.ok(&["down", "slow"]);
    let unit = rig.wait_status("waiting", "NEEDS_ATTENTION");
    let reason = "the instance it needs, slow, was stopped while it waited for it";
    assert_eq!(unit["reason"], reason);
    assert_eq!(rig.home.row("slow")["state"], "stopped");
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn an_instance_called_work_and_units_called_like_its_files_do_not_meet() {
    let rig = Rig::new(4);
    rig.home.simulated("work", &[], "");
    rig.home.ok(&["daemon", "start"]);
    rig.home.ok(&["up", "work"]);
    let names = [
        "spec.json",
        "run.json",
        "tree.lock",
        "stdout.log",
        "stdout.log.1",
        "work",
    ];
    for name in names {
        rig.create(
            name,
            &[
                "--instance",
                "work",
                "--command",
                "GOAL=echo $LLAMA_ORCH_CHUNK",
            ],
        );
    }
    for name in names {
        rig.wait_for(name, "planned", |unit| unit["phase"] == "PLAN");
        let logs = rig.home.ok(&["work-unit", "logs", name]);
        assert_eq!(logs.stdout, format!("{name}\n"));
    }
    let pid = rig.home.pid("work");
    rig.home.ok(&["daemon", "restart"]);
    assert_eq!(rig.home.wait_state("work", "ready")["pid"], pid);
    assert_eq!(rig.home.ok(&["orphans", "--json"]).stdout.trim(), "[]");
    rig.home.ok(&["down", "work"]);
    rig.home.ok(&["daemon", "stop"]);
}

#[test]
fn a_command_talks_to_a_real_server_that_was_started_for_it() {
    let rig = Rig::new(1);
    let Some((server, model)) = real_server("work_runs real server", &rig.home) else {
        return;
    };
    rig.home.config(
        "real",
        &format!(
            "binary.path = {server:?}\nmodel.path = {model:?}\nserver.port = \"auto\"\n\
             args = [\"--api-key-file\", \"key\"]\n"
        ),
    );
    fs::write(rig.home.path().join("key"), "s3cret-of-the-file\n").unwrap();
    rig.home.ok(&["daemon", "start"]);
    let ask = "COMPLETE=curl -sS --noproxy '*' --fail -H \"Authorization: Bearer $OPENAI_API_KEY\" \
               $OPENAI_BASE_URL/models; echo; echo key $OPENAI_API_KEY; false";
    let options = [
        "--instance",
        "real",
        "--phase",
        "COMPLETE",
        "--command",
        ask,
    ];
    rig.create("ask", &options);
    let unit = rig.wait_status("ask", "NEEDS_ATTENTION");
    assert_eq!(unit["reason"], "exited with code 1");
    let evidence = unit["evidence"].as_str().unwrap();
    assert!(evidence.contains("\"real\""), "{evidence}");
    // The key is in the command's environment and in its own log, and nowhere else.
    assert!(evidence.ends_with("key ***"), "{evidence}");
    assert!(
        rig.home
            .events()
            .iter()
            .all(|event| !event.contains("s3cret"))
    );
    rig.home.ok(&["daemon", "stop", "--instances"]);
}

#[test]
fn an_answer_tells_how_the_unit_stands_by_then() {
    let rig = Rig::new(1);
    rig.home.ok(&["daemon", "start"]);
    let ran = rig
        .home
        .ok(&["work-unit", "create", "a", "--command", "GOAL=sleep 100"]);
    assert_eq!(
        ran.stderr,
        "created a: RUNNING in phase GOAL, the owner runs its command\n"
    );
    let second = rig
        .home
        .ok(&["work-unit", "create", "b", "--command", "GOAL=true"]);
    assert_eq!(
        second.stderr,
        "created b: READY in phase GOAL, its command waits for its turn (work.max_parallel is 1)\n"
    );
    rig.home.ok(&["work-unit", "rm", "b"]);
    rig.home.ok(&["daemon", "stop", "--instances"]);
}
