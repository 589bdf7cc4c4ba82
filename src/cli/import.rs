//! `import llama-swap|presets|command`: instances from elsewhere; a dry run unless `--write`.

use std::cell::RefCell;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::config::check;
use super::exit::{CliError, Exit};
use super::init::free_port;
use super::output::Output;
use crate::config::home::Home;
use crate::config::import::{self, API_KEY_FILE, Import, Imported, KnownFlag, Takes};
use crate::config::import::{command, presets, swap};
use crate::config::load::{self, ConfigSet};
use crate::config::save::{self, Existing};
use crate::domain::instance::{InstanceName, Port};
use crate::sim;

/// The first port that is given to an instance without one.
const FIRST_PORT: u16 = 8081;

/// Bytes; no configuration is larger.
const SIZE_LIMIT: u64 = 1024 * 1024;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// From the configuration of llama-swap (YAML)
    #[command(
        after_help = "Examples:\n  llama-orch import llama-swap ~/llama-swap/config.yaml\n  llama-orch import llama-swap config.yaml --write"
    )]
    LlamaSwap(FileArgs),
    /// From the presets of llama-server's router (INI)
    #[command(
        after_help = "Examples:\n  llama-orch import presets models.ini\n  llama-orch import presets models.ini --write"
    )]
    Presets(FileArgs),
    /// From a llama-server command as you typed it
    #[command(
        after_help = "Examples:\n  llama-orch import command -- llama-server -m models/chat.gguf -c 8192 -ngl 99\n  llama-orch import command --name coder --write -- CUDA_VISIBLE_DEVICES=1 ./llama-server -m coder.gguf"
    )]
    Command {
        /// The instance's name [default: the alias, or the model's name]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        how: How,
        /// Variables, the program and its arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        words: Vec<String>,
    },
}

#[derive(Clone, Debug, Args)]
pub(super) struct FileArgs {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct How {
    /// Write the instances; without it they are only shown
    #[arg(long)]
    write: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) instances: Vec<InstanceReport>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct InstanceReport {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) written: bool,
    /// Why it is not, or would not be.
    pub(super) refused: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) text: String,
    /// The values alone, for a look.
    #[serde(skip)]
    pub(super) lines: Vec<String>,
    /// Whether it is started as soon as an owner sees it.
    #[serde(skip)]
    pub(super) starts: bool,
}

