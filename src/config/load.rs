//! All instances of a home: one broken file never stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::autostart;
use super::check::check;
use super::fields::INSTANCE;
use super::finding::{Finding, Severity};
use super::home::Home;
use super::registry::Registry;
use super::set;
use super::settings::Settings;
use super::spec::{Context, spec};
use super::tree::{Format, Source};
use super::values::{self, Origin};
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::secrets::fingerprint;

/// Fields that the rules between instances and the lints point at.
const ANCHORS: [&str; 15] = [
    "name",
    "instance_uid",
    "binary.path",
    "model.path",
    "model.context_size",
    "model.threads",
    "server.host",
    "server.port",
    "gpu.backend",
    "gpu.device_id",
    "gpu.layers",
    "args",
    "env",
    "logs.stdout",
    "logs.stderr",
];

/// Everything a home's files say.
#[derive(Clone, Debug)]
pub struct ConfigSet {
    pub settings: Settings,
    /// By sort order, then by name.
    pub rows: Vec<Result<Loaded, Broken>>,
    /// What belongs to no single instance; the settings keep their own.
    pub findings: Vec<Finding>,
}

/// An instance that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub spec: InstanceSpec,
    pub path: PathBuf,
    /// Findings that are no errors.
    pub warnings: Vec<Finding>,
    pub format: Format,
    /// Changes when the file's text or the defaults do.
    pub fingerprint: u64,
    pub(super) directory: String,
    /// Empty findings that point at fields.
    pub(super) anchors: BTreeMap<&'static str, Finding>,
    /// Empty findings that point at the items of `args`.
    args_anchors: Vec<Finding>,
    /// Where each field was said; fields that nobody named are absent.
    pub(super) origins: BTreeMap<String, Origin>,
}

/// An instance whose file cannot be used.
#[derive(Clone, Debug)]
pub struct Broken {
    /// What to call it: its name if that is known and its own, else made from the directory's.
    /// No other row of the set has it.
    pub name: InstanceName,
    pub path: PathBuf,
    pub findings: Vec<Finding>,
    pub(super) directory: String,
}

/// Reads everything in a home. What is wrong is in the result.
#[must_use]
pub fn load(home: &Home) -> ConfigSet {
    load_with(home, Settings::load(home))
}

/// Reads all instances of a home under settings that were read already.
#[must_use]
pub fn load_with(home: &Home, settings: Settings) -> ConfigSet {
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    let mut findings = Vec::new();
    let mut rows: Vec<_> = directories(&home.instances_dir(), &mut findings)
        .iter()
        .filter_map(|directory| load_directory(home, &settings, &registry, directory))
        .collect();
    rows = set::apply_rules(rows);
    findings.extend(autostart::apply(home, &mut rows));
    set::name_broken_rows(&mut rows);
    rows.sort_by_cached_key(|row| match row {
        // Without a sort order an instance comes after those that have one.
        Ok(loaded) => {
            let order = loaded.spec.sort_order;
            (order.is_none(), order, loaded.spec.name.clone())
        }
        Err(broken) => (true, None, broken.name.clone()),
    });
    ConfigSet {
        settings,
        rows,
        findings,
    }
}

/// Reads one instance's file, wherever it is; the rules between instances are not applied.
///
/// # Errors
///
/// Returns the file's findings when it cannot be used.
pub fn load_file(home: &Home, path: &Path) -> Result<Loaded, Broken> {
    let settings = Settings::load(home);
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    read_instance(home, &settings, &registry, path)
}

/// Reads the instance in a folder, wherever it is; `None` when the folder holds none. The rules
/// between instances are not applied.
#[must_use]
pub fn load_folder(home: &Home, folder: &Path) -> Option<Result<Loaded, Broken>> {
    let settings = Settings::load(home);
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    load_directory(home, &settings, &registry, folder)
}

/// Reads a text as if it were the file at a path, whether that is there or not.
///
/// # Errors
///
/// Returns the text's findings when it cannot be used.
pub fn read_text(
    home: &Home,
    settings: &Settings,
    path: &Path,
    text: &str,
) -> Result<Loaded, Broken> {
    let registry = Registry::read(home.registry_file(), home.bins_dir());
    let source = Source::new(path.to_owned(), text, Format::Toml);
    interpret(home, settings, &registry, &source)
}

impl ConfigSet {
    /// Returns every finding, those of the settings first.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        let rows = self.rows.iter().flat_map(|row| match row {
            Ok(loaded) => &loaded.warnings,
            Err(broken) => &broken.findings,
        });
        self.settings
            .findings
            .iter()
            .chain(&self.findings)
            .chain(rows)
    }
}

impl Loaded {
    /// Makes a finding that points at a field, at its table, or else at the file.
    #[must_use]
    pub fn finding(&self, field: &str, severity: Severity, message: String) -> Finding {
        let mut finding = self
            .anchors
            .get(field)
            .cloned()
            .unwrap_or_else(|| Finding::about_file(severity, self.path.clone(), String::new()));
        field.clone_into(&mut finding.field);
        finding.severity = severity;
        finding.message = message;
        finding
    }

