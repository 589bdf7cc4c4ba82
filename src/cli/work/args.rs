//! What can be typed about work units.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::fmt::friendly::SpanParser;

use crate::cli::args::LogOptions;
use crate::domain::instance::InstanceName;
use crate::domain::work::{Chunk, InvalidLimit, Phase, TimeLimit, WorkStatus};

/// `work-unit …`
#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum WorkCommand {
    /// Create a work unit
    #[command(
        after_help = "It is READY at once, or BLOCKED until every unit it waits for is DONE.\n\
            A command is run by the owner when it is the unit's turn, if work.max_parallel in\n\
            orchestrator.toml allows any; phases without one are for people and agents.\n\n\
            Examples:\n  llama-orch work-unit create login\n  \
            llama-orch work-unit create tests --blocked-by login,search --worktree ../tests\n  \
            llama-orch work-unit create docs --phase IMPLEMENT --instance coder -- ./agent.sh docs\n  \
            llama-orch work-unit create api --command PLAN='./plan.sh > plan.md' --command IMPLEMENT=./go.sh\n  \
            llama-orch work-unit create build --time-limit 30m --command IMPLEMENT='make all'"
    )]
    Create(CreateArgs),
    /// List work units
    #[command(
        visible_alias = "ps",
        after_help = "Examples:\n  llama-orch work-unit list\n  llama-orch orch ps\n  \
            llama-orch work-unit list --status NEEDS_ATTENTION,BLOCKED --json"
    )]
    List(ListArgs),
    /// Show one work unit and its history
    #[command(
        after_help = "Examples:\n  llama-orch work-unit show login\n  llama-orch work-unit show login --json"
    )]
    Show(ShowArgs),
    /// Print a work unit's status, or change it
    #[command(
        after_help = "READY puts it back for anybody, RUNNING takes it up (exit 3 when somebody else has it),\n\
            NEEDS_ATTENTION asks for a person and stops the owner's command, DONE ends it.\n\
            READY reopens a unit that is DONE, at GOAL or at --phase.\n\n\
            Examples:\n  llama-orch work-unit status login\n  \
            llama-orch work-unit status login RUNNING\n  \
            llama-orch work-unit status login --phase PLAN\n  \
            llama-orch work-unit status login NEEDS_ATTENTION --reason 'which database?'\n  \
            llama-orch work-unit status login DONE"
    )]
    Status(StatusArgs),
    /// Print what a work unit's commands wrote
    #[command(
        after_help = "All phases write to the same two logs, one after the other.\n\n\
            Examples:\n  llama-orch work-unit logs login\n  llama-orch work-unit logs login -f\n  \
            llama-orch work-unit logs login --stderr --since 10m"
    )]
    Logs(LogsArgs),
    /// Change what a work unit waits for, where it works and what is run for it
    #[command(
        after_help = "Examples:\n  llama-orch work-unit edit tests --blocked-by login\n  \
            llama-orch work-unit edit tests --no-blocked-by --worktree ../tests\n  \
            llama-orch work-unit edit tests --command PLAN=./plan.sh --no-command GOAL"
    )]
    Edit(EditArgs),
    /// Delete work units
    #[command(
        after_help = "A unit that others wait for is deleted only once it is DONE, or with --force.\n\n\
            Examples:\n  llama-orch work-unit rm login\n  llama-orch work-unit rm login --force"
    )]
    Rm(RmArgs),
}

