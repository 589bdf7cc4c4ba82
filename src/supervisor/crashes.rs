//! Crash bundles: what a person wants to look at after an unexpected exit, kept under
//! `state/crashes/<name>/<run>/` and bounded in number and bytes. Secrets are masked.
//!
//! | file          | holds |
//! |---------------|-------|
//! | `about.json`  | cause and exit, the command, the environment that matters, the build, the machine |
//! | `stderr.log`, `stdout.log` | the end of what this run wrote |
//! | `events.txt`  | the instance's last events |
//! | `health.txt`  | its last changes of health |

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::ends;
use crate::config::home::Home;
use crate::domain::autopsy::Autopsy;
use crate::domain::event::EventFilter;
use crate::domain::exit::{ExitStatus, RunExit};
use crate::domain::instance::InstanceName;
use crate::domain::readings::HostReadings;
use crate::domain::run::RunId;
use crate::domain::secrets;
use crate::process::runfiles::{RunFile, RunPaths, SpecFile, read};
use crate::store::{HealthSample, Reader, StoredEvent};

/// The end of each log that is kept.
const TAIL: usize = 256 << 10;

/// Bundles kept of one instance.
const PER_INSTANCE: usize = 5;

/// Bytes kept of all instances together.
const TOTAL: u64 = 64 << 20;

/// Events and changes of health that are kept.
const LINES: u32 = 50;

/// A shorter value would be found everywhere in a log.
const SHORTEST_SECRET: usize = 6;

/// Variables that say something about a server; of the others only noise is known.
const TELLING: [&str; 8] = [
    "LLAMA_",
    "GGML_",
    "CUDA_",
    "HIP_",
    "ROCR_",
    "SIM_",
    "LD_LIBRARY_PATH",
    "PATH",
];

/// What a run left, read before the next one takes its place; the rest is done beside that one.
#[derive(Debug)]
pub struct Remains {
    spec: SpecFile,
    run: RunFile,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A bundle that is not written yet.
#[derive(Debug)]
pub struct Bundle {
    name: InstanceName,
    run: RunId,
    about: Value,
    stdout: String,
    stderr: String,
}

impl Remains {
    /// Reads what is left of a run; `None` when its files speak of another run already.
    #[must_use]
    pub fn of(paths: &RunPaths, run: &RunId) -> Option<Self> {
        let spec: SpecFile = read(&paths.spec()).ok()??;
        let file: RunFile = read(&paths.run()).ok()??;
        if spec.run_id != run.as_str() || file.run_id != run.as_str() {
            return None;
        }
        Some(Self {
            stdout: ends::tail(&spec.stdout, file.stdout_start, TAIL),
            stderr: ends::tail(&spec.stderr, file.stderr_start, TAIL),
            spec,
            run: file,
        })
    }

    /// Puts the bundle together, without secrets.
    #[must_use]
    pub fn bundle(
        &self,
        name: InstanceName,
        exit: &RunExit,
        autopsy: &Autopsy,
        host: &HostReadings,
    ) -> Bundle {
        let secrets = secrets_of(&self.spec);
        let clean = |bytes: &[u8]| without(&String::from_utf8_lossy(bytes), &secrets);
        Bundle {
            name,
            run: RunId::new(self.run.run_id.clone()),
            about: about(&self.spec, &self.run, exit, autopsy, host, &secrets),
            stdout: clean(&self.stdout),
            stderr: clean(&self.stderr),
        }
    }
}

/// Writes a bundle in one step, and makes room for it. Blocking.
///
/// # Errors
///
/// Returns an error when the folder cannot be written; nothing half-made is left then.
pub fn write(home: &Home, bundle: &Bundle) -> io::Result<PathBuf> {
    let folder = home.crashes_dir(&bundle.name);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)?;
    let path = folder.join(bundle.run.as_str());
    let unfinished = folder.join(format!(".{}", bundle.run));
    let made = fill(home, bundle, &unfinished).and_then(|()| fs::rename(&unfinished, &path));
    if made.is_err() {
        fs::remove_dir_all(&unfinished).ok(); // it may never have been made
    }
    made?;
    make_room(home, &bundle.name, TOTAL);
    Ok(path)
}

/// Lists the bundles of an instance, newest first.
#[must_use]
pub fn of(home: &Home, name: &InstanceName) -> Vec<PathBuf> {
    let mut found = bundles_in(&home.crashes_dir(name));
    // A run id begins with its time.
    found.sort_by(|left, right| right.file_name().cmp(&left.file_name()));
    found
}

