//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::config::ConfigCommand;
use super::connect::ConnectArgs;
use super::import::ImportCommand;
use super::init::InitArgs;
use super::install::{InstallArgs, UninstallArgs};
use super::models::ModelsArgs;
use super::output::ColorChoice;
use super::work::args::WorkCommand;
use crate::domain::event::EventType;
use crate::domain::instance::InstanceName;

/// Looks after every llama-server on this machine: starts, watches, restarts and explains them.
#[derive(Debug, Parser)]
#[command(name = "llama-orch", version, disable_help_subcommand = true)]
pub(super) struct Cli {
    /// The folder that holds instances/, state/ and logs/
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,

    /// Ask an owner elsewhere: unix:///PATH or http://HOST:PORT [env: LLAMA_ORCH_HOST]
    #[arg(long, global = true, value_name = "URL")]
    pub(super) host: Option<String>,

    /// With --host: the file that holds the token [env: LLAMA_ORCH_TOKEN_FILE, or LLAMA_ORCH_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        hide_possible_values = true
    )]
    /// auto, always or never
    pub(super) color: ColorChoice,

    /// Run the supervisor in the foreground, without a screen
    #[arg(long, conflicts_with = "ps")]
    pub(super) daemon: bool,

    /// With --daemon: also start autostart instances that were stopped
    #[arg(long, requires = "daemon")]
    pub(super) autostart: bool,

    /// Print the instance table once
    #[arg(long)]
    pub(super) ps: bool,

    #[command(flatten)]
    pub(super) dashboard: DashboardArgs,

    #[command(flatten)]
    pub(super) ps_options: PsArgs,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the instance table
    #[command(
        after_help = "Examples:\n  llama-orch ps\n  llama-orch ps --running --json\n  llama-orch ps --watch"
    )]
    Ps(PsArgs),
    /// Start instances
    #[command(
        after_help = "Examples:\n  llama-orch up chat\n  llama-orch up --all --wait=120\n  llama-orch up chat --no-detach   (Ctrl-C stops it)"
    )]
    Up(UpArgs),
    /// Stop instances
    #[command(
        after_help = "Examples:\n  llama-orch down chat\n  llama-orch down --tag gpu0 --force"
    )]
    Down(DownArgs),
    /// Stop instances and start them again
    #[command(
        after_help = "Examples:\n  llama-orch restart chat\n  llama-orch restart --all --no-wait"
    )]
    Restart(UpArgs),
    /// Show an instance's output
    #[command(
        after_help = "Examples:\n  llama-orch logs chat -f\n  llama-orch logs chat --since 10m --grep 'error|warn' -t"
    )]
    Logs(LogsArgs),
    /// Explain one instance: configuration, command, run, paths, drift
    #[command(
        after_help = "Examples:\n  llama-orch describe chat\n  llama-orch describe chat --json"
    )]
    Describe(DescribeArgs),
    /// Print what a client needs to talk to an instance, or run a program that gets it
    Connect(ConnectArgs),
    /// Show the machine's memory and GPUs, and what each build computes on
    #[command(
        after_help = "A build is asked once with --list-devices; the answer is kept.\n\nExamples:\n  llama-orch devices\n  llama-orch devices --json --refresh"
    )]
    Devices {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Ask every build again
        #[arg(long)]
        refresh: bool,
    },
    /// Find the models on this machine, and say how long a context each could have
    Models(ModelsArgs),
    /// Look for what is wrong with the installation, and say what to do
    #[command(
        after_help = "Examples:\n  llama-orch doctor\n  llama-orch doctor --json\n\nIt exits 1 when something is broken; warnings alone exit 0."
    )]
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happened
    #[command(
        after_help = "Examples:\n  llama-orch events -n 20\n  llama-orch events -f --level warning\n  llama-orch events --type crashed,gave_up --since 1d --json"
    )]
    Events(EventsArgs),
    /// Probe instances now; the exit code says the result
    #[command(
        after_help = "Examples:\n  llama-orch health chat\n  llama-orch health --watch\n  llama-orch health chat --history"
    )]
    Health(HealthArgs),
    /// Show what differs from the files, and what removing it takes
    #[command(after_help = "Examples:\n  llama-orch plan\n  llama-orch plan chat --json")]
    Plan(PlanArgs),
    /// Do what the plan says, and nothing else
    #[command(
        after_help = "Examples:\n  llama-orch apply chat\n  llama-orch apply   (one after the other)"
    )]
    Apply(ApplyArgs),
    /// Open the dashboard (the default in a terminal)
    #[command(
        after_help = "Examples:\n  llama-orch dashboard\n  llama-orch dashboard --events-for chat\n  llama-orch --ascii   (the same, drawn with plain characters)"
    )]
    Dashboard(DashboardArgs),
    /// Open the dashboard over a simulated fleet that shows every state, in a home that goes with it
    #[command(
        after_help = "Everything it starts is stopped and removed when it ends.\n\nExamples:\n  llama-orch demo"
    )]
    Demo {
        /// Draw with plain ASCII
        #[arg(long)]
        ascii: bool,
    },
    /// Control the background supervisor
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Export what was kept of a crash: its last words, command, environment, events
    #[command(
        after_help = "Examples:\n  llama-orch bundle chat\n  llama-orch bundle chat --list\n  llama-orch bundle chat --all --output /tmp/chat.tar\n  llama-orch bundle chat --folder --output report"
    )]
    Bundle(BundleArgs),
    /// List processes of ours that nobody owns
    #[command(after_help = "Examples:\n  llama-orch orphans\n  llama-orch orphans --stop 4711")]
    Orphans(OrphansArgs),
    /// Track pieces of agent work beside the fleet: what waits for what, and who has to act
    #[command(subcommand, visible_alias = "orch")]
    WorkUnit(WorkCommand),
    /// Write the configuration of a new instance
    Init(InitArgs),
    /// Check, show and convert configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Take instances over from a command, from llama-server's presets or from llama-swap
    #[command(subcommand)]
    Import(ImportCommand),
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  llama-orch completions bash > ~/.local/share/bash-completion/completions/llama-orch\n  llama-orch completions zsh > ~/.zfunc/_llama-orch\n  llama-orch completions fish > ~/.config/fish/completions/llama-orch.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages, one per command
    #[command(
        after_help = "Examples:\n  llama-orch man ~/.local/share/man/man1\n  llama-orch man | man -l -           (the main page, at once)"
    )]
    Man {
        /// Where to [default: the main page on stdout]
        dir: Option<PathBuf>,
    },
    /// Short for daemon install
    #[command(hide = true)]
    InstallService(InstallArgs),
    /// The shim of one run (internal)
    #[command(hide = true)]
    Shim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// The built-in simulated llama-server (internal)
    #[command(hide = true, disable_help_flag = true, disable_version_flag = true)]
    Sim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<std::ffi::OsString>,
    },
}

