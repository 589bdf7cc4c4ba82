//! Runs without an owner: a shim and a program.

use std::fs;
use std::path::{Path, PathBuf};

use llama_orch::domain::run::StopMode;
use llama_orch::process::launch::{self, ShimProgram};
use llama_orch::process::live::LiveRun;
use llama_orch::process::os;
use llama_orch::process::runfiles::{
    AskFile, PROTOCOL, RUN_VARIABLE, RunPaths, SpecFile, TOKEN_VARIABLE,
};

use crate::table::PATIENCE;

pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_llama-orch-shim");

pub(crate) fn launch(paths: &RunPaths, spec: &SpecFile) -> LiveRun {
    fs::create_dir_all(paths.dir()).unwrap();
    launch::launch(paths, spec, &ShimProgram::at(PathBuf::from(SHIM))).unwrap()
}

/// Waits until the shim has ended, and reaps it.
pub(crate) fn finish(live: &LiveRun) {
    assert!(os::readable_within(&live.watched_fd(), PATIENCE));
    live.reap_shim();
}

pub(crate) fn end(live: &LiveRun, mode: StopMode) {
    live.stop(mode).unwrap();
    finish(live);
}

/// What to run in `folder`, where its logs go too.
pub(crate) fn spec(folder: &Path, program: &str, args: &[&str]) -> SpecFile {
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
        program: PathBuf::from(program),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
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
        build: None,
        config: std::collections::BTreeMap::new(),
        ask: AskFile::default(),
        unit: None,
    }
}
