//! Traps of the service manager: units that end the servers with the supervisor, users without
//! lingering.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Case, Sources, User};
use crate::domain::checkup::{Area, Found, Grade};

/// A unit without these ends or breaks what it should only look after.
const DIRECTIVES: [(&str, &str, &str, Grade); 5] = [
    (
        "KillMode",
        "process",
        "every restart of the unit kills all servers",
        Grade::Error,
    ),
    (
        "OOMPolicy",
        "continue",
        "one server that runs out of memory takes all others along",
        Grade::Error,
    ),
    (
        "TasksMax",
        "infinity",
        "the threads of all servers count against one limit",
        Grade::Warning,
    ),
    (
        "LimitNOFILE",
        "65536",
        "many instances run out of open files",
        Grade::Warning,
    ),
    (
        "Delegate",
        "yes",
        "servers cannot get control groups of their own",
        Grade::Note,
    ),
];

pub(super) fn look(case: &Case<'_>, found: &mut Vec<Found>) {
    // Elsewhere there is no unit and nobody lingers.
    if !case.sources().exists("/run/systemd/system") {
        let text = "no systemd here; start the supervisor by what this machine has";
        found.push(Found::new(Area::Service, Grade::Note, text));
        return;
    }
    let units = units(case.sources());
    for (path, text) in &units {
        found.extend(judge(path, text));
    }
    if units.is_empty() {
        let text = "no unit starts the supervisor with this machine";
        let remedy = "llama-orch daemon install";
        found.push(Found::new(Area::Service, Grade::Note, text).remedy(remedy));
    }
    lingering(case, found);
}

/// Finds the units that run this program, of the user and of the system.
fn units(sources: &Sources) -> Vec<(PathBuf, String)> {
    let user = sources
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(sources.variable("HOME")?).join(".config")));
    let folders = [
        user.map(|folder| folder.join("systemd/user")),
        Some(sources.path("/etc/systemd/user")),
        Some(sources.path("/etc/systemd/system")),
    ];
    let mut units: Vec<(PathBuf, String)> = folders
        .into_iter()
        .flatten()
        .flat_map(|folder| sources.files(&folder))
        .filter(|path| path.extension().is_some_and(|ending| ending == "service"))
        .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
        .filter(|(_, text)| starts_us(text))
        .collect();
    units.sort();
    units
}

fn starts_us(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("ExecStart="))
        .any(|command| command.contains("llama-orch"))
}

/// Looks for directives that a unit lacks.
fn judge(path: &Path, text: &str) -> Vec<Found> {
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| line.trim().split_once('='))
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
            .next_back()
    };
    let mut missing: Vec<Found> = DIRECTIVES
        .iter()
        .filter(|(name, wanted, _, _)| !is_as_good(name, value(name), wanted))
        .map(|(name, wanted, trap, grade)| {
            let text = format!("{}: without {name}={wanted} {trap}", path.display());
            let remedy = format!("add {name}={wanted} to [Service], then systemctl daemon-reload");
            Found::new(Area::Service, *grade, text).remedy(remedy)
        })
        .collect();
    if missing.is_empty() {
        let text = format!("{} is as it should be", path.display());
        missing.push(Found::new(Area::Service, Grade::Good, text));
    }
    missing
}

fn is_as_good(name: &str, value: Option<&str>, wanted: &str) -> bool {
    let Some(value) = value else {
        return false;
    };
    match name {
        // A control group's own limits may be set on purpose, as long as they are set.
        "LimitNOFILE" | "TasksMax" | "Delegate" => !value.is_empty() && value != "no",
        // `none` leaves the supervisor itself running too, which is as harmless.
        "KillMode" => value == wanted || value == "none",
        _ => value == wanted,
    }
}

fn lingering(case: &Case<'_>, found: &mut Vec<Found>) {
    let sources = case.sources();
    let group = sources.own_group();
    let runs_as_user = group.is_some_and(|group| group.contains("/user.slice/"));
    if sources.user == User::Administrator || !runs_as_user {
        return;
    }
    let Some(user) = sources.variable("USER") else {
        return;
    };
    if sources.exists(&format!("/var/lib/systemd/linger/{user}")) {
        let text = format!("{user} lingers: servers outlive the login");
        found.push(Found::new(Area::Service, Grade::Good, text));
        return;
    }
    let grade = match case.set.rows.is_empty() {
        true => Grade::Note,
        false => Grade::Warning,
    };
    let text =
        format!("{user} does not linger: what a unit of this user runs ends with the last login");
    let remedy = format!("loginctl enable-linger {user}");
    found.push(Found::new(Area::Service, grade, text).remedy(remedy));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_would_kill_the_servers_is_told() {
        let path = Path::new("/etc/systemd/system/llama-orch.service");
        let good = "[Service]\nExecStart=/usr/bin/llama-orch --daemon\nKillMode=process\n\
                    OOMPolicy=continue\nTasksMax=infinity\nLimitNOFILE=65536\nDelegate=yes\n";
        assert!(starts_us(good));
        let rows = [
            (good.to_owned(), vec![Grade::Good]),
            (good.replace("KillMode=process\n", ""), vec![Grade::Error]),
            (
                good.replace("KillMode=process", "KillMode=mixed"),
                vec![Grade::Error],
            ),
            (
                good.replace("LimitNOFILE=65536", "LimitNOFILE=4096"),
                vec![Grade::Good],
            ),
            (
                "[Service]\nExecStart=llama-orch\n".to_owned(),
                vec![
                    Grade::Error,
                    Grade::Error,
                    Grade::Warning,
                    Grade::Warning,
                    Grade::Note,
                ],
            ),
        ];
        for (text, expected) in rows {
            let grades: Vec<Grade> = judge(path, &text).iter().map(|one| one.grade).collect();
            assert_eq!(grades, expected, "{text}");
        }
        assert!(!starts_us("[Service]\nExecStart=/usr/bin/other\n"));
    }
}