/// What a unit may have, at its creation and later.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct Fields {
    /// The units it waits for, separated by commas
    #[arg(long, value_name = "CHUNK", value_delimiter = ',', value_parser = Chunk::parse)]
    pub(super) blocked_by: Vec<Chunk>,
    /// Where its work happens
    #[arg(long, value_name = "DIR")]
    pub(super) worktree: Option<PathBuf>,
    /// The instance its commands talk to
    #[arg(long, value_name = "NAME", value_parser = InstanceName::parse)]
    pub(super) instance: Option<InstanceName>,
    /// Have the owner run LINE with /bin/sh in that phase
    #[arg(long, value_name = "PHASE=LINE", value_parser = command)]
    pub(super) command: Vec<(Phase, String)>,
    /// End a command that runs longer, such as 30m; 0 for no limit (else work.time_limit counts)
    #[arg(long, value_name = "TIME", value_parser = time_limit)]
    pub(super) time_limit: Option<TimeLimit>,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    /// Its name: a-z, 0-9, '_', '.' and '-'
    #[arg(value_parser = Chunk::parse)]
    pub(super) chunk: Chunk,
    /// GOAL, PLAN, IMPLEMENT or COMPLETE
    #[arg(long, value_name = "PHASE", default_value = "GOAL", hide_default_value = true,
        value_parser = phase)]
    pub(super) phase: Phase,
    #[command(flatten)]
    pub(super) fields: Fields,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Program and arguments for the phase it begins with, run without a shell
    #[arg(last = true, value_name = "PROGRAM")]
    pub(super) program: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only these statuses, separated by commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    pub(super) status: Vec<WorkStatus>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The unit
    #[arg(value_parser = Chunk::parse)]
    pub(super) chunk: Chunk,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// The unit
    #[arg(value_parser = Chunk::parse)]
    pub(super) chunk: Chunk,
    /// READY, RUNNING, BLOCKED, NEEDS_ATTENTION or DONE
    #[arg(value_parser = status)]
    pub(super) status: Option<WorkStatus>,
    /// Why it needs attention
    #[arg(long, value_name = "TEXT", requires = "status")]
    pub(super) reason: Option<String>,
    /// With NEEDS_ATTENTION: kill the owner's command at once, without asking it to end
    #[arg(long, requires = "status")]
    pub(super) force: bool,
    /// Also move it to this phase
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    pub(super) phase: Option<Phase>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    /// The unit
    #[arg(value_parser = Chunk::parse)]
    pub(super) chunk: Chunk,
    #[command(flatten)]
    pub(super) how: LogOptions,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct EditArgs {
    /// The unit
    #[arg(value_parser = Chunk::parse)]
    pub(super) chunk: Chunk,
    #[command(flatten)]
    pub(super) fields: Fields,
    /// It waits for nothing
    #[arg(long, conflicts_with = "blocked_by")]
    pub(super) no_blocked_by: bool,
    /// It has no worktree
    #[arg(long, conflicts_with = "worktree")]
    pub(super) no_worktree: bool,
    /// It needs no instance
    #[arg(long, conflicts_with = "instance")]
    pub(super) no_instance: bool,
    /// Nothing is run in that phase
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    pub(super) no_command: Vec<Phase>,
    /// It has no time limit of its own: work.time_limit counts
    #[arg(long, conflicts_with = "time_limit")]
    pub(super) no_time_limit: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct RmArgs {
    /// The units
    #[arg(value_name = "CHUNK", required = true, value_parser = Chunk::parse)]
    pub(super) chunks: Vec<Chunk>,
    /// Also when others wait for it: they wait for it no longer
    #[arg(short, long)]
    pub(super) force: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The text is none of the words of a list; letters may be small.
#[derive(Clone, Debug, thiserror::Error)]
#[error("one of {allowed}")]
pub(in crate::cli) struct NoSuchWord {
    allowed: String,
}

/// The text is not `PHASE=LINE`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a phase, '=' and a line for the shell, such as PLAN='make plan'; the phase is {0}")]
pub(in crate::cli) struct NoCommand(NoSuchWord);

/// The text is no time that a command may take.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::cli) enum NoTimeLimit {
    #[error("a time such as 90s, 30m or 1h 30m, seconds, or 0 for no limit")]
    NoTime,
    #[error(transparent)]
    Invalid(#[from] InvalidLimit),
}

fn time_limit(text: &str) -> Result<TimeLimit, NoTimeLimit> {
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => SpanParser::new()
            .parse_unsigned_duration(text)
            .map_err(|_| NoTimeLimit::NoTime)?
            .as_secs_f64(),
    };
    Ok(TimeLimit::of_seconds(seconds)?)
}

fn phase(text: &str) -> Result<Phase, NoSuchWord> {
    Phase::parse(&text.to_uppercase()).ok_or_else(|| NoSuchWord {
        allowed: Phase::NAMES.map(|(_, word)| word).join(", "),
    })
}

fn status(text: &str) -> Result<WorkStatus, NoSuchWord> {
    let word = text.to_uppercase().replace('-', "_");
    WorkStatus::parse(&word).ok_or_else(|| NoSuchWord {
        allowed: WorkStatus::NAMES.map(|(_, word)| word).join(", "),
    })
}

fn command(text: &str) -> Result<(Phase, String), NoCommand> {
    let (word, line) = text.split_once('=').unwrap_or_default();
    let phase = phase(word).map_err(NoCommand)?;
    Ok((phase, line.to_owned()))
}
