//! `daemon install|uninstall`: the supervisor as a service that starts by itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use etcetera::BaseStrategy as _;

use super::exit::{CliError, Exit};
use super::output::Output;
use super::session;
use crate::api::wire::Role;
use crate::config::home::Home;
use crate::config::save::{self, Existing};
use crate::daemon::service::{self, Scope, Service};

/// Where the machine's own units are.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  llama-orch daemon install                 (a systemd unit of your own, enabled and started)\n  llama-orch daemon install --print         (shows it, changes nothing)\n  sudo llama-orch --home /srv/llama daemon install --system --user models\n  llama-orch daemon install --print --for launchd > llama-orch.plist"
)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    which: Which,
    /// With --system: the user it runs as [default: who called sudo]
    #[arg(long, value_name = "NAME", requires = "system")]
    user: Option<String>,
    /// Write and enable it, but do not start it now
    #[arg(long)]
    no_start: bool,
    /// Print what would be written, and change nothing
    #[arg(long)]
    print: bool,
    /// What to write it for; all but systemd are only printed
    #[arg(long = "for", value_enum, default_value_t, value_name = "MANAGER")]
    manager: Manager,
}

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  llama-orch daemon uninstall\n  sudo llama-orch daemon uninstall --system\n\nInstances keep running; llama-orch down --all stops them."
)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    which: Which,
}

/// Which service.
#[derive(Clone, Debug, Args)]
struct Which {
    /// For the whole machine, started at boot (needs root)
    #[arg(long)]
    system: bool,
    /// The service's name, when several homes have one each
    #[arg(long, value_name = "NAME", default_value = "llama-orch", value_parser = service_name)]
    name: String,
}

/// What starts services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Manager {
    #[default]
    Systemd,
    /// macOS
    Launchd,
    /// Windows, without any other program
    TaskScheduler,
    /// Windows, as a service by the wrapper NSSM
    Nssm,
}

