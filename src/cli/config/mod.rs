//! `config validate|lint|show|schema|migrate`.

pub(super) mod check;
pub(super) mod machine;
mod migrate;
mod show;

use std::path::PathBuf;

use clap::Subcommand;

use super::exit::{CliError, Exit};
use super::output::Output;
use crate::config::home::Home;
use crate::config::schema;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check files for errors: syntax, types, bounds, unknown keys
    #[command(
        after_help = "Examples:\n  llama-orch config validate\n  llama-orch config validate instances/chat/config.toml\n  llama-orch config validate --json"
    )]
    Validate {
        /// A file, an instance's folder or a home [default: the home]
        path: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check instances against this machine too: model, port, logs, binary, threads
    #[command(after_help = "Examples:\n  llama-orch config lint\n  llama-orch config lint chat")]
    Lint {
        /// The instance [default: all]
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the values an instance runs with, and who said each of them
    #[command(
        after_help = "Examples:\n  llama-orch config show chat\n  llama-orch config show chat --json"
    )]
    Show {
        /// The instance
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of config.toml, for editors
    #[command(
        after_help = "Examples:\n  llama-orch config schema > config.schema.json\n\nEditors with TOML support read it from a first line such as\n  #:schema ./config.schema.json"
    )]
    Schema {
        /// The schema of orchestrator.toml instead
        #[arg(long)]
        orchestrator: bool,
        /// Accepted for symmetry: a schema is JSON anyway
        #[arg(long, hide = true)]
        json: bool,
    },
    /// Turn config.json of the Python llama-orch into commented TOML; shows it unless --write
    #[command(
        after_help = "Examples:\n  llama-orch config migrate                  (shows what would be written)\n  llama-orch config migrate --write          (all; each config.json becomes config.json.bak)\n  llama-orch config migrate chat --write"
    )]
    Migrate {
        /// The instance [default: all that have a config.json]
        name: Option<String>,
        /// Write the files
        #[arg(long)]
        write: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `llama-orch config …`
///
/// # Errors
///
/// Returns why the files could not be read or written.
pub(super) fn run(home: &Home, command: &ConfigCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        ConfigCommand::Validate { path, json } => {
            check::validate(home, path.as_deref(), *json, output)
        }
        ConfigCommand::Lint { name, json } => check::lint(home, name.as_deref(), *json, output),
        ConfigCommand::Show { name, json } => show::run(home, name, *json, output),
        ConfigCommand::Schema { orchestrator, .. } => {
            let schema = if *orchestrator {
                schema::settings()
            } else {
                schema::instance()
            };
            output.json(&schema)?;
            Ok(Exit::Success)
        }
        ConfigCommand::Migrate { name, write, json } => {
            migrate::run(home, name.as_deref(), *write, *json, output)
        }
    }
}
