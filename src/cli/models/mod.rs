//! `models`: the model files on this machine, and which of them an instance may be made of.

mod catalogue;

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::columns;
use super::exit::{CliError, Exit};
use super::init::Profile;
use super::output::Output;
use crate::config::home::Home;
use crate::config::load::{self, ConfigSet};
use crate::domain::memory::fit::Verdict;
use crate::domain::model_file::ModelFile;
use crate::domain::units::size;
use crate::probes::models;

pub(super) use catalogue::{BUILD, Catalogue, Choice, projector_args};

/// Names of models that are told when several are meant.
const NAMES_SHOWN: usize = 8;

const HEADERS: [&str; 8] = [
    "NAME", "SIZE", "PARAMS", "QUANT", "TRAINED", "FITS", "FROM", "USED BY",
];

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "It looks into models/ of the home, ~/models, the caches of Hugging Face, llama.cpp, LM Studio and\nOllama, and the folders that [models] folders in orchestrator.toml names. TRAINED and FITS are\ntokens of context: what the model was made for, and the longest for which there is memory now, on\nthe GPU when the llama-server in PATH has one.\n\nExamples:\n  llama-orch models\n  llama-orch models qwen q4\n  llama-orch init coder --model qwen3-coder-30b --context fit"
)]
pub(super) struct ModelsArgs {
    /// Only models whose names hold all these words
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One model, for programs.
#[derive(Serialize)]
struct ModelBody<'a> {
    name: &'a str,
    group: &'a str,
    store: &'static str,
    path: &'a Path,
    bytes: u64,
    architecture: Option<&'a str>,
    parameters: Option<u64>,
    quantisation: Option<&'a str>,
    trained_context: Option<u64>,
    verdict: &'static str,
    fitting_context: Option<u64>,
    projector: Option<&'a Path>,
    used_by: Vec<&'a str>,
    /// Why it cannot be used, or nobody can tell whether it fits.
    reason: Option<&'a str>,
}

/// `llama-orch models …`
///
/// # Errors
///
/// Returns an error when stdout cannot be written.
pub(super) fn run(home: &Home, args: &ModelsArgs, output: &Output) -> Result<Exit, CliError> {
    let set = load::load(home);
    let catalogue = Catalogue::look(home, &set, &args.words.join(" "));
    for note in &catalogue.notes {
        output.warning(note);
    }
    if args.json {
        let bodies: Vec<ModelBody<'_>> = catalogue.choices.iter().map(body).collect();
        output.json(&bodies)?;
        return Ok(Exit::Success);
    }
    for choice in &catalogue.choices {
        if let Err(why) = &choice.model.facts {
            output.warning(&format!("{} {why}", choice.model.path.display()));
        }
    }
    if catalogue.choices.is_empty() {
        say_nothing_found(&catalogue, args, output);
        return Ok(Exit::Success);
    }
    let rows: Vec<[String; 8]> = catalogue.choices.iter().map(row).collect();
    columns::print(output, HEADERS, &rows)?;
    let profile = match catalogue.profile {
        Profile::Cpu => String::new(),
        other => format!(" --profile {}", other.backend().as_str()),
    };
    let command = format!("llama-orch init NAME{profile} --model 'NAME OF THE MODEL'");
    output.hint(&format!("an instance of one: {command}"));
    Ok(Exit::Success)
}

fn say_nothing_found(catalogue: &Catalogue, args: &ModelsArgs, output: &Output) {
    if !args.words.is_empty() {
        output.say(&format!("no model is called {:?}", args.words.join(" ")));
        output.hint("llama-orch models lists all");
        return;
    }
    output.say("no model was found; it was looked into:");
    for place in &catalogue.places {
        output.say(&format!("  {}", place.folder.display()));
    }
    output.hint(
        "other folders are named in orchestrator.toml: [models] folders = [\"/data/models\"]",
    );
}

