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

/// What is said of instances that will fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Nothing; what runs already is left out too.
    Doubts,
    /// The numbers, also of what runs.
    Everything,
}

/// Warns of instances that will not fit, or only just. Nothing is refused here: with
/// `[memory] refuse` the supervisor does that itself.
pub(super) async fn tell(
    home: &Home,
    set: &ConfigSet,
    names: &[InstanceName],
    telling: Telling,
    output: &Output,
) {
    let specs: Vec<InstanceSpec> = set
        .rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .filter(|loaded| names.contains(&loaded.spec.name))
        .map(|loaded| loaded.spec.clone())
        .collect();
    let home = home.clone();
    let looking = tokio::task::spawn_blocking(move || judge_all(&home, &specs, telling));
    // A panic there is a fault of ours, and no reason not to start.
    let Ok(judged) = looking.await else { return };
    for (name, fit) in judged {
        let text = format!("{name}: {}: {}", fit.verdict.phrase(), fit.summary);
        match fit.verdict {
            Verdict::WillNotFit | Verdict::Tight => {
                output.warning(&text);
                if let Some(remedy) = fit.remedy {
                    output.hint(&remedy);
                }
            }
            Verdict::Fits | Verdict::Unknown => match telling {
                Telling::Everything => output.say(&text),
                Telling::Doubts => {}
            },
        }
    }
}

fn judge_all(home: &Home, specs: &[InstanceSpec], telling: Telling) -> Vec<(InstanceName, Fit)> {
    let mut host = None;
    let mut judged = Vec::new();
    for spec in specs {
        let paths = RunPaths::new(home.runs_dir(&spec.name));
        let runs = matches!(
            adopt::inspect(&paths),
            Adoption::Live(_) | Adoption::ShimGone(_)
        );
        if runs && telling == Telling::Doubts {
            continue;
        }
        let readings = host.get_or_insert_with(|| Host::find().look());
        let around = Surroundings {
            home,
            host: readings,
            asking: Asking::Once,
            holding: if runs {
                Holding::Everything
            } else {
                Holding::Nothing
            },
        };
        let fit = fit::of(spec, around);
        // The next one finds the memory taken.
        if !runs && let (Some(place), Some(used)) = (fit.places.first(), &mut readings.memory_used)
        {
            *used = used.saturating_add(place.need.total());
        }
        judged.push((spec.name.clone(), fit));
    }
    judged
}
