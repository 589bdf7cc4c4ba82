//! The rules between instances: names and ids are unique, ports and logs should be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::{Finding, Severity};
use super::load::{Broken, Loaded};
use crate::domain::instance::{InstanceName, Port, Server};

type Row = Result<Loaded, Broken>;

/// Breaks rows that share a name or id, and tells of shared ports and logs.
pub(super) fn apply_rules(mut rows: Vec<Row>) -> Vec<Row> {
    tell_shared_ports(&mut rows);
    tell_shared_logs(&mut rows);
    let names = others_with_same(&rows, |loaded| Some(loaded.spec.name.to_string()));
    let uids = others_with_same(&rows, |loaded| loaded.spec.instance_uid.clone());
    rows.into_iter()
        .enumerate()
        .map(|(index, row)| {
            let loaded = row?;
            let mut errors = Vec::new();
            if let Some(other) = names.get(&index) {
                let message = format!(
                    "name {:?} is also that of {other}",
                    loaded.spec.name.as_str()
                );
                errors.push(loaded.finding("name", Severity::Error, message));
            }
            if let Some(other) = uids.get(&index) {
                let message = format!("instance_uid is also that of {other}");
                errors.push(loaded.finding("instance_uid", Severity::Error, message));
            }
            if errors.is_empty() {
                return Ok(loaded);
            }
            errors.extend(loaded.warnings);
            Err(Broken {
                name: label(&loaded.directory),
                path: loaded.path,
                findings: errors,
                directory: loaded.directory,
            })
        })
        .collect()
}

/// Gives every broken row a name that no other row has.
pub(super) fn name_broken_rows(rows: &mut [Row]) {
    let mut taken: BTreeSet<InstanceName> = rows
        .iter()
        .filter_map(|row| row.as_ref().ok())
        .map(|loaded| loaded.spec.name.clone())
        .collect();
    for broken in rows.iter_mut().filter_map(|row| row.as_mut().err()) {
        let from_directory = label(&broken.directory);
        let numbered = (2..).map(|number: u32| label(&format!("{from_directory}-{number}")));
        let free = std::iter::once(broken.name.clone())
            .chain(std::iter::once(from_directory.clone()))
            .chain(numbered)
            .find(|name| !taken.contains(name));
        if let Some(name) = free {
            broken.name = name.clone();
            taken.insert(name);
        }
    }
}

/// Makes a name of any text: what a name may not hold becomes `-`.
pub(super) fn label(text: &str) -> InstanceName {
    /// Leaves room for a number within the 64 characters of a name.
    const LIMIT: usize = 56;
    let lower = text.to_lowercase();
    let allowed: String = lower
        .chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' | '_' | '-' => character,
            _ => '-',
        })
        .collect();
    // The number at the end tells rows apart, so it is the start that is cut.
    let start = allowed.len().saturating_sub(LIMIT);
    let edges = ['-', '_'];
    InstanceName::parse(text)
        .or_else(|_error| InstanceName::parse(allowed[start..].trim_matches(edges)))
        .or_else(|_error| InstanceName::parse("broken"))
        .expect("\"broken\" is a name")
}

