//! `init NAME`: writes the configuration of a new instance, one that explains itself.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::config::{check, machine};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::suggest::Devices;
use crate::config::draft::{Draft, Suggestions};
use crate::config::finding::Severity;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::config::save::{self, Existing};
use crate::domain::instance::{Backend, InstanceName, Port};
use crate::probes::gguf;
use crate::process::ports;

/// The first port that is proposed; llama-server's own 8080 is often taken by hand-started ones.
const FIRST_PORT: u16 = 8081;

/// Tokens of context that are enough for a first talk, and that any machine has the memory for.
const CONTEXT: u32 = 4096;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  llama-orch init chat --model models/chat.gguf\n  llama-orch init coder --model ~/models/coder.gguf --profile cuda --context 16384\n  llama-orch init try --binary builtin:sim            (a simulated server, no model needed)"
)]
pub(super) struct InitArgs {
    /// The new instance's name: 1 to 64 of a-z, 0-9, '_' and '-'
    pub(super) name: String,
    /// The .gguf file [default: the one in models/, when there is just one]
    #[arg(long, value_name = "FILE")]
    pub(super) model: Option<PathBuf>,
    /// The port, or auto for one chosen at each start [default: the next free one from 8081]
    #[arg(long, value_name = "PORT", value_parser = port)]
    pub(super) port: Option<Port>,
    /// What the build computes on
    #[arg(long, value_enum, default_value_t, value_name = "PROFILE")]
    pub(super) profile: Profile,
    /// The number of the device that is made visible [default: of those the build lists, the one
    /// with the most free memory]
    #[arg(long, value_name = "N")]
    pub(super) device: Option<u32>,
    /// Layers held by the device: a number, all or auto [default: all, unless the profile is cpu]
    #[arg(long, value_name = "N", value_parser = layers)]
    pub(super) layers: Option<Layers>,
    /// Tokens of context; 0 takes the model's own [default: 4096, or what the model was trained for
    /// if that is less]
    #[arg(long, value_name = "TOKENS")]
    pub(super) context: Option<u32>,
    /// CPU threads [default: llama-server's choice]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) threads: Option<u32>,
    /// The llama-server to run: a name in PATH, a path, or builtin:sim
    #[arg(long, value_name = "PATH")]
    pub(super) binary: Option<String>,
    /// Replace the configuration that is there; it is kept as config.toml.bak
    #[arg(long)]
    pub(super) force: bool,
}

/// What a build of llama-server computes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    #[default]
    Cpu,
    Vulkan,
    Cuda,
    Hip,
    Metal,
}

impl Profile {
    pub(super) fn backend(self) -> Backend {
        match self {
            Self::Cpu => Backend::Cpu,
            Self::Vulkan => Backend::Vulkan,
            Self::Cuda => Backend::Cuda,
            Self::Hip => Backend::Hip,
            Self::Metal => Backend::Metal,
        }
    }
}

/// As typed: `all`, `auto` or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layers {
    Word(&'static str),
    Count(u32),
}

fn port(text: &str) -> Result<Port, String> {
    match (text, text.parse::<u16>()) {
        ("auto", _) => Ok(Port::Auto),
        (_, Ok(port @ 1..)) => Ok(Port::Fixed(port)),
        (_, _) => Err("a port is 1 to 65535, or auto".to_owned()),
    }
}

fn layers(text: &str) -> Result<Layers, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(Layers::Word("all")),
        ("auto", _) => Ok(Layers::Word("auto")),
        (_, Ok(count)) => Ok(Layers::Count(count)),
        (_, Err(_)) => Err("layers are a number, all or auto".to_owned()),
    }
}

/// `llama-orch init …`
///
/// # Errors
///
/// Returns an error when the name is no name or taken, or the file cannot be written.
pub(super) fn run(home: &Home, args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    let name = InstanceName::parse(&args.name)
        .map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    let set = load::load(home);
    let path = home.instances_dir().join(name.as_str()).join("config.toml");
    refuse_taken(&set, &name, &path, args.force)?;
    let binary = binary(home, args);
    let devices = Devices::of(home, &binary);
    let text = draft(home, &set, &name, args, binary, &devices)?.text();
    if path.exists() {
        let backup = save::backup_path(&path);
        fs::copy(&path, &backup)?;
        output.say(&format!("kept the old one as {}", backup.display()));
    }
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    save::save(&path, &text, existing)
        .map_err(|error| CliError::new(Exit::General, error.to_string()))?;
    output.line(&path.display().to_string())?;
    tell(home, &name, &path, args.profile, &devices, output);
    Ok(Exit::Success)
}

fn refuse_taken(
    set: &ConfigSet,
    name: &InstanceName,
    path: &Path,
    force: bool,
) -> Result<(), CliError> {
    let json = path.with_file_name("config.json");
    if json.exists() {
        let message = format!("{name} is configured by {}", json.display());
        return Err(CliError::new(Exit::General, message).with_hint(format!(
            "turn it into TOML: llama-orch config migrate {name} --write"
        )));
    }
    let other = set.rows.iter().find_map(|row| {
        let (its, at) = match row {
            Ok(loaded) => (&loaded.spec.name, &loaded.path),
            Err(broken) => (&broken.name, &broken.path),
        };
        (its == name && at != path).then_some(at)
    });
    if let Some(other) = other {
        let message = format!("{name} is already the name of {}", other.display());
        return Err(CliError::new(Exit::General, message).with_hint("choose another name"));
    }
    if path.exists() && !force {
        let message = format!("{} is there already", path.display());
        return Err(CliError::new(Exit::General, message)
            .with_hint("choose another name, or replace it with --force (a backup is kept)"));
    }
    Ok(())
}