fn fill(home: &Home, bundle: &Bundle, folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    let about = serde_json::to_string_pretty(&bundle.about).map_err(io::Error::other)?;
    let reader = Reader::open(&home.database()).ok().flatten();
    let (events, health) = reader.map_or_else(Default::default, |reader| {
        (events(&reader, &bundle.name), health(&reader, &bundle.name))
    });
    let files = [
        ("about.json", &about),
        ("stdout.log", &bundle.stdout),
        ("stderr.log", &bundle.stderr),
        ("events.txt", &events),
        ("health.txt", &health),
    ];
    for (name, text) in files {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn about(
    spec: &SpecFile,
    run: &RunFile,
    exit: &RunExit,
    autopsy: &Autopsy,
    host: &HostReadings,
    secrets: &[String],
) -> Value {
    let shown = |text: &Option<String>| text.as_ref().map(|text| without(text, secrets));
    let environment: serde_json::Map<String, Value> = spec
        .env
        .iter()
        .filter(|(name, _)| TELLING.iter().any(|part| name.starts_with(part)))
        .map(|(name, value)| {
            let value = without(&secrets::mask_variable(name, value), secrets);
            (name.clone(), value.into())
        })
        .collect();
    let devices: Vec<Value> = host
        .devices
        .iter()
        .map(|device| {
            json!({
                "label": device.label,
                "name": device.name,
                "memory_used_bytes": device.memory_used,
                "memory_total_bytes": device.memory_total,
            })
        })
        .collect();
    json!({
        "instance": spec.instance,
        "run_id": spec.run_id,
        "cause": autopsy.cause.as_str(),
        "class": autopsy.class.as_str(),
        "summary": without(&autopsy.summary, secrets),
        "evidence": shown(&autopsy.evidence),
        "remedy": autopsy.remedy,
        "exit": {
            "code": exit.status.and_then(ExitStatus::code),
            "signal": exit.status.and_then(ExitStatus::signal),
            "core": exit.core_dumped,
        },
        "started_at": time(exit.started_at),
        "ended_at": time(exit.ended_at),
        "program": spec.program,
        "build": spec.build,
        "args": secrets::mask_args(&spec.args),
        "environment": environment,
        "folder": spec.cwd,
        "host": spec.host,
        "port": spec.port,
        "pid": run.child.pid,
        "notes": run.notes,
        "log_bytes_dropped": exit.dropped_bytes,
        "machine": {
            "memory_used_bytes": host.memory_used,
            "memory_total_bytes": host.memory_total,
            "devices": devices,
        },
        "llama_orch": env!("CARGO_PKG_VERSION"),
    })
}

/// Takes the secrets of the run on record out of these lines.
pub(super) fn mask(paths: &RunPaths, lines: &mut [String]) {
    let Ok(Some(spec)) = read::<SpecFile>(&paths.spec()) else {
        return;
    };
    let secrets = secrets_of(&spec);
    for line in lines {
        *line = without(line, &secrets);
    }
}

/// Collects the values that must not be written down: of arguments, variables and key files.
fn secrets_of(spec: &SpecFile) -> Vec<String> {
    let masked = secrets::mask_args(&spec.args);
    let of_args = spec
        .args
        .iter()
        .zip(&masked)
        .filter(|(arg, mask)| arg != mask);
    let mut found: Vec<String> = of_args
        .map(|(arg, mask)| match mask.split_once('=') {
            Some((flag, _)) => arg[flag.len() + 1..].to_owned(),
            None => arg.clone(),
        })
        .collect();
    let of_env = spec.env.iter();
    found.extend(
        of_env
            .filter(|(name, value)| secrets::mask_variable(name, value) != **value)
            .map(|(_, value)| value.clone()),
    );
    let mut args = spec.args.iter();
    while let Some(arg) = args.next() {
        let path = match arg.split_once('=') {
            Some(("--api-key-file", path)) => Some(path),
            None if arg == "--api-key-file" => args.next().map(String::as_str),
            Some(_) | None => None,
        };
        let text = path.and_then(|path| fs::read_to_string(spec.cwd.join(path)).ok());
        found.extend(
            text.iter()
                .flat_map(|text| text.lines())
                .map(|line| line.trim().to_owned()),
        );
    }
    found.push(spec.token.clone());
    found.retain(|secret| secret.len() >= SHORTEST_SECRET);
    found
}

fn without(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        text.replace(secret, secrets::MASK)
    })
}

fn events(reader: &Reader, name: &InstanceName) -> String {
    let filter = EventFilter {
        instance: Some(name.clone()),
        limit: Some(LINES),
        ..EventFilter::default()
    };
    let events = reader.events(&filter).unwrap_or_default();
    let line = |event: &StoredEvent| {
        let at = time(event.at);
        format!("{at} {} {} {}\n", event.level, event.kind, event.message)
    };
    events.iter().map(line).collect()
}

