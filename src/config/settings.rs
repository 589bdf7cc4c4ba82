//! `orchestrator.toml`: defaults for every instance, and how the supervisor behaves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checked, check};
use super::fields::{INSTANCE, SETTINGS};
use super::finding::{Finding, Severity};
use super::home::Home;
use super::spec::absolute;
use super::tree::{Format, Node, Source};
use crate::domain::work::TimeLimit;

/// Instance fields that belong to one instance and cannot be a default.
const IDENTITY: [&str; 4] = ["name", "display_name", "instance_uid", "instance_no"];

/// The settings of a home; built-in ones where its file is absent or wrong.
#[derive(Clone, Debug)]
pub struct Settings {
    pub supervisor: SupervisorSettings,
    pub api: ApiSettings,
    pub retention: Retention,
    /// Whether a start that will not fit into memory is refused.
    pub memory_refuse: bool,
    pub work: WorkSettings,
    /// Where models are looked for beside the usual places.
    pub model_folders: Vec<PathBuf>,
    /// `[dashboard]` as written; the dashboard reads it itself.
    pub dashboard: toml::Table,
    pub findings: Vec<Finding>,
    defaults: Option<Defaults>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupervisorSettings {
    /// Models loaded at once.
    pub max_loading: u32,
    /// For instances that name none.
    pub stop_grace: Option<Duration>,
}

/// The API beside the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSettings {
    /// Nothing listens unless an address is given.
    pub listen: Option<SocketAddr>,
    pub access: Access,
    pub places: ApiPlaces,
}

/// Where the file says it, as `file:line:column`, to be named when it cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiPlaces {
    pub listen: String,
    pub token_file: String,
}

/// What a caller of that API has to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The token in this file, which is made when it is not there.
    Token { file: PathBuf },
    /// Nothing; only on addresses that no other machine reaches.
    Anybody,
}

/// Whether the owner runs the commands of work units, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkSettings {
    /// Commands running at once; 0 runs none.
    pub max_parallel: u32,
    /// For units that have none of their own.
    pub time_limit: TimeLimit,
    /// Whether a command is taken from anywhere but the home's own socket.
    pub remote_commands: bool,
}

/// How long events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub events_days: u32,
    pub events_rows: u32,
}

/// `[defaults]`, to be merged under each instance as the second source of its check.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) source: Source,
    pub(super) node: Node,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            supervisor: SupervisorSettings {
                max_loading: 2,
                stop_grace: None,
            },
            api: ApiSettings {
                listen: None,
                access: Access::Anybody,
                places: ApiPlaces::default(),
            },
            retention: Retention {
                events_days: 7,
                events_rows: 200_000,
            },
            memory_refuse: false,
            work: WorkSettings {
                max_parallel: 0,
                time_limit: TimeLimit::Endless,
                remote_commands: false,
            },
            model_folders: Vec::new(),
            dashboard: toml::Table::new(),
            findings: Vec::new(),
            defaults: None,
        }
    }
}

impl Settings {
    /// Reads the settings of a home; whatever is wrong with them is in the findings.
    #[must_use]
    pub fn load(home: &Home) -> Self {
        let path = home.settings_file();
        if !path.exists() {
            return Self::default();
        }
        match Source::read(&path, Format::Toml) {
            Ok(source) => Self::from_source(home, &source),
            Err(finding) => Self {
                findings: vec![*finding],
                ..Self::default()
            },
        }
    }

