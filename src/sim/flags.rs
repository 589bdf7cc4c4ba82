//! Reads the arguments and the environment into settings, with llama-server's own messages.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::num::NonZero;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use thiserror::Error;

use super::duration;
use super::faults::{Crash, Faults, Flood, FloodStream, Grandchildren, Hang, LoadFailure, Sigterm};
use super::flag_table::{self, Flag};
use super::logfmt::Form;

/// The port when none is given, as in llama-server.
const DEFAULT_PORT: u16 = 8080;

/// What `--parallel -1` means, as in llama-server.
const DEFAULT_SLOTS: usize = 4;

/// More than anybody runs; a larger number is a slip that would eat memory.
const MOST_SLOTS: usize = 1024;

/// The context size when none is given; the real one reads it from the model.
const DEFAULT_CONTEXT: u32 = 4096;

/// The bytes of a flood line when nothing is said.
const DEFAULT_FLOOD_LENGTH: usize = 100;

/// The most sleepers one server may start.
const MOST_GRANDCHILDREN: u32 = 64;

/// Why the arguments are refused. The texts are llama-server's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum FlagError {
    #[error("error: invalid argument: {0}")]
    Unknown(String),
    #[error(
        "error while handling argument \"{flag}\": {reason}\n\nusage:\n{usage}\n\nto show complete usage, run with -h"
    )]
    Argument {
        flag: String,
        reason: String,
        usage: String,
    },
    #[error("error while handling environment variable \"{variable}\": {reason}\n\n")]
    Environment { variable: String, reason: String },
}

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Request {
    Help,
    Version,
    ListDevices(Vec<String>),
    Serve(Box<Settings>),
}

/// Everything the simulated server needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) hosts: Vec<String>,
    pub(super) port: u16,
    pub(super) model: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) context: u32,
    pub(super) slots: usize,
    pub(super) kv_cache: KvCache,
    pub(super) threads: usize,
    pub(super) gpu_layers: String,
    /// The devices the model would be spread over; empty means the CPU alone.
    pub(super) devices: Vec<String>,
    pub(super) api_keys: Vec<String>,
    pub(super) api_prefix: String,
    pub(super) metrics_endpoint: bool,
    pub(super) slots_endpoint: bool,
    pub(super) verbosity: u8,
    pub(super) log_form: Form,
    /// Lines for stderr before anything else.
    pub(super) early_warnings: Vec<String>,
    /// Flags that were given more than once.
    pub(super) repeated: Vec<String>,
    pub(super) faults: Faults,
}

/// Whether the slots share the context or each has its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KvCache {
    Unified,
    Split,
}

/// One value and where it came from.
#[derive(Clone, Debug)]
struct Given {
    text: String,
    /// The spelling used on the command line; none when the environment gave it.
    spelling: Option<String>,
    flag: Flag,
}

