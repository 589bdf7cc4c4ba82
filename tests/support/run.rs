//! A run without an owner: what a shim is told to start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llama_orch::process::runfiles::{AskFile, PROTOCOL, RUN_VARIABLE, SpecFile, TOKEN_VARIABLE};

/// A script for the shell, run in `folder` under this token; its logs go to `logs`.
pub(crate) fn script(folder: &Path, logs: &Path, token: &str, script: &str) -> SpecFile {
    let run_id = uuid::Uuid::now_v7().to_string();
    SpecFile {
        version: PROTOCOL,
        run_id: run_id.clone(),
        token: token.to_owned(),
        instance: "test".to_owned(),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
        env: BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            (TOKEN_VARIABLE.to_owned(), token.to_owned()),
            (RUN_VARIABLE.to_owned(), run_id),
        ]),
        cwd: folder.to_owned(),
        stdout: logs.join("stdout.log"),
        stderr: logs.join("stderr.log"),
        max_size: 10 << 20,
        rotation: 3,
        grace_ms: 10_000,
        host: "127.0.0.1".to_owned(),
        port: None,
        open_files: None,
        oom: None,
        build: None,
        config: BTreeMap::new(),
        ask: AskFile::default(),
        unit: None,
    }
}