fn body(choice: &Choice) -> ModelBody<'_> {
    let model = &choice.model;
    let facts = model.facts.as_ref().ok();
    let reach = choice.reach.as_ref().ok();
    ModelBody {
        name: &model.name,
        group: &model.group,
        store: model.store.as_str(),
        path: &model.path,
        bytes: model.bytes,
        architecture: facts.map(|facts| facts.architecture.as_str()),
        parameters: facts.map(|facts| facts.parameters),
        quantisation: facts.and_then(|facts| facts.quantisation.as_deref()),
        trained_context: facts.and_then(|facts| facts.trained_context),
        verdict: reach
            .map_or(Verdict::Unknown, |reach| reach.verdict)
            .as_str(),
        fitting_context: reach.and_then(|reach| reach.context),
        projector: model.projector.as_deref(),
        used_by: choice.used_by.iter().map(|name| name.as_str()).collect(),
        reason: choice.reach.as_ref().err().map(String::as_str),
    }
}

fn row(choice: &Choice) -> [String; 8] {
    let unknown = || "-".to_owned();
    let model = &choice.model;
    let facts = model.facts.as_ref().ok();
    let used_by: Vec<&str> = choice.used_by.iter().map(|name| name.as_str()).collect();
    [
        model.name.clone(),
        size(model.bytes),
        facts.map_or_else(unknown, |facts| facts.size_label()),
        facts
            .and_then(|facts| facts.quantisation.clone())
            .unwrap_or_else(unknown),
        facts
            .and_then(|facts| facts.trained_context)
            .map_or_else(unknown, |tokens| tokens.to_string()),
        choice.fits(),
        choice.from(),
        if used_by.is_empty() {
            unknown()
        } else {
            used_by.join(",")
        },
    ]
    .map(|cell| cell.replace(['\t', '\n'], " "))
}

impl Choice {
    /// Returns the longest context that fits, or the word for there being none.
    pub(super) fn fits(&self) -> String {
        match (&self.model.facts, &self.reach) {
            (Err(_), _) => "unusable".to_owned(),
            (Ok(_), Err(_)) => Verdict::Unknown.phrase().to_owned(),
            (Ok(_), Ok(reach)) => match reach.context {
                Some(tokens) => tokens.to_string(),
                None => reach.verdict.phrase().to_owned(),
            },
        }
    }

    /// Returns where the model comes from.
    pub(super) fn from(&self) -> String {
        let model = &self.model;
        format!("{} {}", model.store, model.group)
            .trim_end()
            .to_owned()
    }
}

/// Finds the model that somebody means by something that is no path.
///
/// # Errors
///
/// Returns an error when several are meant.
pub(super) fn meant(
    home: &Home,
    set: &ConfigSet,
    text: &str,
) -> Result<Option<ModelFile>, CliError> {
    let found = models::find(&catalogue::usual_places(home, set)).models;
    let exact = |model: &&ModelFile| model.name.eq_ignore_ascii_case(text);
    let mut candidates: Vec<&ModelFile> = found.iter().filter(exact).collect();
    if candidates.is_empty() {
        candidates = found.iter().filter(|model| model.matches(text)).collect();
    }
    match candidates.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some((*only).clone())),
        several => {
            let mut names: Vec<String> = several
                .iter()
                .take(NAMES_SHOWN)
                .map(|model| format!("  {}  {}", model.name, model.path.display()))
                .collect();
            if several.len() > NAMES_SHOWN {
                names.push(format!("  and {} more", several.len() - NAMES_SHOWN));
            }
            let message = format!(
                "{text:?} may be any of {} models:\n{}",
                several.len(),
                names.join("\n")
            );
            Err(CliError::new(Exit::General, message)
                .with_hint("say more of its name, or give the path"))
        }
    }
}

/// Finds the model in this very file.
pub(super) fn at(home: &Home, set: &ConfigSet, path: &Path) -> Option<ModelFile> {
    let found = models::find(&catalogue::usual_places(home, set)).models;
    found.into_iter().find(|model| model.path == path)
}