fn service_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.starts_with('.') || !text.bytes().all(allowed) {
        return Err("a name is made of letters, digits, '-', '_' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

/// `llama-orch daemon install`
///
/// # Errors
///
/// Returns why the service could not be written, or not be started (exit code 10).
pub(super) async fn install(
    home: &Home,
    args: &InstallArgs,
    output: &Output,
) -> Result<Exit, CliError> {
    let service = describe(home, args)?;
    if args.manager != Manager::Systemd {
        return print_foreign(&service, args, output);
    }
    let text = service::unit(&service);
    if args.print {
        output.bytes(text.as_bytes())?;
        return Ok(Exit::Success);
    }
    let path = unit_path(&args.which)?;
    refuse_foreign(&path, &service)?;
    fs::create_dir_all(home.instances_dir())?;
    save::save(&path, &text, Existing::Replace)
        .map_err(|error| CliError::new(Exit::Daemon, error.to_string()))?;
    output.line(&path.display().to_string())?;
    warn_of_place(&service.program, output);
    let manager = Systemd::of(&args.which);
    if !manager.runs() {
        return not_running(&manager, args, output);
    }
    manager.call(&["daemon-reload"])?;
    manager.call(&["enable", &args.which.name])?;
    if !args.no_start {
        end_detached_daemon(home, &manager, &args.which.name, output).await?;
        manager.call(&["restart", &args.which.name])?;
        output.say(&format!("{} is enabled and runs", args.which.name));
    }
    if !args.which.system {
        check_linger(output);
    }
    Ok(Exit::Success)
}

/// `llama-orch daemon uninstall`
///
/// # Errors
///
/// Returns an error when there is no such service, or it is not ours.
pub(super) fn uninstall(args: &UninstallArgs, output: &Output) -> Result<Exit, CliError> {
    let path = unit_path(&args.which)?;
    let text = fs::read_to_string(&path).map_err(|error| {
        CliError::new(Exit::Daemon, format!("{}: {error}", path.display())).with_hint(
            "nothing is installed under this name; --system and --name say which is meant",
        )
    })?;
    if !text.starts_with(service::MARK) {
        let message = format!("{} was not written by llama-orch", path.display());
        return Err(CliError::new(Exit::Daemon, message).with_hint("remove it by hand"));
    }
    let manager = Systemd::of(&args.which);
    let runs = manager.runs();
    if runs {
        manager.call(&["disable", "--now", &args.which.name])?;
    }
    fs::remove_file(&path)?;
    if runs {
        manager.call(&["daemon-reload"])?;
    } else {
        output.warning(&format!(
            "{} does not run here, so nothing was stopped",
            manager.words()
        ));
    }
    output.say(&format!(
        "removed {}; instances keep running",
        path.display()
    ));
    Ok(Exit::Success)
}

fn describe(home: &Home, args: &InstallArgs) -> Result<Service, CliError> {
    let scope = if args.which.system {
        let caller = || env::var("SUDO_USER").ok().filter(|user| !user.is_empty());
        let user = args.user.clone().or_else(caller).or_else(user_name);
        let Some(user) = user else {
            return Err(
                CliError::new(Exit::Usage, "the user it runs as is not known")
                    .with_hint("name one with --user"),
            );
        };
        Scope::System { user }
    } else {
        Scope::User
    };
    Ok(Service {
        name: args.which.name.clone(),
        program: env::current_exe()?,
        home: home.root().to_owned(),
        scope,
    })
}

/// Prints a service for a platform that llama-orch does not run on yet, with what to do with it.
fn print_foreign(service: &Service, args: &InstallArgs, output: &Output) -> Result<Exit, CliError> {
    let name = &args.which.name;
    let (text, steps) = match args.manager {
        Manager::Systemd => (service::unit(service), String::new()),
        Manager::Launchd if args.which.system => (
            service::property_list(service),
            format!(
                "put it at /Library/LaunchDaemons/{name}.plist, then: sudo launchctl bootstrap system /Library/LaunchDaemons/{name}.plist"
            ),
        ),
        Manager::Launchd => (
            service::property_list(service),
            format!(
                "put it at ~/Library/LaunchAgents/{name}.plist, then: launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/{name}.plist"
            ),
        ),
        Manager::TaskScheduler => (
            service::task_xml(service),
            format!(
                "save it as {name}.xml, then: schtasks /Create /TN {name} /XML {name}.xml && schtasks /Run /TN {name}"
            ),
        ),
        Manager::Nssm => (
            service::nssm_commands(service),
            "run these in an elevated prompt, with nssm.exe in PATH".to_owned(),
        ),
    };
    output.bytes(text.as_bytes())?;
    output.hint(&steps);
    output.warning(
        "llama-orch itself runs on Linux only; this is for a port of it, with its paths corrected",
    );
    Ok(Exit::Success)
}

fn unit_path(which: &Which) -> Result<PathBuf, CliError> {
    let folder = if which.system {
        PathBuf::from(SYSTEM_UNITS)
    } else {
        let strategy = etcetera::choose_base_strategy()
            .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
        strategy.config_dir().join("systemd/user")
    };
    Ok(folder.join(format!("{}.service", which.name)))
}

/// A unit that is not ours, or of another home, is never replaced.
fn refuse_foreign(path: &Path, service: &Service) -> Result<(), CliError> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(());
    };
    let command = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("ExecStart="));
        let home = line.and_then(|line| line.split_once(" --home "));
        home.map(|(_, home)| home.to_owned())
    };
    let message = if !text.starts_with(service::MARK) {
        format!(
            "{} is there and was not written by llama-orch",
            path.display()
        )
    } else if command(&text) != command(&service::unit(service)) {
        format!("{} belongs to another home", path.display())
    } else {
        return Ok(());
    };
    Err(CliError::new(Exit::Daemon, message).with_hint("give this one a name: --name llama-orch-2"))
}

