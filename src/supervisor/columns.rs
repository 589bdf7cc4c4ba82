//! What a table shows of a configuration: of the one in force, or of what a run was started with.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::instance::{Backend, InstanceSpec, device_label, model_label};

/// The columns that say what a server computes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) backend: String,
    pub(super) device: String,
    pub(super) model: String,
}

impl Columns {
    /// Of what a run remembers of its start, which are the fields of
    /// [`started_with`](super::configs::started_with); `None` when it remembers none.
    #[must_use]
    pub(super) fn of_run(started_with: &BTreeMap<String, String>) -> Option<Self> {
        let field = |name: &str| started_with.get(name);
        let backend = Backend::parse(field("gpu.backend")?)?;
        let device_id = field("gpu.device_id").and_then(|text| text.parse().ok());
        let router = field("router").is_some_and(|text| text == "true");
        Some(Self {
            backend: backend.as_str().to_owned(),
            device: device_label(backend, device_id.unwrap_or_default()),
            model: model_label(field("model.path").map(Path::new), router),
        })
    }

    #[must_use]
    pub(super) fn of_spec(spec: &InstanceSpec) -> Self {
        Self {
            backend: spec.gpu.backend.as_str().to_owned(),
            device: spec.device_label(),
            model: spec.model_label(),
        }
    }
}

/// Of a configuration that cannot be used and has no run.
impl Default for Columns {
    fn default() -> Self {
        let unknown = || "-".to_owned();
        Self {
            backend: unknown(),
            device: unknown(),
            model: unknown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::tests::spec;
    use crate::supervisor::configs::started_with;

    #[test]
    fn a_run_shows_what_its_configuration_showed_at_its_start() {
        let mut spec = spec("a");
        let check = |spec: &InstanceSpec, expected: [&str; 3]| {
            let [backend, device, model] = expected.map(str::to_owned);
            let expected = Columns {
                backend,
                device,
                model,
            };
            assert_eq!(Columns::of_spec(spec), expected);
            assert_eq!(Columns::of_run(&started_with(spec)), Some(expected));
        };
        spec.model.path = None;
        check(&spec, ["cpu", "-", "-"]);
        spec.router = true;
        check(&spec, ["cpu", "-", "router"]);
        spec.model.path = Some("/models/qwen3.gguf".into());
        spec.gpu.backend = Backend::Cuda;
        spec.gpu.device_id = 3;
        check(&spec, ["cuda", "GPU3", "qwen3"]);
        assert_eq!(Columns::of_run(&BTreeMap::new()), None);
    }
}