/// Makes a name of any text, with a number at its end when it is taken already.
#[must_use]
pub fn free_label(text: &str, is_taken: impl Fn(&InstanceName) -> bool) -> InstanceName {
    let base = label(text);
    let numbered = (2..).map(|number: u32| label(&format!("{base}-{number}")));
    std::iter::once(base.clone())
        .chain(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or(base)
}

/// Returns whether two servers cannot both run.
#[must_use]
pub fn ports_collide(left: &Server, right: &Server) -> bool {
    let (Port::Fixed(left_port), Port::Fixed(right_port)) = (left.port, right.port) else {
        return false;
    };
    let is_socket = |server: &Server| server.host.ends_with(".sock");
    left_port == right_port
        && !is_socket(left)
        && !is_socket(right)
        && hosts_overlap(&left.host, &right.host)
}

/// Two addresses of which neither is "any address" can share a port; a host name may be anything.
fn hosts_overlap(left: &str, right: &str) -> bool {
    match (left.parse::<IpAddr>(), right.parse::<IpAddr>()) {
        (Ok(left), Ok(right)) => left == right || left.is_unspecified() || right.is_unspecified(),
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => true,
    }
}

/// Maps each row that shares its key to the path of another one that has it.
fn others_with_same(
    rows: &[Row],
    key: impl Fn(&Loaded) -> Option<String>,
) -> BTreeMap<usize, String> {
    let groups = group(rows, |loaded| key(loaded).into_iter().collect());
    let mut others = BTreeMap::new();
    for members in groups.values().filter(|members| members.len() > 1) {
        for (position, (index, _)) in members.iter().enumerate() {
            let (_, other) = members[usize::from(position == 0)];
            others.insert(*index, other.path.display().to_string());
        }
    }
    others
}

/// Groups the usable rows by their keys.
fn group<K: Ord>(
    rows: &[Row],
    keys: impl Fn(&Loaded) -> Vec<K>,
) -> BTreeMap<K, Vec<(usize, &Loaded)>> {
    let mut groups: BTreeMap<K, Vec<(usize, &Loaded)>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let Ok(loaded) = row else { continue };
        for key in keys(loaded) {
            groups.entry(key).or_default().push((index, loaded));
        }
    }
    groups
}

fn tell_shared_ports(rows: &mut [Row]) {
    let groups = group(rows, |loaded| match loaded.spec.server.port {
        Port::Fixed(port) => vec![port],
        Port::Auto => Vec::new(),
    });
    let mut lints = Vec::new();
    for (port, members) in &groups {
        for (index, loaded) in members {
            let other = members.iter().find(|(other, theirs)| {
                other != index && ports_collide(&loaded.spec.server, &theirs.spec.server)
            });
            if let Some((_, other)) = other {
                let message = format!("server.port {port} is also that of {}", other.spec.name);
                let lint = loaded
                    .finding("server.port", Severity::Lint, message)
                    .with_help("the second of the two to start is refused");
                lints.push((*index, lint));
            }
        }
    }
    add(rows, lints);
}

fn tell_shared_logs(rows: &mut [Row]) {
    let groups = group(rows, |loaded| {
        let logs = &loaded.spec.logs;
        vec![logs.stdout.clone(), logs.stderr.clone()]
    });
    let mut lints = Vec::new();
    for (path, members) in &groups {
        for (index, loaded) in members {
            let Some((_, other)) = members.iter().find(|(other, _)| other != index) else {
                continue;
            };
            let field = if *path == loaded.spec.logs.stdout {
                "logs.stdout"
            } else {
                "logs.stderr"
            };
            let message = format!("{field} is also a log of {}", other.spec.name);
            let lint = loaded
                .finding(field, Severity::Lint, message)
                .with_help("each instance needs log files of its own");
            lints.push((*index, lint));
        }
    }
    add(rows, lints);
}

fn add(rows: &mut [Row], lints: Vec<(usize, Finding)>) {
    for (index, lint) in lints {
        if let Ok(loaded) = &mut rows[index] {
            loaded.warnings.push(lint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_directory_has_a_usable_label() {
        let long = "x".repeat(300);
        let rows = [
            ("good-name", "good-name"),
            ("My Model", "my-model"),
            ("Ünïcode!", "n-code"),
            ("???", "broken"),
            ("", "broken"),
            (long.as_str(), &long[..56]),
        ];
        for (directory, expected) in rows {
            assert_eq!(label(directory).as_str(), expected);
        }
    }

    #[test]
    fn equal_ports_collide_unless_the_addresses_differ() {
        let server = |host: &str, port| Server {
            host: host.to_owned(),
            port,
            timeout: 600,
            parallel: 1,
        };
        let rows = [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "localhost", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("::", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("/x/a.sock", "127.0.0.1", false),
        ];
        for (left, right, expected) in rows {
            let fixed = Port::Fixed(8001);
            let collide = ports_collide(&server(left, fixed), &server(right, fixed));
            assert_eq!(collide, expected, "{left} and {right}");
        }
        let auto = server("127.0.0.1", Port::Auto);
        assert!(!ports_collide(&auto, &auto));
    }
}
