//! A llama-server command becomes fields; what has no field goes to `args`, in its order.

use std::collections::BTreeMap;

use toml::Value;

use super::{API_KEY_FILE, Imported, new_draft, unique_name};
use crate::domain::instance::InstanceName;

/// The port of a llama-server that is told none.
const SERVER_PORT: i64 = 8080;

/// Variables that choose devices, with the backend they belong to.
const DEVICE_VARIABLES: [(&str, &str); 5] = [
    ("CUDA_VISIBLE_DEVICES", "cuda"),
    ("GGML_VK_VISIBLE_DEVICES", "vulkan"),
    ("GGML_VULKAN_DEVICE", "vulkan"),
    ("HIP_VISIBLE_DEVICES", "hip"),
    ("ROCR_VISIBLE_DEVICES", "hip"),
];

/// How the names of devices begin, with the backend they belong to.
const DEVICE_NAMES: [(&str, &str); 5] = [
    ("CUDA", "cuda"),
    ("Vulkan", "vulkan"),
    ("ROCm", "hip"),
    ("Metal", "metal"),
    ("SYCL", "sycl"),
];

/// A command and what is known of it besides.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The words: variables, the program, its arguments.
    pub words: &'a [String],
    /// Variables that are set elsewhere.
    pub env: BTreeMap<String, String>,
    /// The name that is wanted; else the alias or the model gives it.
    pub name: Option<&'a str>,
    /// For a command that names no port.
    pub port: Option<u16>,
    /// What the heading says.
    pub from: &'a str,
}

/// Why a command is none of llama-server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandError {
    #[error("there is no command")]
    Empty,
    #[error("{0} is not llama-server, and only llama-server can be looked after")]
    OtherProgram(String),
}

