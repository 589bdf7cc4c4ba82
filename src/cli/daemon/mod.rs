//! `daemon start|stop|status|restart|autostart`, and `--daemon` itself.

mod stop;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::stop::What;
pub(super) use self::stop::end;
use super::args::DaemonCommand;
use super::exit::{CliError, Exit};
use super::output::Output;
use super::session;
use super::{act, install};
use crate::api::client::other_build::Owner;
use crate::api::wire::{OwnerStatus, Role, TcpBody, WorkCountsBody};
use crate::config::home::Home;
use crate::daemon::foreground::{self, Autostart, DaemonError};
use crate::daemon::logfile::LogFile;
use crate::domain::units::duration;
use crate::domain::work::WorkStatus;

/// A detached daemon answers within this, or something is wrong with it.
const START_TIME: Duration = Duration::from_secs(20);

/// What a detached daemon writes once its socket answers.
const READY: &str = "ready";

/// Stands between what failed and what to do about it.
const HINT: char = '\t';

/// `llama-orch daemon …`
///
/// # Errors
///
/// Returns why the daemon could not be started, reached or stopped (exit code 10).
pub(super) async fn run(
    home: &Home,
    command: DaemonCommand,
    output: &Output,
) -> Result<Exit, CliError> {
    match command {
        DaemonCommand::Start { autostart } => start(home, autostart_mode(autostart), output).await,
        DaemonCommand::Stop { instances, force } => {
            let what = match instances {
                true => What::Everything,
                false => What::Owner,
            };
            stop::run(home, what, act::stop_mode(force), output).await
        }
        DaemonCommand::Status { json } => status(home, json, output).await,
        DaemonCommand::Restart => {
            if session::owner_of(home).await?.is_some() {
                stop::end(home, output).await?;
            }
            start(home, Autostart::Wanted, output).await
        }
        DaemonCommand::Autostart => autostart(home, output).await,
        DaemonCommand::Install(args) => install::install(home, &args, output).await,
        DaemonCommand::Uninstall(args) => install::uninstall(&args, output),
        DaemonCommand::Detached { autostart } => detached(home, autostart_mode(autostart)).await,
    }
}

/// `llama-orch --daemon`: logs to stderr until it is told to stop.
///
/// # Errors
///
/// Returns why the home could not be owned.
pub(super) async fn foreground(home: &Home, autostart: bool) -> Result<Exit, CliError> {
    super::tracing::to_stderr();
    foreground::run(home, autostart_mode(autostart), || ())
        .await
        .map_err(|error| refused(&error))?;
    Ok(Exit::Success)
}

fn autostart_mode(all: bool) -> Autostart {
    if all {
        Autostart::All
    } else {
        Autostart::Wanted
    }
}

fn refused(error: &DaemonError) -> CliError {
    let text = session::daemon_error(error);
    match error {
        DaemonError::AlreadyOwned { .. } => text.with_hint("llama-orch daemon status tells more"),
        DaemonError::Held { .. } => {
            text.with_hint("end it: llama-orch daemon stop --force (instances keep running)")
        }
        DaemonError::Lock(_) | DaemonError::Own(_) | DaemonError::Signals(_) => text,
    }
}

async fn start(home: &Home, autostart: Autostart, output: &Output) -> Result<Exit, CliError> {
    if let Some(client) = session::owner_of(home).await? {
        let status = client.status().await?;
        if status.role == Role::Daemon {
            output.say(&format!("a daemon already runs (pid {})", status.pid));
            return Ok(Exit::Success);
        }
    }
    let pid = detach(home, autostart).await?;
    output.say(&format!(
        "daemon started (pid {pid}); its log: {}",
        home.daemon_logs_dir().display()
    ));
    Ok(Exit::Success)
}

/// Starts a daemon for a home that a dashboard gives up; returns its pid once it answers.
///
/// # Errors
///
/// Returns why there is no daemon.
pub(super) async fn start_detached(home: &Home) -> Result<u32, CliError> {
    detach(home, Autostart::Wanted).await
}

async fn detach(home: &Home, autostart: Autostart) -> Result<u32, CliError> {
    let home_dir = home.root().to_owned();
    tokio::task::spawn_blocking(move || spawn_detached(&home_dir, autostart))
        .await
        .map_err(|error| CliError::new(Exit::Daemon, error.to_string()))?
}

