//! The supervisor as a service: what systemd, launchd and Windows want to read.
//!
//! Pure: texts are made here, and `cli/install.rs` puts them where they belong. Each of them must
//! keep the rule that ending the supervisor ends no llama-server.

mod launchd;
mod systemd;
mod windows;

use std::path::PathBuf;

pub use launchd::property_list;
pub use systemd::{MARK, unit};
pub use windows::{nssm_commands, task_xml};

/// A supervisor that somebody else starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service's name, such as `llama-orch`.
    pub name: String,
    /// The absolute path of llama-orch.
    pub program: PathBuf,
    /// The absolute path of the home.
    pub home: PathBuf,
    pub scope: Scope,
}

/// Who the service belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The user who installs it; it runs while that user is logged in, or always with linger.
    User,
    /// The machine; it runs as this user.
    System { user: String },
}

/// Escapes what XML gives a meaning.
fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            name: "llama-orch".to_owned(),
            program: PathBuf::from("/opt/my tools/llama-orch"),
            home: PathBuf::from("/srv/50% \"big\" & $HOME"),
            scope: Scope::User,
        }
    }

    #[test]
    fn a_unit_quotes_its_words() {
        let text = unit(&service());
        let command = "ExecStart=\"/opt/my tools/llama-orch\" --home \
                       \"/srv/50%% \\\"big\\\" & $$HOME\" --daemon\n";
        assert!(text.contains(command), "{text}");
        assert!(!text.contains("User="));
        let scope = Scope::System {
            user: "models".to_owned(),
        };
        let text = unit(&Service { scope, ..service() });
        assert!(text.contains("\nUser=models\n"), "{text}");
        assert!(text.contains("\nWantedBy=multi-user.target\n"), "{text}");
    }

    #[test]
    fn every_service_leaves_the_servers_running_when_it_ends() {
        let service = service();
        let rows = [
            (unit(&service), "\nKillMode=process\n"),
            (property_list(&service), "<key>AbandonProcessGroup</key>"),
            (nssm_commands(&service), "AppKillProcessTree 0"),
        ];
        for (text, part) in rows {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn paths_cannot_break_out_of_xml() {
        for text in [property_list(&service()), task_xml(&service())] {
            assert!(!text.contains("& $HOME"), "{text}");
            assert!(text.contains("&amp; $HOME"), "{text}");
        }
    }
}
