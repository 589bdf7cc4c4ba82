//! `init NAME`: writes the configuration of a new instance, one that explains itself.

mod draft;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::config::{check, machine};
use super::exit::{CliError, Exit};
use super::output::Output;
use super::suggest::Devices;
use crate::config::finding::Severity;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::config::save::{self, Existing};
use crate::domain::instance::{Backend, InstanceName, Port};
use crate::domain::model_file::ModelFile;
use crate::process::ports;

/// The first port that is proposed; llama-server's own 8080 is often taken by hand-started ones.
const FIRST_PORT: u16 = 8081;

#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  llama-orch init chat --model models/chat.gguf\n  llama-orch init qwen --model qwen3-8b --context fit         (of those that llama-orch models lists)\n  llama-orch init coder --model ~/models/coder.gguf --profile cuda --context 16384\n  llama-orch init try --binary builtin:sim            (a simulated server, no model needed)"
)]
pub(super) struct InitArgs {
    /// The new instance's name: 1 to 64 of a-z, 0-9, '_' and '-'
    pub(super) name: String,
    /// The .gguf file, or the name of a model that llama-orch models lists [default: the one in
    /// models/, when there is just one]
    #[arg(long, value_name = "MODEL")]
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
    /// Tokens of context; 0 takes the model's own, fit the longest for which there is memory now
    /// [default: 4096, or what the model was trained for if that is less]
    #[arg(long, value_name = "TOKENS", value_parser = context_words)]
    pub(super) context: Option<ContextWish>,
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

/// As typed: `fit` or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContextWish {
    Fit,
    Tokens(u32),
}

fn context_words(text: &str) -> Result<ContextWish, String> {
    match (text, text.parse()) {
        ("fit", _) => Ok(ContextWish::Fit),
        (_, Ok(tokens)) => Ok(ContextWish::Tokens(tokens)),
        (_, Err(_)) => Err("a context is a number of tokens, or fit".to_owned()),
    }
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

/// What was written.
pub(super) struct Created {
    pub(super) name: InstanceName,
    path: PathBuf,
    /// Where the file is that was there before.
    kept: Option<PathBuf>,
    /// The model that was meant by its name.
    model: Option<PathBuf>,
    devices: Devices,
}

/// `llama-orch init …`
///
/// # Errors
///
/// As [`create`].
pub(super) fn run(home: &Home, args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    let created = create(home, args)?;
    if let Some(kept) = &created.kept {
        output.say(&format!("kept the old one as {}", kept.display()));
    }
    if let Some(model) = &created.model {
        output.say(&format!("its model is {}", model.display()));
    }
    output.line(&created.path.display().to_string())?;
    tell(home, &created, args.profile, output);
    Ok(Exit::Success)
}

/// Writes the configuration of a new instance.
///
/// # Errors
///
/// Returns an error when the name is no name or taken, the model's name means none or several, or
/// the file cannot be written.
pub(super) fn create(home: &Home, args: &InitArgs) -> Result<Created, CliError> {
    let set = load::load(home);
    let model = match &args.model {
        Some(typed) => Some(draft::model(home, &set, typed)?),
        None => None,
    };
    write(home, &set, args, model)
}

/// As [`create`], with a model that was found already.
///
/// # Errors
///
/// As [`create`].
pub(super) fn create_of(
    home: &Home,
    args: &InitArgs,
    model: ModelFile,
) -> Result<Created, CliError> {
    let model = draft::Chosen::Found(Box::new(model));
    write(home, &load::load(home), args, Some(model))
}

fn write(
    home: &Home,
    set: &ConfigSet,
    args: &InitArgs,
    model: Option<draft::Chosen>,
) -> Result<Created, CliError> {
    let name = InstanceName::parse(&args.name)
        .map_err(|error| CliError::new(Exit::Usage, error.to_string()))?;
    let path = home.instances_dir().join(name.as_str()).join("config.toml");
    refuse_taken(set, &name, &path, args.force)?;
    let binary = draft::binary(home, args);
    let devices = Devices::of(home, &binary);
    let from = draft::Sources {
        home,
        set,
        model: model.as_ref(),
        devices: &devices,
    };
    let text = draft::draft(from, &name, &path, args, binary)?.text();
    let mut kept = None;
    if path.exists() {
        let backup = save::backup_path(&path);
        fs::copy(&path, &backup)?;
        kept = Some(backup);
    }
    let existing = if args.force {
        Existing::Replace
    } else {
        Existing::Keep
    };
    save::save(&path, &text, existing).map_err(|error| CliError::chain(Exit::General, &error))?;
    Ok(Created {
        name,
        path,
        kept,
        model: model.and_then(|model| match model {
            draft::Chosen::Path(_) => None,
            draft::Chosen::Found(found) => Some(found.path),
        }),
        devices,
    })
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

fn tell(home: &Home, created: &Created, profile: Profile, output: &Output) {
    let Created {
        name,
        path,
        devices,
        ..
    } = created;
    let set = load::load(home);
    let row = set.rows.iter().find(|row| match row {
        Ok(loaded) => loaded.path == *path,
        Err(broken) => broken.path == *path,
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
