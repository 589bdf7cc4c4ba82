//! The command line and the environment of a server. Pure.

use std::collections::BTreeMap;

use super::ambient;
use crate::domain::device::DEVICE_FLAGS;
use crate::domain::instance::{Backend, InstanceSpec, Layers};
use crate::domain::secrets;

/// What a binary was found to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FitFlag {
    Known,
    Unknown,
}

/// Returns the arguments after the program: ours first, the user's last and verbatim, but for the
/// secrets, which go by the environment.
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
    args.extend(secrets::split(&spec.args).0);
    args
}

/// Returns the server's environment; the configuration's `env` wins over everything.
#[must_use]
pub fn environment(
    spec: &InstanceSpec,
    inherited: impl Iterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = inherited
        .filter(|(name, _)| !ambient::is_flag(name) && !ambient::is_for_the_owner(name))
        .collect();
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
    env.extend(spec.env.clone());
    // Last, as an argument wins over the environment.
    let secrets = secrets::split(&spec.args).1.into_iter();
    env.extend(secrets.map(|(variable, value)| (variable.to_owned(), value)));
    env
}

fn picks_device(args: &[String]) -> bool {
    args.iter().any(|arg| {
        let flag = arg.split('=').next().unwrap_or_default();
        DEVICE_FLAGS.contains(&flag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::{Binary, Port};
    use std::path::PathBuf;

    fn spec() -> InstanceSpec {
        let mut spec = crate::domain::instance::tests::spec("a");
        spec.binary = Binary::InPath("llama-server".to_owned());
        spec.model.path = Some(PathBuf::from("/m.gguf"));
        spec.model.context_size = 4096;
        spec.server.port = Port::Fixed(8081);
        spec
    }

    type Change = fn(&mut InstanceSpec);

    #[test]
    fn the_command_line_is_ours_in_order_and_then_the_users() {
        let rows: [(Change, Option<u16>, FitFlag, &str); 6] = [
            (
                |_| {},
                Some(8081),
                FitFlag::Unknown,
                "--model /m.gguf --host 127.0.0.1 --port 8081 --ctx-size 4096 --alias a \
                 --timeout 600 --parallel 1",
            ),
            (
                |spec| {
                    spec.model.batch_size = Some(512);
                    spec.model.threads = Some(8);
                    spec.gpu.backend = Backend::Cuda;
                    spec.gpu.layers = Layers::Count(33);
                    spec.args = words("--jinja --port 9 -fit on");
                },
                Some(8081),
                FitFlag::Known,
                "--model /m.gguf --host 127.0.0.1 --port 8081 --ctx-size 4096 --batch-size 512 \
                 --threads 8 --alias a --timeout 600 --n-gpu-layers 33 --parallel 1 -fit off \
                 --jinja --port 9 -fit on",
            ),
            (
                |spec| {
                    spec.gpu.backend = Backend::Vulkan;
                    spec.gpu.layers = Layers::All;
                    spec.server.parallel = 4;
                    spec.model.context_size = 0;
                },
                Some(1),
                FitFlag::Unknown,
                "--model /m.gguf --host 127.0.0.1 --port 1 --ctx-size 0 --alias a --timeout 600 \
                 --n-gpu-layers all --parallel 4",
            ),
            (
                |spec| {
                    spec.gpu.backend = Backend::Metal;
                    spec.gpu.layers = Layers::Auto;
                },
                Some(1),
                FitFlag::Unknown,
                "--model /m.gguf --host 127.0.0.1 --port 1 --ctx-size 4096 --alias a \
                 --timeout 600 --n-gpu-layers auto --parallel 1",
            ),
            // Layers mean nothing on the CPU.
            (
                |spec| spec.gpu.layers = Layers::Count(9),
                Some(1),
                FitFlag::Unknown,
                "--model /m.gguf --host 127.0.0.1 --port 1 --ctx-size 4096 --alias a \
                 --timeout 600 --parallel 1",
            ),
            // A router has no model, a Unix socket no port.
            (
                |spec| {
                    spec.model.path = None;
                    spec.server.host = "/run/a.sock".to_owned();
                },
                None,
                FitFlag::Unknown,
                "--host /run/a.sock --ctx-size 4096 --alias a --timeout 600 --parallel 1",
            ),
        ];
        for (change, port, fit, expected) in rows {
            let mut spec = spec();
            change(&mut spec);
            assert_eq!(arguments(&spec, port, fit), words(expected));
        }
    }

    #[test]
    fn the_environment_is_scrubbed_completed_and_overruled_by_the_configuration() {
        let ours = "LLAMA_ARG_ENDPOINT_METRICS=1 LLAMA_ARG_LOG_VERBOSITY=4";
        let rows: [(Change, &str, String); 9] = [
            (
                |_| {},
                "PATH=/bin LLAMA_ARG_MODEL=x LLAMA_ARG_LOG_VERBOSITY=1 LLAMA_API_KEY=k \
                 LLAMA_SERVER_ROUTER_PORT=1 NOTIFY_SOCKET=n WATCHDOG_USEC=1 WATCHDOG_PID=1 \
                 LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=f LLAMA_ORCH_ID=t LLAMA_ORCH_RUN=r \
                 LLAMA_ORCH_HOME=h LLAMA_CACHE=kept",
                format!("{ours} LLAMA_CACHE=kept PATH=/bin"),
            ),
            (
                |spec| {
                    spec.gpu.backend = Backend::Vulkan;
                    spec.gpu.device_id = 2;
                },
                "",
                format!("GGML_VK_VISIBLE_DEVICES=2 GGML_VULKAN_DEVICE=2 {ours}"),
            ),
            (
                |spec| spec.gpu.backend = Backend::Cuda,
                "CUDA_VISIBLE_DEVICES=7",
                format!("CUDA_VISIBLE_DEVICES=0 {ours}"),
            ),
            (
                |spec| spec.gpu.backend = Backend::Hip,
                "",
                format!("HIP_VISIBLE_DEVICES=0 {ours} ROCR_VISIBLE_DEVICES=0"),
            ),
            (
                |spec| spec.gpu.backend = Backend::Rocm,
                "",
                format!("HIP_VISIBLE_DEVICES=0 {ours} ROCR_VISIBLE_DEVICES=0"),
            ),
            // Who names a device picks among all of them.
            (
                |spec| {
                    spec.gpu.backend = Backend::Cuda;
                    spec.args = words("--device CUDA1");
                },
                "",
                ours.to_owned(),
            ),
            (
                |spec| {
                    spec.gpu.backend = Backend::Cuda;
                    spec.env.insert("CUDA_VISIBLE_DEVICES".into(), "0,1".into());
                },
                "",
                format!("CUDA_VISIBLE_DEVICES=0,1 {ours}"),
            ),
            (
                |spec| {
                    spec.env
                        .insert("LLAMA_ARG_LOG_VERBOSITY".into(), "0".into());
                },
                "",
                "LLAMA_ARG_ENDPOINT_METRICS=1 LLAMA_ARG_LOG_VERBOSITY=0".to_owned(),
            ),
            (
                |spec| spec.gpu.backend = Backend::Metal,
                "",
                ours.to_owned(),
            ),
        ];
        for (change, inherited, expected) in rows {
            let mut spec = spec();
            change(&mut spec);
            let inherited = inherited
                .split_whitespace()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
            let found: Vec<String> = environment(&spec, inherited)
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            assert_eq!(found, words(&expected));
        }
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn secrets_go_by_the_environment_and_never_by_the_arguments() {
        let rows = [
            ("-c 5 --api-key a,b -v", "-c 5 -v", "LLAMA_API_KEY=a,b"),
            ("--api-key=a --api-key b", "", "LLAMA_API_KEY=b"),
            ("-hft t --hf-repo r", "--hf-repo r", "HF_TOKEN=t"),
            ("--api-key-file f", "--api-key-file f", ""),
            ("-v --api-key", "-v --api-key", ""),
        ];
        for (args, public, secret) in rows {
            let mut spec = spec();
            spec.args = words(args);
            let found = arguments(&spec, None, FitFlag::Unknown);
            assert!(found.ends_with(&words(public)), "{found:?}");
            assert!(
                !found.iter().any(|arg| arg == "a,b" || arg == "t"),
                "{found:?}"
            );
            let env = environment(&spec, std::iter::empty());
            let kept = ["LLAMA_API_KEY", "HF_TOKEN"];
            let found: Vec<String> = kept
                .iter()
                .filter_map(|name| Some(format!("{name}={}", env.get(*name)?)))
                .collect();
            assert_eq!(found, words(secret), "{args}");
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