fn warn_of_place(program: &Path, output: &Output) {
    let parts: Vec<_> = program.iter().map(|part| part.to_string_lossy()).collect();
    if parts.iter().any(|part| part == "target") {
        output.warning(&format!(
            "the service runs {}, which the next build replaces; cargo install --path . gives it a place that stays",
            program.display()
        ));
    }
}

fn not_running(manager: &Systemd, args: &InstallArgs, output: &Output) -> Result<Exit, CliError> {
    let name = &args.which.name;
    let call = manager.shown();
    output.warning(&format!(
        "{} does not run here: the unit is written, and neither enabled nor started",
        manager.words()
    ));
    let now = if args.no_start { "" } else { " --now" };
    output.hint(&format!(
        "where it runs: {call} daemon-reload && {call} enable{now} {name}"
    ));
    // Who asked only for the file has it; who asked for a running service has not.
    Ok(if args.no_start {
        Exit::Success
    } else {
        Exit::Daemon
    })
}

/// A daemon that was started by hand would hold the home; the service takes its place.
async fn end_detached_daemon(
    home: &Home,
    manager: &Systemd,
    name: &str,
    output: &Output,
) -> Result<(), CliError> {
    if manager.call(&["is-active", "--quiet", name]).is_ok() {
        return Ok(()); // it is the service itself, which is restarted
    }
    let Some(client) = session::owner_of(home).await? else {
        return Ok(());
    };
    let status = client.status().await?;
    if status.role == Role::Daemon {
        output.say(&format!(
            "the daemon that runs (pid {}) makes way; instances keep running",
            status.pid
        ));
        super::daemon::end(home, output).await?;
    }
    Ok(())
}

/// A user's services end when the user logs out, unless systemd lets them linger.
fn check_linger(output: &Output) {
    let lingers =
        user_name().is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user).exists());
    if !lingers {
        output.warning("it ends when you log out, and starts only when you log in");
        output.hint("to keep it: loginctl enable-linger");
    }
}

fn user_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let known = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    known.or_else(|| env::var("USER").ok().filter(|user| !user.is_empty()))
}

/// The systemd of the user or of the machine.
struct Systemd {
    is_system: bool,
    runtime_dir: PathBuf,
}

impl Systemd {
    fn of(which: &Which) -> Self {
        let by_uid = || format!("/run/user/{}", rustix::process::getuid().as_raw()).into();
        Self {
            is_system: which.system,
            runtime_dir: env::var_os("XDG_RUNTIME_DIR").map_or_else(by_uid, PathBuf::from),
        }
    }

    fn runs(&self) -> bool {
        if self.is_system {
            Path::new("/run/systemd/system").exists()
        } else {
            self.runtime_dir.join("systemd/private").exists()
        }
    }

    fn words(&self) -> &'static str {
        if self.is_system {
            "systemd"
        } else {
            "systemd for your user"
        }
    }

    /// The command as a person types it.
    fn shown(&self) -> &'static str {
        if self.is_system {
            "systemctl"
        } else {
            "systemctl --user"
        }
    }

    fn call(&self, args: &[&str]) -> Result<(), CliError> {
        let mut command = Command::new("systemctl");
        if !self.is_system {
            // A login by su or sudo has no XDG_RUNTIME_DIR, and systemctl needs it.
            command
                .arg("--user")
                .env("XDG_RUNTIME_DIR", &self.runtime_dir);
        }
        let shown = format!("{} {}", self.shown(), args.join(" "));
        let done = command
            .args(args)
            .output()
            .map_err(|error| CliError::new(Exit::Daemon, format!("{shown}: {error}")))?;
        if done.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let message = format!("{shown} failed: {}", said.trim());
        Err(CliError::new(Exit::Daemon, message).with_hint(format!(
            "look at it: {} status {}",
            self.shown(),
            args.last().unwrap_or(&"")
        )))
    }
}