/// Starts ourselves in a session of its own and waits for its one line.
fn spawn_detached(home: &std::path::Path, autostart: Autostart) -> Result<u32, CliError> {
    let fail = |text: String| CliError::new(Exit::Daemon, text);
    let program = std::env::current_exe().map_err(|error| fail(error.to_string()))?;
    let mut command = Command::new(program);
    command.arg("--home").arg(home).args(["daemon", "detached"]);
    if autostart == Autostart::All {
        command.arg("--autostart");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| fail(format!("start the daemon: {error}")))?;
    let pid = child.id();
    let Some(stdout) = child.stdout.take() else {
        return Err(fail("the daemon has no stdout".to_owned()));
    };
    if !readable_within(&stdout, START_TIME) {
        return Err(fail(format!(
            "the daemon (pid {pid}) did not answer within {} s",
            START_TIME.as_secs()
        )));
    }
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).ok(); // an empty line is told below
    match line.trim() {
        READY => Ok(pid),
        "" => Err(fail(
            "the daemon ended without a word; see its log in logs/daemon/".to_owned(),
        )),
        words => Err(match words.split_once(HINT) {
            Some((words, hint)) => fail(words.to_owned()).with_hint(hint),
            None => fail(words.to_owned()),
        }),
    }
}

fn readable_within(fd: &impl AsFd, time: Duration) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let limit = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
}

/// The background process itself: its own session, its log in a file, one line on stdout.
async fn detached(home: &Home, autostart: Autostart) -> Result<Exit, CliError> {
    rustix::process::setsid().ok(); // already a leader when started by hand
    let folder = home.daemon_logs_dir();
    let log = match LogFile::open(&folder) {
        Ok(log) => log,
        Err(error) => {
            let error = CliError::chain(Exit::Daemon, &error).about("open", &folder);
            report_failure(&error);
            return Err(error);
        }
    };
    super::tracing::to_file(log);
    match foreground::run(home, autostart, || report(READY)).await {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            let error = refused(&error);
            ::tracing::error!("{}", error.message);
            report_failure(&error);
            Err(error)
        }
    }
}

/// Writes the one line the starter waits for, then lets go of its pipe.
fn report_failure(error: &CliError) {
    match &error.hint {
        Some(hint) => report(&format!("{}{HINT}{hint}", error.message)),
        None => report(&error.message),
    }
}

fn report(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .ok(); // the starter may be gone
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        rustix::stdio::dup2_stdout(null).ok(); // then the starter's pipe just stays open
    }
}

async fn status(home: &Home, json: bool, output: &Output) -> Result<Exit, CliError> {
    let Some(client) = session::owner_of(home).await? else {
        if json {
            output.json(&serde_json::Value::Null)?;
        } else {
            output.line(&format!("no owner; home {}", home.root().display()))?;
        }
        return Ok(Exit::Daemon);
    };
    tell_status(&client.status().await?, json, output)?;
    Ok(Exit::Success)
}

/// Says who owns a home.
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn tell_status(
    status: &OwnerStatus,
    json: bool,
    output: &Output,
) -> Result<(), CliError> {
    if json {
        output.json(status)?;
        return Ok(());
    }
    let role = match status.role {
        Role::Daemon => "daemon",
        Role::Dashboard => "dashboard",
        Role::Command => "command",
    };
    output.line(&format!(
        "{role} {} (pid {}), up {}, {} of {} instances running, home {}, database {}",
        status.version,
        status.pid,
        duration(status.uptime_seconds as f64),
        status.running,
        status.instances,
        status.home,
        status.database,
    ))?;
    if let Some(owner) = Owner::of_another_version(status) {
        output.warning(&owner.to_string());
        output.hint(owner.remedy());
    }
    if let Some(tcp) = &status.tcp {
        tell_address(tcp, output)?;
    }
    if let Some(counts) = work_counts(&status.work_units) {
        output.line(&counts)?;
    }
    Ok(())
}

/// Says where the API answers beside the socket, or why it does not although it should.
fn tell_address(tcp: &TcpBody, output: &Output) -> Result<(), CliError> {
    if let Some(problem) = &tcp.problem {
        let what = match tcp.url {
            None => "the API answers on the socket only",
            Some(_) => "the API is not as [api] says",
        };
        output.warning(&format!("{what}: {problem}"));
    }
    if let Some(url) = &tcp.url {
        let token = match &tcp.token_file {
            Some(file) => format!("the token in {file}"),
            None => "no token: everybody on this machine".to_owned(),
        };
        output.line(&format!("API at {url}, for {token}"))?;
    }
    Ok(())
}

/// Says how many work units there are of each status; nothing when there are none.
fn work_counts(counts: &WorkCountsBody) -> Option<String> {
    let counts = [
        (counts.needs_attention, WorkStatus::NeedsAttention),
        (counts.running, WorkStatus::Running),
        (counts.ready, WorkStatus::Ready),
        (counts.blocked, WorkStatus::Blocked),
        (counts.done, WorkStatus::Done),
    ];
    let words: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, status)| format!("{count} {status}"))
        .collect();
    (!words.is_empty()).then(|| format!("work units: {}", words.join(", ")))
}

async fn autostart(home: &Home, output: &Output) -> Result<Exit, CliError> {
    match session::owner_of(home).await? {
        Some(client) => {
            client.autostart().await?;
            output.say("autostart instances are starting");
            Ok(Exit::Success)
        }
        None => start(home, Autostart::All, output).await,
    }
}
