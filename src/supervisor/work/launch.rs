//! From a begun phase to a running command: looks first, then starts the shim.
//!
//! Blocking; runs on a blocking thread, never in the actor's loop.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lost;
use crate::config::home::Home;
use crate::domain::connection::NO_KEY;
use crate::domain::instance::InstanceSpec;
use crate::domain::run::RunId;
use crate::domain::work::{Attention, PhaseCommand, WorkUnit};
use crate::process::adopt::{self, Adoption};
use crate::process::launch::{LaunchError, launch as start};
use crate::process::live::LiveRun;
use crate::process::program::{self, ProgramError};
use crate::process::runfiles::{
    AskFile, HOME_VARIABLE, PROTOCOL, RUN_VARIABLE, RunPaths, SpecFile, TOKEN_VARIABLE,
};
use crate::process::{ambient, oom, os};
use crate::supervisor::launch::{Launcher, chain};
use crate::supervisor::log_files;
use crate::supervisor::probing::Endpoint;

/// Bytes of a log before it is rotated, and rotated logs that are kept; as for instances.
pub const LOG_SIZE: u64 = 10 << 20;
pub const ROTATION: u32 = 3;

/// Between the request to end and the end by force, where the home says nothing else.
pub const GRACE: Duration = Duration::from_secs(10);

/// A shim that came late writes its run file within this.
const LATE: Duration = Duration::from_secs(2);

/// Between two looks for that file.
const LATE_PAUSE: Duration = Duration::from_millis(10);

/// The command of one phase, about to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// As it begins.
    pub unit: WorkUnit,
    pub run: RunId,
    /// That of the unit's present phase.
    pub command: PhaseCommand,
    pub service: Option<Service>,
    pub grace: Duration,
}

/// The instance a command talks to, as its server runs now.
#[derive(Clone, Debug)]
pub struct Service {
    pub spec: Arc<InstanceSpec>,
    pub port: Option<u16>,
}

/// Why no command runs.
#[derive(Debug)]
pub enum NotLaunched {
    /// A person has to do something.
    Failed(Attention),
    /// It may be tried again in a while.
    Later(String),
    /// An earlier run of this very phase lives: an owner that ended in between had begun it.
    Earlier(Box<LiveRun>),
    /// This owner ends; the next one decides.
    Closing,
}

/// Checks what can be checked before a process exists, then starts the shim and the command.
///
/// # Errors
///
/// Returns why no command runs, or not yet.
pub fn launch(launcher: &Launcher, job: &Job) -> Result<LiveRun, NotLaunched> {
    let home = &launcher.home;
    let folder = folder(home, job)?;
    let inherited = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    let endpoint = job
        .service
        .as_ref()
        .and_then(|service| Endpoint::of(&service.spec, service.port, home.root()));
    let mut env = environment(home, job, &folder, endpoint.as_ref(), inherited);
    let program = program(job, &folder, &env)?;
    if launcher.closing.is_cancelled() {
        return Err(NotLaunched::Closing);
    }
    let token = uuid::Uuid::new_v4().simple().to_string();
    env.insert(TOKEN_VARIABLE.to_owned(), token.clone());
    env.insert(RUN_VARIABLE.to_owned(), job.run.to_string());
    let logs = log_files::of_unit(home, &job.unit.chunk);
    let spec = SpecFile {
        version: PROTOCOL,
        run_id: job.run.to_string(),
        token,
        instance: format!("work/{}", job.unit.chunk),
        program,
        args: job.command.argv()[1..].to_vec(),
        env,
        cwd: folder,
        stdout: logs.stdout,
        stderr: logs.stderr,
        max_size: LOG_SIZE,
        rotation: ROTATION,
        grace_ms: u64::try_from(job.grace.as_millis()).unwrap_or(u64::MAX),
        host: String::new(),
        port: None,
        open_files: launcher.open_files,
        oom: oom::counter(),
        build: None,
        config: BTreeMap::new(),
        ask: AskFile::Tree,
        unit: Some(lost::written(&job.unit)),
    };
    let paths = RunPaths::new(home.work_run_dir(&job.unit.chunk));
    match start(&paths, &spec, &launcher.shim) {
        Ok(live) => Ok(live),
        Err(LaunchError::Busy) => busy(&paths, job),
        Err(error) => Err(refused(&error, job)),
    }
}

/// Returns the folder the command runs in: the worktree, or the home.
fn folder(home: &Home, job: &Job) -> Result<PathBuf, NotLaunched> {
    let Some(worktree) = &job.unit.worktree else {
        return Ok(home.root().to_owned());
    };
    let why = match std::fs::metadata(worktree) {
        Ok(data) if data.is_dir() => match os::may_enter(worktree) {
            Ok(()) => return Ok(worktree.clone()),
            Err(error) => format!("cannot be entered: {error}"),
        },
        Ok(_) => "is not a directory".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be looked at: {error}"),
    };
    let summary = format!("its worktree {} {why}", worktree.display());
    let remedy = format!(
        "make it, or name another; then llama-orch work-unit status {} READY",
        job.unit.chunk
    );
    let why = Attention::explained(&summary, None, Some(&remedy));
    Err(NotLaunched::Failed(why))
}

