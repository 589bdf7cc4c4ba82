//! A temporary home with the real programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use llama_orch::process::os;
use llama_orch::process::runfiles::{RunFile, RunPaths, read};

use crate::table::PATIENCE;

pub(crate) const MAIN: &str = env!("CARGO_BIN_EXE_llama-orch");

/// A simulated server that is ready at once and always restarted at once.
pub(crate) const SIMULATED: &str = "args = [\"--sim-load-time\", \"0\"]\nbinary.path = \"builtin:sim\"\n\
                                    server.port = \"auto\"\nrestart_policy.initial_delay = 0\n\
                                    restart_policy.max_retries = 100\n";

pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new(instances: usize, config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("lob-").tempdir().unwrap();
        let home = Self { folder };
        for number in 0..instances {
            let folder = home.path().join("instances").join(name(number));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("config.toml"), config).unwrap();
        }
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
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
        command.arg("--home").arg(self.path()).args(args);
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run_paths(&self, number: usize) -> RunPaths {
        RunPaths::new(self.path().join("state/runs").join(name(number)))
    }

    pub(crate) fn run_file(&self, number: usize) -> Option<RunFile> {
        read(&self.run_paths(number).run()).ok().flatten()
    }

    pub(crate) fn owner(&self) -> i32 {
        let text = self.run(&["daemon", "status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(status["pid"].as_i64().unwrap()).unwrap()
    }

    /// How many instances have a process, by what `ps` says.
    pub(crate) fn running(&self) -> usize {
        let rows: Vec<serde_json::Value> =
            serde_json::from_str(&self.run(&["ps", "--json"])).unwrap();
        rows.iter().filter(|row| row["pid"].is_i64()).count()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.command(&["down", "--all", "--force"]).output().ok();
        self.command(&["daemon", "stop"]).output().ok();
    }
}

pub(crate) fn name(number: usize) -> String {
    format!("i{number:04}")
}

pub(crate) fn kill(pid: i32) {
    let pidfd = os::open_pidfd(pid).unwrap();
    os::signal(&pidfd, rustix::process::Signal::KILL).unwrap();
    assert!(os::readable_within(&pidfd, PATIENCE));
}

/// A real server and a model for it, when the environment names both.
pub(crate) fn real_server() -> Option<(PathBuf, PathBuf)> {
    let path = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from)?;
        path.exists().then_some(path)
    };
    Some((path("LLAMA_SERVER")?, path("TINY_GGUF")?))
}

pub(crate) fn real_config(server: &Path, model: &Path, port: &str) -> String {
    format!(
        "binary.path = {server:?}\nmodel.path = {model:?}\nmodel.context_size = 512\n\
         server.port = {port}\nrestart_policy.initial_delay = 0\nrestart_policy.max_retries = 100\n"
    )
}
