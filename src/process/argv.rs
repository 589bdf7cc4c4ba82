//! The command line and the environment of a server. Pure.

use std::collections::BTreeMap;

use crate::domain::instance::{Backend, Binary, InstanceSpec, Layers};

/// What an inherited environment must not bring in: flags in disguise, our own service manager's
/// variables, and the one that ends a server when its stdin closes.
const SCRUBBED_PREFIXES: [&str; 4] = ["LLAMA_ARG_", "WATCHDOG_", "LISTEN_", "LLAMA_ORCH_"];
const SCRUBBED: [&str; 3] = ["LLAMA_API_KEY", "LLAMA_SERVER_ROUTER_PORT", "NOTIFY_SOCKET"];

/// Shown instead of a secret.
const MASK: &str = "********";

/// What a binary was found to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitFlag {
    Known,
    Unknown,
}

/// Returns the arguments after the program: ours first, the user's verbatim and last.
#[must_use]
pub fn arguments(spec: &InstanceSpec, port: Option<u16>, fit: FitFlag) -> Vec<String> {
    let mut args = Vec::new();
    let mut pair = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    if let Some(path) = &spec.model.path {
        pair("--model", path.to_string_lossy().into_owned());
    }
    pair("--host", spec.server.host.clone());
    if let Some(port) = port {
        pair("--port", port.to_string());
    }
    pair("--ctx-size", spec.model.context_size.to_string());
    if let Some(batch_size) = spec.model.batch_size {
        pair("--batch-size", batch_size.to_string());
    }
    if let Some(threads) = spec.model.threads {
        pair("--threads", threads.to_string());
    }
    pair("--alias", spec.name.to_string());
    pair("--timeout", spec.server.timeout.to_string());
    if spec.gpu.backend != Backend::Cpu {
        let layers = match spec.gpu.layers {
            Layers::Count(count) => count.to_string(),
            Layers::All => "all".to_owned(),
            Layers::Auto => "auto".to_owned(),
        };
        pair("--n-gpu-layers", layers);
    }
    // Without it today's llama-server chooses four slots and divides the context among them.
    pair("--parallel", spec.server.parallel.to_string());
    if fit == FitFlag::Known {
        pair("-fit", "off".to_owned());
    }
    args.extend(spec.args.iter().cloned());
    args
}

/// Returns the server's environment; the configuration's `env` wins over everything.
#[must_use]
pub fn environment(
    spec: &InstanceSpec,
    inherited: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let scrubbed = |name: &str| {
        SCRUBBED.contains(&name)
            || SCRUBBED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let mut env: BTreeMap<String, String> = inherited.filter(|(name, _)| !scrubbed(name)).collect();
    let device = spec.gpu.device_id.to_string();
    if !picks_device(&spec.args) {
        let variables: &[&str] = match spec.gpu.backend {
            Backend::Vulkan => &["GGML_VK_VISIBLE_DEVICES", "GGML_VULKAN_DEVICE"],
            Backend::Cuda => &["CUDA_VISIBLE_DEVICES"],
            Backend::Hip | Backend::Rocm => &["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"],
            Backend::Cpu | Backend::Metal | Backend::Sycl => &[],
        };
        for variable in variables {
            env.insert((*variable).to_owned(), device.clone());
        }
    }
    // Buffer sizes and offloaded layers are logged from here up; /metrics answers only if asked for.
    env.insert("LLAMA_ARG_LOG_VERBOSITY".to_owned(), "4".to_owned());
    env.insert("LLAMA_ARG_ENDPOINT_METRICS".to_owned(), "1".to_owned());
    if spec.binary == Binary::Simulated {
        // The simulated server is this program; it must not look for a home of its own.
        env.remove("LLAMA_ORCH_HOME");
    }
    env.extend(spec.env.clone());
    env
}

fn picks_device(args: &[String]) -> bool {
    args.iter().any(|arg| {
        let flag = arg.split('=').next().unwrap_or_default();
        matches!(flag, "--device" | "-dev")
    })
}

/// Returns the arguments as they may be shown: secrets masked.
#[must_use]
pub fn masked(args: &[String]) -> Vec<String> {
    let mut secret_next = false;
    args.iter()
        .map(|arg| {
            if std::mem::take(&mut secret_next) {
                return MASK.to_owned();
            }
            match arg.split_once('=') {
                Some((flag, _)) if is_secret(flag) => format!("{flag}={MASK}"),
                _ => {
                    secret_next = is_secret(arg);
                    arg.clone()
                }
            }
        })
        .collect()
}

fn is_secret(flag: &str) -> bool {
    matches!(flag, "--api-key" | "--hf-token" | "-hft")
}

/// Returns whether the value of a variable of this name must not be shown.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn secrets_are_masked_in_both_spellings() {
        let rows = [
            ("--api-key s3cret -c 5", "--api-key ******** -c 5"),
            ("--api-key=s3cret", "--api-key=********"),
            ("--api-key-file f", "--api-key-file f"),
            ("--api-key", "--api-key"),
        ];
        for (args, shown) in rows {
            assert_eq!(masked(&words(args)), words(shown));
        }
    }

    #[test]
    fn a_device_in_the_arguments_is_seen_in_both_spellings() {
        for (args, expected) in [
            ("--device CUDA0", true),
            ("-dev=CUDA0", true),
            ("--devices x", false),
            ("", false),
        ] {
            assert_eq!(picks_device(&words(args)), expected, "{args}");
        }
    }
}