/// The values by the flags' keys.
struct Values(BTreeMap<&'static str, Given>);

/// Reads the arguments and the environment.
pub(super) fn read(
    arguments: &[OsString],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Request, FlagError> {
    let flags: Vec<Flag> = flag_table::sections()
        .into_iter()
        .flat_map(|section| section.flags)
        .collect();
    let mut values = Values(from_environment(&flags, environment));
    let mut early_warnings = Vec::new();
    let mut repeated = Vec::new();
    let mut seen = BTreeSet::new();
    let mut arguments = arguments.iter().map(|text| text.to_string_lossy());
    while let Some(argument) = arguments.next() {
        let spelling = if argument.starts_with("--") {
            argument.replace('_', "-")
        } else {
            argument.into_owned()
        };
        let Some(flag) = flags.iter().find(|flag| flag.is_spelled(&spelling)) else {
            return Err(FlagError::Unknown(spelling));
        };
        if !seen.insert(spelling.clone()) {
            repeated.push(spelling.clone());
        }
        let from_environment = |given: &Given| given.spelling.is_none();
        if values.0.get(flag.key()).is_some_and(from_environment) {
            early_warnings.push(format!(
                "warn: {} environment variable is set, but will be overwritten by command line argument {spelling}",
                flag.environment
            ));
        }
        let mut text = if flag.negates(&spelling) { "0" } else { "1" }.to_owned();
        for _ in 0..flag.values() {
            let Some(value) = arguments.next() else {
                return Err(argument_error(
                    flag,
                    &spelling,
                    "expected value for argument",
                ));
            };
            text = value.into_owned();
        }
        let given = Given {
            text,
            spelling: Some(spelling),
            flag: flag.clone(),
        };
        values.0.insert(flag.key(), given);
    }
    values.request(early_warnings, repeated)
}

fn from_environment(
    flags: &[Flag],
    environment: impl Fn(&str) -> Option<String>,
) -> BTreeMap<&'static str, Given> {
    let mut values = BTreeMap::new();
    for flag in flags.iter().filter(|flag| !flag.environment.is_empty()) {
        let negation = flag.environment.replace("LLAMA_ARG_", "LLAMA_ARG_NO_");
        let negated =
            flag.values() == 0 && negation != flag.environment && environment(&negation).is_some();
        let text = if negated {
            Some("0".to_owned())
        } else {
            environment(flag.environment)
        };
        if let Some(text) = text {
            let given = Given {
                text,
                spelling: None,
                flag: flag.clone(),
            };
            values.insert(flag.key(), given);
        }
    }
    values
}

fn argument_error(flag: &Flag, spelling: &str, reason: &str) -> FlagError {
    FlagError::Argument {
        flag: spelling.to_owned(),
        reason: reason.to_owned(),
        usage: flag.help(),
    }
}

impl Given {
    fn error(&self, reason: &str) -> FlagError {
        match &self.spelling {
            Some(spelling) => argument_error(&self.flag, spelling, reason),
            None => FlagError::Environment {
                variable: self.flag.environment.to_owned(),
                reason: reason.to_owned(),
            },
        }
    }
}

impl Values {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|given| given.text.as_str())
    }

    fn list(&self, key: &str) -> Vec<String> {
        let parts = self.text(key).unwrap_or_default().split(',');
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    /// Returns whether a flag without a value is on.
    fn is_on(&self, key: &str, otherwise: bool) -> Result<bool, FlagError> {
        let Some(given) = self.0.get(key) else {
            return Ok(otherwise);
        };
        match given.text.as_str() {
            "1" | "on" | "enabled" | "true" => Ok(true),
            "0" | "off" | "disabled" | "false" => Ok(false),
            other => Err(given.error(&format!("error: unknown value '{other}'"))),
        }
    }

    /// Parses a value with the given reader; `reason` completes the message when it is refused.
    fn parsed<T>(
        &self,
        key: &str,
        reason: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, FlagError> {
        let Some(given) = self.0.get(key) else {
            return Ok(None);
        };
        match parse(given.text.trim()) {
            Some(value) => Ok(Some(value)),
            None => Err(given.error(reason)),
        }
    }

    /// Parses a whole number; the reason is what llama-server says about one.
    fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, FlagError> {
        self.parsed(key, "stoi", |text| text.parse().ok())
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>, FlagError> {
        self.parsed(key, "not a duration (250ms, 1.5s, 2m)", duration::parse)
    }

    fn rate(&self, key: &str) -> Result<Option<f64>, FlagError> {
        let sane = |text: &str| {
            let rate = text.parse().ok();
            rate.filter(|rate: &f64| rate.is_finite() && *rate >= 0.0)
        };
        self.parsed(key, "stof", sane)
    }

    fn request(
        &self,
        early_warnings: Vec<String>,
        repeated: Vec<String>,
    ) -> Result<Request, FlagError> {
        if self.is_on("--usage", false)? {
            return Ok(Request::Help);
        }
        if self.is_on("--version", false)? {
            return Ok(Request::Version);
        }
        if self.is_on("--list-devices", false)? {
            return Ok(Request::ListDevices(self.list("--sim-devices")));
        }
        self.number::<i64>("--batch-size")?;
        self.number::<i64>("--timeout")?;
        self.parsed("--flash-attn", "error: unknown value", on_off_auto)?;
        self.parsed("--fit", "error: unknown value", on_off_auto)?;
        let mut hosts = self.list("--host");
        if hosts.is_empty() {
            hosts.push("127.0.0.1".to_owned());
        }
        let (slots, kv_cache) = match self.number::<i64>("--parallel")? {
            Some(number) if number > 0 => {
                let slots = usize::try_from(number).unwrap_or(MOST_SLOTS);
                (slots.min(MOST_SLOTS), KvCache::Split)
            }
            Some(_) | None => (DEFAULT_SLOTS, KvCache::Unified),
        };
        let threads = match self.number::<i64>("--threads")? {
            Some(number) if number > 0 => usize::try_from(number).unwrap_or(1),
            Some(_) | None => thread::available_parallelism().map_or(1, NonZero::get),
        };
        let context = self.number::<u32>("--ctx-size")?;
        let model = ["--model", "--hf-repo", "--model-url", "--docker-repo"];
        Ok(Request::Serve(Box::new(Settings {
            hosts,
            port: self.number("--port")?.unwrap_or(DEFAULT_PORT),
            model: model
                .iter()
                .find_map(|key| self.text(key))
                .map(str::to_owned),
            aliases: self.list("--alias"),
            context: context.filter(|size| *size > 0).unwrap_or(DEFAULT_CONTEXT),
            slots,
            kv_cache,
            threads,
            gpu_layers: self
                .parsed("--n-gpu-layers", "stoi", layers)?
                .unwrap_or_else(|| "auto".to_owned()),
            devices: self.devices()?,
            api_keys: self.api_keys()?,
            api_prefix: self.text("--api-prefix").unwrap_or_default().to_owned(),
            metrics_endpoint: self.is_on("--metrics", false)?,
            slots_endpoint: self.is_on("--slots", true)?,
            verbosity: self.verbosity()?,
            log_form: self.log_form()?,
            early_warnings,
            repeated,
            faults: self.faults()?,
        })))
    }

    fn devices(&self) -> Result<Vec<String>, FlagError> {
        let known = self.list("--sim-devices");
        if self.text("--sim-load-failure") == Some("invalid-device") {
            // The real one refuses the device while it still reads its arguments.
            return Err(FlagError::Argument {
                flag: "--device".to_owned(),
                reason: format!(
                    "invalid device: {}",
                    self.text("--device").unwrap_or("GPU9")
                ),
                usage: flag_table::usage("--device"),
            });
        }
        let Some(given) = self.0.get("--device") else {
            return Ok(known);
        };
        let asked = self.list("--device");
        if asked == ["none"] {
            return Ok(Vec::new());
        }
        match asked.iter().find(|name| !known.contains(name)) {
            Some(stranger) => Err(given.error(&format!("invalid device: {stranger}"))),
            None => Ok(asked),
        }
    }

    fn api_keys(&self) -> Result<Vec<String>, FlagError> {
        let mut keys = self.list("--api-key");
        if let Some(given) = self.0.get("--api-key-file") {
            let Ok(text) = fs::read_to_string(&given.text) else {
                return Err(given.error(&format!("error: failed to open file '{}'\n", given.text)));
            };
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            keys.extend(lines.map(str::to_owned));
        }
        Ok(keys)
    }

    fn verbosity(&self) -> Result<u8, FlagError> {
        if self.is_on("--log-verbose", false)? {
            return Ok(u8::MAX);
        }
        let number = self.number::<i32>("--log-verbosity")?.unwrap_or(3);
        Ok(u8::try_from(number.max(0)).unwrap_or(u8::MAX))
    }

    fn log_form(&self) -> Result<Form, FlagError> {
        Ok(if self.is_on("--log-disable", false)? {
            Form::Silent
        } else if self.is_on("--log-jsonl", false)? {
            Form::Json
        } else if !self.is_on("--log-prefix", true)? {
            Form::Bare
        } else if !self.is_on("--log-timestamps", true)? {
            Form::Untimed
        } else {
            Form::Prefixed
        })
    }

    fn faults(&self) -> Result<Faults, FlagError> {
        let defaults = Faults::default();
        let crash = self.parsed("--sim-crash", "not a way to crash", Crash::parse)?;
        let crash_after = self.duration("--sim-crash-after")?;
        let crash = match (crash, crash_after) {
            (None, None) => None,
            (how, after) => Some((after.unwrap_or_default(), how.unwrap_or(Crash::DEFAULT))),
        };
        let hang = self.parsed("--sim-hang", "neither inference nor all", Hang::parse)?;
        let hang_after = self.duration("--sim-hang-after")?;
        let hang = match (hang, hang_after) {
            (None, None) => None,
            (what, after) => Some((after.unwrap_or_default(), what.unwrap_or(Hang::Inference))),
        };
        let failure = "not a kind of load failure";
        Ok(Faults {
            load_time: self
                .duration("--sim-load-time")?
                .unwrap_or(defaults.load_time),
            load_failure: self.parsed("--sim-load-failure", failure, LoadFailure::parse)?,
            need_model: self.is_on("--sim-need-model", false)?,
            crash,
            hang,
            sigterm: if self.is_on("--sim-ignore-sigterm", false)? {
                Sigterm::Ignored
            } else if self.is_on("--sim-stuck-when-busy", false)? {
                Sigterm::StuckWhenBusy
            } else {
                Sigterm::Graceful
            },
            stop_time: self.duration("--sim-stop-time")?.unwrap_or_default(),
            flood: self.flood()?,
            grandchildren: self.grandchildren()?,
            resident_mib: self.number("--sim-rss-mib")?.unwrap_or_default(),
            tokens_per_second: self
                .rate("--sim-tokens-per-second")?
                .unwrap_or(defaults.tokens_per_second),
            traffic: self.rate("--sim-traffic")?.unwrap_or_default(),
        })
    }

    fn flood(&self) -> Result<Option<Flood>, FlagError> {
        let lengths = |text: &str| {
            let length = text.parse().ok();
            length.filter(|length| Flood::LENGTHS.contains(length))
        };
        let stream = self.parsed(
            "--sim-flood-stream",
            "not stderr, stdout or both",
            FloodStream::parse,
        )?;
        let lines = self.number("--sim-flood-lines")?.unwrap_or_default();
        let length = self.parsed("--sim-flood-length", "not between 20 and 4096", lengths)?;
        Ok(self.rate("--sim-flood")?.map(|lines_per_second| Flood {
            lines_per_second,
            stream: stream.unwrap_or(FloodStream::Stderr),
            lines,
            length: length.unwrap_or(DEFAULT_FLOOD_LENGTH),
        }))
    }

    fn grandchildren(&self) -> Result<Option<Grandchildren>, FlagError> {
        let few = |text: &str| {
            let number = text.parse().ok();
            number.filter(|number| *number <= MOST_GRANDCHILDREN)
        };
        let number = self.parsed("--sim-grandchildren", "not a number up to 64", few)?;
        let ignore = self.is_on("--sim-grandchildren-ignore-sigterm", false)?;
        Ok(number
            .filter(|number| *number > 0)
            .map(|number| Grandchildren {
                number,
                sigterm: if ignore {
                    Sigterm::Ignored
                } else {
                    Sigterm::Graceful
                },
            }))
    }
}

fn on_off_auto(text: &str) -> Option<()> {
    matches!(
        text,
        "on" | "off" | "auto" | "1" | "0" | "-1" | "true" | "false" | "enabled" | "disabled"
    )
    .then_some(())
}

fn layers(text: &str) -> Option<String> {
    let known = text == "all" || text == "auto" || text.parse::<i32>().is_ok();
    known.then(|| text.to_owned())
}
