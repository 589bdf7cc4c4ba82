//! Looks at an instance on this machine: what its file names, and whether it would work here.

mod build;

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{Access, access};

use crate::config::finding::{Finding, Severity};
use crate::config::home::Home;
use crate::config::load::{ConfigSet, Loaded};
use crate::domain::gguf::ModelHeader;
use crate::domain::instance::{Backend, InstanceName, Layers, Port};
use crate::probes::gguf::{self, HeaderError};
use crate::process::ports::{self, PortError};
use crate::process::program;
use crate::process::runfiles::{self, RunFile, RunPaths};

/// Arguments of llama-server whose value is a file that must be there.
const FILE_FLAGS: [&str; 13] = [
    "-mm",
    "--mmproj",
    "-md",
    "--model-draft",
    "--lora",
    "--control-vector",
    "--api-key-file",
    "--chat-template-file",
    "--grammar-file",
    "--ssl-key-file",
    "--ssl-cert-file",
    "--models-preset",
    "-jf",
];

/// Arguments that a field of ours already gives, with that field. The last one counts, which is
/// the one in `args`.
const OWN_FLAGS: [(&[&str], &str); 8] = [
    (&["--host"], "server.host"),
    (&["--port"], "server.port"),
    (&["-c", "--ctx-size"], "model.context_size"),
    (&["-b", "--batch-size"], "model.batch_size"),
    (&["-t", "--threads"], "model.threads"),
    (&["-np", "--parallel"], "server.parallel"),
    (&["-to", "--timeout"], "server.timeout"),
    (&["-a", "--alias"], "name"),
];

/// Returns what is wrong with an instance on this machine.
pub(in crate::cli) fn lint(home: &Home, set: &ConfigSet, loaded: &Loaded) -> Vec<Finding> {
    let mut lints = Lints {
        home,
        loaded,
        findings: Vec::new(),
    };
    lints.binary();
    lints.model();
    lints.port(set);
    lints.host();
    lints.threads();
    lints.gpu();
    lints.devices();
    lints.flags();
    lints.logs();
    lints.args();
    lints.findings
}

struct Lints<'a> {
    home: &'a Home,
    loaded: &'a Loaded,
    findings: Vec<Finding>,
}

