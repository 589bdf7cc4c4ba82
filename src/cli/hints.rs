//! Hints that can be typed as they stand: a command in one names the home that was meant.

use std::path::Path;

use clap::CommandFactory as _;

use super::args::Cli;
use super::target::Target;
use crate::api::client::place::{Place, SOCKET};
use crate::domain::connection::quoted;

/// What a command begins with.
const PROGRAM: &str = "llama-orch ";

/// How a person said which home is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Meant {
    /// By where they are; a command finds it again.
    #[default]
    Here,
    /// By its path.
    Home(String),
    /// By the address of an owner, whose home is on another machine.
    Machine(String),
}

impl Meant {
    pub(super) fn of(cli: &Cli, target: &Target) -> Self {
        match (target, &cli.home) {
            (Target::Here(_), None) => Self::Here,
            (Target::Here(_), Some(home)) => Self::Home(quoted(&home.to_string_lossy())),
            (Target::Elsewhere(remote), _) => match &remote.place {
                Place::Socket(path) => home_of(path)
                    .map_or_else(|| Self::Machine(remote.place.to_string()), Self::Home),
                Place::Tcp(_) => Self::Machine(remote.place.to_string()),
            },
        }
    }

    /// Returns the hint as it is right for that home.
    pub(super) fn put(&self, hint: &str) -> String {
        // Nearly every hint is right as it is, and the list of commands takes a while to make.
        if *self == Self::Here || !hint.contains(PROGRAM) {
            return hint.to_owned();
        }
        let mut parts = hint.split(PROGRAM);
        let mut told = parts.next().unwrap_or_default().to_owned();
        let mut commands = 0;
        for part in parts {
            told.push_str(PROGRAM);
            if begins_with_command(part) {
                commands += 1;
                if let Self::Home(home) = self {
                    told.extend(["--home ", home, " "]);
                }
            }
            told.push_str(part);
        }
        match self {
            Self::Machine(place) if commands > 0 => format!("{told} (on the machine of {place})"),
            Self::Machine(_) | Self::Home(_) | Self::Here => told,
        }
    }
}

/// Returns the home that a socket belongs to, when it is on this machine.
fn home_of(socket: &Path) -> Option<String> {
    let home = socket
        .ancestors()
        .find(|folder| folder.join(SOCKET) == socket)?;
    home.is_dir().then(|| quoted(&home.to_string_lossy()))
}

fn begins_with_command(text: &str) -> bool {
    let word = text.split(|character: char| !character.is_ascii_lowercase() && character != '-');
    let word = word.into_iter().next().unwrap_or_default();
    let program = Cli::command();
    program.find_subcommand(word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_hint_names_the_home_that_was_meant() {
        let home = Meant::Home("/srv/fleet".to_owned());
        let machine = Meant::Machine("http://gpu-box:9090".to_owned());
        let rows = [
            (
                &Meant::Here,
                "start one: llama-orch daemon start",
                "start one: llama-orch daemon start",
            ),
            (
                &home,
                "start one: llama-orch daemon start",
                "start one: llama-orch --home /srv/fleet daemon start",
            ),
            (
                &home,
                "llama-orch config lint a; else llama-orch down a",
                "llama-orch --home /srv/fleet config lint a; else llama-orch --home /srv/fleet down a",
            ),
            (
                &home,
                "in a terminal, llama-orch shows the fleet; --help lists the commands",
                "in a terminal, llama-orch shows the fleet; --help lists the commands",
            ),
            (
                &machine,
                "start one: llama-orch daemon start",
                "start one: llama-orch daemon start (on the machine of http://gpu-box:9090)",
            ),
            (
                &machine,
                "llama-orch itself runs on Linux only",
                "llama-orch itself runs on Linux only",
            ),
            (&machine, "give one", "give one"),
        ];
        for (meant, hint, expected) in rows {
            assert_eq!(meant.put(hint), expected);
        }
    }

    #[test]
    fn a_socket_leads_to_its_home_where_that_is_on_this_machine() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path();
        assert_eq!(
            home_of(&path.join(SOCKET)),
            Some(path.display().to_string())
        );
        assert_eq!(home_of(&path.join("forwarded.sock")), None);
        assert_eq!(home_of(Path::new("/no/such/state/llama-orch.sock")), None);
    }
}
