//! From a decision to launch to a running process: looks first, then starts the shim.
//!
//! Blocking; runs on a blocking thread, never in the actor's loop.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::actor::UNPROBED;
use super::claims::{Claim, Claims};
use super::configs;
use super::decision::PortTable;
use super::preflight::{self, Ready};
use super::state::{Liveness, Up};
use crate::config::home::Home;
use crate::domain::autopsy::{Autopsy, Cause, RetryClass};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::lifecycle::Failure;
use crate::domain::readings::Readings;
use crate::domain::run::RunId;
use crate::probes::builds::Builds;
use crate::process::launch::{LaunchError, ShimProgram};
use crate::process::live::LiveRun;
use crate::process::oom;
use crate::process::runfiles::{
    AskFile, PROTOCOL, RUN_VARIABLE, RunPaths, SpecFile, TOKEN_VARIABLE,
};
use crate::process::{adopt, argv};

/// What every launch needs.
#[derive(Clone)]
pub struct Launcher {
    pub home: Home,
    pub shim: ShimProgram,
    /// What the programs of servers say of themselves.
    pub builds: Builds,
    /// The usual soft limit of open files, which servers get back.
    pub open_files: Option<u64>,
    /// Cancelled when this owner ends: what has not begun then is the next owner's to do.
    pub closing: CancellationToken,
    /// The ports given to runs so far.
    pub claims: Claims,
}

/// A launch that made a running process.
#[derive(Debug)]
pub struct Launched {
    pub up: Up,
    pub live: LiveRun,
    /// The port, if it listens on one.
    pub claim: Option<Claim>,
}

/// A launch that made no running process.
#[derive(Debug)]
pub struct LaunchFailed {
    pub failure: Failure,
    pub message: String,
    /// Present when the server would have ended of it.
    pub autopsy: Option<Autopsy>,
}

impl Launcher {
    /// Returns where the run files of an instance are.
    #[must_use]
    pub fn run_paths(&self, name: &InstanceName) -> RunPaths {
        RunPaths::new(self.home.runs_dir(name))
    }
}

/// Checks what can be checked before a process exists, then starts the shim and its server.
///
/// # Errors
///
/// Returns why nothing runs, as a person would say it.
pub fn launch(
    launcher: &Launcher,
    run: &RunId,
    spec: &InstanceSpec,
    taken: &PortTable,
) -> Result<Launched, LaunchFailed> {
    let Ready {
        program,
        claim,
        args,
        version,
    } = preflight::check(launcher, spec, taken)?;
    if launcher.closing.is_cancelled() {
        return Err(LaunchFailed {
            failure: Failure::Other,
            message: "the supervisor is ending".to_owned(),
            autopsy: None,
        });
    }
    let token = uuid::Uuid::new_v4().simple().to_string();
    let inherited = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let mut env = argv::environment(spec, inherited);
    env.insert(TOKEN_VARIABLE.to_owned(), token.clone());
    env.insert(RUN_VARIABLE.to_owned(), run.to_string());
    let file = SpecFile {
        version: PROTOCOL,
        run_id: run.to_string(),
        token,
        instance: spec.name.to_string(),
        program,
        args,
        env,
        cwd: PathBuf::from(launcher.home.root()),
        stdout: spec.logs.stdout.clone(),
        stderr: spec.logs.stderr.clone(),
        max_size: spec.logs.max_size,
        rotation: spec.logs.rotation,
        grace_ms: u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX),
        host: spec.server.host.clone(),
        port: claim.as_ref().map(Claim::port),
        open_files: launcher.open_files,
        oom: oom::counter(),
        build: version,
        config: configs::started_with(spec),
        ask: AskFile::Leader,
        unit: None,
    };
    let paths = launcher.run_paths(&spec.name);
    let live = crate::process::launch::launch(&paths, &file, &launcher.shim).map_err(|error| {
        let busy = matches!(error, LaunchError::Busy);
        let failed = LaunchFailed::from(error);
        if busy { held(&paths, failed) } else { failed }
    })?;
    let up = up(&live, Some(file));
    Ok(Launched { up, live, claim })
}

/// Names what lives of an earlier run, for whoever has to end it.
fn held(paths: &RunPaths, failed: LaunchFailed) -> LaunchFailed {
    let survivors = adopt::survivors(paths).unwrap_or_default();
    let Some(first) = survivors.first() else {
        return failed; // it has just ended, or may not be looked at
    };
    let named: Vec<String> = survivors
        .iter()
        .map(|orphan| format!("pid {} ({})", orphan.process.pid, orphan.executable))
        .collect();
    LaunchFailed {
        message: format!(
            "of an earlier run there still lives {}; llama-orch orphans --stop {} ends it",
            named.join(", "),
            first.process.pid
        ),
        ..failed
    }
}

/// Describes a living run to the policy; `started` is what it was started with, if that is known.
#[must_use]
pub fn up(live: &LiveRun, started: Option<SpecFile>) -> Up {
    let (build, started_with) =
        started.map_or_else(Default::default, |file| (file.build, file.config));
    Up {
        run: RunId::new(live.run.run_id.clone()),
        pid: live.run.child.pid,
        port: live.run.port,
        started_at: live.run.started_at,
        build,
        started_with,
        health: UNPROBED,
        detail: None,
        activity: None,
        progress: None,
        readings: Readings::default(),
        healthy_since: None,
        timer: 0,
        liveness: Liveness::default(),
    }
}

/// A refusal that lasts until somebody changes something.
pub(super) fn refused(cause: Cause, message: String, remedy: &str) -> LaunchFailed {
    LaunchFailed {
        failure: Failure::InvalidConfig,
        autopsy: Some(Autopsy {
            cause,
            class: RetryClass::Never,
            summary: message.clone(),
            evidence: None,
            remedy: Some(remedy.to_owned()),
        }),
        message,
    }
}

/// Writes an error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl From<LaunchError> for LaunchFailed {
    fn from(error: LaunchError) -> Self {
        let failure = match &error {
            LaunchError::Busy => Failure::Busy,
            LaunchError::Exec { .. } => Failure::ExecutableNotFound,
            LaunchError::Resources { .. } => Failure::Resources,
            LaunchError::Logs { .. } => {
                let message = chain(&error);
                let remedy = "set logs.stdout and logs.stderr to files that this user may write";
                return refused(Cause::LogUnwritable, message, remedy);
            }
            LaunchError::Shim { .. }
            | LaunchError::Protocol
            | LaunchError::Deadline
            | LaunchError::Io { .. } => Failure::Other,
        };
        Self {
            failure,
            message: chain(&error),
            autopsy: None,
        }
    }
}