impl Lints<'_> {
    fn tell(&mut self, field: &str, severity: Severity, message: String, help: &str) {
        let finding = self.loaded.finding(field, severity, message);
        self.findings.push(finding.with_help(help));
    }

    fn binary(&mut self) {
        if let Err(error) = program::resolve(&self.loaded.spec.binary) {
            let message = format!("binary.path cannot be run: {error}");
            let help = "install llama.cpp, or set binary.path to its llama-server";
            self.tell("binary.path", Severity::Lint, message, help);
        }
    }

    fn model(&mut self) {
        let Some(path) = self.loaded.spec.model.path.clone() else {
            return;
        };
        match gguf::read(&path) {
            Ok(header) => self.context(&header),
            Err(error) => {
                let help = if error.error.is_truncated() {
                    "download it again; the file ends before the model does"
                } else {
                    "correct the path; a relative one starts at the home"
                };
                let path = error.path.display();
                let message = match &error.error {
                    HeaderError::Io(error) if error.kind() == ErrorKind::NotFound => {
                        format!("model.path {path} does not exist")
                    }
                    error => format!("model.path {path} {error}"),
                };
                self.tell("model.path", Severity::Lint, message, help);
            }
        }
    }

    /// A server takes a longer context than its model was trained for, and answers nonsense.
    fn context(&mut self, header: &ModelHeader) {
        let size = u64::from(self.loaded.spec.model.context_size);
        let stretched = self
            .loaded
            .spec
            .args
            .iter()
            .any(|argument| argument.starts_with("--rope") || argument.starts_with("--yarn"));
        let Some(trained) = header
            .trained_context()
            .filter(|trained| *trained > 0 && size > *trained)
        else {
            return;
        };
        if !stretched {
            let message = format!(
                "model.context_size {size} is beyond the {trained} tokens the model was trained for"
            );
            let help =
                format!("use {trained} or less, 0 for the model's own, or --rope-scaling in args");
            self.tell("model.context_size", Severity::Lint, message, &help);
        }
    }

    fn port(&mut self, set: &ConfigSet) {
        let server = &self.loaded.spec.server;
        let port = match server.port {
            Port::Fixed(port) => port,
            Port::Auto => 0,
        };
        if port == 0 && !server.host.ends_with(".sock") {
            return;
        }
        let Err(error) = ports::check_free(&server.host, port) else {
            return;
        };
        match &error {
            PortError::Taken {
                holder: Some(holder),
                ..
            } => match self.instance_of(set, holder.process.pid) {
                // Its own server is where it should be; a neighbour on the same port is told
                // by the rules between instances.
                Some(_) => {}
                None => {
                    let help = "stop that process, or choose another port";
                    self.tell(
                        "server.port",
                        Severity::Lint,
                        format!("server.{error}"),
                        help,
                    );
                }
            },
            PortError::SocketTaken { .. } if self.is_running(&self.loaded.spec.name) => {}
            PortError::Taken { holder: None, .. } | PortError::SocketTaken { .. } => {
                let message = format!("server.port: {error}");
                let help = "stop who listens there, or choose another port";
                self.tell("server.port", Severity::Lint, message, help);
            }
            PortError::Refused { .. } | PortError::NoneFree => {
                let message = format!("server.host: {error}");
                let help = "use an address of this machine, such as 127.0.0.1";
                self.tell("server.host", Severity::Lint, message, help);
            }
        }
    }

    /// Returns the instance whose run has this process.
    fn instance_of(&self, set: &ConfigSet, pid: i32) -> Option<InstanceName> {
        set.rows
            .iter()
            .flatten()
            .map(|loaded| &loaded.spec.name)
            .find(|name| self.run(name).is_some_and(|run| run.child.pid == pid))
            .cloned()
    }

    fn is_running(&self, name: &InstanceName) -> bool {
        self.run(name)
            .is_some_and(|run| Path::new("/proc").join(run.child.pid.to_string()).exists())
    }

    fn run(&self, name: &InstanceName) -> Option<RunFile> {
        runfiles::read(&RunPaths::new(self.home.runs_dir(name)).run())
            .ok()
            .flatten()
    }

    /// Everybody on the network may use a server that listens everywhere and wants no key.
    fn host(&mut self) {
        let spec = &self.loaded.spec;
        let open = spec.server.host.split(',').any(|host| {
            host.trim()
                .parse::<IpAddr>()
                .is_ok_and(|address| !address.is_loopback())
        });
        if !open {
            return;
        }
        let in_args = spec
            .args
            .iter()
            .any(|argument| argument.starts_with("--api-key"));
        let in_env = ["LLAMA_API_KEY", "LLAMA_ARG_API_KEY_FILE"]
            .iter()
            .any(|name| spec.env.contains_key(*name));
        let host = spec.server.host.clone();
        if in_args || in_env {
            let message = format!("server.host {host} can be reached from other machines");
            let help = "they need the key; use 127.0.0.1 when only this machine should";
            self.tell("server.host", Severity::Warning, message, help);
        } else {
            let message =
                format!("server.host {host} can be reached from other machines, without a key");
            let help = "add --api-key-file to args, or use 127.0.0.1";
            self.tell("server.host", Severity::Lint, message, help);
        }
    }

    fn threads(&mut self) {
        let (Some(threads), Ok(processors)) = (
            self.loaded.spec.model.threads,
            thread::available_parallelism(),
        ) else {
            return;
        };
        if usize::try_from(threads).is_ok_and(|threads| threads > processors.get()) {
            let message = format!(
                "model.threads {threads} is more than the {processors} processors of this machine"
            );
            let help = "more threads than processors make it slower; leave it out for llama-server's choice";
            self.tell("model.threads", Severity::Lint, message, help);
        }
    }

    fn gpu(&mut self) {
        let gpu = self.loaded.spec.gpu;
        if gpu.backend == Backend::Cpu && gpu.layers != Layers::Count(0) {
            let message = "gpu.layers has no effect while gpu.backend is \"cpu\"".to_owned();
            let help = "set gpu.backend to what the build computes on";
            self.tell("gpu.layers", Severity::Lint, message, help);
        }
    }

    fn logs(&mut self) {
        let logs = [
            ("logs.stdout", self.loaded.spec.logs.stdout.clone()),
            ("logs.stderr", self.loaded.spec.logs.stderr.clone()),
        ];
        let mut told: Option<PathBuf> = None;
        for (field, path) in logs {
            let there = path.ancestors().skip(1).find(|above| above.exists());
            let Some(there) = there.map(Path::to_owned) else {
                continue;
            };
            let reason = if !there.is_dir() {
                "is not a folder"
            } else if access(&there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                "cannot be written"
            } else {
                continue;
            };
            if told.as_ref() != Some(&there) {
                let message = format!("{field}: {} {reason}", there.display());
                let help = "give yourself the right to write there, or log elsewhere";
                self.tell(field, Severity::Lint, message, help);
                told = Some(there);
            }
        }
    }

    fn args(&mut self) {
        let args = self.loaded.spec.args.clone();
        for (position, argument) in args.iter().enumerate() {
            let own = OWN_FLAGS
                .iter()
                .find(|(flags, _)| flags.contains(&argument.as_str()));
            if let Some((_, field)) = own {
                let message = format!("args hold {argument}, which {field} already gives");
                let help = format!("the one in args counts; say it in {field} only");
                self.tell("args", Severity::Warning, message, &help);
            }
            if FILE_FLAGS.contains(&argument.as_str())
                && let Some(value) = args.get(position + 1)
                && !self.home.root().join(value).exists()
            {
                let message = format!("args: {argument} {value} does not exist");
                let help = "relative paths start at the home";
                self.tell("args", Severity::Lint, message, help);
            }
        }
    }
}

/// Returns the value of the last of these flags, which is the one that counts.
fn argument_after<'a>(args: &'a [String], flags: &[&str]) -> Option<&'a str> {
    let position = args
        .iter()
        .rposition(|argument| flags.contains(&argument.as_str()))?;
    args.get(position + 1).map(String::as_str)
}
