//! The predecessor's `autostart.json`: names of instances that start by themselves.

use std::path::Path;

use super::finding::{Finding, Severity};
use super::home::Home;
use super::load::{Broken, Loaded};
use super::tree::{Format, Node, Source, Value};

/// Marks the named instances; returns what is wrong with the file.
pub(super) fn apply(home: &Home, rows: &mut [Result<Loaded, Broken>]) -> Vec<Finding> {
    let path = home.autostart_file();
    if !path.exists() {
        return Vec::new();
    }
    match read(&path) {
        Ok((source, root)) => mark(&source, &root, rows),
        Err(findings) => findings,
    }
}

fn read(path: &Path) -> Result<(Source, Node), Vec<Finding>> {
    let source = Source::read(path, Format::LegacyJson).map_err(|finding| vec![*finding])?;
    let root = source.parse(0)?;
    Ok((source, root))
}

fn mark(source: &Source, root: &Node, rows: &mut [Result<Loaded, Broken>]) -> Vec<Finding> {
    let list = root.entry("instances").map_or(root, |entry| &entry.node);
    let complaint = |severity, node: &Node, message: String| {
        source.finding(severity, &node.place.span, "instances".to_owned(), message)
    };
    let Value::List(names) = &list.value else {
        let message = format!("must be a list of names, not {}", list.kind());
        return vec![complaint(Severity::Error, list, message)];
    };
    let mut findings = Vec::new();
    for node in names {
        let Value::Text(name) = &node.value else {
            let message = format!("must be the name of an instance, not {}", node.kind());
            findings.push(complaint(Severity::Error, node, message));
            continue;
        };
        let mut known = false;
        for row in rows.iter_mut() {
            match row {
                Ok(loaded) if loaded.spec.name.as_str() == name => {
                    loaded.spec.autostart = true;
                    known = true;
                }
                // The instance may be meant by either of its names; it cannot start anyway.
                Err(broken) if broken.name.as_str() == name || broken.directory == *name => {
                    known = true;
                }
                Ok(_) | Err(_) => {}
            }
        }
        if !known {
            let message = format!("there is no instance {name:?} to start");
            findings.push(complaint(Severity::Warning, node, message));
        }
    }
    findings
}