#[derive(Clone, Debug, Args)]
pub(super) struct DashboardArgs {
    /// In the dashboard: show only this instance's events at first
    #[arg(long, value_name = "NAME", value_parser = InstanceName::parse)]
    pub(super) events_for: Option<InstanceName>,

    /// In the dashboard: draw with plain ASCII
    #[arg(long)]
    pub(super) ascii: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PsArgs {
    /// Show all instances (the default)
    #[arg(short, long, conflicts_with = "running")]
    pub(super) all: bool,
    /// Hide stopped instances
    #[arg(long)]
    pub(super) running: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Print again whenever something changes
    #[arg(long, conflicts_with = "json")]
    pub(super) watch: bool,
}

/// Which instances a command is about.
#[derive(Clone, Debug, Args)]
pub(super) struct Selection {
    /// Names, uids, numbers or display names of instances
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "tag"])]
    pub(super) names: Vec<String>,
    /// All instances
    #[arg(long, conflicts_with = "names")]
    pub(super) all: bool,
    /// Instances with this tag
    #[arg(long, value_name = "TAG", conflicts_with_all = ["names", "all"])]
    pub(super) tag: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Wait until ready or failed, at most SECS (the default waits as long as it takes)
    #[arg(long, value_name = "SECS", num_args = 0..=1, require_equals = true, conflicts_with = "no_wait")]
    #[expect(
        clippy::option_option,
        reason = "clap's shape of an option with an optional value"
    )]
    pub(super) wait: Option<Option<u64>>,
    /// Return as soon as the start is under way
    #[arg(long)]
    pub(super) no_wait: bool,
    /// With restart: kill at once instead of asking first
    #[arg(short, long)]
    pub(super) force: bool,
    /// Stay, show the log, and stop the instance on Ctrl-C
    #[arg(long, conflicts_with_all = ["no_wait", "all", "tag"])]
    pub(super) no_detach: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct DownArgs {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Return as soon as the stop is under way
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Kill at once instead of asking first
    #[arg(short, long)]
    pub(super) force: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum StreamChoice {
    Stdout,
    Stderr,
    #[default]
    Both,
}

#[derive(Clone, Debug, Args)]
pub(super) struct LogsArgs {
    /// The instance
    pub(super) name: String,
    #[command(flatten)]
    pub(super) how: LogOptions,
}

/// What of a log is printed, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct LogOptions {
    /// Keep printing what is added, across rotation and restarts
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Lines to show from the end
    #[arg(
        short = 'n',
        long,
        visible_alias = "lines",
        default_value_t = 100,
        value_name = "N"
    )]
    pub(super) tail: usize,
    /// Which stream
    #[arg(long, value_enum, default_value_t)]
    pub(super) stream: StreamChoice,
    /// Short for --stream stderr
    #[arg(long, conflicts_with = "stream")]
    pub(super) stderr: bool,
    /// Only lines since then: 10m, 2h, or a time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Put the time in front of each line
    #[arg(short, long)]
    pub(super) timestamps: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE")]
    pub(super) grep: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct DescribeArgs {
    /// The instance
    pub(super) name: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct EventsArgs {
    /// Only events of this instance
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Only events of this level or worse
    #[arg(long, value_name = "LEVEL", value_parser = ["info", "warning", "error"])]
    pub(super) level: Option<String>,
    /// Only events of these types
    #[arg(
        long = "type",
        value_name = "TYPE",
        value_delimiter = ',',
        value_parser = EventType::NAMES.map(|(_, word)| word)
    )]
    pub(super) kinds: Vec<String>,
    /// Only events since then: 10m, 2h, or a time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Keep printing events as they happen
    #[arg(short, long)]
    pub(super) follow: bool,
    /// The newest N events (100, or all with --since)
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) tail: Option<u32>,
    /// Print JSON; with -f one object per line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct HealthArgs {
    /// The instance (all without a name)
    pub(super) name: Option<String>,
    /// All instances
    #[arg(long, conflicts_with = "name")]
    pub(super) all: bool,
    /// Print each change as it happens
    #[arg(long)]
    pub(super) watch: bool,
    /// Show what was seen before: the changes, and all probes in stretches of five minutes
    #[arg(long, requires = "name", conflicts_with = "watch")]
    pub(super) history: bool,
    /// Changes and stretches to show (12 when nothing is said)
    #[arg(short = 'n', long, value_name = "N", requires = "history")]
    pub(super) tail: Option<u32>,
    /// Print JSON; with --watch one object per line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct PlanArgs {
    /// The instance (all without a name)
    pub(super) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ApplyArgs {
    /// The instance (all without a name)
    pub(super) name: Option<String>,
    /// Return as soon as restarts are under way
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum DaemonCommand {
    /// Start the supervisor in the background
    #[command(
        after_help = "Examples:\n  llama-orch daemon start\n  llama-orch daemon start --autostart"
    )]
    Start {
        /// Also start autostart instances that were stopped
        #[arg(long)]
        autostart: bool,
    },
    /// End the supervisor; instances and commands of work units keep running
    #[command(
        after_help = "Examples:\n  llama-orch daemon stop\n  llama-orch daemon stop --instances   (stops them too)"
    )]
    Stop {
        /// Stop all instances and all commands of work units, too
        #[arg(long)]
        instances: bool,
        /// Kill the supervisor at once; with --instances everything else, too, without asking it to end
        #[arg(long)]
        force: bool,
    },
    /// Say whether a supervisor runs (exit 0) or not (exit 10)
    #[command(
        after_help = "Examples:\n  llama-orch daemon status\n  llama-orch daemon status --json"
    )]
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End the supervisor and start it again; instances keep running
    #[command(after_help = "Examples:\n  llama-orch daemon restart    (after an upgrade)")]
    Restart,
    /// Start all autostart instances, with a supervisor if none runs
    #[command(after_help = "Examples:\n  llama-orch daemon autostart")]
    Autostart,
    /// Make it a service that starts by itself (systemd; others are printed)
    #[command(visible_alias = "install-service")]
    Install(InstallArgs),
    /// Remove that service; instances keep running
    Uninstall(UninstallArgs),
    /// What `daemon start` runs (internal)
    #[command(hide = true)]
    Detached {
        #[arg(long)]
        autostart: bool,
    },
}

