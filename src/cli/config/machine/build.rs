//! What the build itself says against an instance: flags that it does not know, devices that it
//! does not list.

use super::{Lints, argument_after};
use crate::config::finding::{Finding, Severity};
use crate::domain::instance::Backend;
use crate::probes::binary;
use crate::probes::devices::{self, Asking};
use crate::probes::flags::{FlagError, Flags};
use crate::process::argv::{self, FitFlag};
use crate::process::program::{self, Program};

/// The fields that become arguments of these names.
const FIELDS: [(&str, &str); 9] = [
    ("--model", "model.path"),
    ("--host", "server.host"),
    ("--ctx-size", "model.context_size"),
    ("--batch-size", "model.batch_size"),
    ("--threads", "model.threads"),
    ("--alias", "name"),
    ("--timeout", "server.timeout"),
    ("--n-gpu-layers", "gpu.layers"),
    ("--parallel", "server.parallel"),
];

impl Lints<'_> {
    /// A server ends at once when it is given a flag that it does not know.
    pub(super) fn flags(&mut self) {
        let spec = &self.loaded.spec;
        let Ok(program) = program::resolve(&spec.binary) else {
            return; // told already
        };
        let ours = argv::arguments(spec, None, FitFlag::Unknown);
        let fields = &ours[..ours.len() - spec.args.len()];
        let refused = |flags: &Flags| (flags.refused(fields), flags.refused(&spec.args));
        let Some(flags) = self.known_flags(&program, Asking::Once) else {
            return; // it cannot be run, or answers something else than a help
        };
        let mut found = refused(&flags);
        if !(found.0.is_empty() && found.1.is_empty()) {
            // Its libraries may have been replaced beside it since it was asked.
            let Some(flags) = self.known_flags(&program, Asking::Anew) else {
                return;
            };
            found = refused(&flags);
        }
        let (of_fields, of_args) = found;
        for (_, error) in of_fields {
            let field = FIELDS
                .iter()
                .find(|(flag, _)| *flag == error.flag())
                .map_or("binary.path", |(_, field)| field);
            let message = format!("{field}: {error}");
            let help = "use a build that knows it";
            self.tell(field, Severity::Lint, message, help);
        }
        for (place, error) in of_args {
            let help = self.help(&error);
            let message = format!("args: {error}");
            let finding = self.loaded.finding_in_args(place, Severity::Lint, message);
            self.findings.push(Finding::with_help(finding, help));
        }
    }

    fn help(&self, error: &FlagError) -> String {
        match error {
            FlagError::Unknown { .. } => {
                let program = program::resolve(&self.loaded.spec.binary);
                let shown = program.map_or_else(
                    |_| "llama-server".to_owned(),
                    |program| {
                        let path = program.path.display().to_string();
                        let words = std::iter::once(path).chain(program.prefix);
                        words.collect::<Vec<_>>().join(" ")
                    },
                );
                format!("{shown} --help lists the flags it knows")
            }
            FlagError::Removed { .. } => "take it out of args".to_owned(),
        }
    }

    fn known_flags(&self, program: &Program, asking: Asking) -> Option<Flags> {
        let state = self.home.state_dir();
        binary::build(&state, &program.path, &program.prefix, asking)
            .ok()?
            .flags
    }

    /// A device that the build does not list ends the server at its start, or leaves it on the CPU.
    pub(super) fn devices(&mut self) {
        let spec = &self.loaded.spec;
        let gpu = spec.gpu;
        let named = argument_after(&spec.args, &["-dev", "--device"]).map(str::to_owned);
        let prefix = device_prefix(gpu.backend);
        if named.is_none() && prefix.is_none() {
            return;
        }
        let Ok(program) = program::resolve(&spec.binary) else {
            return; // told already
        };
        let state = self.home.state_dir();
        let list = devices::listed(&state, &program.path, &program.prefix, Asking::Once);
        let Some(list) = list else {
            return; // an older build, which does not say
        };
        let names: Vec<String> = list.devices.into_iter().map(|device| device.name).collect();
        let help = match names.as_slice() {
            [] => "it lists none: this build computes on the CPU".to_owned(),
            names => format!("it lists {}", names.join(", ")),
        };
        if let Some(named) = named {
            let unknown = named
                .split(',')
                .find(|name| *name != "none" && !names.iter().any(|known| known == name));
            if let Some(unknown) = unknown {
                let message = format!("args: the build knows no device {unknown}");
                self.tell("args", Severity::Lint, message, &help);
            }
            return;
        }
        let Some(prefix) = prefix else { return };
        let count = names.iter().filter(|name| name.starts_with(prefix)).count();
        let backend = gpu.backend.as_str();
        if count == 0 {
            let message = format!("gpu.backend {backend:?}: the build lists no such device");
            self.tell("gpu.backend", Severity::Lint, message, &help);
        } else if usize::try_from(gpu.device_id).is_ok_and(|device| device >= count) {
            let message = format!(
                "gpu.device_id {}: the build lists {count} of {backend}, counted from 0",
                gpu.device_id
            );
            self.tell("gpu.device_id", Severity::Lint, message, &help);
        }
    }
}

/// Returns how the names of a backend's devices begin in `--list-devices`.
fn device_prefix(backend: Backend) -> Option<&'static str> {
    match backend {
        Backend::Cpu => None,
        Backend::Vulkan => Some("Vulkan"),
        Backend::Cuda => Some("CUDA"),
        Backend::Metal => Some("M"), // "Metal", and "MTL" of newer builds
        Backend::Hip | Backend::Rocm => Some("ROCm"),
        Backend::Sycl => Some("SYCL"),
    }
}