fn program(
    job: &Job,
    folder: &Path,
    env: &BTreeMap<String, String>,
) -> Result<PathBuf, NotLaunched> {
    let path = env.get("PATH").map_or("", String::as_str);
    let word = job.command.argv().first().map_or("", String::as_str);
    program::find(word, folder, path).map_err(|error| {
        let (why, evidence, remedy) = match &error {
            ProgramError::NotInPath { name, path } => (
                format!("there is no {name} in its PATH"),
                Some(format!("PATH={path}")),
                "it is run without a shell and with the owner's PATH; a full path is always found",
            ),
            ProgramError::Missing { .. } | ProgramError::NotExecutable { .. } => (
                chain(&error),
                None,
                "a path is taken from the worktree; chmod +x makes a script executable",
            ),
            ProgramError::Own(_) => (chain(&error), None, "reinstall llama-orch"),
        };
        let summary = format!("the command of {} cannot be run: {why}", job.unit.phase);
        let why = Attention::explained(&summary, evidence.as_deref(), Some(remedy));
        NotLaunched::Failed(why)
    })
}

/// Returns the command's environment: the owner's, and where its unit and its instance are.
fn environment(
    home: &Home,
    job: &Job,
    folder: &Path,
    endpoint: Option<&Endpoint>,
    inherited: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = inherited
        .filter(|(name, _)| !ambient::is_for_the_owner(name))
        .collect();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    set("PWD", text(folder));
    set(HOME_VARIABLE, text(home.root()));
    set("LLAMA_ORCH_SOCKET", text(&home.socket()));
    set("LLAMA_ORCH_CHUNK", job.unit.chunk.to_string());
    set("LLAMA_ORCH_PHASE", job.unit.phase.to_string());
    set("LLAMA_ORCH_WORKTREE", text(folder));
    if let Some(service) = &job.service {
        set("LLAMA_ORCH_INSTANCE", service.spec.name.to_string());
    }
    if let Some(endpoint) = endpoint {
        set("OPENAI_BASE_URL", endpoint.base_url.clone());
        // Never the user's own key, which belongs to somebody else's server.
        let key = endpoint.key.as_ref().map_or(NO_KEY, |key| key.reveal());
        set("OPENAI_API_KEY", key.to_owned());
        if let Some(socket) = &endpoint.socket {
            set("LLAMA_ORCH_INSTANCE_SOCKET", text(socket));
        }
    }
    env
}

/// Something of this unit lives: this very run, started by a shim that came late; an earlier run
/// of the phase; or a leftover that has to go first.
fn busy(paths: &RunPaths, job: &Job) -> Result<LiveRun, NotLaunched> {
    let deadline = Instant::now() + LATE;
    loop {
        match adopt::inspect(paths) {
            Adoption::Live(live) | Adoption::ShimGone(live) => {
                if live.run.run_id == job.run.as_str() {
                    return Ok(*live);
                }
                if is_of(paths, job) {
                    return Err(NotLaunched::Earlier(live));
                }
            }
            Adoption::Nothing
            | Adoption::Ended(..)
            | Adoption::Rebooted(_)
            | Adoption::Vanished(_)
            | Adoption::Unproven { .. }
            | Adoption::Damaged { .. } => {}
        }
        if Instant::now() >= deadline {
            let why = "something of its last run still lives (llama-orch orphans shows it)";
            return Err(NotLaunched::Later(why.to_owned()));
        }
        std::thread::sleep(LATE_PAUSE);
    }
}

/// Returns whether the run on record is of the same phase.
fn is_of(paths: &RunPaths, job: &Job) -> bool {
    let spec: Option<SpecFile> = crate::process::runfiles::read(&paths.spec()).ok().flatten();
    let unit = spec.and_then(|spec| spec.unit);
    unit.is_some_and(|unit| unit.phase == job.unit.phase.as_str())
}

