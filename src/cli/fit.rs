//! The word before a start: whether what is to be started will fit into memory.

use super::output::Output;
use crate::config::home::Home;
use crate::config::load::ConfigSet;
use crate::domain::instance::{InstanceName, InstanceSpec};
use crate::domain::memory::fit::{Fit, Verdict};
use crate::probes::devices::Asking;
use crate::probes::host::Host;
use crate::process::adopt::{self, Adoption};
use crate::process::runfiles::RunPaths;
use crate::supervisor::fit::{self, Holding, Surroundings};

/// Warns of instances that will not fit, or only just; those that run already are left out.
/// Nothing is refused here: with `[memory] refuse` the supervisor does that itself.
pub(super) async fn warn(home: &Home, set: &ConfigSet, names: &[InstanceName], output: &Output) {
    let specs: Vec<InstanceSpec> = set
        .rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .filter(|loaded| names.contains(&loaded.spec.name))
        .map(|loaded| loaded.spec.clone())
        .collect();
    let home = home.clone();
    let looking = tokio::task::spawn_blocking(move || judge_all(&home, &specs));
    // A panic there is a fault of ours, and no reason not to start.
    let Ok(judged) = looking.await else { return };
    for (name, fit) in judged {
        match fit.verdict {
            Verdict::WillNotFit | Verdict::Tight => {
                let phrase = fit.verdict.phrase();
                output.warning(&format!("{name}: {phrase}: {}", fit.summary));
                if let Some(remedy) = fit.remedy {
                    output.hint(&remedy);
                }
            }
            Verdict::Fits | Verdict::Unknown => {}
        }
    }
}

fn judge_all(home: &Home, specs: &[InstanceSpec]) -> Vec<(InstanceName, Fit)> {
    let mut host = None;
    let mut judged = Vec::new();
    for spec in specs {
        let paths = RunPaths::new(home.runs_dir(&spec.name));
        let runs = matches!(
            adopt::inspect(&paths),
            Adoption::Live(_) | Adoption::ShimGone(_)
        );
        if runs {
            continue;
        }
        let readings = host.get_or_insert_with(|| Host::find().look());
        let around = Surroundings {
            home,
            host: readings,
            asking: Asking::Once,
            holding: Holding::Nothing,
        };
        let fit = fit::of(spec, around);
        // The next one finds the memory taken.
        if let (Some(place), Some(used)) = (fit.places.first(), &mut readings.memory_used) {
            *used = used.saturating_add(place.need.total());
        }
        judged.push((spec.name.clone(), fit));
    }
    judged
}
