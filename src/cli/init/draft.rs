//! What a new instance's file will say: its model, its context, its device.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::super::exit::{CliError, Exit};
use super::super::models;
use super::super::suggest::Devices;
use super::{ContextWish, InitArgs, Layers, next_port};
use crate::config::draft::{Draft, Suggestions};
use crate::config::free_label;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::instance::{Backend, InstanceName, Port};
use crate::domain::model_file::ModelFile;
use crate::probes::devices::Asking;
use crate::probes::gguf;
use crate::probes::host::Host;
use crate::supervisor::fit::{self, Holding, Surroundings};

/// Tokens of context that are enough for a first talk, and that any machine has the memory for.
const CONTEXT: u32 = 4096;

/// What a draft is made from, besides what was typed.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) home: &'a Home,
    pub(super) set: &'a ConfigSet,
    pub(super) model: Option<&'a Chosen>,
    pub(super) devices: &'a Devices,
}

/// The model of a new instance.
pub(super) enum Chosen {
    /// A path as it was typed.
    Path(PathBuf),
    /// One that was found on this machine.
    Found(Box<ModelFile>),
}

/// Takes what was typed for a path if there is such a file or it can be nothing else; otherwise
/// for the name of a model on this machine.
///
/// # Errors
///
/// Returns an error when there is no model of that name, or several.
pub(super) fn model(home: &Home, set: &ConfigSet, typed: &Path) -> Result<Chosen, CliError> {
    if typed.is_file() || typed.is_absolute() || is_gguf(typed) {
        return Ok(Chosen::Path(typed.to_owned()));
    }
    let text = typed.to_string_lossy();
    match models::meant(home, set, &text)? {
        Some(found) => Ok(Chosen::Found(Box::new(found))),
        None => {
            let message = format!("no model is called {text:?}, and there is no such file");
            Err(CliError::new(Exit::General, message)
                .with_hint("llama-orch models lists those that are found"))
        }
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

impl Chosen {
    /// Returns the path as the instance's file will say it. A model whose file has no name of its
    /// own gets a link in the home's `models/`, by which everybody can tell what it is.
    ///
    /// # Errors
    ///
    /// Returns an error when that link cannot be made.
    fn path(&self, home: &Home) -> Result<String, CliError> {
        match self {
            Self::Path(typed) => Ok(from_home(home, typed)),
            Self::Found(found) if is_gguf(&found.path) => Ok(from_home(home, &found.path)),
            Self::Found(found) => Ok(from_home(home, &link(home, found)?)),
        }
    }

    fn projector(&self) -> Option<&Path> {
        match self {
            Self::Path(_) => None,
            Self::Found(found) => found.projector.as_deref(),
        }
    }
}

/// Links a model into the home; a link that is there already does.
fn link(home: &Home, model: &ModelFile) -> Result<PathBuf, CliError> {
    let name = free_label(&model.name, |_| false);
    let path = home.models_dir().join(format!("{name}.gguf"));
    if fs::read_link(&path).is_ok_and(|target| target == model.path) {
        return Ok(path);
    }
    fs::create_dir_all(home.models_dir())
        .and_then(|()| symlink(&model.path, &path))
        .map_err(|error| {
            let message = format!(
                "link {} to {}: {error}",
                path.display(),
                model.path.display()
            );
            CliError::new(Exit::General, message)
        })?;
    Ok(path)
}

/// Returns the longest context for which there is memory now.
fn longest_context(
    home: &Home,
    set: &ConfigSet,
    path: &Path,
    draft: &Draft,
) -> Result<u32, CliError> {
    let cannot = |why: String| {
        CliError::new(Exit::General, format!("--context fit: {why}"))
            .with_hint("give a number of tokens; llama-orch up says whether it fits")
    };
    let loaded = load::read_text(home, &set.settings, path, &draft.text())
        .map_err(|broken| cannot(broken.reason()))?;
    let around = Surroundings {
        home,
        host: &Host::find().look(),
        asking: Asking::Once,
        holding: Holding::Nothing,
        promised: None,
    };
    let reach = fit::reach(&loaded.spec, around).map_err(cannot)?;
    reach
        .context
        .and_then(|tokens| u32::try_from(tokens).ok())
        .ok_or_else(|| {
            let words = reach.verdict.phrase();
            cannot(format!("{words}, even with the shortest context"))
        })
}

/// Writes what was typed, and what is best where nothing was.
///
/// # Errors
///
/// Returns an error when no port is free, the model cannot be linked, or nobody can tell which
/// context fits.
pub(super) fn draft(
    from: Sources<'_>,
    name: &InstanceName,
    path: &Path,
    args: &InitArgs,
    binary: String,
) -> Result<Draft, CliError> {
    let Sources {
        home,
        set,
        model,
        devices,
    } = from;
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
    match (model, only_model(home)) {
        (Some(model), _) => {
            draft.set("model.path", model.path(home)?);
            if let Some(projector) = model.projector() {
                draft.set("args", models::projector_args(projector));
                draft.remark(
                    "args",
                    "The projector beside the model, for pictures or sound",
                );
            }
        }
        (None, Some(model)) if !is_simulated => draft.set("model.path", model),
        (None, None) if !is_simulated => {
            draft.set("model.path", format!("models/{name}.gguf"));
            let words = "The .gguf file: put yours here, or take one of: llama-orch models";
            draft.remark("model.path", words);
        }
        (None, _) => {}
    }
    let trained = trained_context(home, &draft);
    let context = match args.context {
        Some(ContextWish::Tokens(tokens)) => tokens,
        Some(ContextWish::Fit) | None => trained.map_or(CONTEXT, |tokens| tokens.min(CONTEXT)),
    };
    draft.set("model.context_size", i64::from(context));
    if let Some(trained) = trained {
        let words = format!("Tokens; the model was trained for {trained}");
        draft.remark("model.context_size", words);
    }
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
    if args.context == Some(ContextWish::Fit) {
        let tokens = longest_context(home, set, path, &draft)?;
        draft.set("model.context_size", i64::from(tokens));
    }
    Ok(draft)
}

/// Returns the context that the model was trained for, if its file is there.
fn trained_context(home: &Home, draft: &Draft) -> Option<u32> {
    let path = draft.value("model.path")?.as_str()?;
    let header = gguf::read(&home.root().join(path)).ok()?;
    let trained = header.trained_context().filter(|tokens| *tokens > 0)?;
    u32::try_from(trained).ok()
}

/// Returns what `binary.path` is to be.
pub(super) fn binary(home: &Home, args: &InitArgs) -> String {
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
    let full = full_path(typed).unwrap_or_else(|| typed.to_owned());
    let shown = full.strip_prefix(home.root()).unwrap_or(&full);
    shown.to_string_lossy().into_owned()
}

/// Returns the path from the root of a file that is there. A link stays a link: the parts of a
/// split model have their names only beside it, and what it leads to may be changed on purpose.
fn full_path(typed: &Path) -> Option<PathBuf> {
    typed.try_exists().ok().filter(|there| *there)?;
    let folder = typed
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
    Some(folder.join(typed.file_name()?))
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