fn draft(
    home: &Home,
    set: &ConfigSet,
    name: &InstanceName,
    args: &InitArgs,
    binary: String,
    devices: &Devices,
) -> Result<Draft, CliError> {
    let mut draft = Draft::new(Suggestions::Shown);
    draft.heading(format!(
        "{name}: one llama-server. A line that begins with # shows a default or an"
    ));
    draft.heading("example: take the sign away to change it. Paths may be relative to the home.");
    draft.heading(format!(
        "Check it with: llama-orch config lint {name}    Start it with: llama-orch up {name}"
    ));
    let is_simulated = binary == crate::config::SIMULATED;
    draft.set("binary.path", binary);
    match (&args.model, only_model(home)) {
        (Some(model), _) => draft.set("model.path", from_home(home, model)),
        (None, Some(model)) if !is_simulated => draft.set("model.path", model),
        (None, None) if !is_simulated => {
            draft.set("model.path", format!("models/{name}.gguf"));
            draft.remark("model.path", "The .gguf file: put yours here");
        }
        (None, _) => {}
    }
    let context = args.context.unwrap_or_else(|| context(home, &draft));
    draft.set("model.context_size", i64::from(context));
    if let Some(threads) = args.threads {
        draft.set("model.threads", i64::from(threads));
    }
    match args.port {
        Some(Port::Auto) => draft.set("server.port", "auto"),
        Some(Port::Fixed(port)) => draft.set("server.port", i64::from(port)),
        None => draft.set("server.port", i64::from(next_port(set)?)),
    }
    let backend = args.profile.backend();
    let on_gpu = backend != Backend::Cpu;
    if on_gpu || args.layers.is_some() || args.device.is_some() {
        draft.set("gpu.backend", backend.as_str());
        let best = devices.best(args.profile);
        let device = args.device.or(best.as_ref().map(|best| best.number));
        draft.set("gpu.device_id", i64::from(device.unwrap_or(0)));
        if let (None, Some(best)) = (args.device, best) {
            draft.remark("gpu.device_id", best.words);
        }
        match &args.layers {
            Some(Layers::Word(word)) => draft.set("gpu.layers", *word),
            Some(Layers::Count(count)) => draft.set("gpu.layers", i64::from(*count)),
            None => draft.set("gpu.layers", "all"),
        }
    }
    Ok(draft)
}

/// Returns the usual context, or the model's own where that is shorter.
fn context(home: &Home, draft: &Draft) -> u32 {
    let path = draft.value("model.path").and_then(|path| path.as_str());
    let header = path.and_then(|path| gguf::read(&home.root().join(path)).ok());
    let trained = header.and_then(|header| header.trained_context());
    let trained = trained.and_then(|tokens| u32::try_from(tokens).ok());
    trained
        .filter(|tokens| *tokens > 0)
        .map_or(CONTEXT, |tokens| tokens.min(CONTEXT))
}

/// Returns what `binary.path` is to be.
fn binary(home: &Home, args: &InitArgs) -> String {
    let binary = args.binary.as_deref().unwrap_or("llama-server");
    if !binary.contains(['/', '\\']) {
        return binary.to_owned();
    }
    let path = from_home(home, Path::new(binary));
    // A bare name would be looked up in PATH.
    match path.contains(['/', '\\']) {
        true => path,
        false => format!("./{path}"),
    }
}

/// Returns a path as a file of the home names it: relative when it is below the home. What was
/// typed is relative to the current directory, if it is there.
fn from_home(home: &Home, typed: &Path) -> String {
    let full = fs::canonicalize(typed).unwrap_or_else(|_absent| typed.to_owned());
    let shown = full.strip_prefix(home.root()).unwrap_or(&full);
    shown.to_string_lossy().into_owned()
}

/// Returns the model in `models/` when there is no choice.
fn only_model(home: &Home) -> Option<String> {
    let mut models = fs::read_dir(home.models_dir())
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
        });
    let only = models.next()?;
    models.next().is_none().then(|| from_home(home, &only))
}

/// Returns the next port that no instance has and nobody listens on.
pub(super) fn next_port(set: &ConfigSet) -> Result<u16, CliError> {
    let used: Vec<u16> = set
        .rows
        .iter()
        .flatten()
        .filter_map(|loaded| match loaded.spec.server.port {
            Port::Fixed(port) => Some(port),
            Port::Auto => None,
        })
        .collect();
    free_port(FIRST_PORT, &used)
}

/// Returns the first port from `first` on that is not in `used` and nobody listens on.
pub(super) fn free_port(first: u16, used: &[u16]) -> Result<u16, CliError> {
    (first..=u16::MAX)
        .find(|port| !used.contains(port) && ports::check_free("127.0.0.1", *port).is_ok())
        .ok_or_else(|| CliError::new(Exit::PortInUse, format!("no port from {first} on is free")))
}

fn tell(
    home: &Home,
    name: &InstanceName,
    path: &Path,
    profile: Profile,
    devices: &Devices,
    output: &Output,
) {
    let set = load::load(home);
    let row = set.rows.iter().find(|row| match row {
        Ok(loaded) => loaded.path == path,
        Err(broken) => broken.path == path,
    });
    let findings = match row {
        Some(Ok(loaded)) => {
            let mut findings = loaded.warnings.clone();
            findings.extend(machine::lint(home, &set, loaded));
            findings
        }
        Some(Err(broken)) => broken.findings.clone(),
        None => Vec::new(),
    };
    check::say(&findings, home, output);
    let doubtful = findings
        .iter()
        .any(|finding| finding.severity > Severity::Warning);
    if let (Profile::Cpu, Some(unused)) = (profile, devices.unused()) {
        output.hint(&unused);
    }
    let first = if doubtful {
        "mend what is told above, then start it"
    } else {
        "start it"
    };
    output.hint(&format!("{first}: llama-orch up {name}"));
}