    /// Makes a finding about one of the arguments, at its place in the file.
    #[must_use]
    pub fn finding_in_args(&self, place: usize, severity: Severity, message: String) -> Finding {
        let mut finding = self.finding("args", severity, message);
        if let Some(anchor) = self.args_anchors.get(place) {
            (finding.line, finding.column) = (anchor.line, anchor.column);
            finding.file.clone_from(&anchor.file);
        }
        finding
    }
}

impl Broken {
    /// Returns the first error in one line, for a row of a table.
    #[must_use]
    pub fn reason(&self) -> String {
        self.findings
            .iter()
            .find(|finding| finding.is_error())
            .map_or_else(|| "cannot be used".to_owned(), ToString::to_string)
    }
}

/// Returns the directories in `instances/`, sorted by name.
fn directories(instances: &Path, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let mut unreadable = |error: &io::Error| {
        let message = format!("cannot be read: {error}");
        findings.push(Finding::about_file(
            Severity::Error,
            instances.to_owned(),
            message,
        ));
    };
    let entries = match fs::read_dir(instances) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                unreadable(&error);
            }
            return Vec::new();
        }
    };
    let mut directories = BTreeSet::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                if !hidden && entry.path().is_dir() {
                    directories.insert(entry.path());
                }
            }
            Err(error) => unreadable(&error),
        }
    }
    directories.into_iter().collect()
}

/// Reads the instance in a directory; `None` when the directory holds none.
fn load_directory(
    home: &Home,
    settings: &Settings,
    registry: &Registry,
    directory: &Path,
) -> Option<Result<Loaded, Broken>> {
    // A dangling link is there too: its instance is broken, not absent.
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    let toml = Some(directory.join("config.toml")).filter(is_there);
    let json = Some(directory.join("config.json")).filter(is_there);
    match (toml, json) {
        (Some(_), Some(_)) => {
            let message = "holds both config.toml and config.json".to_owned();
            let finding = Finding::about_file(Severity::Error, directory.to_owned(), message)
                .with_help("keep one of the two");
            Some(Err(broken(directory, directory, vec![finding])))
        }
        (Some(path), None) | (None, Some(path)) => {
            Some(read_instance(home, settings, registry, &path))
        }
        (None, None) => None,
    }
}

fn read_instance(
    home: &Home,
    settings: &Settings,
    registry: &Registry,
    path: &Path,
) -> Result<Loaded, Broken> {
    let folder = path.parent().unwrap_or(path);
    match Source::read(path, Format::of(path)) {
        Ok(source) => interpret(home, settings, registry, &source),
        Err(finding) => Err(broken(folder, path, vec![*finding])),
    }
}

/// Turns an instance's text into what it means.
pub(super) fn interpret(
    home: &Home,
    settings: &Settings,
    registry: &Registry,
    source: &Source,
) -> Result<Loaded, Broken> {
    let path = source.path.as_path();
    let folder = path.parent().unwrap_or(path);
    let mut root = source
        .parse(0)
        .map_err(|findings| broken(folder, path, findings))?;
    let defaults = settings.defaults();
    if let Some(defaults) = defaults {
        root.merge_under(&defaults.node);
    }
    let sources: Vec<&Source> = std::iter::once(source)
        .chain(defaults.map(|defaults| &defaults.source))
        .collect();
    let directory = directory_name(folder);
    let origins = values::origins(&root, &sources);
    let mut checked = check(INSTANCE, "", &root, &sources);
    if !root.is_table() {
        return Err(broken(folder, path, checked.into_findings()));
    }
    let spec = spec(
        &mut checked,
        &Context {
            home,
            directory: &directory,
            format: source.format,
            stop_grace: settings.supervisor.stop_grace,
            registry,
        },
    );
    let configured = checked
        .text("name")
        .and_then(|name| InstanceName::parse(&name).ok());
    let anchors = ANCHORS
        .iter()
        .map(|field| (*field, checked.anchor(field)))
        .collect();
    let args_anchors = checked.item_anchors("args");
    let mut findings = checked.into_findings();
    // What is only a warning about the defaults is told once, by the settings.
    findings.retain(|finding| finding.is_error() || finding.file == *path);
    let Some(spec) = spec else {
        let mut broken = broken(folder, path, findings);
        if let Some(name) = configured {
            broken.name = name;
        }
        return Err(broken);
    };
    let texts: Vec<_> = sources.iter().map(|source| source.text.as_str()).collect();
    Ok(Loaded {
        spec,
        path: path.to_owned(),
        warnings: findings,
        format: source.format,
        fingerprint: fingerprint(texts.join("\0").as_bytes()),
        directory,
        anchors,
        args_anchors,
        origins,
    })
}

fn directory_name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or(folder.as_os_str());
    name.to_string_lossy().into_owned()
}

pub(super) fn broken(folder: &Path, path: &Path, findings: Vec<Finding>) -> Broken {
    let directory = directory_name(folder);
    Broken {
        name: set::label(&directory),
        path: path.to_owned(),
        findings,
        directory,
    }
}
