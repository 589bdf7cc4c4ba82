//! What a new instance can be made from.

use toml::Value;

use crate::config::SIMULATED;
use crate::config::draft::{Draft, Suggestions};

/// A starting point with a sentence about it.
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) draft: fn() -> Draft,
}

pub(super) const TEMPLATES: [Template; 4] = [
    Template {
        name: "model on the CPU",
        about: "a .gguf file, llama-server from PATH",
        draft: on_cpu,
    },
    Template {
        name: "model on a GPU",
        about: "a .gguf file, all layers on the first device",
        draft: on_gpu,
    },
    Template {
        name: "router",
        about: "llama-server loads models by request",
        draft: router,
    },
    Template {
        name: "simulated",
        about: "no model needed: load, traffic and faults on demand",
        draft: simulated,
    },
];

fn on_cpu() -> Draft {
    let mut draft = Draft::new(Suggestions::Shown);
    draft.heading("The commented lines show what else can be set, with its default.");
    draft.set("model.path", "models/your-model.gguf");
    draft.remark("model.path", "absolute, or relative to the home");
    draft.set("server.port", "auto");
    draft
}

fn on_gpu() -> Draft {
    let mut draft = on_cpu();
    draft.set("gpu.backend", "cuda");
    draft.set("gpu.device_id", 0);
    draft.set("gpu.layers", "all");
    draft
}

fn router() -> Draft {
    let mut draft = Draft::new(Suggestions::Shown);
    draft.set("router", true);
    draft.set("server.port", "auto");
    draft
}

fn simulated() -> Draft {
    let mut draft = Draft::new(Suggestions::Shown);
    draft.set("binary.path", SIMULATED);
    draft.set("server.port", "auto");
    let args = ["--sim-load-time", "3s", "--sim-traffic", "20"];
    let args: Vec<Value> = args.iter().map(|arg| Value::from(*arg)).collect();
    draft.set("args", args);
    draft
}
