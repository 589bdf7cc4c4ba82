//! The command tree with what every `--help` ends with: examples and exit codes.

use clap::{Command, CommandFactory as _};

use super::args::Cli;
use super::exit::Exit;

/// Exit codes that any command may end with.
const COMMON: [Exit; 4] = [Exit::Success, Exit::General, Exit::Usage, Exit::Interrupted];

/// What commands may end with besides.
// A new command that ends otherwise needs a row; without one its help has the common codes.
const SPECIAL: [(&str, &[Exit]); 16] = [
    (
        "up",
        &[
            Exit::NotFound,
            Exit::AlreadyRunning,
            Exit::PortInUse,
            Exit::ExecutableNotFound,
            Exit::NotReady,
            Exit::Daemon,
        ],
    ),
    ("down", &[Exit::NotFound, Exit::NotRunning, Exit::Daemon]),
    (
        "restart",
        &[
            Exit::NotFound,
            Exit::PortInUse,
            Exit::ExecutableNotFound,
            Exit::NotReady,
            Exit::Daemon,
        ],
    ),
    ("apply", &[Exit::NotFound, Exit::NotReady, Exit::Daemon]),
    ("logs", &[Exit::NotFound]),
    ("describe", &[Exit::NotFound]),
    (
        "connect",
        &[
            Exit::NotFound,
            Exit::PortInUse,
            Exit::ExecutableNotFound,
            Exit::NotReady,
            Exit::NotRunning,
            Exit::Daemon,
        ],
    ),
    ("bundle", &[Exit::NotFound]),
    ("plan", &[Exit::NotFound]),
    ("events", &[Exit::NotFound, Exit::Daemon]),
    (
        "health",
        &[Exit::NotFound, Exit::NotReady, Exit::NotRunning],
    ),
    ("orphans", &[Exit::NotFound, Exit::Daemon]),
    ("init", &[Exit::PortInUse]),
    ("config", &[Exit::NotFound]),
    ("daemon", &[Exit::Daemon]),
    (
        "work-unit",
        &[Exit::NotFound, Exit::AlreadyRunning, Exit::Daemon],
    ),
];

/// Returns the command tree as it is typed, completed and documented.
#[must_use]
pub fn command() -> Command {
    let tree = Cli::command().after_help(listed(&Exit::ALL));
    let names: Vec<String> = tree
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    names.iter().fold(tree, |tree, name| {
        let codes = codes_of(name);
        tree.mut_subcommand(name, |sub| with_codes(sub, &codes))
    })
}

fn with_codes(command: Command, codes: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    if !names.is_empty() {
        return names.iter().fold(command, |command, name| {
            command.mut_subcommand(name, |sub| with_codes(sub, codes))
        });
    }
    let help = command.get_after_help().map(ToString::to_string);
    match help {
        Some(help) if help.contains("Exit codes:") => command,
        Some(help) => command.after_help(format!("{help}\n\n{codes}")),
        None => command.after_help(codes.to_owned()),
    }
}

fn codes_of(name: &str) -> String {
    let special = SPECIAL.iter().find(|(command, _)| *command == name);
    let mut codes: Vec<Exit> = COMMON.to_vec();
    codes.extend(special.map_or(&[][..], |(_, codes)| *codes));
    codes.sort_by_key(|exit| exit.code());
    listed(&codes)
}

fn listed(codes: &[Exit]) -> String {
    let words: Vec<String> = codes
        .iter()
        .map(|exit| format!("{} {}", exit.code(), exit.words()))
        .collect();
    format!("Exit codes: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::import::words;

    /// Runs `check` on every command that can be typed, with all its words.
    fn each(command: &Command, path: &str, check: &mut impl FnMut(&str, &Command)) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let path = format!("{path} {}", sub.get_name());
            if sub.get_subcommands().next().is_none() {
                check(path.trim(), sub);
            }
            each(sub, &path, check);
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_says_examples_and_exit_codes() {
        let mut silent = Vec::new();
        each(&command(), "", &mut |path, command| {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let example = format!("llama-orch {path}");
            let words = ["Examples:", "Exit codes: 0 success", example.as_str()];
            if !words.iter().all(|word| help.contains(word)) {
                silent.push(path.to_owned());
            }
        });
        assert!(
            silent.is_empty(),
            "without an after_help that has \"Examples:\" and a command: {silent:?}"
        );
    }

    #[test]
    fn every_example_can_be_typed() {
        let mut wrong = Vec::new();
        let mut count = 0;
        each(&command(), "", &mut |path, sub| {
            let help = sub.get_after_help().map(ToString::to_string);
            for line in help.unwrap_or_default().lines() {
                let line = line.trim().trim_start_matches("sudo ");
                if !line.starts_with("llama-orch ") {
                    continue;
                }
                // Behind the command: what it is for, or where its output goes.
                let typed = line.split("   ").next().unwrap_or(line);
                let typed = typed.split(['>', '|', ';']).next().unwrap_or(typed);
                let words = words::split(typed).unwrap_or_default();
                count += 1;
                if let Err(error) = command().try_get_matches_from(words) {
                    wrong.push(format!("{path}: {line}\n{error}"));
                }
            }
        });
        assert!(count > 50, "{count} examples were found");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_special_row_is_a_command() {
        let tree = command();
        for (name, _) in SPECIAL {
            assert!(tree.find_subcommand(name).is_some(), "{name}");
        }
    }
}
