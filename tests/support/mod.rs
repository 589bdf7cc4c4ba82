//! A temporary home with the real programs: verbs for tests, and a clean end whatever happens.

pub(crate) mod cgroup;
pub(crate) mod gguf;
pub(crate) mod lines;
pub(crate) mod run;
pub(crate) mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use llama_orch::process::runfiles::{self, RunFile, RunPaths};
use llama_orch::process::{orphans, os};
use serde_json::Value;

/// Nothing here takes this long; a machine under load may need much of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A home that stops everything it started when it is dropped.
pub(crate) struct TestHome {
    folder: tempfile::TempDir,
}

/// What became of starts: see [`TestHome::loads`].
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Loads {
    pub(crate) starts: usize,
    pub(crate) most_at_once: usize,
}

/// What a command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestHome {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("lo-").tempdir().unwrap();
        fs::create_dir(folder.path().join("instances")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes an instance that runs the simulated server with these flags; `more` is TOML.
    pub(crate) fn simulated(&self, name: &str, args: &[&str], more: &str) {
        let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
        self.config(
            name,
            &format!(
                "args = [{}]\nbinary.path = \"builtin:sim\"\nserver.port = \"auto\"\n{more}\n",
                args.join(", ")
            ),
        );
    }

    /// Writes an instance that runs this program with this model; `more` is TOML.
    pub(crate) fn serving(&self, name: &str, program: &Path, model: &Path, more: &str) {
        let port = if more.contains("server.port") {
            ""
        } else {
            "server.port = \"auto\"\n"
        };
        self.config(
            name,
            &format!(
                "binary.path = {program:?}\nmodel.path = {model:?}\nmodel.context_size = 512\n\
                 {port}{more}\n"
            ),
        );
    }

    pub(crate) fn config(&self, name: &str, text: &str) {
        let folder = self.path().join("instances").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llama-orch"));
        command
            .arg("--home")
            .arg(self.path())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Runs a command that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    pub(crate) fn ps(&self) -> Vec<Value> {
        let text = self.ok(&["ps", "--json"]).stdout;
        serde_json::from_str(&text).unwrap()
    }

    /// The row of one instance.
    pub(crate) fn row(&self, name: &str) -> Value {
        let rows = self.ps();
        rows.into_iter()
            .find(|row| row["name"] == name)
            .unwrap_or(Value::Null)
    }

    pub(crate) fn pid(&self, name: &str) -> i32 {
        let pid = self.row(name)["pid"].as_i64().unwrap_or_default();
        i32::try_from(pid).unwrap()
    }

    pub(crate) fn wait_for(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = self.row(name);
            if condition(&row) {
                return row;
            }
            assert!(
                Instant::now() < deadline,
                "{name} never became {what}: {row}"
            );
        }
    }

    /// Waits for a state word: ready, failed, stopped …
    pub(crate) fn wait_state(&self, name: &str, state: &str) -> Value {
        self.wait_for(name, state, |row| row["state"] == state)
    }

    pub(crate) fn owner(&self) -> Option<i32> {
        let ran = self.run(&["daemon", "status", "--json"]);
        let status: Value = serde_json::from_str(&ran.stdout).ok()?;
        i32::try_from(status["pid"].as_i64()?).ok()
    }

    pub(crate) fn run_paths(&self, name: &str) -> RunPaths {
        RunPaths::new(self.path().join("state/runs").join(name))
    }

    pub(crate) fn run_file(&self, name: &str) -> Option<RunFile> {
        runfiles::read(&self.run_paths(name).run()).ok().flatten()
    }

    /// All bytes of a stream, rotated files first.
    pub(crate) fn whole_log(&self, name: &str, stream: &str) -> Vec<u8> {
        let files = self.log_files(name, stream);
        let read = |file| fs::read(file).unwrap_or_default();
        files.into_iter().flat_map(read).collect()
    }

    /// Bytes of a stream, rotated files included.
    pub(crate) fn log_length(&self, name: &str, stream: &str) -> u64 {
        let files = self.log_files(name, stream);
        let length = |file| fs::metadata(file).map_or(0, |data| data.len());
        files.into_iter().map(length).sum()
    }

    fn log_files(&self, name: &str, stream: &str) -> Vec<PathBuf> {
        let folder = self.path().join("logs").join(name);
        llama_orch::logs::files_of(&folder.join(format!("{stream}.log")))
    }

    /// A reader that waits for news, so that runs are measured often.
    pub(crate) fn watcher(&self) -> Guarded {
        let mut command = self.command(&["ps", "--watch"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Guarded(command.spawn().unwrap())
    }

    /// How often instances were started and how many of them loaded at once, by their events.
    pub(crate) fn loads(&self) -> Loads {
        let mut loading = BTreeSet::new();
        let mut loads = Loads::default();
        for event in self.events() {
            let mut words = event.split(' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap().to_owned());
            let healthy = kind == "health_changed" && event.contains(" health healthy ");
            if kind == "started" {
                loads.starts += 1;
                loading.insert(name);
            } else if healthy || kind == "crashed" {
                loading.remove(&name);
            }
            loads.most_at_once = loads.most_at_once.max(loading.len());
        }
        loads
    }

    /// Events of the database, newest last, as `type instance message`.
    pub(crate) fn events(&self) -> Vec<String> {
        let path = self.path().join("state/state.sqlite");
        let filter = llama_orch::domain::event::EventFilter {
            limit: Some(10_000),
            ..Default::default()
        };
        let reader = llama_orch::store::Reader::open(&path).unwrap().unwrap();
        let events = reader.events(&filter).unwrap();
        events
            .iter()
            .map(|event| {
                let name = event.instance.as_deref().unwrap_or("-");
                format!("{} {name} {}", event.kind, event.message)
            })
            .collect()
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        // Whatever happened, nothing of this home may go on.
        if let Some(pid) = self.owner() {
            kill_hard(pid);
        }
        end_runs_of(self.path());
    }
}

/// Ends every process of a home's runs.
pub(crate) fn end_runs_of(home: &Path) {
    let runs = home.join("state/runs");
    for paths in orphans::folders(&[runs.clone(), runs.join("work")]) {
        if let Ok(Some(run)) = runfiles::read::<RunFile>(&paths.run()) {
            kill_token(&run.token);
            for pid in [run.shim.pid, run.child.pid] {
                let same = [run.shim.start, run.child.start];
                if os::stat(pid).is_ok_and(|stat| same.contains(&stat.start_ticks)) {
                    kill_hard(pid);
                }
            }
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A child that is killed when it is dropped.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

pub(crate) fn kill_hard(pid: i32) {
    if let Ok(pidfd) = os::open_pidfd(pid) {
        os::signal(&pidfd, rustix::process::Signal::KILL).ok();
        assert!(
            os::readable_within(&pidfd, PATIENCE),
            "pid {pid} does not die"
        );
    }
}

/// Kills every process that carries a token.
pub(crate) fn kill_token(token: &str) {
    for pid in with_token(token) {
        kill_hard(pid);
    }
}

/// The living processes that carry a token.
pub(crate) fn with_token(token: &str) -> Vec<i32> {
    let carries = |pid: &i32| {
        matches!(os::environment_variable(*pid, runfiles::TOKEN_VARIABLE), Ok(Some(found)) if found == token)
            && os::stat(*pid).is_ok_and(|stat| stat.state != 'Z')
    };
    os::all_pids()
        .unwrap()
        .into_iter()
        .filter(carries)
        .collect()
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        // Between two looks, so that what is waited for gets the processor.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Who is killed in a trial of a harness.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Victim {
    Owner,
    Shim,
    Both,
}

impl Victim {
    /// Each in its turn.
    pub(crate) fn of(trial: u64) -> Self {
        match trial % 3 {
            0 => Self::Owner,
            1 => Self::Shim,
            _ => Self::Both,
        }
    }
}

/// Trials of a harness: `LLAMA_ORCH_TRIALS` asks for more than the suite's few.
pub(crate) fn trials(usual: u64) -> u64 {
    std::env::var("LLAMA_ORCH_TRIALS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// Writes a program for others to run. Another process writes it: a child that a test beside this
/// one is just starting would inherit our descriptor, and the kernel refuses to run what is open
/// for writing.
pub(crate) fn write_script(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args([
            "-c",
            "umask 077; rm -f \"$0\"; cat >\"$0\" && chmod 700 \"$0\"",
        ])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(writer.wait().unwrap().success());
}

/// Puts a program of ours into a folder of the test's own.
pub(crate) fn install(program: &str, folder: &Path) {
    let to = folder.join(Path::new(program).file_name().unwrap());
    if fs::hard_link(program, &to).is_err() {
        fs::copy(program, &to).unwrap();
    }
}

pub(crate) fn is_gone(pid: i32) -> bool {
    os::stat(pid).map_or(true, |stat| stat.state == 'Z')
}

/// A real llama-server and a model it loads at once, or a line that says that the test is skipped.
/// `TINY_GGUF` may name another model.
pub(crate) fn real_server(test: &str, home: &TestHome) -> Option<(PathBuf, PathBuf)> {
    let path = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.exists())
    };
    let Some(server) = path("LLAMA_SERVER") else {
        skipped(test, "LLAMA_SERVER does not name a real llama-server");
        return None;
    };
    let model = path("TINY_GGUF").unwrap_or_else(|| {
        let model = home.path().join("tiny.gguf");
        gguf::write_tiny(&model);
        model
    });
    Some((server, model))
}

/// Says on the real stderr that a test did nothing; libtest would capture `eprintln!`.
pub(crate) fn skipped(test: &str, why: &str) {
    writeln!(io::stderr(), "SKIPPED {test}: {why}").ok();
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks for a completion and waits for its end, or the server's.
pub(crate) fn complete(port: u16, tokens: u32) -> io::Result<String> {
    let body = format!(r#"{{"prompt": "a", "n_predict": {tokens}, "ignore_eos": true}}"#);
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let request = format!(
        "POST /completion HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