fn health(reader: &Reader, name: &InstanceName) -> String {
    let changes = reader
        .health_history(name, LINES)
        .unwrap_or_default()
        .changes;
    let line = |change: &HealthSample| {
        let detail = change.error.as_deref().unwrap_or_default();
        format!("{} {} {detail}", time(change.at), change.health)
            .trim()
            .to_owned()
            + "\n"
    };
    changes.iter().map(line).collect()
}

/// RFC 3339.
fn time(seconds: f64) -> String {
    jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64)
        .unwrap_or_default()
        .to_string()
}

fn bundles_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join("about.json").is_file())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default();
            !name.to_string_lossy().starts_with('.')
        })
        .collect()
}

/// Deletes the oldest bundles beyond the bounds, first the instance's own, then anybody's.
fn make_room(home: &Home, name: &InstanceName, total: u64) {
    for old in of(home, name).iter().skip(PER_INSTANCE) {
        fs::remove_dir_all(old).ok(); // it is in the way again next time
    }
    let Some(all) = home.crashes_dir(name).parent().map(Path::to_owned) else {
        return;
    };
    let instances = fs::read_dir(all)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut found: Vec<PathBuf> = instances
        .flat_map(|instance| bundles_in(&instance.path()))
        .collect();
    found.sort_by(|left, right| right.file_name().cmp(&left.file_name()));
    let mut kept = 0;
    for path in found {
        kept += size_of(&path);
        if kept > total {
            fs::remove_dir_all(path).ok(); // it is in the way again next time
        }
    }
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.metadata().ok())
        .map(|file| file.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::home::HomeOrigin;
    use crate::process::runfiles::AskFile;
    use std::collections::BTreeMap;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn spec(folder: &Path) -> SpecFile {
        SpecFile {
            version: 1,
            run_id: "r".to_owned(),
            token: "token-of-the-run".to_owned(),
            instance: "a".to_owned(),
            program: "/bin/llama-server".into(),
            args: words("--api-key s3cret-in-args --api-key-file keys.txt -c 5"),
            env: BTreeMap::from([
                ("LLAMA_API_KEY".to_owned(), "s3cret-in-env".to_owned()),
                ("LLAMA_ORCH_ID".to_owned(), "token-of-the-run".to_owned()),
                ("EDITOR".to_owned(), "ed".to_owned()),
            ]),
            cwd: folder.to_owned(),
            stdout: folder.join("o"),
            stderr: folder.join("e"),
            max_size: 1,
            rotation: 1,
            grace_ms: 1,
            host: "h".to_owned(),
            port: None,
            open_files: None,
            oom: None,
            build: None,
            config: BTreeMap::new(),
            ask: AskFile::default(),
            unit: None,
        }
    }

    #[test]
    fn every_kind_of_secret_is_known_and_taken_out() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("keys.txt"), "s3cret-in-file\nab\n").expect("write");
        let secrets = secrets_of(&spec(folder.path()));
        let log = "1 s3cret-in-args 2 s3cret-in-env 3 s3cret-in-file 4 token-of-the-run ab";
        assert_eq!(without(log, &secrets), "1 *** 2 *** 3 *** 4 *** ab");
    }

    #[test]
    fn the_oldest_bundles_make_room_for_the_newest() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(folder.path(), HomeOrigin::Flag).expect("a home");
        let name = InstanceName::parse("a").expect("a name");
        for number in 0..8 {
            let bundle = Bundle {
                name: name.clone(),
                run: RunId::new(format!("run-{number}")),
                about: json!({}),
                stdout: String::new(),
                stderr: "its last words\n".to_owned(),
            };
            write(&home, &bundle).expect("write");
        }
        let found: Vec<String> = of(&home, &name)
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(found, ["run-7", "run-6", "run-5", "run-4", "run-3"]);
        let newest = &of(&home, &name)[0];
        let words = fs::read_to_string(newest.join("stderr.log")).expect("read");
        assert_eq!(words, "its last words\n");
    }

    #[test]
    fn the_bytes_of_all_instances_are_bounded_and_the_newest_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::open(folder.path(), HomeOrigin::Flag).expect("a home");
        let names = ["a", "b", "c"].map(|name| InstanceName::parse(name).expect("a name"));
        for (number, name) in (0..).zip(&names) {
            let bundle = Bundle {
                name: name.clone(),
                run: RunId::new(format!("run-{number}")),
                about: json!({}),
                stdout: String::new(),
                stderr: "x".repeat(1000),
            };
            write(&home, &bundle).expect("write");
        }
        make_room(&home, &names[0], 2500);
        let kept = names.map(|name| of(&home, &name).len());
        assert_eq!(kept, [0, 1, 1]);
    }
}
