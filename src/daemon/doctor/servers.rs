//! What servers are run by and from: the shim, their programs and models, and what was left behind.

use super::Case;
use crate::domain::checkup::{Area, Found, Grade};
use crate::domain::instance::Binary;
use crate::probes::gguf;
use crate::process::launch::ShimProgram;
use crate::process::{orphans, program};

pub(super) fn look(case: &Case<'_>, found: &mut Vec<Found>) {
    shim(found);
    let before = found.len();
    programs(case, found);
    models(case, found);
    if found.len() == before {
        let text = "every instance has its program and its model";
        found.push(Found::new(Area::Servers, Grade::Good, text));
    }
    left_behind(case, found);
}

fn shim(found: &mut Vec<Found>) {
    found.push(match ShimProgram::find() {
        Ok(program) if program.is_small() => Found::new(
            Area::Servers,
            Grade::Good,
            "llama-orch-shim is beside this program",
        ),
        Ok(_) => {
            let text = "no llama-orch-shim of this version beside this program: each server costs \
                        about 1 MiB more";
            Found::new(Area::Servers, Grade::Note, text)
                .remedy("cargo install --path . puts both programs into one folder")
        }
        Err(error) => {
            let text = format!("our own program cannot be found: {error}");
            Found::new(Area::Servers, Grade::Error, text).remedy("install llama-orch again")
        }
    });
}

fn programs(case: &Case<'_>, found: &mut Vec<Found>) {
    for spec in case.specs() {
        if let Err(error) = program::resolve(&spec.binary) {
            let text = format!("{}: {error}", spec.name);
            found.push(
                Found::new(Area::Servers, Grade::Error, text)
                    .remedy("correct binary.path, or put llama-server into PATH"),
            );
        }
    }
}

fn models(case: &Case<'_>, found: &mut Vec<Found>) {
    for spec in case.specs() {
        let Some(path) = &spec.model.path else {
            continue;
        };
        if spec.binary == Binary::Simulated {
            continue;
        }
        if let Err(error) = gguf::read(path) {
            let remedy = if error.error.is_truncated() {
                "download it again; the copy is not complete"
            } else {
                "correct model.path"
            };
            let text = format!("{}: {error}", spec.name);
            found.push(Found::new(Area::Servers, Grade::Error, text).remedy(remedy));
        }
    }
}

fn left_behind(case: &Case<'_>, found: &mut Vec<Found>) {
    let home = case.patient.home;
    let folders = orphans::folders(&home.run_folders());
    let claimed = orphans::claimed(&folders);
    let scan = match orphans::scan(|token| claimed.contains(token)) {
        Ok(scan) => scan,
        Err(error) => {
            let text = format!("processes cannot be listed: {error}");
            found.push(Found::new(Area::Orphans, Grade::Warning, text));
            return;
        }
    };
    let ours = scan.orphans.iter().filter(|orphan| {
        let place = orphan.home.as_deref();
        place.is_none_or(|place| home.root().as_os_str() == place)
    });
    found.push(orphaned(
        &ours.map(|orphan| orphan.process.pid).collect::<Vec<_>>(),
    ));
}

fn orphaned(pids: &[i32]) -> Found {
    if pids.is_empty() {
        return Found::new(Area::Orphans, Grade::Good, "none");
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let text = format!("processes that nobody looks after: {}", pids.join(", "));
    Found::new(Area::Orphans, Grade::Warning, text).remedy("llama-orch orphans")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looks_after_is_told_with_its_pids() {
        assert_eq!(orphaned(&[]).grade, Grade::Good);
        let found = orphaned(&[41, 42]);
        assert_eq!(found.grade, Grade::Warning);
        assert!(found.text.ends_with("41, 42"), "{}", found.text);
        assert_eq!(found.remedy.as_deref(), Some("llama-orch orphans"));
    }
}