fn refused(error: &LaunchError, job: &Job) -> NotLaunched {
    match error {
        LaunchError::Busy | LaunchError::Resources { .. } => NotLaunched::Later(chain(error)),
        LaunchError::Exec { message } => {
            let summary = format!("the command of {} cannot be run: {message}", job.unit.phase);
            let remedy = "a script begins with #! and an interpreter that exists";
            NotLaunched::Failed(Attention::explained(&summary, None, Some(remedy)))
        }
        LaunchError::Logs { .. }
        | LaunchError::Shim { .. }
        | LaunchError::Protocol
        | LaunchError::Deadline
        | LaunchError::Io { .. } => {
            let summary = format!(
                "the command of {} was not started: {}",
                job.unit.phase,
                chain(error)
            );
            let remedy = "llama-orch doctor looks at the installation";
            NotLaunched::Failed(Attention::explained(&summary, None, Some(remedy)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::home::HomeOrigin;
    use crate::domain::instance::tests::spec;
    use crate::domain::work::{Chunk, Phase, State};

    fn job(worktree: Option<PathBuf>, words: &[&str]) -> Job {
        let words = words.iter().map(ToString::to_string).collect();
        let unit = WorkUnit {
            chunk: Chunk::parse("parser").expect("a name"),
            phase: Phase::Plan,
            state: State::Ready,
            blocked_by: BTreeSet::new(),
            worktree,
            instance: None,
            commands: BTreeMap::new(),
            time_limit: None,
            created_at: 1.0,
            updated_at: 1.0,
            since: 1.0,
        };
        Job {
            unit,
            run: RunId::new("1".to_owned()),
            command: PhaseCommand::parse(words).expect("a command"),
            service: None,
            grace: GRACE,
        }
    }

    fn serving(args: &str) -> Job {
        let mut spec = spec("coder");
        spec.args = args.split_whitespace().map(str::to_owned).collect();
        Job {
            service: Some(Service {
                spec: Arc::new(spec),
                port: Some(8081),
            }),
            ..job(None, &["true"])
        }
    }

    #[test]
    fn a_command_is_told_where_everything_is_and_keeps_no_key_of_others() {
        let home = Home::open(Path::new("/h"), HomeOrigin::Flag).expect("a path");
        let of = |job: &Job| {
            let inherited = [
                ("PATH", "/bin"),
                ("PWD", "/elsewhere"),
                ("OPENAI_API_KEY", "the-users-own"),
                ("ANTHROPIC_API_KEY", "for-an-agent"),
                ("NOTIFY_SOCKET", "/run/systemd"),
                ("LISTEN_FDS", "1"),
                ("LLAMA_ORCH_ID", "of-another-run"),
            ];
            let inherited = inherited.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let service = job.service.as_ref();
            let endpoint =
                service.and_then(|service| Endpoint::of(&service.spec, service.port, home.root()));
            let inherited = inherited.into_iter();
            let env = environment(&home, job, Path::new("/w"), endpoint.as_ref(), inherited);
            let pairs = env.iter().map(|(name, value)| format!("{name}={value}"));
            pairs.collect::<Vec<_>>()
        };
        let ours = [
            "LLAMA_ORCH_CHUNK=parser",
            "LLAMA_ORCH_HOME=/h",
            "LLAMA_ORCH_PHASE=PLAN",
            "LLAMA_ORCH_SOCKET=/h/state/llama-orch.sock",
            "LLAMA_ORCH_WORKTREE=/w",
        ];
        let mut expected = vec!["ANTHROPIC_API_KEY=for-an-agent"];
        expected.extend(ours);
        expected.extend(["OPENAI_API_KEY=the-users-own", "PATH=/bin", "PWD=/w"]);
        assert_eq!(of(&job(None, &["true"])), expected);
        for (args, key) in [("", "none"), ("--api-key s3cret", "s3cret")] {
            let key = format!("OPENAI_API_KEY={key}");
            let mut expected = vec!["ANTHROPIC_API_KEY=for-an-agent"];
            expected.extend(&ours[..2]);
            expected.push("LLAMA_ORCH_INSTANCE=coder");
            expected.extend(&ours[2..]);
            expected.extend([
                &key,
                "OPENAI_BASE_URL=http://127.0.0.1:8081/v1",
                "PATH=/bin",
                "PWD=/w",
            ]);
            assert_eq!(of(&serving(args)), expected);
        }
    }

    #[test]
    fn what_cannot_be_run_is_named_before_anything_starts() {
        let place = tempfile::tempdir().expect("a folder");
        let home = Home::open(place.path(), HomeOrigin::Flag).expect("a path");
        let root = home.root().to_owned();
        std::fs::write(root.join("file"), "").expect("write");
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let checked = |job: &Job| {
            let folder = folder(&home, job)?;
            program(job, &folder, &env).map(|_| folder)
        };
        assert_eq!(checked(&job(None, &["sh"])).ok(), Some(root.clone()));
        let rows = [
            (Some("gone"), "sh", "its worktree ROOT/gone does not exist"),
            (
                Some("file"),
                "sh",
                "its worktree ROOT/file is not a directory",
            ),
            (
                None,
                "no-such-tool",
                "the command of PLAN cannot be run: there is no no-such-tool in its PATH",
            ),
            (
                None,
                "./file",
                "the command of PLAN cannot be run: ROOT/./file cannot be executed: \
                 Permission denied (os error 13)",
            ),
        ];
        for (worktree, word, expected) in rows {
            let worktree = worktree.map(|name| root.join(name));
            let Err(NotLaunched::Failed(why)) = checked(&job(worktree, &[word])) else {
                unreachable!("{expected}");
            };
            let expected = expected.replace("ROOT", &root.display().to_string());
            assert_eq!(why.summary, expected);
            assert!(why.remedy.is_some());
        }
    }
}