/// Where instances are taken over from.
pub(super) enum Source<'a> {
    LlamaSwap(&'a Path),
    Presets(&'a Path),
    Command {
        name: Option<&'a str>,
        words: &'a [String],
    },
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Show,
    Write,
}

/// `llama-orch import …`
///
/// # Errors
///
/// Returns why the file cannot be read, or an instance not be written.
pub(super) fn run(home: &Home, command: &ImportCommand, output: &Output) -> Result<Exit, CliError> {
    let (source, how) = match command {
        ImportCommand::LlamaSwap(args) => (Source::LlamaSwap(&args.file), args.how),
        ImportCommand::Presets(args) => (Source::Presets(&args.file), args.how),
        ImportCommand::Command { name, how, words } => {
            let name = name.as_deref();
            (Source::Command { name, words }, *how)
        }
    };
    let mode = if how.write { Mode::Write } else { Mode::Show };
    let set = load::load(home);
    let report = carry_out(home, &set, &source, mode)?;
    let failed = report.instances.iter().any(|one| one.refused.is_some());
    let exit = match failed || report.instances.is_empty() {
        true => Exit::General,
        false => Exit::Success,
    };
    if how.json {
        output.json(&report)?;
    } else {
        tell(home, &set, &report, mode, output)?;
    }
    Ok(exit)
}

/// Reads what is to be taken over, and writes it if it should.
///
/// # Errors
///
/// Returns why the file cannot be read, or an instance not be written.
pub(super) fn carry_out(
    home: &Home,
    set: &ConfigSet,
    source: &Source<'_>,
    mode: Mode,
) -> Result<Report, CliError> {
    let import = read_from(home, set, source)?;
    let mut instances = Vec::new();
    for imported in &import.instances {
        let path = path_of(home, &imported.name);
        let text = imported.draft.text();
        let refused = refusal(home, set, imported, &path, &text);
        let written = mode == Mode::Write && refused.is_none();
        if written {
            write(&path, &text, imported)?;
        }
        instances.push(InstanceReport {
            name: imported.name.to_string(),
            path: path.display().to_string(),
            written,
            refused,
            notes: imported.notes.clone(),
            lines: imported.draft.lines(),
            starts: imported.draft.value("autostart") == Some(&true.into()),
            text,
        });
    }
    Ok(Report {
        instances,
        notes: import.notes,
    })
}

fn read_from(home: &Home, set: &ConfigSet, source: &Source<'_>) -> Result<Import, CliError> {
    let mut taken = Vec::new();
    // A port that was given to one instance is given to no other.
    let used = RefCell::new(used_ports(set));
    let port = |first: u16| {
        let port = free_port(first, &used.borrow()).ok()?;
        used.borrow_mut().push(port);
        Some(port)
    };
    match source {
        Source::LlamaSwap(file) => {
            let mut world = swap::World {
                variable: &|name| env::var(name).ok(),
                port: &mut |first| port(first),
            };
            swap::import(&read(file)?, &mut world, &mut taken).map_err(|error| syntax(file, &error))
        }
        Source::Presets(file) => {
            presets::import(&read(file)?, &flag, &mut || port(FIRST_PORT), &mut taken)
                .map_err(|error| syntax(file, &error))
        }
        Source::Command { name, words } => {
            let words: Vec<String> = words.iter().map(|word| from_here(home, word)).collect();
            let request = command::Request {
                words: &words,
                name: *name,
                from: "a command",
                ..command::Request::default()
            };
            let imported = command::import(&request, &mut taken)
                .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
            Ok(Import {
                instances: vec![imported],
                notes: Vec::new(),
            })
        }
    }
}

/// What was typed is relative to the current directory, and what is written to the home.
fn from_here(home: &Home, word: &str) -> String {
    let is_path = (word.contains('/') || word.ends_with(".gguf")) && !word.starts_with('-');
    let full = env::current_dir().map(|folder| folder.join(word));
    match full {
        Ok(full) if is_path && full.exists() => {
            let full: PathBuf = full.components().collect();
            let shown = full.strip_prefix(home.root()).unwrap_or(&full);
            shown.to_string_lossy().into_owned()
        }
        Ok(_) | Err(_) => word.to_owned(),
    }
}

fn flag(word: &str) -> Option<KnownFlag> {
    let shape = sim::flag_shape(word)?;
    Some(KnownFlag {
        name: shape.name,
        takes: if shape.values == 0 {
            Takes::Nothing
        } else {
            Takes::Value
        },
        off: shape.off,
    })
}

fn used_ports(set: &ConfigSet) -> Vec<u16> {
    let loaded = set.rows.iter().flatten();
    loaded
        .filter_map(|loaded| match loaded.spec.server.port {
            Port::Fixed(port) => Some(port),
            Port::Auto => None,
        })
        .collect()
}

fn read(path: &Path) -> Result<String, CliError> {
    let fail = |words: String| CliError::new(Exit::General, format!("{}: {words}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !metadata.is_file() || metadata.len() > SIZE_LIMIT {
        return Err(fail(format!("is not a file of at most {SIZE_LIMIT} bytes")));
    }
    fs::read_to_string(path).map_err(|error| fail(error.to_string()))
}

fn syntax(path: &Path, error: &import::SyntaxError) -> CliError {
    let message = format!("{}:{}: {}", path.display(), error.line, error.message);
    CliError::new(Exit::General, message)
}

fn path_of(home: &Home, name: &InstanceName) -> PathBuf {
    home.instances_dir().join(name.as_str()).join("config.toml")
}

/// Returns why an instance cannot be written.
fn refusal(
    home: &Home,
    set: &ConfigSet,
    imported: &Imported,
    path: &Path,
    text: &str,
) -> Option<String> {
    let known = set.rows.iter().any(|row| match row {
        Ok(loaded) => loaded.spec.name == imported.name,
        Err(broken) => broken.name == imported.name,
    });
    if known || path.exists() || path.with_file_name("config.json").exists() {
        return Some(format!("an instance {} is there already", imported.name));
    }
    let findings = import::check(home, &set.settings, path, text);
    let error = findings.iter().find(|finding| finding.is_error())?;
    Some(error.message.clone())
}

fn write(path: &Path, text: &str, imported: &Imported) -> Result<(), CliError> {
    if let Some(key) = &imported.api_key {
        let file = path.with_file_name(API_KEY_FILE);
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        // For this user only, from its first moment on.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut file| writeln!(file, "{key}"))
            .map_err(|error| {
                CliError::new(Exit::General, format!("write {}: {error}", file.display()))
            })?;
    }
    save::save(path, text, Existing::Keep).map_err(|error| CliError::chain(Exit::General, &error))
}

fn tell(
    home: &Home,
    set: &ConfigSet,
    whole: &Report,
    mode: Mode,
    output: &Output,
) -> Result<(), CliError> {
    let reports = &whole.instances;
    for report in reports {
        match (&report.refused, report.written) {
            (Some(reason), _) => output.error(&format!("{}: {reason}", report.name)),
            (None, true) => output.say(&format!("{}: wrote {}", report.name, report.path)),
            (None, false) => output.say(&format!("{}: would write {}:", report.name, report.path)),
        }
        if !report.written {
            output.line(&report.text)?;
        }
        for note in &report.notes {
            output.warning(&format!("{}: {note}", report.name));
        }
        let path = Path::new(&report.path);
        let findings = import::check(home, &set.settings, path, &report.text);
        check::say(&findings, home, output);
    }
    for note in &whole.notes {
        output.warning(note);
    }
    if mode == Mode::Show && !reports.is_empty() {
        output.hint("nothing was written; add --write to do it");
    } else if reports.iter().any(|report| report.written) {
        output.hint("check them against this machine: llama-orch config lint");
    }
    Ok(())
}
