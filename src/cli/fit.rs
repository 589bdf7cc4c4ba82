//! The word before a start: whether what is to be started will fit into memory.

use super::output::Output;
use crate::config::home::Home;
use crate::config::load::ConfigSet;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::memory::fit::{Fit, Verdict};
use crate::probes::host::Host;
use crate::process::adopt::{self, Adoption};
use crate::process::runfiles::RunPaths;
use crate::supervisor::fit::{self, Holding};

/// Warns of instances that will not fit, or only just; what runs already is left out. Nothing is
/// refused here: with `[memory] refuse` the supervisor does that itself.
pub(super) async fn warn(home: &Home, set: &ConfigSet, names: &[InstanceName], output: &Output) {
    let specs: Vec<InstanceSpec> = set
        .rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .filter(|loaded| names.contains(&loaded.spec.name))
        .map(|loaded| loaded.spec.clone())
        .collect();
    let home = home.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let idle = specs.iter().filter(|spec| !runs(&home, &spec.name));
        let asked: Vec<_> = idle.map(|spec| (spec, Holding::Nothing)).collect();
        match asked.is_empty() {
            true => Vec::new(),
            false => fit::in_turn(&home, &Host::find().look(), asked),
        }
    });
    // A panic there is a fault of ours, and no reason not to start.
    for (name, fit) in looking.await.unwrap_or_default() {
        doubt(name.as_str(), &fit, output);
    }
}

/// Warns of one that will not fit, or only just.
pub(super) fn doubt(name: &str, fit: &Fit, output: &Output) {
    match fit.verdict {
        Verdict::WillNotFit | Verdict::Tight => {
            output.warning(&format!(
                "{name}: {}: {}",
                fit.verdict.phrase(),
                fit.summary
            ));
            if let Some(remedy) = &fit.remedy {
                output.hint(remedy);
            }
        }
        Verdict::Fits | Verdict::Unknown => {}
    }
}

fn runs(home: &Home, name: &InstanceName) -> bool {
    let paths = RunPaths::new(home.runs_dir(name));
    matches!(
        adopt::inspect(&paths),
        Adoption::Live(_) | Adoption::ShimGone(_)
    )
}