/// Returns the instance that runs this command. Its name is added to `taken`.
///
/// # Errors
///
/// Returns an error when the command runs something else.
pub fn import(
    request: &Request<'_>,
    taken: &mut Vec<InstanceName>,
) -> Result<Imported, CommandError> {
    let mut env = request.env.clone();
    let mut words = request.words.iter().peekable();
    while let Some(word) = words.peek() {
        match word.split_once('=') {
            Some((name, value)) if is_variable(name) => {
                env.insert(name.to_owned(), value.to_owned());
            }
            _ if word.as_str() == "env" => {}
            Some(_) | None => break,
        }
        words.next();
    }
    let program = words.next().ok_or(CommandError::Empty)?;
    if !is_server(program) {
        return Err(CommandError::OtherProgram(program.clone()));
    }
    let mut reader = Reader::default();
    let arguments: Vec<&String> = words.collect();
    let mut position = 0;
    while let Some(argument) = arguments.get(position) {
        let value = arguments.get(position + 1).map(|value| value.as_str());
        position += 1 + reader.argument(argument, value);
    }
    let wanted = request
        .name
        .or(reader.alias.as_deref())
        .or(reader.model_name())
        .unwrap_or("llama");
    let name = unique_name(wanted.split(',').next().unwrap_or(wanted), taken);
    Ok(reader.finish(name, program, env, request))
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Builds are called llama-server, llama-server-b9000, llama-server.exe, or just server.
fn is_server(program: &str) -> bool {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    name.starts_with("llama-server") || name == "server" || program == crate::config::SIMULATED
}

#[derive(Debug, Default)]
struct Reader {
    values: BTreeMap<&'static str, Value>,
    args: Vec<String>,
    alias: Option<String>,
    layers: Option<String>,
    device: Option<String>,
    names_model: bool,
    has_key: bool,
    api_key: Option<String>,
    notes: Vec<String>,
}

impl Reader {
    /// Takes one argument; returns how many values it took along.
    fn argument(&mut self, argument: &str, value: Option<&str>) -> usize {
        let Some(value) = value else {
            self.args.push(argument.to_owned());
            return 0;
        };
        let number = |low: i64, high: i64| {
            let number = value.parse::<i64>().ok()?;
            (low..=high)
                .contains(&number)
                .then_some(Value::Integer(number))
        };
        let text = || Some(Value::String(value.to_owned()));
        let (field, found) = match argument {
            "-m" | "--model" => ("model.path", text().filter(|_| is_gguf(value))),
            "-c" | "--ctx-size" => ("model.context_size", number(0, u32::MAX.into())),
            "-b" | "--batch-size" => ("model.batch_size", number(1, 8192)),
            "-t" | "--threads" => ("model.threads", number(1, 256)),
            "--host" => ("server.host", text().filter(|_| !value.contains(','))),
            "--port" => ("server.port", number(1, 65_535)),
            "-to" | "--timeout" => ("server.timeout", number(0, u32::MAX.into())),
            "-np" | "--parallel" => ("server.parallel", number(1, 64)),
            _ => return self.other(argument, value),
        };
        match found {
            Some(found) => {
                self.values.insert(field, found);
            }
            // Our field could not hold it; as an argument it means what it meant.
            None => self.args.extend([argument.to_owned(), value.to_owned()]),
        }
        self.names_model |= field == "model.path";
        1
    }

    fn other(&mut self, argument: &str, value: &str) -> usize {
        match argument {
            "-a" | "--alias" => self.alias = Some(value.to_owned()),
            "-ngl" | "--gpu-layers" | "--n-gpu-layers" => self.layers = Some(value.to_owned()),
            "--api-key" => {
                self.api_key = Some(value.to_owned());
                self.has_key = true;
            }
            "-dev" | "--device" => {
                self.device = Some(value.to_owned());
                self.args.extend([argument.to_owned(), value.to_owned()]);
            }
            _ => {
                self.names_model |= matches!(
                    argument,
                    "-hf" | "-hfr" | "--hf-repo" | "-mu" | "--model-url" | "-dr" | "--docker-repo"
                ) || argument.ends_with("-default");
                self.has_key |= argument == "--api-key-file";
                self.args.push(argument.to_owned());
                return 0;
            }
        }
        1
    }

    /// Returns the model as a name: the file's stem, or the repository.
    fn model_name(&self) -> Option<&str> {
        let path = self.values.get("model.path").and_then(Value::as_str);
        let file = path.map(|path| {
            let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
            name.strip_suffix(".gguf").unwrap_or(name)
        });
        let repository = || {
            let flags = ["-hf", "-hfr", "--hf-repo"];
            let position = self
                .args
                .iter()
                .position(|argument| flags.contains(&argument.as_str()))?;
            self.args.get(position + 1).map(String::as_str)
        };
        file.or_else(repository)
    }

    fn finish(
        mut self,
        name: InstanceName,
        program: &str,
        env: BTreeMap<String, String>,
        request: &Request<'_>,
    ) -> Imported {
        let mut draft = new_draft(&name, request.from);
        draft.set("binary.path", program);
        let model_in_env = env
            .keys()
            .any(|key| key.starts_with("LLAMA_ARG_MODEL") || key.starts_with("LLAMA_ARG_HF_REPO"));
        if !self.names_model && !model_in_env {
            draft.set("router", true);
            self.notes
                .push("the command names no model, so llama-server is a router".to_owned());
        }
        self.place_gpu(&env, &mut draft);
        // Clients ask for the model by this name.
        if let Some(alias) = self.alias.take().filter(|alias| alias != name.as_str()) {
            self.args.extend(["--alias".to_owned(), alias]);
        }
        if self.api_key.is_some() {
            self.args.extend([
                "--api-key-file".to_owned(),
                format!("instances/{name}/{API_KEY_FILE}"),
            ]);
            self.notes.push(format!(
                "the API key moves to instances/{name}/{API_KEY_FILE}: in a command every user can read it"
            ));
        }
        // Without these llama-server decides otherwise than we do.
        self.values
            .entry("model.context_size")
            .or_insert(Value::Integer(0));
        if !self.values.contains_key("server.parallel") && !self.has_any(&["-np", "--parallel"]) {
            self.notes.push(
                "the command gave no --parallel: llama-server would serve 4 at once, llama-orch says 1"
                    .to_owned(),
            );
        }
        let model = self.values.get("model.path").and_then(Value::as_str);
        if let Some(path) =
            model.filter(|path| !path.starts_with(['/', '\\']) && !path.contains(':'))
        {
            self.notes.push(format!(
                "model.path {path} is relative, and so starts at the home"
            ));
        }
        if !self.values.contains_key("server.port") {
            let port = request.port.map_or(SERVER_PORT, i64::from);
            draft.set("server.port", port);
        }
        for (field, value) in self.values {
            draft.set(field, value);
        }
        if !self.args.is_empty() {
            draft.set("args", self.args);
        }
        if !env.is_empty() {
            let variables = env
                .into_iter()
                .map(|(key, value)| (key, Value::String(value)));
            draft.set("env", Value::Table(variables.collect()));
        }
        Imported {
            name,
            draft,
            notes: self.notes,
            api_key: self.api_key,
        }
    }

    fn has_any(&self, flags: &[&str]) -> bool {
        self.args
            .iter()
            .any(|argument| flags.contains(&argument.as_str()))
    }

    /// Sets the backend when something tells it; else the layers stay an argument.
    fn place_gpu(&mut self, env: &BTreeMap<String, String>, draft: &mut super::Draft) {
        let by_device = self.device.as_deref().and_then(|device| {
            DEVICE_NAMES
                .iter()
                .find(|(start, _)| device.starts_with(start))
        });
        let by_variable = DEVICE_VARIABLES
            .iter()
            .find(|(variable, _)| env.contains_key(*variable));
        let backend = by_device.or(by_variable).map(|(_, backend)| *backend);
        let layers = self.layers.take();
        match (backend, layers) {
            (Some(backend), layers) => {
                draft.set("gpu.backend", backend);
                match layers
                    .as_deref()
                    .map(|layers| (layers, layers.parse::<u32>()))
                {
                    Some((_, Ok(count))) => draft.set("gpu.layers", i64::from(count)),
                    Some((word @ ("all" | "auto"), Err(_))) => draft.set("gpu.layers", word),
                    Some((other, Err(_))) => {
                        draft.set("gpu.layers", "auto");
                        self.args.extend(["-ngl".to_owned(), other.to_owned()]);
                    }
                    // llama-server's own choice.
                    None => draft.set("gpu.layers", "auto"),
                }
            }
            (None, Some(layers)) => {
                self.args.extend(["-ngl".to_owned(), layers]);
                self.notes.push(
                    "nothing tells what the build computes on: -ngl stays in args; set gpu.backend and gpu.layers instead"
                        .to_owned(),
                );
            }
            (None, None) => {}
        }
    }
}

fn is_gguf(path: &str) -> bool {
    path.len() >= 5 && path.is_char_boundary(path.len() - 5) && {
        path[path.len() - 5..].eq_ignore_ascii_case(".gguf")
    }
}
