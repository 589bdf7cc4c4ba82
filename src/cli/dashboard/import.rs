//! Imports for the dashboard: what `llama-orch import` does, asked by a typed line.

use std::path::PathBuf;

use super::super::import::{Mode, Source, carry_out};
use crate::config::home::Home;
use crate::config::import::words;
use crate::config::load;
use crate::tui::host::{
    HostError, ImportFrom, ImportMode, ImportReport, ImportRequest, ImportedInstance,
};

pub(super) fn import(home: &Home, request: &ImportRequest) -> Result<ImportReport, HostError> {
    let (file, typed);
    let source = match request.from {
        ImportFrom::LlamaSwap => {
            file = path(&request.text);
            Source::LlamaSwap(&file)
        }
        ImportFrom::Presets => {
            file = path(&request.text);
            Source::Presets(&file)
        }
        ImportFrom::Command => {
            typed = words::split(&request.text).map_err(|why| HostError(why.to_owned()))?;
            Source::Command {
                name: None,
                words: &typed,
            }
        }
    };
    let mode = match request.mode {
        ImportMode::Show => Mode::Show,
        ImportMode::Write => Mode::Write,
    };
    let report = carry_out(home, &load::load(home), &source, mode)
        .map_err(|error| HostError(error.message))?;
    let instances = report.instances.into_iter().map(|one| ImportedInstance {
        name: one.name,
        path: one.path,
        lines: one.lines,
        starts: one.starts,
        written: one.written,
        refused: one.refused,
        notes: one.notes,
    });
    Ok(ImportReport {
        instances: instances.collect(),
        notes: report.notes,
    })
}

/// Reads a typed path as a shell would: quotes around it and `~` at its beginning are understood.
fn path(text: &str) -> PathBuf {
    let bare = text.trim_matches(['"', '\'']);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (bare.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        (_, _) => PathBuf::from(bare),
    }
}
