//! A start: first the memory is looked at, then what fits is started and the rest is asked about.

use super::super::effect::{Command, Effect};
use super::super::model::Model;
use super::super::model::notice::Kind;
use super::super::model::sheet::{Button, Entry, Sheet, Subject};
use super::super::theme::Role;
use super::{commands, sheet, tell};
use crate::domain::instance::InstanceName;
use crate::domain::memory::fit::{Fit, Verdict};

/// `s`: starts the selected or marked, or asks first.
pub(super) fn start(model: &mut Model) -> Vec<Effect> {
    let names = model.table.targets();
    if names.is_empty() {
        return commands::nothing_selected(model);
    }
    model.table.marks.clear();
    vec![Effect::Weigh(names)]
}

/// The memory was looked at: `fits` has no entry for what nobody can tell.
pub(super) fn weighed(
    model: &mut Model,
    names: Vec<InstanceName>,
    fits: &[(InstanceName, Fit)],
) -> Vec<Effect> {
    let verdict = |name: &InstanceName| {
        let known = fits.iter().find(|(known, _)| known == name);
        known.map_or(Verdict::Unknown, |(_, fit)| fit.verdict)
    };
    for (name, fit) in fits {
        if fit.verdict == Verdict::Tight {
            let text = format!("{name}: tight: {}", fit.summary);
            tell(model, Kind::Bad, text);
        }
    }
    let (doubtful, sure): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| verdict(name) == Verdict::WillNotFit);
    if !doubtful.is_empty() {
        let refused: Vec<_> = fits
            .iter()
            .filter(|(_, fit)| fit.verdict == Verdict::WillNotFit)
            .collect();
        sheet::open(model, question(&refused, doubtful));
    }
    match sure.is_empty() {
        true => Vec::new(),
        false => vec![Effect::Command(Command::Start, sure)],
    }
}

fn question(refused: &[&(InstanceName, Fit)], names: Vec<InstanceName>) -> Sheet {
    let title = match names.as_slice() {
        [only] => format!("{only} will not fit into memory"),
        many => format!("{} instances will not fit into memory", many.len()),
    };
    let mut entries = Vec::new();
    for (name, fit) in refused {
        entries.push(Entry::new(name.as_str(), &fit.summary, Role::Bad));
        if let Some(remedy) = &fit.remedy {
            entries.push(Entry::new("", format!("→ {remedy}"), Role::Strong));
        }
        for note in &fit.notes {
            entries.push(Entry::new("", note, Role::Dim));
        }
    }
    entries.push(Entry::gap());
    let words = "A server that finds no memory ends while it loads, or takes what others need.";
    entries.push(Entry::new("", words, Role::Text));
    let mut paper = Sheet::question(Subject::Memory, title, entries);
    let start = Effect::Command(Command::Start, names);
    paper
        .buttons
        .push(Button::closing('y', "start anyway", vec![start]));
    paper
}
