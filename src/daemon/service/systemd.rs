//! A unit for systemd, of the user or of the machine.

use std::path::Path;

use super::{Scope, Service};

/// The first line of a unit that we wrote; one without it is never replaced.
pub const MARK: &str = "# Written by llama-orch daemon install.";

/// Returns the text of the unit.
#[must_use]
pub fn unit(service: &Service) -> String {
    let (order, user, wanted_by) = match &service.scope {
        Scope::User => ("", String::new(), "default.target"),
        Scope::System { user } => (
            "Wants=network-online.target\nAfter=network-online.target remote-fs.target\n",
            format!("User={user}\n"),
            "multi-user.target",
        ),
    };
    let program = quoted(&service.program);
    let home = quoted(&service.home);
    format!(
        "\
{MARK}
[Unit]
Description=llama-orch, which looks after llama-servers
{order}
[Service]
Type=notify
ExecStart={program} --home {home} --daemon
{user}Restart=on-failure
RestartSec=5
# Ending the supervisor ends no llama-server: they are adopted by the next one.
KillMode=process
# One server that runs out of memory is one crash, not the end of all.
OOMPolicy=continue
Delegate=yes
TasksMax=infinity
LimitNOFILE=65536

[Install]
WantedBy={wanted_by}
"
    )
}

/// Quotes a word of ExecStart: `%` and `$` have a meaning even in quotes.
fn quoted(path: &Path) -> String {
    let text = path
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{text}\"")
}
