//! Everything that is known of one instance, for `describe` with an owner and without.

use std::collections::BTreeMap;
use std::path::Path;

use super::http::event_body;
use crate::api::wire::{
    AmbientBody, AutopsyBody, ChangedBody, DescriptionBody, EndBody, EventBody, ExitBody, FitBody,
    HealthHistoryBody, InstanceBody, PathsBody, RunBody, rfc3339,
};
use crate::config::home::Home;
use crate::config::{drift, load, render};
use crate::domain::event::EventFilter;
use crate::domain::instance::{InstanceName, InstanceSpec, Port};
use crate::domain::log::Stream;
use crate::domain::readings::HostReadings;
use crate::domain::secrets;
use crate::probes::binary;
use crate::probes::devices::Asking;
use crate::process::argv::{self, FitFlag};
use crate::process::runfiles::{self, RunFile, RunPaths, SpecFile};
use crate::process::{ambient, program};
use crate::store::{Reader, RunRow};
use crate::supervisor::fit::{self, Holding, Surroundings};
use crate::supervisor::{crashes, log_files};

/// Events, runs and changes of health shown at the end.
const EVENTS: u32 = 10;
const RUNS: u32 = 5;
const HEALTH_CHANGES: usize = 10;

/// Stretches of five minutes that are summed up: a day.
pub const ROLLUPS: u32 = 288;

/// By these a run's processes are recognised; they tell a person nothing.
const OWN_VARIABLES: &str = "LLAMA_ORCH_";

/// Variables of these are shown; some dozen others are merely inherited.
const SHOWN_VARIABLES: [&str; 6] = ["LLAMA_", "GGML_", "CUDA_", "HIP_", "ROCR_", "SIM_"];

/// What is described, and what is known of it already.
pub struct Subject<'a> {
    pub home: &'a Home,
    pub host: &'a HostReadings,
    pub instance: InstanceBody,
    /// Everything that is kept, at most [`ROLLUPS`] of each.
    pub health: HealthHistoryBody,
}

/// Reads what the files, the database and the kernel tell besides. Blocking.
#[must_use]
pub fn describe(name: &InstanceName, subject: Subject<'_>) -> DescriptionBody {
    let Subject {
        home,
        host,
        instance,
        health,
    } = subject;
    let set = load::load(home);
    let run_paths = RunPaths::new(home.runs_dir(name));
    let run: Option<RunFile> = runfiles::read(&run_paths.run()).ok().flatten();
    let run = run.filter(|run| instance.run_id.as_deref() == Some(run.run_id.as_str()));
    // What an earlier run was started with is history, and what the next one gets is computed.
    let started: Option<SpecFile> = runfiles::read(&run_paths.spec()).ok().flatten();
    let started = started.filter(|_| instance.pid.is_some());
    let row = set.rows.iter().find(|row| match row {
        Ok(loaded) => loaded.spec.name == *name,
        Err(broken) => broken.name == *name,
    });
    let (config_path, findings, spec) = match row {
        Some(Ok(loaded)) => (
            loaded.path.display().to_string(),
            &loaded.warnings[..],
            Some(&loaded.spec),
        ),
        Some(Err(broken)) => (
            broken.path.display().to_string(),
            &broken.findings[..],
            None,
        ),
        None => (String::new(), &[][..], None),
    };
    let changed = changed(started.as_ref(), spec);
    let next = spec.and_then(|spec| next_command(home, spec));
    let (command, next_command) = match &started {
        Some(file) => {
            let program = file.program.display().to_string();
            let command = std::iter::once(program).chain(secrets::mask_args(&file.args));
            (
                Some(command.collect()),
                next.filter(|_| !changed.is_empty()),
            )
        }
        None => (next, None),
    };
    let memory = spec.map(|spec| {
        let around = Surroundings {
            home,
            host,
            asking: Asking::Once,
            holding: match instance.pid {
                Some(_) => Holding::Everything,
                None => Holding::Nothing,
            },
            promised: None,
        };
        FitBody::from(&fit::of(spec, around))
    });
    let past = Past::read(home, name);
    let logs = log_files::of(home, name);
    DescriptionBody {
        config_path,
        binary: spec
            .and_then(|spec| program::resolve(&spec.binary).ok())
            .map(|program| program.path.display().to_string()),
        build: started.as_ref().and_then(|file| file.build.clone()),
        command,
        next_command,
        environment: environment(started.as_ref(), spec),
        ambient: ambient_files(),
        memory,
        shim_pid: run.as_ref().map(|run| run.shim.pid),
        notes: run.map(|run| run.notes).unwrap_or_default(),
        last_end: past.runs.iter().find_map(end),
        runs: past.runs.iter().map(run_body).collect(),
        health_history: newest(health.changes, HEALTH_CHANGES),
        health_rollups: health.rollups,
        events: past.events,
        changed,
        findings: findings
            .iter()
            .map(|finding| render::finding(finding, home.root()))
            .collect(),
        paths: PathsBody {
            home: home.root().display().to_string(),
            model: spec
                .and_then(|spec| spec.model.path.as_ref())
                .map(|path| path.display().to_string()),
            logs: Stream::ALL
                .map(|stream| logs.of(stream).display().to_string())
                .to_vec(),
            run_files: run_paths.dir().display().to_string(),
            crashes: home.crashes_dir(name).display().to_string(),
            newest_crash: crashes::of(home, name)
                .first()
                .map(|path| path.display().to_string()),
            database: home.database().display().to_string(),
        },
        instance,
    }
}

