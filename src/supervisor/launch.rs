//! From a decision to launch to a running process: looks first, then starts the shim.
//!
//! Blocking; runs on a blocking thread, never in the actor's loop.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::actor::UNPROBED;
use super::configs;
use super::decision::PortTable;
use super::fit;
use super::state::{Liveness, Up};
use crate::config::home::Home;
use crate::domain::instance::{Binary, InstanceName, InstanceSpec, Port};
use crate::domain::lifecycle::Failure;
use crate::domain::readings::Readings;
use crate::domain::run::RunId;
use crate::probes::binary;
use crate::process::argv::{self, FitFlag};
use crate::process::launch::{LaunchError, ShimProgram};
use crate::process::live::LiveRun;
use crate::process::runfiles::{PROTOCOL, RUN_VARIABLE, RunPaths, SpecFile, TOKEN_VARIABLE};
use crate::process::{oom, ports, program};

/// What every launch needs.
#[derive(Clone)]
pub struct Launcher {
    pub home: Home,
    pub shim: ShimProgram,
    /// The usual soft limit of open files, which servers get back.
    pub open_files: Option<u64>,
}

/// A launch that made no running process.
#[derive(Debug)]
pub struct LaunchFailed {
    pub failure: Failure,
    pub message: String,
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
) -> Result<(Up, LiveRun), LaunchFailed> {
    let program = program::resolve(&spec.binary)
        .map_err(|error| failed(Failure::ExecutableNotFound, &error))?;
    if let Some(model) = &spec.model.path
        && !matches!(spec.binary, Binary::Simulated)
        && !model.is_file()
    {
        let message = format!("the model file is missing: {}", model.display());
        return Err(LaunchFailed {
            failure: Failure::InvalidConfig,
            message,
        });
    }
    if let Some(message) = fit::refusal(&launcher.home, spec) {
        return Err(LaunchFailed {
            failure: Failure::InvalidConfig,
            message,
        });
    }
    let port = pick_port(spec, taken)?;
    let state_dir = launcher.home.state_dir();
    let fit = if binary::knows_flag(&state_dir, &program.path, &program.prefix, "-fit") {
        FitFlag::Known
    } else {
        FitFlag::Unknown
    };
    let mut args = program.prefix;
    args.extend(argv::arguments(spec, port, fit));
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
        program: program.path,
        args,
        env,
        cwd: PathBuf::from(launcher.home.root()),
        stdout: spec.logs.stdout.clone(),
        stderr: spec.logs.stderr.clone(),
        max_size: spec.logs.max_size,
        rotation: spec.logs.rotation,
        grace_ms: u64::try_from(spec.stop_grace.as_millis()).unwrap_or(u64::MAX),
        host: spec.server.host.clone(),
        port,
        open_files: launcher.open_files,
        oom: oom::counter(),
        config: configs::started_with(spec),
    };
    let live =
        crate::process::launch::launch(&launcher.run_paths(&spec.name), &file, &launcher.shim)
            .map_err(LaunchFailed::from)?;
    Ok((up(&live, configs::started_with(spec)), live))
}

/// Describes a living run to the policy.
#[must_use]
pub fn up(live: &LiveRun, started_with: std::collections::BTreeMap<String, String>) -> Up {
    Up {
        run: RunId::new(live.run.run_id.clone()),
        pid: live.run.child.pid,
        port: live.run.port,
        started_at: live.run.started_at,
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

fn pick_port(spec: &InstanceSpec, taken: &PortTable) -> Result<Option<u16>, LaunchFailed> {
    let host = &spec.server.host;
    let is_socket = host.ends_with(".sock");
    match spec.server.port {
        Port::Fixed(port) if !is_socket => {
            if let Some(other) = taken.used.get(&port).filter(|other| **other != spec.name) {
                let message = format!("port {port} is used by instance {other}");
                return Err(LaunchFailed {
                    failure: Failure::PortInUse,
                    message,
                });
            }
            ports::check_free(host, port).map_err(|error| failed(Failure::PortInUse, &error))?;
            Ok(Some(port))
        }
        Port::Auto if !is_socket => {
            let avoid: Vec<u16> = taken
                .used
                .keys()
                .chain(taken.reserved.keys())
                .copied()
                .collect();
            let port = ports::choose_free(host, &avoid)
                .map_err(|error| failed(Failure::Resources, &error))?;
            Ok(Some(port))
        }
        Port::Fixed(_) | Port::Auto => {
            ports::check_free(host, 0).map_err(|error| failed(Failure::PortInUse, &error))?;
            remove_stale_socket(Path::new(host));
            Ok(None)
        }
    }
}

/// llama-server leaves its socket file behind and then cannot bind it again.
fn remove_stale_socket(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        fs::remove_file(path).ok(); // then the server says that it cannot bind
    }
}

fn failed(failure: Failure, error: &dyn std::error::Error) -> LaunchFailed {
    LaunchFailed {
        failure,
        message: chain(error),
    }
}

/// Writes an error with all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
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
            LaunchError::Shim { .. }
            | LaunchError::Protocol
            | LaunchError::Deadline
            | LaunchError::Io { .. } => Failure::Other,
        };
        failed(failure, &error)
    }
}