    fn from_source(home: &Home, source: &Source) -> Self {
        let root = match source.parse(0) {
            Ok(root) => root,
            Err(findings) => {
                return Self {
                    findings,
                    ..Self::default()
                };
            }
        };
        let sources = [source];
        let mut checked = check(SETTINGS, "", &root, &sources);
        let api = api(home, &mut checked);
        let built_in = Self::default();
        let mut settings = Self {
            supervisor: SupervisorSettings {
                max_loading: checked
                    .count("supervisor.max_loading")
                    .unwrap_or(built_in.supervisor.max_loading),
                stop_grace: checked.duration("supervisor.stop_grace"),
            },
            api,
            retention: Retention {
                events_days: checked
                    .count("retention.events_days")
                    .unwrap_or(built_in.retention.events_days),
                events_rows: checked
                    .count("retention.events_rows")
                    .unwrap_or(built_in.retention.events_rows),
            },
            memory_refuse: checked.flag("memory.refuse").unwrap_or(false),
            work: WorkSettings {
                max_parallel: checked
                    .count("work.max_parallel")
                    .unwrap_or(built_in.work.max_parallel),
                // The bounds of the field are those of a limit.
                time_limit: checked
                    .duration("work.time_limit")
                    .and_then(|time| TimeLimit::of_seconds(time.as_secs_f64()).ok())
                    .unwrap_or(built_in.work.time_limit),
                remote_commands: checked
                    .flag("work.remote_commands")
                    .unwrap_or(built_in.work.remote_commands),
            },
            model_folders: checked
                .texts("models.folders")
                .unwrap_or_default()
                .iter()
                .map(|folder| absolute(home.root(), folder))
                .collect(),
            dashboard: dashboard(&source.text),
            findings: checked.into_findings(),
            defaults: None,
        };
        settings.take_defaults(source, &root);
        settings
    }

    /// Takes `[defaults]` as a whole or not at all: half of them would surprise.
    fn take_defaults(&mut self, source: &Source, root: &Node) {
        let Some(entry) = root.entry("defaults") else {
            return;
        };
        let sources = [source];
        let mut checked = check(INSTANCE, "defaults.", &entry.node, &sources);
        refuse_identity(&mut checked);
        let usable = !checked.has_errors();
        self.findings.extend(checked.into_findings());
        if !usable {
            return;
        }
        // Parsed again, so that the places name the second source of an instance's check.
        self.defaults = source
            .parse(1)
            .ok()
            .and_then(|root| root.entry("defaults").map(|entry| entry.node.clone()))
            .map(|node| Defaults {
                source: source.clone(),
                node,
            });
    }

    pub(super) fn defaults(&self) -> Option<&Defaults> {
        self.defaults.as_ref()
    }
}

/// Reads `[api]`; an address that anybody could reach without a token is refused.
fn api(home: &Home, checked: &mut Checked<'_>) -> ApiSettings {
    let mut listen = checked.address("api.listen");
    let access = match checked.flag("api.require_token") {
        Some(false) => Access::Anybody,
        Some(true) | None => Access::Token {
            file: checked
                .text("api.token_file")
                .map_or_else(|| home.token_file(), |path| absolute(home.root(), &path)),
        },
    };
    if let (Some(address), Access::Anybody) = (listen, &access)
        && !address.ip().is_loopback()
    {
        let message = format!(
            "api.require_token = false lets everybody in who reaches {address}; without a token \
             only a loopback address is allowed"
        );
        let help = "remove the line, or listen on \"127.0.0.1:PORT\"";
        checked.complain(Severity::Error, "api.require_token", message, help);
        listen = None;
    }
    let [listen_place, token_place] =
        ["api.listen", "api.token_file"].map(|field| checked.anchor(field).place());
    ApiSettings {
        listen,
        access,
        places: ApiPlaces {
            listen: listen_place,
            token_file: token_place,
        },
    }
}

fn refuse_identity(checked: &mut Checked<'_>) {
    for field in IDENTITY {
        if checked.text(field).is_some() {
            let message = format!("defaults.{field} belongs to one instance");
            let help = "set it in the instance's own file";
            checked.complain(Severity::Error, field, message, help);
        }
    }
}

fn dashboard(text: &str) -> toml::Table {
    let table = text.parse::<toml::Table>().ok();
    table
        .and_then(|mut table| table.remove("dashboard"))
        .and_then(|value| match value {
            toml::Value::Table(table) => Some(table),
            _ => None,
        })
        .unwrap_or_default()
}