fn changed(started: Option<&SpecFile>, spec: Option<&InstanceSpec>) -> Vec<ChangedBody> {
    let (Some(file), Some(spec)) = (started, spec) else {
        return Vec::new();
    };
    drift::drift(&file.config, &drift::static_fields(spec))
        .into_iter()
        .map(|change| ChangedBody {
            field: change.field,
            was: change.was.as_deref().map(drift::masked),
            now: change.now.as_deref().map(drift::masked),
        })
        .collect()
}

/// Returns the command that the next start would run; a port chosen at the start is not in it.
fn next_command(home: &Home, spec: &InstanceSpec) -> Option<Vec<String>> {
    let program = program::resolve(&spec.binary).ok()?;
    let (state, prefix) = (home.state_dir(), &program.prefix);
    let build = binary::build(&state, &program.path, prefix, Asking::Once);
    let knows_fit = build.is_ok_and(|build| build.knows("-fit"));
    let fit = if knows_fit {
        FitFlag::Known
    } else {
        FitFlag::Unknown
    };
    let port = match spec.server.port {
        Port::Fixed(port) if !spec.server.host.ends_with(".sock") => Some(port),
        Port::Fixed(_) | Port::Auto => None,
    };
    let args = argv::arguments(spec, port, fit);
    let command = std::iter::once(program.path.display().to_string())
        .chain(program.prefix)
        .chain(secrets::mask_args(&args));
    Some(command.collect())
}

fn environment(
    started: Option<&SpecFile>,
    spec: Option<&InstanceSpec>,
) -> BTreeMap<String, String> {
    let env = match (started, spec) {
        (Some(file), _) => file.env.clone(),
        (None, Some(spec)) => {
            let inherited = std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            });
            argv::environment(spec, inherited)
        }
        (None, None) => BTreeMap::new(),
    };
    let configured = |name: &String| spec.is_some_and(|spec| spec.env.contains_key(name));
    env.iter()
        .filter(|(name, _)| {
            let is_known = SHOWN_VARIABLES
                .iter()
                .any(|prefix| name.starts_with(prefix));
            (is_known && !name.starts_with(OWN_VARIABLES)) || configured(name)
        })
        .map(|(name, value)| (name.clone(), secrets::mask_variable(name, value)))
        .collect()
}

fn ambient_files() -> Vec<AmbientBody> {
    ambient::files(Path::new("/"), |name| std::env::var(name).ok())
        .into_iter()
        .map(|file| AmbientBody {
            path: file.path.display().to_string(),
            keys: file.keys,
            error: file.unreadable,
        })
        .collect()
}

/// What the database remembers; empty where there is none.
#[derive(Default)]
struct Past {
    runs: Vec<RunRow>,
    events: Vec<EventBody>,
}

impl Past {
    fn read(home: &Home, name: &InstanceName) -> Self {
        let Some(reader) = Reader::open(&home.database()).ok().flatten() else {
            return Self::default();
        };
        let filter = EventFilter {
            instance: Some(name.clone()),
            limit: Some(EVENTS),
            ..EventFilter::default()
        };
        let events = reader.events(&filter).unwrap_or_default();
        Self {
            runs: reader.runs(name, RUNS).unwrap_or_default(),
            events: events.iter().map(event_body).collect(),
        }
    }
}

fn newest<T>(mut list: Vec<T>, count: usize) -> Vec<T> {
    list.drain(..list.len().saturating_sub(count));
    list
}

fn end(run: &RunRow) -> Option<EndBody> {
    let end = run.end.as_ref()?;
    Some(EndBody {
        run_id: run.run.to_string(),
        ended_at: rfc3339(end.ended_at),
        exit: ExitBody::of(end.status),
        requested: end.requested,
        autopsy: end.autopsy.as_ref().map(AutopsyBody::from),
    })
}

fn run_body(run: &RunRow) -> RunBody {
    let end = run.end.as_ref();
    RunBody {
        run_id: run.run.to_string(),
        pid: run.pid,
        port: run.port,
        started_at: rfc3339(run.started_at),
        ended_at: end.map(|end| rfc3339(end.ended_at)),
        exit: end.map(|end| ExitBody::of(end.status)),
        requested: end.map(|end| end.requested),
        cause: end
            .and_then(|end| end.autopsy.as_ref())
            .map(|autopsy| autopsy.cause.to_string()),
    }
}