#[derive(Clone, Debug, Args)]
pub(super) struct BundleArgs {
    /// The instance
    pub(super) name: String,
    /// All bundles that are kept, not only the newest
    #[arg(long)]
    pub(super) all: bool,
    /// Only print where the bundles are, newest first
    #[arg(long, conflicts_with_all = ["all", "output", "folder"])]
    pub(super) list: bool,
    /// Write there (the default is NAME-crash.tar, or NAME-crash with --folder, in this folder)
    #[arg(short, long, value_name = "PATH")]
    pub(super) output: Option<PathBuf>,
    /// Copy a folder instead of writing one tar file
    #[arg(long)]
    pub(super) folder: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct OrphansArgs {
    /// Take this process over as a run of its instance
    #[arg(long, value_name = "PID", conflicts_with = "stop")]
    pub(super) adopt: Option<i32>,
    /// Stop this process and what it started
    #[arg(long, value_name = "PID")]
    pub(super) stop: Option<i32>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl UpArgs {
    /// Returns how long to wait for ready: `None` not at all, `Some(None)` as long as it takes.
    #[must_use]
    pub(super) fn patience(&self) -> Patience {
        match (self.no_wait, self.wait.flatten()) {
            (true, _) => Patience::None,
            (false, Some(seconds)) => Patience::AtMost(Duration::from_secs(seconds)),
            (false, None) => Patience::Endless,
        }
    }
}

/// How long a command waits for its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    None,
    AtMost(Duration),
    Endless,
}
